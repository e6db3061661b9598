"""Checks a whole lake: that its files are those of its log, and that its rows fit together.

Reads every table, writes nothing. Knows tables; knows nothing of audio or how rows came to be.

Delta keeps no hash of a file: compared are its size, its number of rows and, with `deep`, that
every page of it can be unpacked.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import schemas, vectors, views
from pipelines.errors import LakeError
from pipelines.lake import KEYS, Lake
from pipelines.query import LEDGERED, connect, ledgered

EXAMPLES = 3

RESTORE = "Restore the lake from a backup; or remove it and tag again, which makes every row anew"
SUMS = "{'rows': count(*), 'hashes': sum(hash(t)::HUGEINT)} AS sums"  # in whatever order
REMOVE = "It is a copy: remove the folder `speech` of the lake. `clsp maintain` makes it anew"
REPORT = "Please report it. " + RESTORE
LEFT_OVER = (
    "Left by a run that was cut off. Readers do not see it; nothing needs to be done, and "
    "`clsp maintain` removes it in time"
)


@dataclass(frozen=True)
class Finding:
    """One check of one table and what it found: `count` is 0 where all is well."""

    check: str
    table: str
    count: int
    examples: tuple[str, ...] = ()
    harmful: bool = True  # False: worth knowing, and readers see nothing of it
    advice: str = ""  # where the count is not 0


def verify(lake: Lake, deep: bool = False) -> list[Finding]:
    """Every check with what it found. Where a file is damaged, rows are not looked at.

    Raises LakeError where a table's log cannot be read.
    """
    found = list(_files(lake, deep))
    if any(finding.count and finding.harmful for finding in found):
        return found
    try:
        with connect(lake, of=("runs",)) as db:
            found += _lost(lake, db)
        if any(finding.count and finding.harmful for finding in found):
            return found
        with connect(lake) as db:
            bad = vectors.wrong(lake, db)
            plain = _finding(
                "the plain files have the tables' rows", "embeddings", bad, vectors.REMOVE
            )
            return [*found, *_rows(db), plain]
    except (duckdb.Error, LakeError) as error:  # most likely a page: which file's?
        found = list(_files(lake, deep=True))
        if any(finding.count and finding.harmful for finding in found):
            return found
        raise LakeError(f"lake {lake.root} cannot be read: {error}. {RESTORE}") from error


def files_wrong(lake: Lake) -> list[Finding]:
    """Missing and damaged files alone: a look at each, no row is read."""
    return [found for found in _files(lake, deep=False) if found.count and found.harmful]


# ---- files --------------------------------------------------------------------------------------


def _files(lake: Lake, deep: bool) -> Iterator[Finding]:
    for name in (*schemas.TABLES, schemas.READY):
        advice = RESTORE if name in schemas.TABLES else REMOVE
        folder = lake.root / name
        # Before the log: what is committed in between is no stray.
        there = sorted(
            str(path.relative_to(folder))
            for path in folder.rglob("*.parquet")
            if path.relative_to(folder).parts[0] != "_delta_log"
        )
        logged = lake.log(name)
        wrong = [
            f"{row['path']}: {reason}"
            for row in logged
            if (
                reason := _damage(folder / row["path"], row["size_bytes"], row["num_records"], deep)
            )
        ]
        check = "every page of every file can be read" if deep else "files are as the log says"
        yield _finding(check, name, wrong, advice)
        known = {row["path"] for row in logged} | _of_earlier_versions(folder)
        strays = [path for path in there if path not in known]
        yield _finding("no file that the log does not name", name, strays, LEFT_OVER, harmful=False)


def _lost(lake: Lake, db: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    for name, of in LEDGERED.items():
        count = 0 if lake.exists(name) else ledgered(db, name)
        wrong = [f"the ledger counts {count} {of}"] if count else []
        yield _finding("it is there, where the ledger counts its rows", name, wrong, RESTORE)


def _of_earlier_versions(folder: Path) -> set[str]:
    """Files that the log's entries added or took out: kept for a while after they are replaced."""
    names = set()
    for entry in (folder / "_delta_log").glob("*.json"):
        # One that a checkpoint stands for may be removed at any time, and nobody reads it: where
        # it is damaged, its files are told as unknown.
        with suppress(OSError, ValueError):
            for line in entry.read_bytes().splitlines():
                said = json.loads(line)
                names |= {said[what]["path"] for what in ("add", "remove") if what in said}
    return names


def _damage(path: Path, size: int, rows: int | None, deep: bool) -> str | None:
    """What is wrong with a file, or None."""
    try:
        if (found := path.stat().st_size) != size:
            return f"{found} bytes, the log says {size}"
        with pq.ParquetFile(path) as file:
            if rows is not None and file.metadata.num_rows != rows:
                return f"{file.metadata.num_rows} rows, the log says {rows}"
            if deep:
                for group in range(file.num_row_groups):
                    file.read_row_group(group)
    except (OSError, pa.ArrowException) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


# ---- rows ---------------------------------------------------------------------------------------


def _rows(db: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    def check(
        text: str, table: str, sql: str, advice: str = REPORT, harmful: bool = True
    ) -> Finding:
        """`sql` selects, as one text each, the rows that are not as they must be."""
        count, examples = db.execute(
            f"SELECT count(*), list(bad)[:{EXAMPLES}] FROM ({sql}) AS found(bad)"
        ).fetchall()[0]
        return Finding(text, table, count, tuple(examples or ()), harmful, advice if count else "")

    yield check(
        "a chunk stands in the ledger once", "runs",
        "SELECT chunk_id FROM runs GROUP BY ALL HAVING count(*) > 1",
    )  # fmt: skip
    keys = {**KEYS, "recordings": ("archive", "uri", "chunk_id")}
    for table, key in keys.items():
        view = "history" if table == "recordings" else table
        columns = ", ".join(key)
        yield check(
            f"rows are unique by {columns}", table,
            f"SELECT concat_ws(' ', {columns}) FROM {view} GROUP BY {columns} HAVING count(*) > 1",
        )  # fmt: skip
    yield check(
        "a chunk holds as many recordings as the ledger says", "recordings",
        """SELECT l.chunk_id FROM runs l LEFT JOIN
             (SELECT chunk_id, count(*) AS n FROM history GROUP BY ALL) h USING (chunk_id)
           WHERE l.kind = 'chunk' AND l.files + coalesce(l.gone, 0) <> coalesce(h.n, 0)""",
    )  # fmt: skip
    yield check(
        "a tagged recording has segments", "segments",
        """SELECT r.uri FROM recordings r WHERE r.state = 'tagged' AND NOT EXISTS (
             FROM segments s WHERE s.content_hash = r.content_hash
                              AND s.segments_policy = r.segments_policy)""",
    )  # fmt: skip
    current = """FROM recordings r JOIN segments s ON s.content_hash = r.content_hash
                   AND s.segments_policy = r.segments_policy WHERE r.state = 'tagged'"""
    yield check(
        "a segment has its embedding", "embeddings",
        f"""SELECT DISTINCT s.segment_id {current} AND NOT EXISTS (
              FROM embeddings e WHERE e.segment_id = s.segment_id AND e.model_key = r.model_key)""",
    )  # fmt: skip
    yield check(
        "a segment has its labels", "labels",
        f"""SELECT DISTINCT s.segment_id {current} AND NOT EXISTS (
              FROM labels l WHERE l.segment_id = s.segment_id AND l.model_key = r.model_key
                             AND l.taxonomy_key = r.taxonomy_key)""",
    )  # fmt: skip
    for table in ("embeddings", "labels"):
        yield check(
            "a row belongs to a segment", table,
            f"""SELECT segment_id FROM {table}
                WHERE segment_id NOT IN (SELECT segment_id FROM segments)""",
        )  # fmt: skip
    yield check(
        "embeddings of a model are of one length", "embeddings",
        """SELECT model_key FROM (FROM embeddings SELECT model_key, octet_length(embedding) AS n)
           GROUP BY model_key HAVING min(n) <> max(n) OR min(n) = 0""",
    )  # fmt: skip
    if views.is_ready(db):
        yield check(
            "the copy has the rows that are joined", schemas.READY,
            f"""SELECT concat('joined ', a.sums, ', copied ', b.sums)
                FROM (SELECT {SUMS} FROM ({views.joined(db)}) AS t) a,
                     (SELECT {SUMS} FROM speech AS t) b WHERE a.sums <> b.sums""",
            REMOVE,
        )  # fmt: skip
    for table in ("recordings", "segments", "embeddings", "labels"):
        yield check(
            "no row of a chunk that the ledger does not name", table,
            f"""SELECT chunk_id FROM stored.{table}
                WHERE chunk_id NOT IN (SELECT chunk_id FROM runs)""",
            LEFT_OVER, harmful=False,
        )  # fmt: skip


def _finding(check: str, table: str, bad: list[str], advice: str, harmful: bool = True) -> Finding:
    return Finding(check, table, len(bad), tuple(bad[:EXAMPLES]), harmful, advice if bad else "")
