"""The numbers that a clip's labels follow from, on a scale that losses can share.

It knows names and units, as synthesise.py writes them down; nothing of audio, labels or tensors.
"""

import math
from collections.abc import Mapping

# Of each: its middle, what counts as one step, and whether steps are of ratios (then they are
# natural logarithms). A step is about what tells two classes apart: our choice, from no paper.
MEASURES: dict[str, tuple[float, float, bool]] = {
    "f0_hz": (160.0, 0.35, True),
    "spread_semitones": (2.0, 0.7, True),
    "tract_hz": (1_100.0, 0.1, True),
    "syllables_per_s": (4.3, 0.35, True),
    "level_dbfs": (-26.0, 10.0, False),
}


def in_steps(measured: Mapping[str, float | None]) -> list[float]:
    """A clip's measures as steps from the middle of each of MEASURES; NaN where it has none."""
    found = []
    for name, (middle, step, ratio) in MEASURES.items():
        value = measured.get(name)
        if value is None:
            found.append(math.nan)
        else:
            far = math.log(max(value, 1e-3) / middle) if ratio else value - middle
            found.append(min(max(far / step, -4.0), 4.0))
    return found
