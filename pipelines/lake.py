"""The tables on disk: Delta commits, with the ledger as the gate.

Delta has no transaction over several tables, so a chunk's data goes first and its row in `runs`
last: readers join on it, and a chunk that was cut off half-way does not exist for them. One
process commits at a time; any number may read. Knows nothing of audio, models or who asks.
"""

import fcntl
import json
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from pipelines import faults, schemas
from pipelines.errors import LakeBusy, LakeError

# Delta or DuckDB takes these in a folder's path for something else, or panics (measured).
UNFIT = re.compile(r"[*?\[\]^|\\%\x00-\x1f]")
COMMIT_ATTEMPTS = 5  # a conflict leaves the data right and asks for another try
LOCK = ".commit.lock"
LOCK_WAIT_S = 900.0  # for those who commit before us; a commit takes seconds
LOCK_PING_S = 0.05
ZSTD = WriterProperties(compression="ZSTD", compression_level=3)

# What makes a row the same row, besides the chunk that wrote it.
KEYS = {
    "segments": ("segment_id", "segments_policy"),
    "embeddings": ("segment_id", "model_key"),
    "labels": ("segment_id", "model_key", "taxonomy_key"),
}


class Lake:
    """A folder of Delta tables.

    Raises LakeError where the folder is no lake (unless `create`, or `absent_ok`: then it is an
    empty one, and nothing is made), or its tables cannot be read or written.
    """

    def __init__(self, root: str | Path, create: bool = False, absent_ok: bool = False) -> None:
        self.root = Path(root).expanduser().resolve()
        if unfit := UNFIT.search(str(self.root)):
            raise LakeError(
                f"a lake cannot lie at {str(self.root)!r}: its path has {unfit[0]!r}, which Delta "
                "or DuckDB cannot keep tables under. Choose another folder"
            )
        if create:
            with _lake_errors(self.root):
                self.root.mkdir(parents=True, exist_ok=True)
        elif not absent_ok and not self._exists("runs"):
            raise LakeError(f"no lake at {self.root}: make one with `clsp tag SOURCE --lake DIR`")

    def files(self, table: str) -> list[str]:
        """Parquet files of a table's current version; none where nothing was written yet."""
        return sorted(str(self.root / table / row["path"]) for row in self.log(table))

    def log(self, table: str) -> list[dict[str, Any]]:
        """What the log says of each file of a table's current version: path (below the table's
        folder), size_bytes, num_records."""
        if not self._exists(table):
            return []
        folder = self.root / table
        with _lake_errors(folder):
            _require_whole(folder)
            # Not file_uris(): it percent-encodes the folder. Names within it are Delta's own.
            actions = pa.table(DeltaTable(folder.as_uri()).get_add_actions())
        return actions.select(["path", "size_bytes", "num_records"]).to_pylist()

    def commit(self, tables: dict[str, pa.Table], ledger: dict[str, Any]) -> None:
        """Write a chunk's rows, then its ledger row, while nobody else commits. Rows that another
        committed chunk already holds, such as a copy's segments, are left out: keys stay unique.

        Raises LakeError, also for a chunk that was committed or cut off before, and LakeBusy.
        """
        from pipelines.query import connect

        with self.locked():
            faults.reach("commit.locked")
            with connect(self) as db:
                self._require_new(db, tables, ledger["chunk_id"])
                new = {name: _new_rows(db, name, table) for name, table in tables.items()}
                [(seq,)] = db.execute("SELECT coalesce(max(seq), 0) + 1 FROM runs").fetchall()
            for name, table in new.items():
                if table.num_rows:
                    self._append(name, table)
            row = {**ledger, "seq": seq, "committed_at": datetime.now(UTC)}
            self._append("runs", pa.Table.from_pylist([row], schemas.RUNS))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """While nobody else writes to this lake. A process that dies gives the lock back.

        Holds between the processes of one machine, and between machines where the file system
        honours flock (NFS 4 does; ask, where it is another). Raises LakeBusy after LOCK_WAIT_S.
        """
        with _lake_errors(self.root):
            file = (self.root / LOCK).open("a")
        with file:  # closing it gives the lock back
            end = time.monotonic() + LOCK_WAIT_S
            while not _lock(file):
                if time.monotonic() > end:
                    raise LakeBusy(
                        f"lake {self.root}: another process has been writing to it for "
                        f"{LOCK_WAIT_S:g} s (`fuser {self.root / LOCK}` names it). Wait until it "
                        "ends, or end it, then run again: nothing is lost"
                    )
                time.sleep(LOCK_PING_S)
            yield

    def size_bytes(self) -> int:
        """Bytes of the current Parquet files of every table."""
        return sum(
            Path(file).stat().st_size for name in schemas.TABLES for file in self.files(name)
        )

    def _exists(self, table: str) -> bool:
        with _lake_errors(self.root / table):
            return DeltaTable.is_deltatable((self.root / table).as_uri())

    def _require_new(
        self, db: duckdb.DuckDBPyConnection, tables: Iterable[str], chunk_id: str
    ) -> None:
        """A ledger row would show what was written before as well: rows twice."""
        for name in ("runs", *tables):
            if db.execute(f"FROM stored.{name} WHERE chunk_id = ? LIMIT 1", [chunk_id]).fetchall():
                raise LakeError(
                    f"chunk {chunk_id}: table {self.root / name} has rows of it already, and a "
                    "chunk is written once. Run `clsp tag` again: it makes a new one of what is "
                    "still to do"
                )

    def _append(self, name: str, table: pa.Table) -> None:
        path = self.root / name
        with _lake_errors(path):
            faults.reach(f"append.{name}")
            for attempt in range(1, COMMIT_ATTEMPTS + 1):
                try:
                    write_deltalake(
                        # A URI: in a plain path, Delta takes spaces and % for something else.
                        path.as_uri(),
                        table,
                        mode="append",
                        schema_mode="merge",
                        writer_properties=ZSTD,
                    )
                    break
                except CommitFailedError:
                    if attempt == COMMIT_ATTEMPTS:
                        raise
        faults.reach(f"appended.{name}")


def _new_rows(db: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> pa.Table:
    from pipelines.query import arrow

    if name not in KEYS or not table.num_rows:
        return table
    keys = ", ".join(KEYS[name])
    db.register("incoming", table)
    return arrow(db, f"SELECT * FROM incoming WHERE ({keys}) NOT IN (SELECT ({keys}) FROM {name})")


def _lock(file: IO[str]) -> bool:
    with _lake_errors(Path(file.name)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _require_whole(table: Path) -> None:
    """The newest entry of a table's log is what a power cut may damage. An empty one is read by
    Delta as if it said nothing: rows would be missing without a word."""
    entries = [path for path in (table / "_delta_log").glob("*.json") if path.stem.isdigit()]
    newest = max(entries, key=lambda path: path.name, default=None)
    if newest is None:
        return
    text = newest.read_bytes()
    try:
        if not text:
            raise ValueError("it is empty")
        for line in text.splitlines():
            json.loads(line)
    except ValueError as error:
        raise LakeError(
            f"table {table}: the newest entry of its log, {newest.name}, is damaged: {error}. "
            f"Restore a backup; or move that file out of {newest.parent}, which takes back what it "
            "added, run `clsp verify` and then `clsp tag` again. Where verify finds rows missing, "
            "only a backup or a new lake has them"
        ) from error


@contextmanager
def _lake_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError) as error:
        reason = str(error).split("\n", 1)[0]  # the others are Delta's own backtrace
        raise LakeError(
            f"table {path}: {reason}. Readers see nothing half-written; check the folder's "
            "space and permissions, then run again"
        ) from error
