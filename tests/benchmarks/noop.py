"""What it costs to look at an archive in which nothing, or little, has changed.

    python -m tests.benchmarks.noop --files 100000

Lists an archive of that many small files in folders of 1,000 that a lake already knows. Compares a
whole `tag` with nothing to do, and the plan for ten files more, with a bare walk: `os.scandir` and
a `stat` of every file. CPU seconds in one process, imports not counted; walk and run in turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from pipelines import schemas
from pipelines.lake import Lake
from pipelines.planning import Plan, plan
from pipelines.settings import TagSettings
from pipelines.tagging import tag

REPEATS = 5
PER_FOLDER = 1_000
PER_COMMIT = 10_000
MORE = 10  # files


def make(archive: Path, files: int) -> None:
    for number in range(files):
        folder = archive / f"folder-{number // PER_FOLDER:05d}"
        if number % PER_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"clip-{number:07d}.wav").write_bytes(b"RIFF%07d" % number)


def know(planned: Plan) -> None:
    """Put the planned files into the lake as if they were tagged: rows of `recordings` alone."""
    job, lake = planned.job, Lake(planned.settings.lake, create=True)
    entries = [entry for chunk in planned.chunks for entry in chunk.entries]
    for start in range(0, len(entries), PER_COMMIT):
        some, now, chunk_id = (
            entries[start : start + PER_COMMIT],
            datetime.now(UTC),
            f"c-{start:09d}",
        )
        rows = [
            {
                "archive": job.archive, "uri": entry.uri, "version": entry.version,
                "size_bytes": entry.size_bytes, "content_hash": f"{start + i:032x}",
                "state": "tagged", "limits": job.limits.key, "attempts": 0,
                "segments_policy": job.policy.key, "model_key": job.model_key,
                "taxonomy_key": job.taxonomy.key, "processed_at": now, "run_id": "made",
                "chunk_id": chunk_id,
            }
            for i, entry in enumerate(some)
        ]  # fmt: skip
        ledger = {
            "run_id": "made", "chunk_id": chunk_id, "kind": "chunk", "started_at": now,
            "archive": job.archive, "segments_policy": job.policy.key, "model_key": job.model_key,
            "taxonomy_key": job.taxonomy.key, "files": len(some), "tagged": len(some), "failed": 0,
            "unchanged": 0, "segments": 0, "audio_s": 0.0, "options_json": planned.options_json,
        }  # fmt: skip
        lake.commit({"recordings": pa.Table.from_pylist(rows, schemas.RECORDINGS)}, ledger)


def walk(folder: str) -> int:
    """Files below; each is asked for its size and time."""
    found = 0
    with os.scandir(folder) as items:
        for item in items:
            if item.is_dir():
                found += walk(item.path)
            else:
                item.stat()
                found += 1
    return found


def cpu_s(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measured(files: int = 100_000, repeats: int = REPEATS) -> list[dict[str, object]]:
    """Ratios to the bare walk: of a run with nothing to do, and of planning ten files more."""
    with tempfile.TemporaryDirectory(prefix="clsp-noop-") as name:
        archive, folder = Path(name, "archive"), str(Path(name, "lake"))
        make(archive, files)
        settings = TagSettings(str(archive), folder)
        know(plan(settings))
        if (report := tag(settings)).unchanged != files:
            raise SystemExit(f"{report.unchanged} of {files} files were taken for unchanged")
        pairs = []
        for _ in range(repeats):
            bare = cpu_s(lambda: walk(str(archive)))
            pairs.append((cpu_s(lambda: tag(settings)), bare))
        found = [told(f"nothing to do, {files} files / bare walk", pairs)]
        make(archive / "more", MORE)
        if (planned := plan(settings)).files != MORE:
            raise SystemExit(f"{planned.files} files are planned, expected {MORE}")
        pairs = []
        for _ in range(repeats):
            bare = cpu_s(lambda: walk(str(archive)))
            pairs.append((cpu_s(lambda: plan(settings)), bare))
        return [*found, told(f"plan of {MORE} files more among {files} / bare walk", pairs)]


def told(name: str, pairs: list[tuple[float, float]]) -> dict[str, object]:
    """Prints the ratio and its spread, and gives them with the medians in seconds."""
    ratios = [ours / ideal for ours, ideal in pairs]
    found: dict[str, object] = {
        "name": name, "ratio": round(statistics.median(ratios), 2), "min": round(min(ratios), 2),
        "max": round(max(ratios), 2), "seconds": round(statistics.median(a for a, _ in pairs), 3),
        "ideal_s": round(statistics.median(b for _, b in pairs), 3),
    }  # fmt: skip
    print(
        f"{name}: {found['ratio']}x ({found['min']} to {found['max']}), "
        f"{found['seconds']} s / {found['ideal_s']} s",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    measured(parser.parse_args().files)


if __name__ == "__main__":
    main()
