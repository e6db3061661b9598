"""The tables on disk: Delta commits, with the ledger as the gate.

Delta has no transaction over several tables, so a chunk's data goes first and its row in `runs`
last: readers join on it, and a chunk that was cut off half-way does not exist for them. One
process commits at a time. Knows nothing of audio, models or who asks.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from pipelines import schemas
from pipelines.errors import LakeError

# Delta or DuckDB takes these in a folder's path for something else, or panics (measured).
UNFIT = re.compile(r"[*?\[\]^|\\%\x00-\x1f]")
COMMIT_ATTEMPTS = 5  # a conflict leaves the data right and asks for another try
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
            # Not file_uris(): it percent-encodes the folder. Names within it are Delta's own.
            actions = pa.table(DeltaTable(folder.as_uri()).get_add_actions())
        return actions.select(["path", "size_bytes", "num_records"]).to_pylist()

    def commit(self, tables: dict[str, pa.Table], ledger: dict[str, Any]) -> None:
        """Write a chunk's rows, then its ledger row. Rows that another committed chunk already
        holds, such as a copy's segments, are left out: keys stay unique."""
        for name, table in tables.items():
            if name in KEYS and table.num_rows:
                table = self._new_rows(name, table)
            if table.num_rows:
                self._append(name, table)
        row = {**ledger, "seq": self._next_seq(), "committed_at": datetime.now(UTC)}
        self._append("runs", pa.Table.from_pylist([row], schemas.RUNS))

    def size_bytes(self) -> int:
        """Bytes of the current Parquet files of every table."""
        return sum(
            Path(file).stat().st_size for name in schemas.TABLES for file in self.files(name)
        )

    def _exists(self, table: str) -> bool:
        with _lake_errors(self.root / table):
            return DeltaTable.is_deltatable((self.root / table).as_uri())

    def _next_seq(self) -> int:
        if not (files := self.files("runs")):
            return 1
        import pyarrow.dataset as ds

        return (pc.max(ds.dataset(files).to_table(["seq"])["seq"]).as_py() or 0) + 1

    def _new_rows(self, name: str, table: pa.Table) -> pa.Table:
        from pipelines.query import arrow, connect

        keys = ", ".join(KEYS[name])
        with connect(self) as db:
            db.register("incoming", table)
            return arrow(
                db, f"SELECT * FROM incoming WHERE ({keys}) NOT IN (SELECT ({keys}) FROM {name})"
            )

    def _append(self, name: str, table: pa.Table) -> None:
        path = self.root / name
        with _lake_errors(path):
            for attempt in range(1, COMMIT_ATTEMPTS + 1):
                try:
                    return write_deltalake(
                        # A URI: in a plain path, Delta takes spaces and % for something else.
                        path.as_uri(),
                        table,
                        mode="append",
                        schema_mode="merge",
                        writer_properties=ZSTD,
                    )
                except CommitFailedError:
                    if attempt == COMMIT_ATTEMPTS:
                        raise


@contextmanager
def _lake_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError) as error:
        raise LakeError(
            f"table {path}: {error}. Readers see nothing half-written; check the folder's "
            "space and permissions, then run again"
        ) from error
