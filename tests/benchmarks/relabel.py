"""What it costs to add one attribute to segments that are stored already.

    python -m tests.benchmarks.relabel --segments 1000000

Makes a lake of that many random embeddings with the built-in taxonomy, then brings it to one with
an attribute more, in a process of its own. Told: seconds from start to the last commit, segments
per second, and the most memory that process held.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipelines import taxonomy
from tests.benchmarks.synthetic import make

ROOT = Path(__file__).parents[2]
MORE = """
  urgency:
    labels:
      urgent: ["The speaker sounds urgent."]
      relaxed: ["The speaker sounds relaxed."]
"""
CHILD = """
import json, resource, sys
from pipelines.reprocess import ReprocessSettings, steps
from pipelines.tagging import carry_out
done = [carry_out(s.plan()) for s in steps(ReprocessSettings(sys.argv[1], taxonomy=sys.argv[2]))]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([sum(report.segments for report in done), peak / 1024]))
"""


def measured(segments: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="clsp-relabel-") as folder:
        lake = make(Path(folder, "lake"), segments, taxonomy.load())
        changed = Path(folder, "more.yaml")
        text = taxonomy.text_of(taxonomy.DEFAULT)
        changed.write_text(text.replace("\nattributes:\n", f"\nattributes:{MORE}\n", 1))
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(lake.root), str(changed)],
            stdout=subprocess.PIPE, check=True, cwd=ROOT, text=True,
        )  # fmt: skip
        seconds = time.monotonic() - began
        count, peak_mib = json.loads(done.stdout)
    if count != segments:
        raise SystemExit(f"{count} of {segments} segments were labelled")
    found = {
        "name": "one attribute more", "segments": segments, "seconds": round(seconds, 1),
        "segments_per_s": round(segments / seconds), "peak_mib": round(peak_mib),
    }  # fmt: skip
    print(
        f"one attribute more for {segments} segments: {seconds:.1f} s with start-up, "
        f"{segments / seconds:.0f} segments/s, {peak_mib:.0f} MiB at most"
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, action="append", required=True)
    for segments in parser.parse_args().segments:
        measured(segments)


if __name__ == "__main__":
    main()
