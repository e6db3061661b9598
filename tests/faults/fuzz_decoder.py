"""Damages small recordings in many ways and looks whether reading them ends as it must.

    python -m tests.faults.fuzz_decoder --cases 5000 --seed 1 --seconds 10

Every case must end in segments or a RecordingError within --seconds. Cases are made anew from
(seed, number) alone; they run in child processes, a batch in each. Where a child crashes or hangs,
the first case without an answer is run again alone, the others in a new child. Exit status 1, and
the inputs in --out, when any is found.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import soundfile

from pipelines.audio import open_recording
from pipelines.audio_info import Limits
from pipelines.errors import RecordingError
from pipelines.segments import SegmentPolicy, cut

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "data" / "sample-archive"
BATCH = 100  # cases in one child
MOST_MIB = 512  # that one case may add to what the child ever held
START_S = 60.0  # for a child to start on a busy machine
LIMITS = Limits(max_duration_s=3600.0, max_bytes=64 << 20, file_timeout_s=60.0)
POLICIES = [
    SegmentPolicy(length, hop, channels)
    for length, hop in ((None, None), (30.0, 30.0), (1.0, 0.4))
    for channels in ("mix", "split", "left", "right")
] + [SegmentPolicy(longest_s=3.0, channels=channels) for channels in ("mix", "split")]
PROGRAM = ("-m", "tests.faults.fuzz_decoder")
# What each format's headers count in: where a single edited number does most.
WIDTHS = (1, 2, 4, 8)
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 63)


# ---- seeds --------------------------------------------------------------------------------------


def voice(rate: int, channels: int, seconds: float = 0.8) -> np.ndarray:
    """Something with pitch, level and pauses: (samples, channels) float32."""
    at = np.arange(round(rate * seconds))[:, None] / rate
    pitch = 110 * (1 + np.arange(channels))[None]
    return (0.3 * np.sin(2 * np.pi * pitch * at) * np.sin(2 * np.pi * 2 * at)).astype("f4")


def by_soundfile(format_: str, subtype: str, rate: int, channels: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, voice(rate, channels), rate, format=format_, subtype=subtype)
    return out.getvalue()


def by_ffmpeg(container: str, codec: str, rate: int, channels: int, video: str = "") -> bytes:
    out = io.BytesIO()
    layout = "mono" if channels == 1 else "stereo"
    # bitexact: no random numbers, so that a case is the same everywhere.
    with av.open(out, "w", format=container, options={"fflags": "+bitexact"}) as file:
        picture = file.add_stream(video, rate=10) if video else None
        if picture is not None:
            picture.width = picture.height = 32
            picture.pix_fmt = "yuv420p"
        stream = file.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 12_200 if codec.startswith("libopencore") else 64_000
        if picture is not None:
            for n in range(4):
                image = np.full((32, 32, 3), 40 * n, np.uint8)
                file.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            file.mux(picture.encode(None))
        takes = stream.codec_context.codec.audio_formats[0].name
        change = av.AudioResampler(format=takes, layout=layout, rate=rate)
        samples = np.ascontiguousarray(voice(rate, channels).T)
        size = 160 if codec.startswith("libopencore") else 960
        for start in range(0, samples.shape[1] // size * size, size):
            part = np.ascontiguousarray(samples[:, start : start + size])
            frame = av.AudioFrame.from_ndarray(part, "fltp", layout)
            frame.sample_rate, frame.pts = rate, start
            for converted in change.resample(frame):
                file.mux(stream.encode(converted))
        file.mux(stream.encode(None))
    return out.getvalue()


SEEDS: dict[str, Callable[[], bytes]] = {
    "wav-pcm": lambda: by_soundfile("WAV", "PCM_16", 16_000, 1),
    "wav-pcm24": lambda: by_soundfile("WAVEX", "PCM_24", 8000, 3),
    "wav-float": lambda: by_ffmpeg("wav", "pcm_f32le", 8000, 2),  # libsndfile notes the time
    "wav-ulaw": lambda: by_soundfile("WAV", "ULAW", 8000, 1),
    "wav-ima": lambda: by_soundfile("WAV", "IMA_ADPCM", 8000, 1),
    "wav-gsm": lambda: by_soundfile("WAV", "GSM610", 8000, 1),
    "w64": lambda: by_soundfile("W64", "PCM_16", 8000, 1),
    "rf64": lambda: by_soundfile("RF64", "PCM_16", 8000, 1),
    "flac": lambda: by_soundfile("FLAC", "PCM_16", 16_000, 2),
    # What libsndfile writes as Ogg has a number drawn at random in it.
    "vorbis": lambda: (SAMPLES / "calls/2026-04/call-0207.ogg").read_bytes(),
    "opus": lambda: (SAMPLES / "voicemail/slow.opus").read_bytes(),
    "caf": lambda: by_soundfile("CAF", "PCM_16", 16_000, 1),
    "caf-alac": lambda: by_soundfile("CAF", "ALAC_16", 16_000, 2),
    "aiff": lambda: by_soundfile("AIFF", "PCM_16", 16_000, 1),
    "au": lambda: by_soundfile("AU", "PCM_16", 8000, 2),
    "voc": lambda: by_soundfile("VOC", "PCM_16", 16_000, 1),
    "nist": lambda: by_soundfile("NIST", "PCM_16", 16_000, 1),
    "mp3": lambda: by_ffmpeg("mp3", "libmp3lame", 44_100, 2),
    "aac": lambda: by_ffmpeg("adts", "aac", 16_000, 1),
    "m4a": lambda: by_ffmpeg("ipod", "aac", 44_100, 2),
    "alac": lambda: by_ffmpeg("ipod", "alac", 44_100, 1),
    "mov": lambda: by_ffmpeg("mov", "pcm_s16le", 16_000, 1),
    "mp4-video": lambda: by_ffmpeg("mp4", "aac", 48_000, 1, "mpeg4"),
    "mkv-video": lambda: by_ffmpeg("matroska", "flac", 48_000, 1, "mpeg4"),
    "mka": lambda: by_ffmpeg("matroska", "ac3", 48_000, 2),
    "webm": lambda: by_ffmpeg("webm", "libopus", 48_000, 1),
    "wma": lambda: by_ffmpeg("asf", "wmav2", 44_100, 2),
    "amr": lambda: by_ffmpeg("amr", "libopencore_amrnb", 8000, 1),
    "mpegts": lambda: by_ffmpeg("mpegts", "mp2", 44_100, 1),
    "avi": lambda: by_ffmpeg("avi", "adpcm_ms", 16_000, 1),
    "flv": lambda: by_ffmpeg("flv", "libmp3lame", 44_100, 1),
    "tta": lambda: by_ffmpeg("tta", "tta", 16_000, 1),
    "wv": lambda: by_ffmpeg("wv", "wavpack", 16_000, 1),
}


@lru_cache(maxsize=1)
def seeds() -> dict[str, bytes]:
    """Small recordings by format, the same bytes each time."""
    return {name: make() for name, make in SEEDS.items()}


# ---- damage -------------------------------------------------------------------------------------


def flips(data: bytearray, rng: np.random.Generator) -> None:
    for at in rng.integers(0, len(data), int(rng.integers(1, 40))):
        data[at] ^= 1 << int(rng.integers(8))


def overwrite(data: bytearray, rng: np.random.Generator) -> None:
    at, size = int(rng.integers(len(data))), int(rng.integers(1, 400))
    data[at : at + size] = rng.bytes(size)


def truncate(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(1, len(data))) :]


def header(data: bytearray, rng: np.random.Generator) -> None:
    """A number near the start is another, most often an extreme one."""
    for _ in range(int(rng.integers(1, 4))):
        width = int(rng.choice(WIDTHS))
        at = int(rng.integers(min(len(data), 256)))
        value = int(rng.choice(np.array(EXTREMES, np.uint64)))
        value = value if rng.random() < 0.8 else int.from_bytes(rng.bytes(width), "big")
        order = "little" if rng.random() < 0.5 else "big"
        data[at : at + width] = (value % 256**width).to_bytes(width, order)  # type: ignore[arg-type]


def drop(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(len(data)))
    del data[at : at + int(rng.integers(1, 200))]


def insert(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(len(data)))
    data[at:at] = rng.bytes(int(rng.integers(1, 200)))


def repeat(data: bytearray, rng: np.random.Generator) -> None:
    at, size = int(rng.integers(len(data))), int(rng.integers(1, 2000))
    data[at:at] = bytes(data[at : at + size]) * int(rng.integers(1, 5))


def splice(data: bytearray, rng: np.random.Generator) -> None:
    """The start of one file and the end of another."""
    other = list(seeds().values())[int(rng.integers(len(seeds())))]
    data[int(rng.integers(1, len(data))) :] = other[int(rng.integers(len(other))) :]


def noise(data: bytearray, rng: np.random.Generator) -> None:
    """Random bytes, mostly behind a good beginning."""
    keep = int(rng.choice([0, 4, 12, 16, 44, 64, 200]))
    data[keep:] = rng.bytes(int(rng.integers(1, 5000)))


DAMAGE = (flips, overwrite, truncate, header, header, drop, insert, repeat, splice, noise)


def case(seed: int, number: int) -> tuple[str, bytes, SegmentPolicy]:
    """What it is, its bytes, how to cut it."""
    rng = np.random.default_rng([seed, number])
    names = list(seeds())
    name = names[int(rng.integers(len(names)))]
    data = bytearray(seeds()[name])
    done = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        how = DAMAGE[int(rng.integers(len(DAMAGE)))]
        how(data, rng)
        done.append(how.__name__)
        if not data:
            break
    policy = POLICIES[int(rng.integers(len(POLICIES)))]
    return f"{name} {'+'.join(done)} {policy.key}", bytes(data), policy


# ---- reading ------------------------------------------------------------------------------------


def outcome(path: Path, policy: SegmentPolicy) -> str:
    """`read`, `read in part`, a kind of failure; or `BUG: ...`, which must not be."""
    try:
        with warnings.catch_warnings(), open_recording(path, LIMITS) as recording:
            warnings.simplefilter("error")
            for segment in cut(policy, recording):
                if len(segment.samples) != segment.end_sample - segment.start_sample:
                    return "BUG: a segment is not as long as it says"
                if not np.isfinite(segment.samples).all():
                    return "BUG: a sample is no number"
            return "read in part" if recording.truncated else "read"
    except RecordingError as error:
        return str(error.kind)
    except Exception as error:
        return f"BUG: {type(error).__name__}: {error}"


def run_cases(seed: int, numbers: Sequence[int], folder: Path, seconds: float) -> None:
    """The child: a line for each case on standard output. Dies at one that takes too long."""
    path = folder / "case"
    for number in numbers:
        what, data, policy = case(seed, number)
        path.write_bytes(data)
        faulthandler.dump_traceback_later(seconds, exit=True)
        began, held = time.monotonic(), _held_mib()
        found = outcome(path, policy)
        faulthandler.cancel_dump_traceback_later()
        if (more := _held_mib() - held) > MOST_MIB:
            found = f"BUG: it took {more} MiB of memory"
        print(json.dumps([number, what, found, round(time.monotonic() - began, 3)]), flush=True)


def _held_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


Result = tuple[int, str, str, float]  # number, what it is, outcome, seconds


def run_batch(
    seed: int, numbers: Sequence[int], seconds: float, program: Sequence[str] = PROGRAM
) -> list[Result]:
    """Cases in a child of their own; one that kills it is found."""
    if not numbers:
        return []
    with tempfile.TemporaryDirectory(prefix="clsp-fuzz-") as folder:
        command = [sys.executable, "-X", "faulthandler", *program]
        child = [f"--seed={seed}", f"--seconds={seconds}", f"--child={folder}"]
        try:
            done = subprocess.run(
                [*command, *child],
                input=json.dumps(list(numbers)),
                text=True,
                capture_output=True,
                timeout=START_S + seconds * len(numbers),
                cwd=ROOT,
            )
            status, out, err = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as expired:
            status, out, err = -1, _text(expired.stdout), _text(expired.stderr)
    lines = (json.loads(line) for line in out.splitlines() if line.startswith("["))
    results: list[Result] = [tuple(line) for line in lines]
    if status == 0 and len(results) == len(numbers):
        if err.strip():  # the decoders must be quiet; whose noise it was is not told
            print(f"\nprinted in {numbers}: {err.strip()[:2000]}", file=sys.stderr)
        return results
    if len(numbers) == 1:
        why = "hang" if "Timeout" in err or status == -1 else f"crash (status {status})"
        last = " | ".join(err.strip().splitlines()[:12])
        return [(numbers[0], case(seed, numbers[0])[0], f"BUG: {why}: {last}", seconds)]
    # What came before the first that gave no answer is done; it is the suspect.
    seen = {result[0] for result in results}
    left = [number for number in numbers if number not in seen]
    return [
        *results,
        *run_batch(seed, left[:1], seconds, program),
        *run_batch(seed, left[1:], seconds, program),
    ]


def _text(value: str | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="the most that a case may take")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "clsp-fuzz")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run_cases(given.seed, json.load(sys.stdin), given.child, given.seconds)
        return 0
    results: list[Result] = []
    try:
        for start in range(given.first, given.first + given.cases, BATCH):
            end = min(start + BATCH, given.first + given.cases)
            results += run_batch(given.seed, range(start, end), given.seconds)
            print(f"\r{len(results)} of {given.cases}", end="", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        pass  # what there is counts
    print(file=sys.stderr)
    for found, count in Counter(result[2][:80] for result in results).most_common():
        print(f"{count:7d}  {found}")
    number, what, _, took = max(results, key=lambda result: result[3])
    print(f"slowest: {took:.2f} s, case {number} ({what})")
    bugs = [result for result in results if result[2].startswith("BUG")]
    for number, what, found, _ in bugs:
        given.out.mkdir(parents=True, exist_ok=True)
        path = given.out / f"{given.seed}-{number}"
        path.write_bytes(case(given.seed, number)[1])
        print(f"{path}  {what}\n    {found}")
    return 1 if bugs else 0


if __name__ == "__main__":
    sys.exit(main())
