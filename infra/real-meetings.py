"""A check on real voices: people in meetings (AMI corpus, CC-BY-4.0), as pyannote.audio's tests
have them on PyPI. Never trained on, never committed.

    .venv/bin/python infra/real-meetings.py data/real-meetings
    .venv/bin/clsp evaluate zero-shot data/real-meetings/labels.csv --kind table --attribute gender

Of each 30 s, what one person says alone for a second and more. AMI's names of people begin with M
or F, which is what `gender` has. Needs a network and pip.
"""

import csv
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import soundfile

SOURCE = "pyannote.audio==4.0.7"
LEAST_S, MOST_S = 1.0, 10.0  # of a clip
GENDERS = {"M": "male", "F": "female"}

Turn = tuple[float, float, str]  # start and end in seconds, and who


def download(folder: Path) -> None:
    """The package's source, unpacked."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "--quiet", SOURCE, "--dest", str(folder)], check=True)
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")


def turns(path: Path) -> dict[str, list[Turn]]:
    """By recording, from an RTTM file."""
    found: dict[str, list[Turn]] = {}
    for line in path.read_text().splitlines():
        _, recording, _, start, duration, _, _, who, *_ = line.split()
        found.setdefault(recording, []).append((float(start), float(start) + float(duration), who))
    return found


def alone(turn: Turn, others: list[Turn]) -> Iterator[tuple[float, float]]:
    """The parts of a turn in which nobody else speaks."""
    start, end, who = turn
    for begins, ends in sorted((b, e) for b, e, other in others if other != who):
        if ends <= start or begins >= end:
            continue
        if begins > start:
            yield start, begins
        start = ends
    if start < end:
        yield start, end


def cut(audio: Path, told: list[Turn], out: Path) -> Iterator[tuple[str, str, str]]:
    """Write the clips of one recording; the name, the speaker and the gender of each."""
    samples, rate = soundfile.read(audio, dtype="float32")
    for turn in told:
        who = turn[2]
        for start, end in alone(turn, told):
            if end - start < LEAST_S:
                continue
            name = f"{audio.stem}-{start:06.2f}-{who}.wav"
            end = min(end, start + MOST_S)
            soundfile.write(out / name, samples[int(start * rate) : int(end * rate)], rate)
            yield name, who, GENDERS[who[0]]


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory() as name:
        download(Path(name))
        [tests] = Path(name).glob("*/tests/data")
        for path in sorted(tests.glob("*.rttm")):
            for recording, told in sorted(turns(path).items()):
                audio = tests / f"{recording}.wav"
                if audio.is_file():  # one has another name there than in the list
                    rows += cut(audio, told, out)
    with (out / "labels.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "speaker", "gender"), *rows])
    print(f"{len(rows)} clips of {len({who for _, who, _ in rows})} people: {out / 'labels.csv'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/real-meetings"))
