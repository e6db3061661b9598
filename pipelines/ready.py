"""The copy of `speech` that `clsp maintain` makes: one wide row per segment, joined beforehand.

The rows of a lake are joined by hashes, which takes seconds for millions of segments. The copy has
the view's rows as of a commit. As long as no chunk was committed since, it is read in place of the
join; else it is as if it were not there. A run that brings only new recordings adds their rows.
Nothing is lost with it: its folder may be removed.
Knows tables; knows nothing of audio, or of when to maintain.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import duckdb
from deltalake import write_deltalake

from pipelines import faults, schemas, views
from pipelines.errors import LakeError
from pipelines.lake import Lake, lake_errors
from pipelines.layout import writer_properties
from pipelines.query import connect

TABLE = schemas.READY
LOCK = ".speech.lock"  # of those who make or extend the copy; commits do not wait for it
BATCH_ROWS = 65_536
FILE_BYTES = 512 << 20
MEMORY_LIMIT = "2GiB"  # over it, DuckDB puts what it joins into files of its own
SPILL = ".spill-"
ASKED = ("runs", "history", *views.JOINED, "speech")


def refresh(lake: Lake) -> bool:
    """Make the copy anew where the lake has gone on since; says whether it was. Commits go on: what
    is committed meanwhile makes the copy an old one, which nobody reads.

    Raises LakeError; LakeBusy where another process has been making it for long.
    """
    if not lake.exists("runs"):
        return False
    with lake.locked(LOCK), lake_errors(lake.root / TABLE):
        for left in lake.root.glob(f"{SPILL}*"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        with _joining(lake) as db:
            if views.is_ready(db) or (seq := views.newest(db)) is None:
                return False
            _write(lake, db, seq, "FROM speech", "overwrite")
        faults.reach("maintain.copied")
    return True


def extend(lake: Lake) -> bool:
    """Add to the copy, where there is one, what was committed since, if that is new recordings
    alone: a run that adds some leaves the copy the newest. Says whether the copy is.

    Raises LakeError; LakeBusy where another process is making it.
    """
    if lake.ready() is None:
        return False
    with lake.locked(LOCK, wait_s=0), lake_errors(lake.root / TABLE), _joining(lake) as db:
        copy, seq = lake.ready(), views.newest(db)
        if copy is None or seq is None or views.is_ready(db):
            return copy is not None
        since = "SELECT archive, uri FROM history WHERE seq"
        replaced = f"{since} > {copy.seq} INTERSECT {since} <= {copy.seq} AND state = 'tagged'"
        if copy.schema.names != [*views.BEFORE, *_columns(db)] or _any(db, replaced):
            return False
        fresh = f"FROM ({views.joined(db)}) WHERE (archive, uri) IN ({since} > {copy.seq})"
        if _any(db, fresh):  # else no row would tell that the copy is of later
            _write(lake, db, seq, fresh, "append")
    copy = lake.ready()
    return copy is not None and copy.seq == seq


@contextmanager
def _joining(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        with (
            tempfile.TemporaryDirectory(prefix=SPILL, dir=lake.root) as spill,
            connect(lake, spill=Path(spill), memory_limit=MEMORY_LIMIT, of=ASKED) as db,
        ):
            yield db
    except duckdb.Error as error:
        raise LakeError(
            f"lake {lake.root}: its rows cannot be joined to a copy of `speech`: {error}. Queries "
            "do without one; `clsp verify --deep` finds a damaged file"
        ) from error


def _write(
    lake: Lake,
    db: duckdb.DuckDBPyConnection,
    seq: int,
    rows: str,
    mode: Literal["overwrite", "append"],
) -> None:
    number = views.prefix("segment_id")
    selected = db.sql(
        f"SELECT {seq}::BIGINT AS {schemas.AS_OF}, {number} AS {schemas.PREFIX}, * {rows}"
    )
    batches = selected.to_arrow_reader(BATCH_ROWS)
    write_deltalake(
        (lake.root / TABLE).as_uri(),
        batches,
        mode=mode,
        schema_mode="overwrite" if mode == "overwrite" else None,
        target_file_size=FILE_BYTES,
        writer_properties=writer_properties(TABLE, batches.schema),
    )


def _columns(db: duckdb.DuckDBPyConnection) -> list[str]:
    return [name for name, *_ in db.execute("DESCRIBE speech").fetchall()]


def _any(db: duckdb.DuckDBPyConnection, query: str) -> bool:
    return bool(db.execute(f"SELECT EXISTS ({query})").fetchall()[0][0])
