"""`make torture`: tries to break the promises, and counts what broke.

Kills runs at every fault point on every executor, measures memory against ten times more audio,
kills runs at random times for a while, and damages recordings in thousands of ways. Within 20
minutes on 2 cores: one thing after the other, each stopped when it takes too long. Exit status 1
where anything was lost, doubled, crashed or hung, or memory grew.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What, its module and options, and the most seconds it may take.
PARTS = (
    ("crash matrix, in this process", "crash_matrix --executor local", 600),
    ("crash matrix, in child processes", "crash_matrix --executor process", 300),
    ("crash matrix, on Ray", "crash_matrix --executor ray", 480),
    ("memory, of ten times more", "memory --files 1600 --files 16000 --hours 0.4 --hours 4", 420),
    ("kills at random times", "soak --seconds 60 --seed 1", 240),
    ("damaged recordings", "fuzz_decoder --cases 2000 --seed 5 --seconds 20", 480),
)
MOST_S = 1200.0


def main() -> None:
    end, fine = time.monotonic() + MOST_S, True
    for what, command, most_s in PARTS:
        print(f"== {what}: python -m tests.faults.{command}", flush=True)
        module, *options = command.split()
        began = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-m", f"tests.faults.{module}", *options], cwd=ROOT
        )
        try:
            status = child.wait(timeout=max(1.0, min(most_s, end - began)))
        except subprocess.TimeoutExpired:
            child.terminate()
            child.wait()
            status = "not done in time"
        fine &= status == 0
        told = "nothing broke" if status == 0 else f"FAILED ({status})"
        print(f"== {what}: {told}, {time.monotonic() - began:.0f} s\n", flush=True)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
