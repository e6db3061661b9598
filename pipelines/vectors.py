"""The embeddings of a lake in one plain file for each model, as they lie in memory.

A search reads every embedding once, and from Parquet most of its time goes into decoding. A file
here has those of all chunks up to a commit; what was committed since is read from the tables. `clsp
maintain` makes the files, and every run adds to those that are there. Embeddings are never changed,
so a file is only ever added to. Nothing is lost with them: the folder may be removed.
Knows tables; knows nothing of text or of ranking.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import faults, schemas
from pipelines.errors import LakeError
from pipelines.lake import Lake, lake_errors
from pipelines.packing import halves
from pipelines.query import connect

FOLDER = schemas.VECTORS
LOCK = ".vectors.lock"  # of those who make or add to them; commits do not wait for it
RECORD, VALUES, IDS = "record.json", "embeddings.f16", "segment_ids"
NUMBER, ID = np.dtype("<f2"), np.dtype("S32")
BATCH_ROWS = 4_096  # 4 MiB of embeddings: no larger than a cache
REMOVE = "remove the folder `vectors` of the lake, nothing is lost, and run `clsp maintain`"


@dataclass(frozen=True)
class Record:
    """How much of a file counts: rows of `dim` numbers, of all chunks up to commit `seq`."""

    model_key: str
    dim: int
    rows: int = 0
    seq: int = 0


@dataclass(frozen=True)
class Vectors:
    """One model's file. The order of rows is the same in both parts."""

    folder: Path
    record: Record

    def embeddings(self) -> np.ndarray:
        """(rows, dim) in half precision, mapped: nothing is read yet."""
        return self._mapped(VALUES, NUMBER, (self.record.rows, self.record.dim))

    def segment_ids(self, rows: np.ndarray) -> pa.Array:
        """Of these rows."""
        return pa.array([name.decode() for name in self.ids()[rows].tolist()], pa.string())

    def ids(self) -> np.ndarray:
        """(rows,), each of 32 hexadecimal digits, mapped."""
        return self._mapped(IDS, ID, (self.record.rows,))

    def _mapped(self, name: str, kind: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        try:
            return np.memmap(self.folder / name, kind, "r", shape=shape)
        except (OSError, ValueError) as error:  # what numpy says of a file that is too short
            raise LakeError(
                f"{self.folder / name}: {error}. Expected {shape[0]} rows; {REMOVE}"
            ) from error


def stored(lake: Lake, key: str) -> Vectors | None:
    """A model's file, where there is one with rows. Raises LakeError for a damaged record."""
    path = _folder(lake, key) / RECORD
    if not path.is_file():
        return None
    record = _read(path)
    return Vectors(path.parent, record) if record.rows else None


def _read(path: Path) -> Record:
    try:
        return Record(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise LakeError(f"{path} cannot be read: {error}. {REMOVE}") from error


def refresh(lake: Lake, make: bool = True, wait_s: float | None = None) -> None:
    """Bring the file of each model that recordings have up to date; where `make`, also those that
    are not there yet. Raises LakeError; LakeBusy where another process has been at it for long."""
    if not lake.exists("runs") or not (make or (lake.root / FOLDER).is_dir()):
        return
    with (
        lake.locked(LOCK, wait_s),
        lake_errors(lake.root / FOLDER),
        connect(lake, of=("recordings", "embeddings")) as db,
    ):
        rows = db.execute("SELECT DISTINCT model_key FROM recordings WHERE state = 'tagged'")
        for (key,) in rows.fetchall():
            if make or stored(lake, key):
                _append(lake, db, key)


def since(db: duckdb.DuckDBPyConnection, seq: int) -> dict[str, int]:
    """Chunks that were committed after this commit, and the commit of each."""
    rows = db.execute(
        "SELECT chunk_id, seq FROM stored.ledger WHERE kind = 'chunk' AND seq > ? ORDER BY seq",
        [seq],
    ).fetchall()
    return dict(rows)


def rows_of(paths: Sequence[str], key: str, chunks: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Embeddings of these files by this model and of these chunks: segment_id, embedding."""
    # Not through DuckDB, which takes twice as long for values of 1 KiB (measured).
    columns = ["segment_id", "model_key", "chunk_id", "embedding"]
    wanted = pa.array(chunks, pa.string())
    for path in paths:
        with pq.ParquetFile(
            path, read_dictionary=columns[1:3], buffer_size=1 << 20, pre_buffer=False
        ) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                ours = pc.and_(
                    pc.equal(batch["model_key"], key), pc.is_in(batch["chunk_id"], wanted)
                )
                if ours.true_count < len(batch):
                    batch = batch.filter(ours)
                if len(batch):
                    yield batch.select(["segment_id", "embedding"])


def wrong(lake: Lake, db: duckdb.DuckDBPyConnection) -> list[str]:
    """What is wrong with the files: sums of their rows are not those of the tables."""
    found = []
    for path in sorted((lake.root / FOLDER).glob(f"*/{RECORD}")):
        try:
            record = _read(path)
            chunks = [name for name, seq in since(db, 0).items() if seq <= record.seq]
            told = _sums(_parts(Vectors(path.parent, record)))
            wanted = _sums(
                (_ids(batch), halves(batch["embedding"], record.dim))
                for batch in rows_of(lake.files_of("embeddings", chunks), record.model_key, chunks)
            )
            if told != wanted:
                found.append(
                    f"{path.parent.name}: rows and their sum are {told}, those of "
                    f"{record.model_key} in the table {wanted}"
                )
        except LakeError as error:
            found.append(str(error))
    return found


def _parts(vectors: Vectors) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    names, numbers = vectors.ids(), vectors.embeddings()
    for start in range(0, len(names), BATCH_ROWS):
        yield names[start : start + BATCH_ROWS], numbers[start : start + BATCH_ROWS]


def _sums(parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[int, str]:
    """How many rows, and a sum of what is in each, which their order does not change."""
    count, total = 0, 0
    for names, numbers in parts:
        words = np.concatenate([names.view("<u8").reshape(len(names), -1), _words(numbers)], axis=1)
        weights = np.random.default_rng(0).integers(1 << 63, size=words.shape[1], dtype=np.uint64)
        mixed = (words * (2 * weights + 1)).sum(axis=1, dtype=np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
        count, total = count + len(names), (total + int(mixed.sum(dtype=np.uint64))) % (1 << 64)
    return count, f"{total:016x}"


def _words(numbers: np.ndarray) -> np.ndarray:
    """(n, dim) in half precision as (n, dim / 4, rounded up) whole numbers."""
    spare = -numbers.shape[1] % 4
    return np.ascontiguousarray(np.pad(numbers, ((0, 0), (0, spare)))).view("<u8")


def _ids(batch: pa.RecordBatch) -> np.ndarray:
    names = batch["segment_id"].to_pylist()
    if any(len(name) > ID.itemsize for name in names):
        raise LakeError(
            f"a segment_id of more than {ID.itemsize} digits in `embeddings`: expected what "
            "`clsp tag` makes. Run `clsp verify`"
        )
    return np.array(names, ID)


def _append(lake: Lake, db: duckdb.DuckDBPyConnection, key: str) -> None:
    """Add the rows of chunks that were committed since. What lies after the rows that the record
    counts was written by one who was killed, and is written over."""
    there = stored(lake, key)
    record = there.record if there else None
    late = since(db, record.seq if record else 0)
    if not late:
        return
    folder = _folder(lake, key)
    folder.mkdir(parents=True, exist_ok=True)
    made = record.rows if record else 0
    dim = record.dim if record else 0
    with (folder / VALUES).open("ab") as values, (folder / IDS).open("ab") as names:
        values.truncate(made * dim * NUMBER.itemsize)
        names.truncate(made * ID.itemsize)
        for batch in rows_of(lake.files_of("embeddings", list(late)), key, list(late)):
            dim = dim or len(batch["embedding"][0].as_buffer()) // NUMBER.itemsize
            values.write(halves(batch["embedding"], dim).tobytes())
            names.write(_ids(batch).tobytes())
            made += len(batch)
        for file in (values, names):  # before the record, which counts on them
            file.flush()
            os.fsync(file.fileno())
    faults.reach("vectors.written")
    partial = folder / f".{RECORD}"
    partial.write_text(json.dumps(asdict(Record(key, dim, made, max(late.values())))))
    partial.replace(folder / RECORD)


def _folder(lake: Lake, key: str) -> Path:
    """Model keys need not be fit for a path."""
    return lake.root / FOLDER / hashlib.sha256(key.encode()).hexdigest()[:16]
