"""`make bench`: ratios on this machine, each against what people would do instead.

Prints the median of the repeats and their spread, and writes all of it with the machine's facts to
`.bench/results.json`. Only ratios within one run mean anything on a shared machine. Not a test:
timing decides none. Sizes here are small; each part is a module that takes larger ones, and says
how.
"""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import torch

from tests.benchmarks.peak import peaks

ROOT = Path(__file__).parents[2]
# Each in a process of its own: a part's memory and threads are no other's.
PARTS = {
    "embedded": "embedded.measured()",
    "encoder": "encoder.measured(encoder.AUTHORS, clips=6)",
    "pipeline": "pipeline.measured(clips=6)",
    "hours": "hours.measured((1, 2))",
    "noop": "noop.measured(20_000)",
    "tables": "tables.measured(1_000_000, searchable=200_000, commits=100)",
    "relabel": "relabel.measured(300_000)",
    "gpu": "gpu.measured()",
}


def measured(part: str) -> object:
    """What it found. Raises CalledProcessError where it fails."""
    code = f"import json; from tests.benchmarks import {part}; found = {PARTS[part]}\n"
    code += "print(json.dumps(found), file=open(__import__('sys').argv[1], 'w'))"
    path = ROOT / ".bench" / f"{part}.json"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(path)], check=True, cwd=ROOT)
    return json.loads(path.read_text())


def main() -> None:
    (ROOT / ".bench").mkdir(exist_ok=True)
    machine = {
        "cpu": platform.processor() or platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": torch.ops.mkldnn._is_mkldnn_bf16_supported(),
        "cores": os.cpu_count(),
        "peak of a core, thousand million operations a second": peaks(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    results = {}
    for part in PARTS:
        print(f"== {part}", flush=True)
        began = time.monotonic()
        results[part] = measured(part)
        print(f"== {part}: {time.monotonic() - began:.0f} s\n", flush=True)
    path = ROOT / ".bench" / "results.json"
    path.write_text(json.dumps({"machine": machine, "results": results}, indent=1))
    print(f"written to {path.relative_to(ROOT)}")


main()
