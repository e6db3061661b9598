"""Build the training set: voices -> transforms -> recordings, with a manifest of what each clip is.

    python -m clsp.training.synthesise --out DIR [--clips N] [--seed S] [--jobs 2]

Writes `shard-00000.npz` (int16 audio at 16 kHz) and `shard-00000.jsonl` (attributes, and numbers
that they follow from): as many shards as N clips take where all are learnt from; those of the dev
and the test voices hold fewer. Deterministic: a shard depends on (seed, shard number) only, so a
run that was cut off goes on where it stopped. It does not know the model, nor how attributes are
put into words.
"""

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from clsp.training import augment, transforms
from clsp.training.texts import SENTENCES, english_lines, syllables
from clsp.training.voices import VOICES, Voice, synthesise

SAMPLE_RATE = 16_000
BASES_PER_SHARD = 40  # sentences
# Manners that a sentence is spoken in, and recordings of each. To render a manner costs a third of
# a new sentence, and to record it once more a tenth of that: what is learnt from has more of both.
VARIANTS = {"train": 4, "dev": 3, "test": 3}
RECORDINGS = {"train": 2, "dev": 1, "test": 1}
MAX_BASE_S, MAX_CLIP_S = 4.2, 5.5
LEVELS: tuple[str, ...] = ("quiet", "normal", "loud")
SPLITS = {3: "dev", 7: "test", 12: "test"}  # by shard number modulo 16; the rest trains
RAW_SHARE = 0.25  # clips that WORLD never touches, so that its sound is not a cue


def resample(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """To 16 kHz."""
    import torch
    from torchaudio.functional import resample as torch_resample

    if sample_rate == SAMPLE_RATE:
        return waveform
    return np.asarray(torch_resample(torch.from_numpy(waveform), sample_rate, SAMPLE_RATE).numpy())


def trim(waveform: np.ndarray, threshold_db: float = 40.0) -> np.ndarray:
    """Cut the silence before and after speech, leaving 50 ms."""
    size = SAMPLE_RATE // 100
    count = len(waveform) // size
    power = (waveform[: count * size].reshape(count, size) ** 2).mean(1)
    active = np.flatnonzero(power > power.max() * 10 ** (-threshold_db / 10))
    start, end = max(active[0] - 5, 0) * size, (active[-1] + 6) * size
    return waveform[start:end]


def variants(
    waveform: np.ndarray,
    voice: Voice,
    natural_rate: float,
    others: list[np.ndarray],
    rng: np.random.Generator,
) -> Iterator[tuple[np.ndarray, transforms.Attributes, dict[str, float | None]]]:
    """Clips made of one spoken sentence, each with its attributes and what was measured of it."""
    speech = transforms.analyse(waveform)
    for _ in range(VARIANTS[voice.split]):
        if rng.random() < RAW_SHARE:
            said, levels, f0 = waveform, LEVELS, speech.f0
            attributes: transforms.Attributes = {
                "gender": voice.gender if voice.gender != "child" else None,
                "age": voice.age,
                "whisper": "no",
                "emotion": None,
                "rate": transforms.label(natural_rate, transforms.RATE_SYLLABLES),
                "breathy": None,
            }
            hz, spread = transforms.pitch_and_spread(f0)
            tract_hz, rate = None, natural_rate  # its own tract is known to some per cent only
        else:
            convert = voice.split == "train"
            manner, attributes, levels = transforms.draw_manner(voice, natural_rate, rng, convert)
            said = transforms.render(speech, manner, rng)
            hz, spread = (None, None) if manner.whisper else (manner.f0_hz, manner.spread)
            tract_hz, rate = voice.formant_hz * manner.warp, natural_rate * manner.tempo
        attributes["pitch"] = transforms.label(hz, transforms.PITCH_HZ)
        attributes["expressive"] = transforms.label(spread, transforms.SPREAD_SEMITONES)
        for recording in range(RECORDINGS[voice.split]):
            condition = augment.draw_condition(levels, rng)
            limit = int(rng.uniform(2.2, MAX_CLIP_S) * SAMPLE_RATE)
            part = said[-limit:] if recording else said[:limit]
            clip = augment.record(part, condition, others, rng)
            measured = {
                "f0_hz": hz, "spread_semitones": spread, "tract_hz": tract_hz,
                "syllables_per_s": rate, "level_dbfs": augment.active_level(clip),
            }  # fmt: skip
            yield clip, attributes | condition.attributes(), measured


def make_shard(out: Path, seed: int, number: int) -> int:
    """Write one shard, audio before manifest; returns how many clips it holds."""
    import torch

    torch.set_num_threads(1)
    manifest, audio = out / f"shard-{number:05d}.jsonl", out / f"shard-{number:05d}.npz"
    if manifest.is_file() and audio.is_file():
        return len(manifest.read_text().splitlines())
    rng = np.random.default_rng([seed, number])
    split = SPLITS.get(number % 16, "train")
    voices = [voice for voice in VOICES if voice.split == split]
    weights = np.array([voice.weight for voice in voices])
    lines, others = english_lines(), list[np.ndarray]()
    clips: list[np.ndarray] = []
    rows: list[str] = []
    for base in range(BASES_PER_SHARD):
        voice = voices[int(rng.choice(len(voices), p=weights / weights.sum()))]
        language = voice.language.split("-")[0]
        own = SENTENCES.get(language, ())
        english = not own or (voice.reads_english and rng.random() < 0.6)
        text = str(rng.choice(lines if english else list(own)))
        spoken, rate = synthesise(voice, text, int(rng.integers(135, 190)))
        waveform = trim(resample(spoken, rate))
        natural_rate = syllables(text, voice.language) / (len(waveform) / SAMPLE_RATE)
        waveform = waveform[: int(MAX_BASE_S * SAMPLE_RATE)]
        for clip, attributes, measured in variants(waveform, voice, natural_rate, others, rng):
            row = {
                "id": f"{number:05d}-{len(clips):03d}", "base": f"{number:05d}-{base:03d}",
                "split": split, "voice": voice.key, "duration_s": round(len(clip) / SAMPLE_RATE, 3),
                "attributes": attributes,
                "measured": {k: v and round(v, 2) for k, v in measured.items()},
            }  # fmt: skip
            rows.append(json.dumps(row))
            clips.append(np.round(np.clip(clip, -1, 1) * 32767).astype(np.int16))
        others.append(waveform)
    lengths = np.array([len(clip) for clip in clips])
    partial = out / f".partial-{number:05d}.npz"
    np.savez(partial, audio=np.concatenate(clips), lengths=lengths)
    partial.replace(audio)
    partial.write_text("\n".join(rows) + "\n")
    partial.replace(manifest)
    return len(rows)


def read_manifest(data: Path) -> list[dict]:
    """All clips of a data set, in shard order."""
    rows = []
    for path in sorted(data.glob("shard-*.jsonl")):
        rows += [json.loads(line) for line in path.read_text().splitlines()]
    return rows


def read_audio(data: Path) -> Iterator[np.ndarray]:
    """The clips in manifest order: float32 in [-1, 1], shape (samples,). A shard without its
    manifest, which is written last, is none."""
    for path in sorted(data.glob("shard-*.jsonl")):
        with np.load(path.with_suffix(".npz")) as shard:
            audio, lengths = shard["audio"], shard["lengths"]
        for clip in np.split(audio, np.cumsum(lengths)[:-1]):
            yield clip.astype(np.float32) / 32767


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=9_600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    shards = -(-given.clips // (BASES_PER_SHARD * VARIANTS["train"] * RECORDINGS["train"]))
    started, total = time.monotonic(), 0
    with ProcessPoolExecutor(given.jobs) as pool:
        jobs = [pool.submit(make_shard, given.out, given.seed, number) for number in range(shards)]
        for number, job in enumerate(jobs):
            total += job.result()
            print(f"shard {number + 1}/{shards}: {total} clips, {time.monotonic() - started:.0f} s",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
