"""Labels of pitch for real recordings, by measure: the median F0 that WORLD's `harvest` finds.

    .venv/bin/python infra/with-pitch.py data/real-meetings/labels.csv
    .venv/bin/clsp evaluate zero-shot data/real-meetings/pitch.csv --kind table --attribute pitch

Reads a table of files (and speakers), writes `pitch.csv` beside it: low, medium or high as the
model card says; recordings between two of these are left out, and those with hardly a voiced frame.
Where something else than a voice has a pitch, the label is wrong.
"""

import csv
import sys
from pathlib import Path

import pyworld
import soundfile

from clsp.training.transforms import (
    F0_CEIL_HZ,
    F0_FLOOR_HZ,
    PITCH_HZ,
    label,
    pitch_and_spread,
)

MOST_S = 10.0  # of a recording


def pitch_of(path: Path) -> str | None:
    """low, medium or high; None between two, or where hardly anything is voiced."""
    samples, rate = soundfile.read(path, always_2d=True)
    start = samples[: int(MOST_S * rate), 0].copy()
    f0, _ = pyworld.harvest(start, rate, F0_FLOOR_HZ, F0_CEIL_HZ)
    return label(pitch_and_spread(f0)[0], PITCH_HZ)


def main(table: Path) -> None:
    rows = []
    with table.open(newline="") as given:
        for row in csv.DictReader(given):
            if pitch := pitch_of(table.parent / row["file"]):
                rows.append((row["file"], row.get("speaker", row["file"]), pitch))
    with (table.parent / "pitch.csv").open("w", newline="") as made:
        csv.writer(made).writerows([("file", "speaker", "pitch"), *rows])
    print(f"{len(rows)} recordings: {table.parent / 'pitch.csv'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
