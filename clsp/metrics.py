"""How right answers are, with intervals: classification, calibration, correlation.

Numpy arrays in, plain dataclasses out; knows nothing of models, files or prompts. Intervals are
those of bootstrap.py: by speaker, where speakers are given.

A figure that is undefined is None, never 0: recall of a class that does not occur, AUC where only
one class does, correlation of fewer than two pairs or with a constant. scikit-learn and scipy are
the oracles in the tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clsp.bootstrap import Bootstrap, Estimate
from clsp.errors import InputError

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Answers whose probability is in (low, high], the first bin with 0: how sure, how right."""

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Classification:
    """wa: accuracy. uar: mean recall over the classes that occur. auc: of the second class against
    the first, or the mean over one class against the rest; ties count half. ece: the mean distance
    between probability and accuracy over `bins`; few clips alone make it larger. confusion: rows
    are the truth, columns answers.
    """

    n: int
    clusters: int
    by_speaker: bool
    wa: Estimate
    uar: Estimate
    auc: Estimate
    ece: Estimate
    recall: tuple[Estimate, ...]
    confusion: tuple[tuple[int, ...], ...]
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Correlation:
    """Pearson of the values, Spearman of their ranks (ties share the mean rank)."""

    n: int
    clusters: int
    by_speaker: bool
    pearson: Estimate
    spearman: Estimate


def classification(
    truth: np.ndarray,
    probability: np.ndarray,
    *,
    answer: np.ndarray | None = None,
    score: np.ndarray | None = None,
    speakers: Sequence[str | None] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Classification:
    """truth (n,): the right class of each clip; probability (n, k), k >= 2.

    answer (n,): the class answered, where it is not the most probable one. score (n, k): what AUC
    ranks clips by, where probabilities are too sharp to tell them apart; by default probability.
    Raises InputError for shapes that do not fit, for values that are not finite, and for a truth or
    an answer that is none of the k classes.
    """
    n = len(truth)
    score = probability if score is None else score
    if probability.ndim != 2 or len(probability) != n or probability.shape[1] < 2:
        raise InputError(f"probability of shape {probability.shape}: expected ({n}, k), k >= 2")
    if score.shape != probability.shape or not (
        np.isfinite(probability).all() and np.isfinite(score).all()
    ):
        raise InputError("probabilities and scores: expected the same shape and finite numbers")
    k = probability.shape[1]
    answer = probability.argmax(1) if answer is None else answer
    _require_classes(n, k, truth=truth, answer=answer)
    boot = Bootstrap(n, speakers, resamples, seed)
    right = (answer == truth).astype(float)
    sure = probability[np.arange(n), answer].astype(float)
    member = _one_hot(truth, k)
    # Bins are closed above, so that certainty lies in the last one.
    place = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    binned = _one_hot(place, BINS)
    ranked = [_Ranked(score[:, c]) for c in ([1] if k == 2 else range(k))]
    positive = member[:, [1] if k == 2 else list(range(k))]

    def figures(weights: np.ndarray) -> np.ndarray:
        recall = _ratio((weights * right) @ member, weights @ member)
        wa = _ratio(weights @ right, weights.sum(1))
        gap = np.abs((weights * (right - sure)) @ binned).sum(1)
        ece = _ratio(gap, weights.sum(1))
        areas = [_auc(r, p, weights) for r, p in zip(ranked, positive.T, strict=True)]
        columns = [wa, _mean(recall), _mean(np.stack(areas, 1)), ece]
        return np.concatenate([np.stack(columns, 1), recall], 1)

    wa, uar, auc, ece, *recall = boot.estimate(figures)
    confusion = np.zeros((k, k), int)
    np.add.at(confusion, (truth, answer), 1)
    counts = binned.sum(0)
    means = [_ratio(values @ binned, counts) for values in (sure, right)]
    return Classification(
        n=n,
        clusters=boot.clusters,
        by_speaker=boot.by_speaker,
        wa=wa,
        uar=uar,
        auc=auc,
        ece=ece,
        recall=tuple(recall),
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
        bins=tuple(
            Bin(b / BINS, (b + 1) / BINS, int(counts[b]), _known(means[0][b]), _known(means[1][b]))
            for b in range(BINS)
        ),
    )


@dataclass(frozen=True)
class Kept:
    """What answering only the clearest clips gives: those with at least `min_margin`."""

    share: float
    min_margin: float
    wa: float
    uar: float | None


SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


def selective(truth: np.ndarray, answer: np.ndarray, margin: np.ndarray, k: int) -> list[Kept]:
    """How right answers are (n,) when the least clear are left out, for each of SHARES kept.

    The share may come out larger where margins tie. UAR is over the k classes that remain. Empty
    where there are no clips. Raises InputError for shapes that do not fit, and for a truth or an
    answer that is none of the k classes.
    """
    _require_classes(len(truth), k, truth=truth, answer=answer)
    if margin.shape != truth.shape:
        raise InputError(f"margin of shape {margin.shape}: expected {truth.shape}, as the truth's")
    found = []
    for share in SHARES if len(truth) else ():
        least = float(np.sort(margin)[::-1][max(round(share * len(margin)), 1) - 1])
        kept = margin >= least
        right, member = (answer == truth)[kept], _one_hot(truth[kept], k)
        uar = _mean(_ratio(right @ member, member.sum(0))[None])[0]
        found.append(Kept(float(kept.mean()), least, float(right.mean()), _known(uar)))
    return found


def correlation(
    x: np.ndarray,
    y: np.ndarray,
    *,
    speakers: Sequence[str | None] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Correlation:
    """Pearson and Spearman r of pairs (n,), (n,). Raises InputError where a value is not finite."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError(f"pairs of shapes {x.shape}, {y.shape}: expected (n,) finite numbers each")
    boot = Bootstrap(len(x), speakers, resamples, seed)
    rank_x, rank_y = _Ranked(x), _Ranked(y)

    def figures(weights: np.ndarray) -> np.ndarray:
        plain = _pearson(x[None], y[None], weights)
        by_rank = _pearson(rank_x.midranks(weights), rank_y.midranks(weights), weights)
        return np.stack([plain, by_rank], 1)

    pearson, spearman = boot.estimate(figures)
    return Correlation(len(x), boot.clusters, boot.by_speaker, pearson, spearman)


def mean(
    values: np.ndarray,
    counts: np.ndarray | None = None,
    *,
    speakers: Sequence[str | None] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Estimate]:
    """The mean of each column of (n, m); with counts (n,), values are sums over so many tries.
    Raises InputError for other shapes."""
    tries = np.ones(len(values)) if counts is None else counts.astype(float)
    if values.ndim != 2 or tries.shape != values.shape[:1]:
        raise InputError(
            f"values of shape {values.shape}, counts of {tries.shape}: expected (n, m) and (n,)"
        )
    boot = Bootstrap(len(values), speakers, resamples, seed)
    return boot.estimate(lambda weights: _ratio(weights @ values, (weights @ tries)[:, None]))


def _require_classes(n: int, k: int, **given: np.ndarray) -> None:
    for name, classes in given.items():
        if classes.shape != (n,) or classes.dtype.kind not in "iu":
            raise InputError(
                f"{name} of shape {classes.shape}, {classes.dtype}: expected ({n},) whole numbers"
            )
        if n and not 0 <= classes.min() <= classes.max() < k:
            raise InputError(
                f"{name} from {classes.min()} to {classes.max()}: expected classes from 0 to "
                f"{k - 1}, one for each column. Leave out the clips of no class"
            )


# ---- figures of weighted clips: weights (draws, n) in, (draws,) out ------------------------------


class _Ranked:
    """Values (n,), sorted once, to be ranked under any weights."""

    def __init__(self, values: np.ndarray) -> None:
        self.order = np.argsort(values, kind="stable")
        steps = np.flatnonzero(np.diff(values[self.order])) + 1
        self.starts = np.concatenate([[0], steps]).astype(int)  # of each run of equal values
        self.sizes = np.diff(np.concatenate([self.starts, [len(values)]]))

    def midranks(self, weights: np.ndarray) -> np.ndarray:
        """(draws, n): the mean rank that a value's copies share, from 1 on."""
        if not len(self.order):
            return np.empty_like(weights)
        run = np.add.reduceat(weights[:, self.order], self.starts, axis=1)
        middle = run.cumsum(1) - run + (run + 1) / 2
        ranks = np.empty_like(weights)
        ranks[:, self.order] = np.repeat(middle, self.sizes, axis=1)
        return ranks


def _auc(ranked: _Ranked, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How often a positive is above a negative, ties half: the Mann-Whitney statistic."""
    first = weights @ positive
    second = weights.sum(1) - first
    total = (weights * ranked.midranks(weights)) @ positive
    return _ratio(total - first * (first + 1) / 2, first * second)


def _pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """x, y: (draws or 1, n)."""
    total = weights.sum(1, keepdims=True)

    def centred(values: np.ndarray) -> np.ndarray:
        # By a power of two, which changes no digit: squares of 1e200 would be infinite.
        size, power = np.frexp(np.abs(values).max(1, keepdims=True, initial=0))
        values = np.ldexp(values, -power)
        away = values - _ratio((weights * values).sum(1, keepdims=True), total)
        # What rounding leaves of a constant is no variation.
        return np.where(np.abs(away) <= 1e-12 * size, 0, away)

    x, y = centred(x), centred(y)
    spread = np.sqrt((weights * x * x).sum(1)) * np.sqrt((weights * y * y).sum(1))
    return np.clip(_ratio((weights * x * y).sum(1), spread), -1, 1)


def _one_hot(places: np.ndarray, k: int) -> np.ndarray:
    return np.asarray(places[:, None] == np.arange(k), float)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """NaN where there is nothing to divide by."""
    above, below = np.broadcast_arrays(above, below)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the columns that are defined: (draws, k) to (draws,)."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(1), known.sum(1))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
