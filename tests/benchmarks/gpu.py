"""What a GPU does of what it could: the encoder's share of its matrix products, and hours an hour.

    python -m tests.benchmarks.gpu [--clips 8000] [--device cuda] [--part encoder|archive]

The published size with random weights in bfloat16, clips of noise as long as utterances.
`operations a second`: of the matrix products and convolutions of clips without padding (PyTorch's
FlopCounterMode), fed with waveforms as a worker feeds them, over a product of two large matrices;
with our kernels and, as `PyTorch`, without. `cosine`: the least to float32 there. `layout`,
`copies`, `features`: seconds of laying clips out in memory, moving them, making features, each by
itself, over that. `padding`: its share of all batches. `archive`: hours of audio that `clsp tag`
ends in an hour, start-up left out, decode included, by format and number of processes. Clock time.
Without a GPU nothing is measured (the parts themselves run on any device:
tests/pipeline/test_feed.py).
"""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch.utils.flop_counter import FlopCounterMode

import clsp
from clsp import Embedder
from clsp.features import fbank_batch, laid_out
from clsp.packed import speed_up
from pipelines.feed import BATCH_COST_S, BATCH_S, FRAMES_PER_S, Feed, cheapest
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from tests.benchmarks.encoder import speech_lengths
from tests.benchmarks.pipeline import SAMPLE_RATE, published_size

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
    """Clips, longest first, as a worker for a GPU batches them."""
    cuts = cheapest(
        [len(clip) for clip in clips], budget_s * SAMPLE_RATE, BATCH_COST_S * SAMPLE_RATE
    )
    return [[clips[i] for i in cut] for cut in cuts]


@torch.inference_mode()
def operations(model: Embedder, groups: list[list[np.ndarray]]) -> int:
    """Of the matrix products and convolutions that these batches take; a model with our kernels
    counts but part of them."""
    with FlopCounterMode(display=False) as counter:
        for group in groups:
            model.embed_audio([torch.from_numpy(clip) for clip in group])
    return counter.get_total_flops()


@torch.inference_mode()
def encoder(
    model: Embedder, clips: list[np.ndarray], budget_s: float, plain: Embedder | None = None
) -> dict[str, float]:
    """Operations a second, hours an hour, shares of the time of what is not the encoder, and of
    batches that is padding. plain: the same model without our kernels, for counting."""
    device, groups = str(model.device), in_batches(clips, budget_s)
    middle = clips[len(clips) // 2]
    audio = sum(map(len, clips))
    counted = operations(plain or model, [[middle]]) / len(middle) * audio
    feed = Feed(model, True)
    # Kernels are made and memory is had at the first sight of a shape.
    list(feed.embedded(groups))
    taken = clock_s(lambda: list(feed.embedded(groups)), device)
    signals = []

    def lay() -> None:
        for group in groups:
            signals.append(laid_out(group, pin_memory=model.device.type == "cuda"))

    def move() -> list[list[torch.Tensor]]:
        return [[made.to(device, non_blocking=True) for made in each] for each in signals]

    layout_s = clock_s(lay, device)
    there = move()
    most = [int(places[1].max()) for _, places in signals]
    padded = sum(len(group) * len(group[0]) for group in groups)

    def features() -> None:
        for (signal, places), longest in zip(there, most, strict=True):
            fbank_batch(signal, places, longest)

    features()
    return {
        "operations a second": counted / taken,
        "hours an hour": audio / SAMPLE_RATE / taken,
        "layout": layout_s / taken,
        "copies": clock_s(move, device) / taken,
        "features": clock_s(features, device) / taken,
        "padding": 1 - audio / padded,
    }


def write(place: tuple[str, int, int]) -> None:
    """One clip of noise: path, frames, seed."""
    path, frames, seed = place
    drawn = np.random.default_rng(seed)
    clip = drawn.normal(0, 0.05, frames * SAMPLE_RATE // 100).astype(np.float32)
    soundfile.write(path, clip, SAMPLE_RATE)


def archives(folder: Path, clips: int, suffix: str) -> float:
    """`one`, and `two` of as many more: the hours of the difference."""
    frames = speech_lengths(3 * clips)
    names = ["one"] * clips + ["two"] * 2 * clips
    for name in set(names):
        (folder / name).mkdir()
    places = [
        (f"{folder}/{name}/{i:06d}.{suffix}", length, i)
        for i, (name, length) in enumerate(zip(names, frames, strict=True))
    ]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        list(pool.map(write, places, chunksize=64))
    return (sum(frames[clips:]) - sum(frames[:clips])) / FRAMES_PER_S / 3_600


def archive(
    model: str, clips: int, device: str, precision: str, suffix: str = "wav", workers: int = 1
) -> float:
    """Hours of audio in an hour: twice the clips, less the clips. workers: 1 is this process, more
    are children that share the device."""
    count, cores = itertools.count(), os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="clsp-bench-") as folder:
        hours = archives(Path(folder), clips, suffix)

        def run(name: str) -> float:
            given = TagSettings(
                f"{folder}/{name}", f"{folder}/lake-{next(count)}", model=model,
                precision=precision, decode_threads=max(1, cores // workers), device=device,
                executor="process" if workers > 1 else "local", workers=workers,
            )  # fmt: skip
            return clock_s(lambda: tag(given), device)

        run("one")  # kernels are made, and files are in the cache
        taken = run("two") - run("one")
    return hours * 3_600 / taken


def encoders(path: str, clips: int, device: str) -> dict[str, object]:
    """With our kernels and without."""
    most = product_rate(device)
    plain = clsp.load(path, device=device)
    some = waves(64)
    with torch.inference_mode():
        wanted = plain.embed_audio(some)
    found: dict[str, object] = {"name": torch.cuda.get_device_name(), "product": most}
    for said, kernels in (("PyTorch: ", False), ("", True)):
        model = clsp.load(path, device=device, precision="bfloat16" if kernels else None)
        if not kernels:
            speed_up(model.model.encoder_embed, model.model.encoder, "bfloat16")
        with torch.inference_mode():
            cosine = float((model.embed_audio(some) * wanted).sum(dim=1).min())
        fed = encoder(model, waves(clips), BATCH_S["cuda"], plain)
        fed |= {"share of the product": fed["operations a second"] / most, "cosine": cosine}
        found |= {f"{said}{name}": figure for name, figure in fed.items()}
    return found


def measured(clips: int = 8_000, device: str = "cuda", part: str = "") -> list[dict[str, object]]:
    if device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU here: nothing is measured")
        return []
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="clsp-bench-") as folder:
        path = published_size(Path(folder, "model"))
        if part != "archive":
            found |= encoders(path, clips, device)
            print("\n".join(f"{key}: {value}" for key, value in found.items()), flush=True)
        if part != "encoder":
            for suffix, workers in (("wav", 1), ("wav", 4), ("flac", 4), ("mp3", 4)):
                done = archive(path, clips, device, "bfloat16", suffix, workers)
                found[f"archive, {suffix}, {workers} processes"] = done
                print(f"{suffix}, {workers} processes: {done:.0f} hours an hour", flush=True)
    return [found]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=8_000)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--part", choices=["encoder", "archive"], default="")
    given = parser.parse_args()
    measured(given.clips, given.device, given.part)
