"""What the tests of sources write, list and look at: sounds, lists of files, metadata."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import soundfile

from pipelines.archive import FileEntry
from pipelines.sources import list_source


def sound(path: Path, seconds: float = 0.1, tone: int = 200) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.sin(np.arange(int(16_000 * seconds)) * tone * 2 * np.pi / 16_000)
    soundfile.write(path, samples, 16_000)
    return path


def listed(source: object, kind: str = "auto", **given: object) -> list[FileEntry]:
    return list(list_source(str(source), kind, **given))  # type: ignore[arg-type]


def write_csv(path: Path, rows: list[dict], encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding, errors="surrogateescape") as file:
        table = csv.DictWriter(
            file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ","
        )
        table.writeheader()
        table.writerows(rows)
    return path


def write_jsonl(path: Path, rows: list) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def said(entry: FileEntry) -> dict:
    return json.loads(entry.metadata or "{}")


def _made(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    return path
