"""What an hour of audio costs as an archive grows: it should cost what the first did.

    python -m tests.benchmarks.hours [--hours 1 10 100]

Each archive is recordings of five minutes, all different (the sample archive's speech from ever
other places), tagged by a `clsp tag` of the embedded model in a process of its own into a new lake.
Told are CPU seconds and clock seconds of an hour of audio, what one short file takes left out, and
the memory that the process held at most. 100 hours take 12 GB of disk.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from tests.faults.memory import RATE, speech

EACH_S = 300
PER_HOUR = 3_600 // EACH_S


def archive(folder: Path, recordings: int, seconds: int = EACH_S) -> Path:
    folder.mkdir(parents=True)
    spoken = np.tile(speech(), seconds * RATE // len(speech()) + 2)
    for number in range(recordings):
        at = number * 7_919 % len(speech())
        quieter = 1 - number / (20 * recordings)  # of two from one place, other samples
        clip = (spoken[at : at + seconds * RATE] * quieter).astype(np.int16)
        soundfile.write(folder / f"{number:06d}.wav", clip, RATE)
    return folder


def tagged(archive: Path, lake: Path) -> tuple[float, float, float]:
    """CPU seconds, clock seconds and MiB at most, of a whole `clsp tag`."""
    code = (
        "import re, resource, sys; from flows.cli import main; sys.argv[0] = 'clsp'\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code\n"
        "used = resource.getrusage(resource.RUSAGE_SELF); print()\n"
        "most = re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]\n"
        "print(used.ru_utime + used.ru_stime, int(most) / 1024)"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, "tag", str(archive), "--lake", str(lake), "--device", "cpu"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    cpu_s, peak = map(float, done.stdout.split()[-2:])
    return cpu_s, time.monotonic() - began, peak


def measured(hours: Sequence[int] = (1, 4)) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="clsp-hours-") as name:
        one = archive(Path(name, "one"), 1, seconds=5)
        start = tagged(one, Path(name, "lake-one"))
    for count in hours:
        with tempfile.TemporaryDirectory(prefix="clsp-hours-") as name:
            many = archive(Path(name, "many"), count * PER_HOUR)
            cpu_s, clock_s, peak = tagged(many, Path(name, "lake"))
        row: dict[str, object] = {
            "name": f"{count} h",
            "CPU s an hour": round((cpu_s - start[0]) / count, 2),
            "clock s an hour": round((clock_s - start[1]) / count, 2),
            "MiB at most": round(peak),
        }
        print(", ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
        found.append(row)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, nargs="+", default=[1, 10, 100])
    measured(parser.parse_args().hours)
