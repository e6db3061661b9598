"""Peak memory of a run, against how long a recording is and how many files there are.

    python -m tests.faults.memory --hours 1 --hours 10 --files 1600 --files 16000

Each case is one `clsp tag` of the embedded model in a process of its own; told is the most that
process ever held. Recordings are the sample archive's speech, over and over; files are short and
all different. A process fills its libraries' caches and pools for about six chunks: fewer files
than those hold would measure that. Flat means: ten times more costs at most a tenth more. Exit
status 1 where it does not hold.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "data" / "sample-archive"
RATE = 16_000
FLAT = 1.10  # of the smallest case

CHILD = """
import json, resource, sys
from pipelines.settings import TagSettings
from pipelines.tagging import tag
report = tag(TagSettings(**json.loads(sys.argv[1])))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([peak / 1024, report.tagged, report.segments, report.audio_s]))
"""


def speech() -> np.ndarray:
    """The sample archive's 16 kHz speech, (samples,) 16-bit, about half a minute."""
    parts = []
    for path in sorted(SAMPLES.rglob("*.wav")):
        if path.parent.name != "damaged" and soundfile.info(path).samplerate == RATE:
            parts.append(soundfile.read(path, dtype="int16", always_2d=True)[0][:, 0])
    return np.concatenate(parts)


def recording(path: Path, hours: float) -> None:
    spoken, left = speech(), round(hours * 3600 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while left > 0:
            file.write(spoken[:left])
            left -= len(spoken)


def files(folder: Path, count: int) -> None:
    spoken = speech()
    for number in range(count):
        at = number * 997 % (len(spoken) - 2 * RATE)
        # Of ever other lengths, as in life: torch keeps something for each shape that it meets.
        samples = RATE // 2 + number * 7919 % RATE
        soundfile.write(folder / f"{number:06d}.wav", spoken[at : at + samples], RATE)


def measured(archive: Path, lake: Path, segments: str) -> tuple[float, int, int, float, float]:
    """MiB at most, files tagged, segments, audio seconds, wall seconds."""
    settings = {"source": str(archive), "lake": str(lake), "segments": segments}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(settings)],
        stdout=subprocess.PIPE, check=True, cwd=ROOT, text=True,
    )  # fmt: skip
    peak, tagged, count, audio_s = json.loads(done.stdout)
    return peak, tagged, count, audio_s, time.monotonic() - began


def flat(what: str, sizes: Sequence[float], segments: str) -> bool:
    """Measure the sizes, smallest first; say what was found."""
    peaks = []
    for size in sorted(sizes):
        with tempfile.TemporaryDirectory(prefix="clsp-memory-") as folder:
            archive = Path(folder, "archive")
            archive.mkdir()
            if what == "hours":
                recording(archive / "long.wav", size)
            else:
                files(archive, int(size))
            peak, tagged, count, audio_s, seconds = measured(
                archive, Path(folder, "lake"), segments
            )
        peaks.append(peak)
        print(
            f"{what} {size:g} ({segments}): {peak:.0f} MiB at most, {tagged} tagged, {count} "
            f"segments, {audio_s / 3600:.2f} h of audio in {seconds:.0f} s",
            flush=True,
        )
    ratio = peaks[-1] / peaks[0] if peaks else 1.0
    print(f"{what}: {ratio:.2f} times the memory of the smallest, expected at most {FLAT}")
    return ratio <= FLAT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, action="append", default=[])
    parser.add_argument("--files", type=int, action="append", default=[])
    parser.add_argument("--segments", default="windows")
    given = parser.parse_args()
    fine = [
        flat(what, sizes, given.segments)
        for what, sizes in (("hours", given.hours), ("files", given.files))
        if sizes
    ]
    sys.exit(not all(fine))


if __name__ == "__main__":
    main()
