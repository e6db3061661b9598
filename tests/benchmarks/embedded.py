"""The embedded model in batches of like lengths, against what people would do instead; a run,
against one with nothing to do; voice activity. CPU time on one thread.

    python -m tests.benchmarks.embedded
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

import clsp
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from pipelines.utterances import Utterances
from pipelines.voice import VoiceActivity
from tests.benchmarks.encoder import FRAMES_PER_S, speech_lengths

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
def measured() -> list[dict[str, object]]:
    """Ratios of CPU time: median, least and most of the repeats."""
    torch.set_num_threads(1)
    model = clsp.load("tiny")
    lengths = [frames * SAMPLE_RATE // FRAMES_PER_S for frames in speech_lengths(CLIPS)]
    generator = torch.Generator().manual_seed(0)
    clips = [torch.randn(n, generator=generator) * 0.05 for n in lengths]
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

    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "archive")
        archive.mkdir()
        for i, clip in enumerate(clips):
            soundfile.write(archive / f"{i:04d}.wav", clip.numpy(), SAMPLE_RATE)
        count = iter(range(100))

        def whole_run() -> None:  # listing, hashing, decoding, features, labels, tables, start-up
            tag(TagSettings(str(archive), f"{folder}/lake-{next(count)}", decode_threads=1))

        runs = seconds(whole_run)
        settings = TagSettings(str(archive), f"{folder}/lake-0")
        results.append(
            ratio("whole tag run / run with nothing to do", runs, seconds(lambda: tag(settings)))
        )
    return [*results, voice_activity()]


if __name__ == "__main__":
    measured()
