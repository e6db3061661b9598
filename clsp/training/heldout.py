"""The held-out test as ordinary files: what `clsp evaluate --preset tiny-heldout` measures on.

    ensure(Path("data/tiny-heldout"))    about 3 minutes on 2 cores, once

The same clips as the test (or dev) split of the training set of that seed (voices that training
never hears), as FLAC files with a `manifest.jsonl` that any reader of tables understands. It knows
how clips are made; nothing of models or measures.
"""

import json
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from clsp.training import captions
from clsp.training.synthesise import (
    SAMPLE_RATE,
    SPLITS,
    make_shard,
    read_audio,
    read_manifest,
)

CLIPS = {"test": 1_200, "dev": 600}
CLIPS_PER_SHARD = 120
MANIFEST = "manifest.jsonl"


def shard_numbers(count: int, split: str) -> list[int]:
    """Numbers of the first `count` shards of a split."""
    found: list[int] = []
    number = 0
    while len(found) < count:
        if SPLITS.get(number % 16, "train") == split:
            found.append(number)
        number += 1
    return found


def rows(manifest: list[dict], seed: int) -> list[dict]:
    """What is written of each clip: file, speaker, its known labels and one fine caption."""
    written = []
    for number, clip in enumerate(manifest):
        known = {name: value for name, value in clip["attributes"].items() if value is not None}
        rng = np.random.default_rng([seed, 77, number])
        written.append({
            "file": f"audio/{clip['id']}.flac", "split": clip["split"], "speaker": clip["voice"],
            **known, "finegrained_caption": captions.fine(clip["attributes"], rng).text,
        })  # fmt: skip
    return written


def ensure(
    folder: Path, seed: int = 1, split: str = "test", clips: int | None = None, jobs: int = 2
) -> Path:
    """Make the held-out clips in `folder` unless they are there; returns the folder.

    The manifest is written last, so that its presence means the set is whole. Raises InputError
    with the packages to install where a speech engine is missing.
    """
    import soundfile

    manifest = folder / MANIFEST
    if manifest.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    shards = folder / ".shards"
    shards.mkdir(exist_ok=True)
    clips = clips or CLIPS[split]
    numbers = shard_numbers(-(-clips // CLIPS_PER_SHARD), split)
    if jobs == 1:
        for number in numbers:
            make_shard(shards, seed, number)
    else:
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            list(pool.map(partial(make_shard, shards, seed), numbers))
    written = rows(read_manifest(shards), seed)[:clips]
    (folder / "audio").mkdir(exist_ok=True)
    for row, waveform in zip(written, read_audio(shards), strict=False):
        soundfile.write(folder / row["file"], waveform, SAMPLE_RATE, subtype="PCM_16")
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, suffix=".partial") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in written)
    Path(lines.name).replace(manifest)
    shutil.rmtree(shards)
    return folder
