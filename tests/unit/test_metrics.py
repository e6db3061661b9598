"""Metrics against scikit-learn and scipy, and what they say where there is nothing to say."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from clsp.bootstrap import Bootstrap, Estimate
from clsp.errors import InputError
from clsp.metrics import BINS, classification, correlation, mean, selective


def answers(n: int, k: int, seed: int, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Truth (n,) in which each class occurs, and probabilities (n, k) with many ties."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])
    raw = rng.random((n, k)) + 0.5 * np.eye(k)[truth]
    return truth, np.round(raw / raw.sum(1, keepdims=True), digits)


@given(st.integers(2, 5), st.integers(0, 60), st.integers(0, 2**32))
def test_they_are_those_of_scikit_learn(k: int, more: int, seed: int) -> None:
    truth, probability = answers(k + more, k, seed)
    found = classification(truth, probability, resamples=0)
    said = probability.argmax(1)
    assert found.wa.value == pytest.approx(oracle.accuracy_score(truth, said))
    assert found.uar.value == pytest.approx(oracle.balanced_accuracy_score(truth, said))
    np.testing.assert_array_equal(
        found.confusion, oracle.confusion_matrix(truth, said, labels=range(k))
    )
    recall = oracle.recall_score(truth, said, average=None, labels=range(k))
    np.testing.assert_allclose([r.value for r in found.recall], recall)
    if k == 2:
        area = oracle.roc_auc_score(truth, probability[:, 1])
    else:
        area = np.mean([oracle.roc_auc_score(truth == c, probability[:, c]) for c in range(k)])
    assert found.auc.value == pytest.approx(area)


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=40))
def test_correlations_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, float).T
    found = correlation(x, y, resamples=0)
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert (found.pearson.value, found.spearman.value) == (None, None)
        return
    assert found.pearson.value == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
    assert found.spearman.value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)


@given(st.integers(0, 2**32))
def test_a_weight_is_the_same_as_so_many_copies(seed: int) -> None:
    """What the bootstrap stands on: figures of weighted clips are those of a drawn sample."""
    rng = np.random.default_rng(seed)
    truth, probability = answers(30, 3, seed)
    x, y = rng.integers(5, size=(2, 30)).astype(float)
    [weights] = Bootstrap(30, None, 1, seed).weights()
    drawn = np.repeat(np.arange(30), weights[0].astype(int))
    plain = classification(truth[drawn], probability[drawn], resamples=0)
    # One resample: both ends of the interval are its figure.
    boot = classification(truth, probability, resamples=1, seed=seed)
    for name in ("wa", "uar", "ece", "auc"):
        assert getattr(boot, name).low == pytest.approx(getattr(plain, name).value), name
    both = correlation(x, y, resamples=1, seed=seed)
    copies = correlation(x[drawn], y[drawn], resamples=0)
    assert both.pearson.low == pytest.approx(copies.pearson.value)
    assert both.spearman.low == pytest.approx(copies.spearman.value)


def test_calibration_bins_hold_every_answer_once() -> None:
    truth = np.array([0, 0, 1, 1, 0])
    sure = np.array([0.95, 0.95, 0.75, 0.75, 1.0])
    probability = np.stack([sure, 1 - sure], 1)  # always answers 0
    found = classification(truth, probability, resamples=0)
    assert sum(bin_.n for bin_ in found.bins) == 5
    assert len(found.bins) == BINS
    assert (found.bins[7].n, found.bins[7].accuracy) == (2, 0.0)
    assert found.bins[7].confidence == pytest.approx(0.75)
    assert (found.bins[9].n, found.bins[9].accuracy) == (3, 1.0)
    assert found.ece.value == pytest.approx((2 * 0.75 + abs(3 - 2.9)) / 5)
    assert found.bins[0].confidence is None


def test_a_calibrated_guess_has_hardly_any_calibration_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 20_000)
    truth = (rng.random(20_000) > sure).astype(int)
    found = classification(truth, np.stack([sure, 1 - sure], 1), resamples=0)
    assert found.ece.value is not None and found.ece.value < 0.02


def test_auc_ranks_by_scores_where_probabilities_are_all_but_one() -> None:
    truth = np.array([0, 0, 1, 1])
    probability = np.array([[0.0, 1.0]] * 4)
    score = np.array([[0, 40.0], [0, 50.0], [0, 60.0], [0, 70.0]])
    assert classification(truth, probability, resamples=0).auc.value == 0.5
    assert classification(truth, probability, score=score, resamples=0).auc.value == 1.0


def test_an_answer_may_be_another_class_than_the_most_probable() -> None:
    probability = np.array([[0.6, 0.4], [0.3, 0.7]])
    found = classification(np.array([1, 1]), probability, answer=np.array([1, 1]), resamples=0)
    assert found.wa.value == 1.0
    assert found.bins[3].n == 1  # sure to 0.4


def test_what_is_undefined_is_none_and_never_nought() -> None:
    one_class = classification(np.zeros(4, int), np.tile([0.9, 0.1], (4, 1)), resamples=20)
    assert (one_class.auc, one_class.recall[1]) == (Estimate(None), Estimate(None))
    assert (one_class.wa.value, one_class.uar.value) == (1.0, 1.0)
    nothing = classification(np.zeros(0, int), np.zeros((0, 3)), resamples=20)
    assert [nothing.wa, nothing.uar, nothing.auc, nothing.ece] == [Estimate(None)] * 4
    for x, y in (([], []), ([1.0], [2.0]), ([0.1] * 3, [1.0, 2.0, 3.0])):
        found = correlation(np.array(x), np.array(y), resamples=20)
        assert (found.pearson, found.spearman) == (Estimate(None), Estimate(None))
    assert mean(np.zeros((0, 2)))[0] == Estimate(None)
    json.dumps([asdict(one_class), asdict(nothing)], allow_nan=False)


def test_one_speaker_gives_a_figure_and_no_interval() -> None:
    truth, probability = answers(20, 2, 0)
    found = classification(truth, probability, speakers=["a"] * 20)
    assert found.wa.value is not None
    assert (found.wa.low, found.wa.high, found.clusters) == (None, None, 1)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    truth, probability = answers(80, 3, 0)
    first, again, other = (classification(truth, probability, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.wa != other.wa
    assert first.wa.value == other.wa.value


def test_blocks_do_not_change_what_is_drawn(monkeypatch) -> None:
    truth, probability = answers(50, 3, 0)
    whole = classification(truth, probability)
    monkeypatch.setattr("clsp.bootstrap.BLOCK", 500)
    assert asdict(classification(truth, probability))["wa"] == pytest.approx(asdict(whole)["wa"])


def test_clips_of_one_speaker_are_drawn_together() -> None:
    """Voices are all right or all wrong: counting clips as independent hides that."""
    right = np.repeat([1, 0, 1, 1, 0, 1, 1, 0], 50)
    probability = np.stack([1 - right, right], 1).astype(float)
    truth = np.ones(len(right), int)
    speakers = [f"voice {i // 50}" for i in range(len(right))]
    by_speaker = classification(truth, probability, speakers=speakers)
    by_clip = classification(truth, probability)
    assert (by_speaker.clusters, by_speaker.by_speaker) == (8, True)
    assert (by_clip.clusters, by_clip.by_speaker) == (400, False)

    def width(estimate: Estimate) -> float:
        assert estimate.low is not None and estimate.high is not None
        return estimate.high - estimate.low

    assert width(by_speaker.wa) > 3 * width(by_clip.wa)
    unknown = Bootstrap(3, ["a", None, None])
    assert unknown.clusters == 3  # who is not known stands for himself


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Of 200 samples of clusters whose accuracy differs, the interval holds the mean in most."""
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        share = np.repeat(rng.beta(7, 3, 30), 10)  # 30 speakers, 10 clips each; mean .7
        right = (rng.random(300) < share).astype(int)
        probability = np.stack([1 - right, right], 1).astype(float)
        speakers = [str(i // 10) for i in range(300)]
        wa = classification(
            np.ones(300, int), probability, speakers=speakers, resamples=300, seed=trial
        ).wa
        assert wa.low is not None and wa.high is not None
        held += wa.low <= 0.7 <= wa.high
    assert 176 <= held <= 199


def test_means_of_unequal_tries_are_weighted_by_them() -> None:
    [found] = mean(np.array([[3.0], [1.0]]), np.array([4, 1]), resamples=200)
    assert found.value == pytest.approx(4 / 5)
    assert (found.low, found.high) == (0.75, 1.0)


def test_shapes_that_do_not_fit_and_numbers_that_are_none_are_refused() -> None:
    truth, probability = answers(10, 3, 0)
    for wrong in (probability[:, :1], probability[:5], np.full((10, 3), np.nan)):
        with pytest.raises(InputError):
            classification(truth, wrong)
    with pytest.raises(InputError):
        classification(truth, probability, speakers=["a"])
    with pytest.raises(InputError):
        correlation(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    with pytest.raises(InputError):
        correlation(np.zeros(2), np.zeros(3))


@pytest.mark.parametrize(
    ("truth", "answer", "told"),
    [
        ([0, 1, 1], [0], r"answer of shape \(1,\).*expected \(3,\)"),
        ([[0], [1], [1]], [0, 1, 1], r"truth of shape \(3, 1\)"),
        ([0.0, 1.0, 1.0], [0, 1, 1], "truth of .*float64: expected .* whole numbers"),
        ([0, 1, -1], [0, 1, 1], "truth from -1 to 1: expected classes from 0 to 1"),
        ([0, 1, 2], [0, 1, 1], "truth from 0 to 2"),
        ([0, 1, 1], [0, 1, 2], "answer from 0 to 2"),
    ],
)
def test_what_is_none_of_the_classes_is_refused_and_not_counted_as_one(truth, answer, told) -> None:
    truth, answer = np.array(truth), np.array(answer)
    with pytest.raises(InputError, match=told):
        classification(truth, np.full((3, 2), 0.5), answer=answer)
    with pytest.raises(InputError, match=told):
        selective(truth, answer, np.zeros(3), 2)


def test_a_margin_is_for_each_clip() -> None:
    with pytest.raises(InputError, match=r"margin of shape \(1,\): expected \(3,\)"):
        selective(np.array([0, 1, 1]), np.array([0, 1, 1]), np.zeros(1), 2)


def test_speakers_may_come_as_an_array() -> None:
    names = ["a", "b", "b", None]
    plain, array = (Bootstrap(4, who) for who in (names, np.array(names, object)))
    assert (array.clusters, array.by_speaker) == (plain.clusters, plain.by_speaker) == (3, True)
    assert Bootstrap(3, np.array(["a", "b", "b"])).cluster.tolist() == [0, 1, 1]


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e200, 1e308])
def test_the_size_of_numbers_does_not_change_how_they_correlate(size: float) -> None:
    x, y = np.array([1.0, -0.5, 0.25]), np.array([1.0, 2.0, 3.0])
    wanted = correlation(x, y, resamples=0).pearson.value
    assert correlation(x * size, y, resamples=0).pearson.value == pytest.approx(wanted, abs=1e-3)


def test_leaving_out_the_least_clear_answers() -> None:
    truth, answer = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    margin = np.array([0.3, 0.01, 0.2, 0.4])
    kept = {round(row.share, 2): row for row in selective(truth, answer, margin, 2)}
    assert (kept[1.0].min_margin, kept[1.0].wa, kept[1.0].uar) == (0.01, 0.75, 0.75)
    assert (kept[0.75].min_margin, kept[0.75].wa, kept[0.75].uar) == (0.2, 1.0, 1.0)
    assert selective(truth[:0], answer[:0], margin[:0], 2) == []


@given(st.integers(1, 60), st.integers(0, 10_000))
def test_a_higher_least_margin_keeps_fewer(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, answer = rng.integers(0, 3, (2, n))
    margin = np.round(rng.random(n), 1)
    found = selective(truth, answer, margin, 3)
    assert [row.share for row in found] == sorted((row.share for row in found), reverse=True)
    for row in found:
        assert row.share == (margin >= row.min_margin).mean()
        assert row.wa == (truth == answer)[margin >= row.min_margin].mean()
