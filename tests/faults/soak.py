"""Kills `clsp tag` at random times, over and over, while its archive changes; then looks for rows.

    python -m tests.faults.soak --seconds 300 --seed 1

A round changes the archive (files come, change, move, go) and starts runs until one ends; each
run but the last is killed after a random time. When the time is up, the rows must be those of a
lake that was tagged in one go, and `clsp verify` must find nothing. Exit status 1 otherwise.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from pipelines.settings import TagSettings
from tests.faults.runs import MOOD, ROWS, SETTINGS, Runs, difference, harm, rows, tone

MOST_KILLS = 6  # in a round; then its run is left alone
MOST_FILES = 30
# What does not depend on which rounds there were: `history` does, and so do labels of an earlier
# taxonomy, the taxonomy at the time of a failure, and what was cut out of files that are gone.
CURRENT = {
    "recordings": """SELECT * EXCLUDE (run_id, chunk_id, processed_at, taxonomy_key)
                     FROM recordings WHERE state <> 'gone'""",
    "speech": ROWS["speech"],
    **{
        name: f"""{ROWS[name]} WHERE segment_id IN (SELECT segment_id FROM speech)
                  {"AND taxonomy_key IN (SELECT taxonomy_key FROM speech)" * (name == "labels")}"""
        for name in ("segments", "embeddings", "labels")
    },
}


class Soak:
    """One archive, one lake, and what was done to them."""

    def __init__(self, root: Path, runs: Runs, seed: int) -> None:
        self.root, self.runs, self.random = root, runs, random.Random(seed)
        self.archive, self.made = root / "archive", 0
        self.archive.mkdir()
        (root / "mood.yaml").write_text(MOOD)
        self.taxonomy: str | None = None
        self.rounds = self.kills = self.restarts = 0
        self.takes_s = 3.0  # of the latest run that ended: kills fall within that

    def tagging(self, lake: str) -> TagSettings:
        return TagSettings(
            str(self.archive), str(self.root / lake), taxonomy=self.taxonomy, **SETTINGS
        )

    def change(self) -> None:
        """Two to six changes: mostly new files; now and then another taxonomy."""
        for _ in range(self.random.randint(2, 6)):
            files = sorted(self.archive.iterdir())
            self.made += 1
            new = self.archive / f"{self.made:04d}.wav"
            what = self.random.choice(["new"] * 3 + ["change", "copy", "move", "go", "damage"])
            if what == "new" or not files:
                tone(new, 100 + self.made, self.random.uniform(0.3, 2.2))
                continue
            file = self.random.choice(files)
            if what == "change":
                tone(file, 100 + self.made, self.random.uniform(0.3, 2.2))
            elif what == "copy":
                shutil.copy(file, new)
            elif what == "move":
                file.rename(new)
            elif what == "damage":
                file.write_bytes(file.read_bytes()[:20])
            if what == "go" or len(files) > MOST_FILES:
                file.unlink(missing_ok=True)
        if self.random.random() < 0.3:
            self.taxonomy = None if self.taxonomy else str(self.root / "mood.yaml")

    def round(self) -> None:
        """Change the archive, then runs until one ends."""
        self.rounds += 1
        self.change()
        for _ in range(self.random.randint(1, MOST_KILLS)):
            run = self.runs.start(self.tagging("lake"))
            time.sleep(self.random.uniform(0, self.takes_s))
            run.kill()
            if self.ended(run.wait(), run.said):
                return
            self.kills += 1
            self.restarts += 1
        run, started = self.runs.start(self.tagging("lake")), time.monotonic()
        if not self.ended(run.wait(), run.said):
            raise AssertionError(f"a run that nobody killed was killed:\n{run.said}")
        self.takes_s = time.monotonic() - started

    def ended(self, status: int, said: str) -> bool:
        if status not in (0, -signal.SIGKILL):
            raise AssertionError(f"a run ended with {status}:\n{said}")
        return status == 0

    def judge(self) -> tuple[int, int, list[str]]:
        """Rows lost, rows too many, and what verify finds."""
        self.runs.finish(self.tagging("whole"))
        lost, more = difference(
            rows(self.root / "lake", CURRENT), rows(self.root / "whole", CURRENT)
        )
        return lost.total(), more.total(), harm(self.root / "lake")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clsp-soak-") as folder, Runs(Path(folder)) as runs:
        soak = Soak(Path(folder), runs, given.seed)
        end = time.monotonic() + given.seconds
        while not soak.rounds or time.monotonic() < end:
            soak.round()
        lost, more, wrong = soak.judge()
        print(
            f"seed {given.seed}: {soak.rounds} rounds, {soak.kills} kills, {soak.restarts} "
            f"restarts, {lost} rows lost, {more} rows too many, {len(wrong)} findings of verify"
        )
        for finding in wrong:
            print(f"  {finding}")
    sys.exit(bool(lost or more or wrong))


if __name__ == "__main__":
    main()
