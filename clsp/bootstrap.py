"""Intervals around figures, by drawing clips, or speakers, anew.

Knows how often a clip is drawn, and no figure: whoever has one tells it as a function of that.

Intervals are 95% percentile bootstraps. What is drawn anew is the speaker where speakers are given
(clips of one voice are right or wrong together, and counting them as independent would make the
interval too narrow), else the clip. A draw in which a figure is undefined is left out. With few
speakers even this interval is too narrow (read `clusters` beside it), and where every answer is
right it is a point: no draw can show an error that the data do not hold. It is None where there are
fewer than two clusters, or where more than half of the draws leave the figure undefined.

All figures are functions of how often each clip is drawn, so draws are weights (draws, clips), not
copies; a library that is called once per draw would take minutes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clsp.errors import InputError

CONFIDENCE = 0.95
BLOCK = 1 << 22  # weights held at once: draws x clips


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval; None is undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Bootstrap:
    """Draws with replacement over n clips, by cluster. The same seed draws the same."""

    def __init__(
        self,
        n: int,
        speakers: Sequence[str | None] | None = None,
        resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        if resamples < 0 or (speakers is not None and len(speakers) != n):
            raise InputError(f"{resamples} resamples, speakers for {n} clips: they must fit")
        # A clip whose speaker is not known stands for itself.
        given = [] if speakers is None else list(speakers)
        names = [(who, -1) if who is not None else ("", i) for i, who in enumerate(given)]
        places = {name: place for place, name in enumerate(dict.fromkeys(names))}
        self.n, self.resamples, self.seed = n, resamples, seed
        self.by_speaker = any(who is not None for who in given)
        self.cluster = np.array([places[name] for name in names], int) if names else np.arange(n)
        self.clusters = int(self.cluster.max()) + 1 if n else 0

    def weights(self) -> Iterator[np.ndarray]:
        """How often each clip is drawn, (some draws, n), until all draws are given."""
        rng = np.random.default_rng(self.seed)
        block = max(1, BLOCK // max(1, self.n))
        fair = np.full(self.clusters, 1 / max(1, self.clusters))
        for start in range(0, self.resamples if self.clusters > 1 else 0, block):
            size = min(block, self.resamples - start)
            yield rng.multinomial(self.clusters, fair, size)[:, self.cluster].astype(float)

    def estimate(self, figure: Callable[[np.ndarray], np.ndarray]) -> list[Estimate]:
        """`figure` takes weights (draws, n) to figures (draws, m), NaN where undefined: m of them,
        with their intervals."""
        values = figure(np.ones((1, self.n)))[0]
        drawn = [figure(weights) for weights in self.weights()]
        draws = np.concatenate(drawn) if drawn else np.empty((0, len(values)))
        return [self._estimate(v, draws[:, i]) for i, v in enumerate(values)]

    def _estimate(self, value: float, draws: np.ndarray) -> Estimate:
        draws = draws[~np.isnan(draws)]
        if np.isnan(value) or 2 * len(draws) < max(1, self.resamples):
            return Estimate(None if np.isnan(value) else float(value))
        tail = 50 * (1 - CONFIDENCE)
        low, high = np.percentile(draws, [tail, 100 - tail])
        return Estimate(float(value), float(low), float(high))
