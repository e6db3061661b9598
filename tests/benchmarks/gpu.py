"""What a GPU does of what it could: the encoder's share of its matrix products, and hours an hour.

    python -m tests.benchmarks.gpu [--clips 4000] [--device cuda]

The published size with random weights in bfloat16, clips of noise as long as utterances. `encoder`:
operations of its matrix products and convolutions (PyTorch's FlopCounterMode) a second, fed with
waveforms as a worker feeds it, over a product of two large matrices. `features`, `copies`: seconds
of making features and of moving clips, alone, over that. `archive`: hours of audio that `clsp tag`
ends in an hour, start-up left out, decode included. Clock time. Without a GPU nothing is measured
(the parts themselves run on any device: tests/pipeline/test_feed.py).
"""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import clsp
from clsp import Embedder
from clsp.features import fbank_batch
from pipelines.feed import BATCH_S, COMPILER, Feed, batches
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from tests.benchmarks.encoder import speech_lengths
from tests.benchmarks.pipeline import SAMPLE_RATE, archives, published_size

MATRIX = 8_192
REPEATS = 20


def clock_s(work: Callable[[], object], device: str) -> float:
    """Seconds until all of it is done, on the device too."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    wait()
    began = time.monotonic()
    work()
    wait()
    return time.monotonic() - began


def product_rate(device: str, size: int = MATRIX, repeats: int = REPEATS) -> float:
    """Operations a second of a product of two square matrices in bfloat16."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    a @ b
    taken = clock_s(lambda: [a @ b for _ in range(repeats)], device)
    return 2 * size**3 * repeats / taken


def waves(clips: int) -> list[np.ndarray]:
    """Noise as long as utterances, longest first."""
    drawn = np.random.default_rng(0)
    frames = sorted(speech_lengths(clips), reverse=True)
    return [drawn.normal(0, 0.05, n * SAMPLE_RATE // 100).astype(np.float32) for n in frames]


def in_batches(clips: list[np.ndarray], budget_s: float) -> list[list[np.ndarray]]:
    lengths = [len(clip) for clip in clips]
    return [[clips[i] for i in batch] for batch in batches(lengths, budget_s * SAMPLE_RATE)]


@torch.inference_mode()
def operations(model: Embedder, groups: list[list[np.ndarray]]) -> int:
    """Of the matrix products and convolutions that these batches take."""
    with FlopCounterMode(display=False) as counter:
        for group in groups:
            model.embed_audio([torch.from_numpy(clip) for clip in group])
    return counter.get_total_flops()


@torch.inference_mode()
def encoder(
    model: Embedder, clips: list[np.ndarray], budget_s: float, compiler: str | None = None
) -> dict[str, float]:
    """Operations a second, hours an hour, and shares of the time that features and copies take."""
    device, groups = str(model.device), in_batches(clips, budget_s)
    counted = operations(model, groups)
    feed = Feed(model, True, compiler)
    list(
        feed.embedded(groups)
    )  # kernels are chosen and memory is had at the first sight of a shape
    taken = clock_s(lambda: list(feed.embedded(groups)), device)

    def moved() -> list[list[torch.Tensor]]:
        return [[torch.from_numpy(clip).to(device) for clip in group] for group in groups]

    there = moved()
    audio_s = sum(map(len, clips)) / SAMPLE_RATE
    return {
        "operations a second": counted / taken,
        "hours an hour": audio_s / taken,
        "features": clock_s(lambda: [fbank_batch(group) for group in there], device) / taken,
        "copies": clock_s(moved, device) / taken,
    }


def archive(model: str, clips: int, device: str, precision: str) -> float:
    """Hours of audio in an hour: twice the clips, less the clips."""
    count, cores = itertools.count(), os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="clsp-bench-") as folder:
        more = archives(Path(folder), clips)

        def run(name: str) -> float:
            given = TagSettings(
                f"{folder}/{name}", f"{folder}/lake-{next(count)}",
                model=model, precision=precision, decode_threads=cores, device=device,
            )  # fmt: skip
            return clock_s(lambda: tag(given), device)

        run("one")
        taken = -run("one") + run("two")
    return sum(map(len, more)) / SAMPLE_RATE / taken


def measured(clips: int = 4_000, device: str = "cuda") -> list[dict[str, object]]:
    if device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU here: nothing is measured")
        return []
    with tempfile.TemporaryDirectory(prefix="clsp-bench-") as folder:
        path = published_size(Path(folder, "model"))
        model = clsp.load(path, device=device, precision="bfloat16")
        most = product_rate(device)
        found: dict[str, object] = {"name": torch.cuda.get_device_name(), "product": most}
        for compiler, said in ((None, ""), (COMPILER, "compiled: ")):
            fed = encoder(model, waves(clips), BATCH_S["cuda"], compiler)
            fed["share of the product"] = fed["operations a second"] / most
            found |= {f"{said}{name}": figure for name, figure in fed.items()}
        del model
        found["archive, hours an hour"] = archive(path, clips, device, "bfloat16")
    print(", ".join(f"{key}: {value}" for key, value in found.items()), flush=True)
    return [found]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=4_000)
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    measured(given.clips, given.device)
