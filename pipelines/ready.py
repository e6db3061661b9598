"""The copy of `speech` that `clsp maintain` makes: one wide row per segment, joined beforehand.

The rows of a lake are joined by hashes, which takes seconds for millions of segments. The copy has
the view's rows as of a commit. As long as no chunk was committed since, it is read in place of the
join; else it is as if it were not there. Nothing is lost with it: its folder may be removed.
Knows tables; knows nothing of audio, or of when to maintain.
"""

import shutil
import tempfile
from pathlib import Path

import duckdb
from deltalake import write_deltalake

from pipelines import faults, schemas, views
from pipelines.errors import LakeError
from pipelines.lake import Lake, lake_errors, writer_properties
from pipelines.query import connect

TABLE = schemas.READY
ROWS_PER_GROUP = 122_880  # what DuckDB hands to one thread
BATCH_ROWS = 65_536
FILE_BYTES = 512 << 20
MEMORY_LIMIT = "2GiB"  # over it, DuckDB puts what it joins into files of its own
SPILL = ".spill-"


def refresh(lake: Lake) -> bool:
    """Make the copy anew where the lake has gone on since; says whether it was. Takes no lock: what
    is committed meanwhile makes the copy an old one, which nobody reads.

    Raises LakeError, also where another process makes it at the same time.
    """
    for left in lake.root.glob(f"{SPILL}*"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    if not lake.exists("runs"):
        return False
    path = lake.root / TABLE
    with lake_errors(path), tempfile.TemporaryDirectory(prefix=SPILL, dir=lake.root) as spill:
        try:
            with connect(lake, spill=Path(spill), memory_limit=MEMORY_LIMIT) as db:
                return _write(db, path)
        except duckdb.Error as error:
            raise LakeError(
                f"lake {lake.root}: its rows cannot be joined to a copy of `speech`: {error}. "
                "Queries do without one; `clsp verify --deep` finds a damaged file"
            ) from error


def _write(db: duckdb.DuckDBPyConnection, path: Path) -> bool:
    if views.is_ready(db) or (seq := views.newest(db)) is None:
        return False
    rows = db.sql(f"SELECT {seq}::BIGINT AS {schemas.AS_OF}, * FROM speech")
    write_deltalake(
        path.as_uri(),
        rows.to_arrow_reader(BATCH_ROWS),
        mode="overwrite",
        schema_mode="overwrite",
        target_file_size=FILE_BYTES,
        writer_properties=writer_properties(TABLE, ROWS_PER_GROUP),
    )
    faults.reach("maintain.copied")
    return True
