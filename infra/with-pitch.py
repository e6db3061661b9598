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

import numpy as np
import pyworld
import soundfile

from clsp.training.transforms import PITCH_HZ

MOST_S = 10.0  # of a recording
LEAST_VOICED = 20  # frames of 5 ms


def median_f0(path: Path) -> float | None:
    """In Hz, of the frames that are voiced."""
    samples, rate = soundfile.read(path, always_2d=True)
    f0, _ = pyworld.harvest(samples[: int(MOST_S * rate), 0].copy(), rate, 60.0, 500.0)
    voiced = f0[f0 > 0]
    return float(np.median(voiced)) if len(voiced) >= LEAST_VOICED else None


def main(table: Path) -> None:
    rows = []
    with table.open(newline="") as given:
        for row in csv.DictReader(given):
            f0 = median_f0(table.parent / row["file"])
            for pitch, (least, most) in PITCH_HZ.items():
                if f0 is not None and least <= f0 <= most:
                    rows.append((row["file"], row.get("speaker", row["file"]), pitch))
    with (table.parent / "pitch.csv").open("w", newline="") as made:
        csv.writer(made).writerows([("file", "speaker", "pitch"), *rows])
    print(f"{len(rows)} recordings: {table.parent / 'pitch.csv'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
