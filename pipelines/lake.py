"""The tables on disk: Delta commits, with the ledger as the gate.

Delta has no transaction over several tables, so a chunk's data goes first and its row in `runs`
last: readers join on it, and a chunk that was cut off half-way does not exist for them. One
process commits at a time; any number may read. Knows nothing of audio, models or who asks.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from pipelines import faults, schemas
from pipelines.errors import LakeBusy, LakeError
from pipelines.layout import writer_properties
from pipelines.places import resolved
from pipelines.redaction import redacted

if TYPE_CHECKING:
    from pipelines.contents import Contents

# Delta or DuckDB takes these in a folder's path for something else, or panics (measured).
# The last are how Python has bytes that are no UTF-8.
UNFIT = re.compile(r"[*?\[\]^|\\%\x00-\x1f\ud800-\udfff]")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # in Delta's messages
COMMIT_ATTEMPTS = 5  # a conflict leaves the data right and asks for another try
LOCK = ".commit.lock"
LOCK_WAIT_S = 900.0  # for those who commit before us; a commit takes seconds
LOCK_PING_S = 0.05

# What is asked of a file's entry in the log: its name, size and rows, and from its statistics whose
# rows they are.
TOLD = (
    "path",
    "size_bytes",
    "num_records",
    "min.chunk_id",
    "max.chunk_id",
    "max.seq",
    f"max.{schemas.AS_OF}",
)
# What makes a row the same row, besides the chunk that wrote it.
KEYS = {
    "segments": ("segment_id", "segments_policy"),
    "embeddings": ("segment_id", "model_key"),
    "labels": ("segment_id", "model_key", "taxonomy_key"),
}


@dataclass(frozen=True)
class Ready:
    """The stored copy of `speech`: files, columns, and the commit (`runs.seq`) that it is as of."""

    files: list[str]
    schema: pa.Schema
    seq: int


class Lake:
    """A folder of Delta tables.

    Raises LakeError where the folder is no lake (unless `create`, or `absent_ok`: then it is an
    empty one, and nothing is made), or its tables cannot be read or written.
    """

    def __init__(self, root: str | Path, create: bool = False, absent_ok: bool = False) -> None:
        self.root = resolved(root)
        self._contents: Contents | None = None  # of what is committed, as far as it was asked for
        if "://" in str(root):
            raise LakeError(
                f"a lake cannot lie at {redacted(str(root))!r}: expected a folder of a file system "
                "that honours flock. An archive may lie in an object store; its lake may not"
            )
        if unfit := UNFIT.search(str(self.root)):
            raise LakeError(
                f"a lake cannot lie at {str(self.root)!r}: its path has {unfit[0]!r}, which Delta "
                "or DuckDB cannot keep tables under. Choose another folder"
            )
        if create:
            with lake_errors(self.root):
                self.root.mkdir(parents=True, exist_ok=True)
            if not os.access(self.root, os.W_OK | os.X_OK):  # else found out after an hour's work
                raise LakeError(
                    f"the lake {self.root} may not be written to: expected a folder of our own, on "
                    "a disk that is not read-only. Check who owns it, or choose another --lake"
                )
        elif not absent_ok and not self.exists("runs"):
            raise LakeError(f"no lake at {self.root}: make one with `clsp tag SOURCE --lake DIR`")

    def stored(self, table: str) -> tuple[list[str], pa.Schema]:
        """Parquet files of a table's current version, none where nothing was written yet, and the
        columns that any of them has."""
        rows, schema = self._version(table)
        return self._paths(table, rows), schema

    def ready(self) -> "Ready | None":
        """The copy of `speech`, where there is one with rows."""
        rows, schema = self._version(schemas.READY)
        seqs = [row[f"max.{schemas.AS_OF}"] for row in rows]
        if not seqs or None in seqs:
            return None
        return Ready(self._paths(schemas.READY, rows), schema, max(seqs))

    def files_of(self, table: str, chunk_ids: Collection[str]) -> list[str]:
        """Those that may hold rows of these chunks, by the least and greatest id that the log names
        for each. Compaction makes fewer and larger ones of them: it keeps their rows in order, so
        that of these a reader needs a few row groups."""
        return self._paths(
            table,
            [
                row
                for row in self.log(table)
                if row["min.chunk_id"] is None
                or any(row["min.chunk_id"] <= name <= row["max.chunk_id"] for name in chunk_ids)
            ],
        )

    def files_after(self, seq: int) -> list[str]:
        """Files of the ledger that may hold rows of commits after this one."""
        late = [r for r in self.log("runs") if r["max.seq"] is None or r["max.seq"] > seq]
        return self._paths("runs", late)

    def log(self, table: str) -> list[dict[str, Any]]:
        """What the log says of each file of a table's current version: path (below the table's
        folder), size_bytes, num_records, and min.chunk_id, max.chunk_id and max.seq, None where it
        does not say."""
        return self._version(table)[0]

    def delta(self, table: str) -> DeltaTable:
        """A table that is there, as Delta's library has it. Raises LakeError, and DeltaError."""
        folder = self.root / table
        _require_whole(folder)
        return DeltaTable(folder.as_uri())

    def _version(self, table: str) -> tuple[list[dict[str, Any]], pa.Schema]:
        if not self.exists(table):
            return [], pa.schema([])
        folder = self.root / table
        with lake_errors(folder):
            # Not file_uris(): it percent-encodes the folder. Names within it are Delta's own.
            found = self.delta(table)
            actions = pa.table(found.get_add_actions(flatten=True))
            schema = pa.schema(found.schema().to_arrow())
        told = actions.select([name for name in TOLD if name in actions.column_names])
        return [dict.fromkeys(TOLD) | row for row in told.to_pylist()], schema

    def _paths(self, table: str, rows: Iterable[dict[str, Any]]) -> list[str]:
        folder = self.root / table  # as text from here on: of a thousand files Path takes longer
        return sorted(f"{folder}/{row['path']}" for row in rows)

    def commit(
        self,
        tables: dict[str, pa.Table],
        ledger: dict[str, Any],
        since: int = 0,
        wait_s: float | None = None,
    ) -> None:
        """Write a chunk's rows, then its ledger row, while nobody else commits. Rows that another
        committed chunk already holds, such as a copy's segments, are left out: keys stay unique.

        `since`: the caller knows that no row of it was there at this commit (`runs.seq`), so only
        later ones are looked at. Raises LakeError, also for a chunk that was committed or cut off
        before, and LakeBusy.
        """
        from pipelines.contents import Contents, missing

        with self.locked(wait_s=wait_s):
            faults.reach("commit.locked")
            self._require_new(tables, ledger["chunk_id"])
            keyed = [name for name in tables if name in KEYS and tables[name].num_rows]
            if self._contents is None or (keyed and since < self._contents.since):
                self._contents = Contents(self, since)
            seq = self._contents.refresh() + 1
            if keyed:
                holding = self._contents.holding(tables, ledger["run_id"], since)
                tables = dict(tables)
                for name in keyed:
                    tables[name] = missing(self, name, tables[name], KEYS[name], holding)
            for name, table in tables.items():
                if table.num_rows:
                    self.append(name, table)
            row = {**ledger, "seq": seq, "committed_at": datetime.now(UTC)}
            self.append("runs", pa.Table.from_pylist([row], schemas.RUNS))

    @contextmanager
    def locked(self, name: str = LOCK, wait_s: float | None = None) -> Iterator[None]:
        """While nobody else writes to this lake, or has the lock of this name. A process that dies
        gives it back.

        Holds between the processes of one machine, and between machines where the file system
        honours flock (NFS 4 does; ask, where it is another). Raises LakeBusy after `wait_s`
        (LOCK_WAIT_S, unless told).
        """
        with lake_errors(self.root):
            file = (self.root / name).open("a")
        with file:  # closing it gives the lock back
            wait_s = LOCK_WAIT_S if wait_s is None else wait_s
            end = time.monotonic() + wait_s
            while not _lock(file):
                if time.monotonic() > end:
                    raise LakeBusy(
                        f"lake {self.root}: another process has been writing to it for "
                        f"{wait_s:g} s (`fuser {self.root / name}` names it). Wait until it "
                        "ends, or end it, then run again: nothing is lost"
                    )
                time.sleep(LOCK_PING_S)
            yield

    def size_bytes(self) -> int:
        """Bytes of the current Parquet files of every table and of the copy of `speech`, and of the
        plain files of embeddings."""
        names = (*schemas.TABLES, schemas.READY)
        plain = [path.stat().st_size for path in (self.root / schemas.VECTORS).glob("*/*")]
        return sum(row["size_bytes"] for name in names for row in self.log(name)) + sum(plain)

    def exists(self, table: str) -> bool:
        folder = self.root / table
        with lake_errors(folder):
            try:  # to enter it, and to list it: of what is forbidden, Delta says that it is absent
                os.stat(f"{folder}/_delta_log/.")  # noqa: PTH116  a Path drops the dot
                os.scandir(folder / "_delta_log").close()
            except (FileNotFoundError, NotADirectoryError):
                return False
            return DeltaTable.is_deltatable(folder.as_uri())

    def _require_new(self, tables: Iterable[str], chunk_id: str) -> None:
        """A ledger row would show what was written before as well: rows twice."""
        from pipelines.contents import rows_of

        for name in ("runs", *tables):
            if rows_of(self, name, chunk_id):
                raise LakeError(
                    f"chunk {chunk_id}: table {self.root / name} has rows of it already, and a "
                    "chunk is written once. Run `clsp tag` again: it makes a new one of what is "
                    "still to do"
                )

    def append(self, name: str, table: pa.Table) -> None:
        """Write rows to one table, and no ledger row: `commit` does that; some tables need none.
        Hold the lock. Raises LakeError."""
        path = self.root / name
        with lake_errors(path):
            faults.reach(f"append.{name}")
            for attempt in range(1, COMMIT_ATTEMPTS + 1):
                try:
                    write_deltalake(
                        # A URI: in a plain path, Delta takes spaces and % for something else.
                        path.as_uri(),
                        table,
                        mode="append",
                        schema_mode="merge",
                        writer_properties=writer_properties(name, table.schema),
                    )
                    break
                except CommitFailedError:
                    if attempt == COMMIT_ATTEMPTS:
                        raise
                except Exception as error:
                    if type(error) is not Exception:  # as Delta's is for a column of another type
                        raise
                    raise LakeError(
                        f"table {path}: {error}. A column of it holds another type: an attribute "
                        "has the name of what an earlier taxonomy made. Rename it; nothing was "
                        "written"
                    ) from error
        faults.reach(f"appended.{name}")


def _lock(file: IO[str]) -> bool:
    with lake_errors(Path(file.name)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _require_whole(table: Path) -> None:
    """The newest entry of a table's log is what a power cut may damage. An empty one is read by
    Delta as if it said nothing: rows would be missing without a word."""
    log = table / "_delta_log"
    if not log.is_dir():
        return
    with os.scandir(log) as entries:  # a thousand, and no Path of each
        names = [e.name for e in entries if e.name.endswith(".json") and e.name[:-5].isdigit()]
    if not names:
        return
    newest = log / max(names)
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
def lake_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError) as error:
        first, *more = COLOURS.sub("", str(error)).split("\n")  # some are Delta's own backtrace
        reason = ": ".join([first, *(line.strip(" ↳") for line in more if "↳" in line)])
        raise LakeError(
            f"table {path}: {reason}. Readers see nothing half-written; check the folder's "
            "space and permissions, then run again"
        ) from error
