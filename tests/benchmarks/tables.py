"""What views cost over the tables that they could be: queries, search, and many small commits.

    python -m tests.benchmarks.tables --segments 10000000

Queries: through the views of a lake after `clsp maintain`, against one wide Parquet file that holds
just what the query needs. Search: against torch over a float16 memory map of the same embeddings.
Small commits: queries to a lake of 1,000 commits against the same lake, compacted. CPU
seconds of all threads; both sides in turns. 10,000,000 segments take 5 GB of disk and half
an hour to make, search of 1,000,000 4 GB; `--part` chooses.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import torch

import clsp
from pipelines import ready, schemas, taxonomy, vectors
from pipelines.lake import Lake
from pipelines.maintain import tend
from pipelines.packing import halves
from pipelines.query import arrow, connect, database
from pipelines.search import search
from tests.benchmarks.noop import cpu_s, told
from tests.benchmarks.synthetic import make

REPEATS = 3
SEARCHES = 9  # take tenths of a second: what else runs here is seen in single ones
PARTS = ("queries", "search", "commits")
PER_COMMIT = 20  # segments of a small commit
TEXT = "A woman whispering."

# What is asked of a view, the columns of `speech` that it needs, and the same of a table of them.
QUERIES = {
    "counts by label": (
        "SELECT volume, count(*) FROM speech GROUP BY 1",
        "volume",
        "SELECT volume, count(*) FROM wide GROUP BY 1",
    ),
    "filter, top 100 by style": (
        """SELECT uri, start_s, style_noisy_call FROM speech WHERE volume = 'loud'
           ORDER BY style_noisy_call DESC LIMIT 100""",
        "uri, start_s, volume, style_noisy_call",
        """SELECT uri, start_s, style_noisy_call FROM wide WHERE volume = 'loud'
           ORDER BY style_noisy_call DESC LIMIT 100""",
    ),
    "by what speech has of recordings": (
        "SELECT codec, count(*), avg(volume_margin) FROM speech GROUP BY 1",
        "codec, volume_margin",
        "SELECT codec, count(*), avg(volume_margin) FROM wide GROUP BY 1",
    ),
    "join to recordings": (
        """SELECT r.codec, count(*), avg(s.volume_margin)
           FROM speech s JOIN recordings r USING (archive, uri) GROUP BY 1""",
        "archive, uri, codec, volume_margin",
        """SELECT r.codec, count(*), avg(s.volume_margin)
           FROM wide s JOIN ideal_recordings r USING (archive, uri) GROUP BY 1""",
    ),
    "labels of one attribute": (
        "SELECT label, count(*) FROM labels_long WHERE attribute = 'volume' GROUP BY 1",
        "volume, volume_p",
        "SELECT volume, count(*) FROM wide WHERE volume_p IS NOT NULL GROUP BY 1",
    ),
}


def queries(segments: int, repeats: int = REPEATS) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory(prefix="clsp-tables-") as name:
        lake = make(Path(name, "lake"), segments, taxonomy.load(), embeddings=False)
        maintain(lake)
        ready.refresh(lake)
        return asked(lake, Path(name), repeats)


def asked(lake: Lake, folder: Path, repeats: int = REPEATS) -> list[dict[str, object]]:
    """Every query of QUERIES to a lake, and the ratio to the same of ideal files in the folder."""
    found = []
    with connect(lake) as db, database() as ideal:
        # The lake's connection writes nothing: what it reads is handed over.
        all_of_them = db.sql("SELECT archive, uri, codec FROM recordings")
        parquet(ideal, all_of_them.to_arrow_reader(), folder / "recordings.parquet")
        ideal.execute(f"CREATE VIEW ideal_recordings AS FROM '{folder}/recordings.parquet'")
        for name, (sql, needs, ideally) in QUERIES.items():
            path = folder / "wide.parquet"
            parquet(ideal, db.sql(f"SELECT {needs} FROM speech").to_arrow_reader(), path)
            ideal.execute(f"CREATE OR REPLACE VIEW wide AS FROM '{path}'")
            found.append(turns(f"{name} / one ideal file", db, sql, ideal, ideally, repeats))
    return found


def turns(
    name: str,
    db: duckdb.DuckDBPyConnection,
    sql: str,
    other: duckdb.DuckDBPyConnection,
    ideally: str,
    repeats: int,
) -> dict[str, object]:
    """Both, once to warm up and then in turns. They must give as many rows."""
    if (a := arrow(db, sql).num_rows) != (b := arrow(other, ideally).num_rows):
        raise SystemExit(f"{name}: {a} rows, expected {b}")
    return told(
        name,
        [
            (cpu_s(lambda: arrow(db, sql)), cpu_s(lambda: arrow(other, ideally)))
            for _ in range(repeats)
        ],
    )


def parquet(ideal: duckdb.DuckDBPyConnection, rows: pa.RecordBatchReader, path: Path) -> None:
    ideal.register("rows", rows)
    ideal.execute(f"COPY (FROM rows) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    ideal.unregister("rows")


def searched(segments: int, repeats: int = SEARCHES) -> list[dict[str, object]]:
    """A search, against reading the embeddings once from a float16 memory map: multiplied as they
    are, in half precision, and multiplied in single precision, as a search does. In a process of
    its own, as a search has one: not in that which made the lake."""
    dim = clsp.load("tiny").config.joint_dim
    with tempfile.TemporaryDirectory(prefix="clsp-search-") as name:
        lake, path = make(Path(name, "lake"), segments, taxonomy.load()), Path(name, "embeddings")
        maintain(lake)
        ready.refresh(lake)
        vectors.refresh(lake)
        with connect(lake) as db, path.open("wb") as file:
            for batch in db.sql("SELECT embedding FROM embeddings").to_arrow_reader(65_536):
                file.write(halves(batch["embedding"], dim).tobytes())
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            taken = pool.submit(_searches, lake.root, path, repeats).result()
    return [
        told(f"search of {segments} / memory map, multiplied in {kind} precision", pairs)
        for kind, pairs in taken.items()
    ]


@torch.inference_mode()
def _searches(root: Path, path: Path, repeats: int) -> dict[str, list[tuple[float, float]]]:
    lake, model = Lake(root), clsp.load("tiny")
    query = model.embed_text([TEXT])[0]

    def mapped() -> torch.Tensor:
        return torch.from_numpy(np.memmap(path, "<f2", "r+").reshape(-1, len(query)))

    def half() -> None:
        (mapped() @ query.half()).topk(10)

    def single() -> None:
        torch.cat([rows.float() @ query for rows in mapped().split(256)]).topk(10)

    found = {}
    for kind, ideal in (("half", half), ("single", single)):
        search(lake, model, TEXT)
        found[kind] = [
            (cpu_s(lambda: search(lake, model, TEXT)), cpu_s(ideal)) for _ in range(repeats)
        ]
    return found


def small(commits: int, repeats: int = REPEATS) -> list[dict[str, object]]:
    """A query and its connection, of a lake of many small commits and of the same with its small
    files put together; neither has the copy of `speech`."""
    with tempfile.TemporaryDirectory(prefix="clsp-commits-") as name:
        segments = commits * PER_COMMIT
        lake = make(Path(name, "lake"), segments, taxonomy.load(), PER_COMMIT, embeddings=False)
        took: dict[str, list[list[float]]] = {sql: [] for sql, _, _ in QUERIES.values()}
        for state in ("small", "maintained"):
            if state == "maintained":
                maintain(lake)
            for sql, times in took.items():
                times.append([cpu_s(partial(whole, lake, sql)) for _ in range(repeats + 1)][1:])
        return [
            told(f"{title}, {commits} commits / maintained", list(zip(*took[sql], strict=True)))
            for title, (sql, _, _) in QUERIES.items()
        ]


def whole(lake: Lake, sql: str) -> None:
    with connect(lake) as db:
        arrow(db, sql)


def maintain(lake: Lake) -> None:
    """All of `clsp maintain` but the copies."""
    for table in schemas.TABLES:
        tend(lake, table)


def measured(
    segments: int = 10_000_000,
    parts: tuple[str, ...] = PARTS,
    searchable: int = 1_000_000,
    commits: int = 1_000,
) -> list[dict[str, object]]:
    work: dict[str, Callable[[], list[dict[str, object]]]] = {
        "queries": lambda: queries(segments),
        "search": lambda: searched(searchable),
        "commits": lambda: small(commits),
    }
    return [found for part in parts for found in work[part]()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=10_000_000)
    parser.add_argument("--searchable", type=int, default=1_000_000)
    parser.add_argument("--commits", type=int, default=1_000)
    parser.add_argument("--part", action="append", choices=PARTS)
    given = parser.parse_args()
    measured(given.segments, tuple(given.part or PARTS), given.searchable, given.commits)


if __name__ == "__main__":
    main()
