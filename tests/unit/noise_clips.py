"""What the tests of the embedded model's training learn from: noise with labels."""

import numpy as np

from clsp.training import captions
from clsp.training.dataset import Clips
from clsp.training.measures import in_steps


def random_clips(count: int = 24) -> Clips:
    """Noise whose level says whether the speaker is male: enough to learn from."""
    rng = np.random.default_rng(0)
    rows, parts = [], []
    for number in range(count):
        gender = "male" if number % 2 else "female"
        rows.append({"attributes": {"gender": gender, "level": "loud" if number % 2 else "quiet"}})
        parts.append(rng.normal(-8 + 4 * (number % 2), 1, (60, 128)).astype(np.float16))
    lengths = np.array([len(part) for part in parts])
    known = np.stack([captions.states(row["attributes"]) for row in rows])
    return Clips(
        rows,
        [np.concatenate(parts)],
        np.zeros(len(rows), int),
        np.cumsum(lengths) - lengths,
        lengths,
        known,
        np.float32([in_steps({"level_dbfs": -36.0 + 20 * (i % 2)}) for i in range(count)]),
    )
