"""What one core can do at most in each precision, for other figures to be held against.

    python -m tests.benchmarks.peak

Compiles `peak.c` with the C compiler that is there (`cc`) for the CPU that is there.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("peak.c")
FLAGS = ["-O3", "-march=native", "-ffp-contract=fast", "-funroll-loops"]


def peaks() -> dict[str, float]:
    """Thousands of millions of multiplications and additions a second, by precision; nothing of
    what the CPU has no instruction for, or without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "peak")
        subprocess.run([compiler, *FLAGS, str(SOURCE), "-o", str(program)], check=True)
        told = subprocess.run([str(program)], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {name: float(giga) for name, giga in map(str.split, told.splitlines())}


if __name__ == "__main__":
    for name, giga in peaks().items():
        print(f"{name}: {giga} thousand million operations a second")
