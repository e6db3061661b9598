"""`make bench`: ratios on this machine, each against what people would do instead.

Prints the median of the repeats and their spread, and one JSON line with the machine's facts. Only
ratios within one run mean anything on a shared machine. Not a test: timing decides none.
"""

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

import clsp
from clsp.features import fbank
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from pipelines.utterances import Utterances
from pipelines.voice import VoiceActivity
from tests.benchmarks import relabel

REPEATS = 3
CLIPS = 120
SAMPLE_RATE = 16_000


def seconds(work: Callable[[], object]) -> list[float]:
    """CPU seconds of each repeat, after one that does not count."""
    work()
    taken = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return taken


def ratio(name: str, slow: list[float], fast: list[float]) -> dict[str, object]:
    pairs = [a / b for a, b in zip(slow, fast, strict=True)]
    found = {
        "name": name,
        "ratio": round(statistics.median(pairs), 2),
        "min": round(min(pairs), 2),
        "max": round(max(pairs), 2),
    }
    print(f"{name}: {found['ratio']}x ({found['min']} to {found['max']})")
    return found


def speech_lengths(n: int) -> list[int]:
    """Samples of clips as long as utterances are: lognormal about 5 s, 1 to 20 s."""
    drawn = np.random.default_rng(0).lognormal(np.log(5.0), 0.6, n)
    return [int(s * SAMPLE_RATE) for s in drawn.clip(1.0, 20.0)]


def voice_activity() -> dict[str, object]:
    """CPU ms for a second of audio: resampling, the network, and what finds the spans."""
    found: dict[str, object] = {"name": "voice activity, CPU ms per audio second"}
    for rate in (SAMPLE_RATE, 44_100):
        noise = np.random.default_rng(0).normal(0, 0.05, (120 * rate, 1)).astype(np.float32)

        def listen(rate: int = rate, noise: np.ndarray = noise) -> None:
            activity, spans = VoiceActivity(rate, 1), Utterances(30.0)
            for at in range(0, len(noise), 1 << 16):
                list(spans.push(activity.push(noise[at : at + (1 << 16)])[:, 0]))
            list(spans.push(activity.finish()[:, 0]))
            list(spans.finish())

        found[f"{rate} Hz"] = round(statistics.median(seconds(listen)) / 120 * 1000, 2)
    print(f"{found['name']}: {found['16000 Hz']} (16 kHz), {found['44100 Hz']} (44.1 kHz)")
    return found


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    model = clsp.load("tiny")
    generator = torch.Generator().manual_seed(0)
    clips = [torch.randn(n, generator=generator) * 0.05 for n in speech_lengths(CLIPS)]
    results = []

    def one_by_one() -> None:  # the published example in a loop
        for clip in clips:
            model(audio=clip[None], audio_lens=torch.tensor([len(clip)]))

    def random_batches() -> None:  # the usual recipe: batches of 8 as they come, padded
        for i in range(0, len(clips), 8):
            model.embed_audio(clips[i : i + 8])

    def by_length() -> None:
        order = sorted(clips, key=len, reverse=True)
        for i in range(0, len(order), 8):
            model.embed_audio(order[i : i + 8])

    sorted_s = seconds(by_length)
    results.append(ratio("tiny, published loop / sorted batches", seconds(one_by_one), sorted_s))
    results.append(
        ratio("tiny, random batches / sorted batches", seconds(random_batches), sorted_s)
    )

    features = sorted((fbank(clip) for clip in clips), key=len, reverse=True)

    def bare_encoder() -> None:
        for i in range(0, len(features), 8):
            model.embed_features(features[i : i + 8])

    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "archive")
        archive.mkdir()
        for i, clip in enumerate(clips):
            soundfile.write(archive / f"{i:04d}.wav", clip.numpy(), SAMPLE_RATE)
        count = iter(range(100))

        def whole_run() -> None:  # listing, hashing, decoding, features, labels, tables, start-up
            tag(TagSettings(str(archive), f"{folder}/lake-{next(count)}", decode_threads=1))

        runs = seconds(whole_run)
        results.append(ratio("tiny, whole tag run / bare encoder", runs, seconds(bare_encoder)))
        settings = TagSettings(str(archive), f"{folder}/lake-0")
        results.append(
            ratio("whole tag run / run with nothing to do", runs, seconds(lambda: tag(settings)))
        )
    results.append(voice_activity())
    results.append(relabel.measured(1_000_000))
    machine = {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    print(json.dumps({"machine": machine, "results": results}))


main()
