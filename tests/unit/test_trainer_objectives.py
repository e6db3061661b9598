"""The objectives of training: both stages' losses and texts are the published ones."""

import numpy as np
import pytest
import torch

from clsp.training import contrastive
from tests.unit.small_trainer import unit


def test_stage_1_is_symmetric_info_nce():
    audio, text, scale = unit(5, 8), unit(5, 8).flip(0), torch.tensor(9.0)
    logits = (scale * audio @ text.T).double().numpy()
    down = -np.mean([logits[i, i] - np.log(np.exp(logits[i]).sum()) for i in range(5)])
    across = -np.mean([logits[i, i] - np.log(np.exp(logits[:, i]).sum()) for i in range(5)])
    assert float(contrastive.info_nce(audio, text, scale)) == pytest.approx((down + across) / 2)


def test_stage_2_halves_the_clips_targets_and_gives_each_text_its_clip():
    audio, texts, scale = unit(4, 8), unit(4, 2, 8), torch.tensor(9.0)
    cosine = np.einsum("id,jkd->ijk", audio.double().numpy(), texts.double().numpy()) * 9.0
    total = 0.0
    for i in range(4):  # clip i: one half on each of its two texts, among all 8
        log_all = np.log(np.exp(cosine[i]).sum())
        total -= sum(0.5 * (cosine[i, i, k] - log_all) for k in range(2)) / 4
    for j in range(4):  # each of the 8 texts: its clip, among all 4
        for k in range(2):
            total -= (cosine[j, j, k] - np.log(np.exp(cosine[:, j, k]).sum())) / 8
    found = contrastive.multi_positive(audio, texts, scale)
    assert float(found) == pytest.approx(total / 2, rel=1e-5)


@pytest.mark.parametrize("each", [1, 2])
def test_chance_is_the_loss_where_everything_is_alike(each):
    alike = torch.ones(6, 4) / 2
    loss = contrastive.loss_of(alike, alike[:, None].expand(6, each, 4), torch.tensor(14.0))
    assert float(loss) == pytest.approx(contrastive.chance(6, each), rel=1e-5)
    assert contrastive.mean_cosine(alike) == pytest.approx(1)


def test_the_task_probability_falls_linearly_and_stays():
    schedule = contrastive.TaskSchedule()
    found = [schedule.probability(step) for step in (0, 5_000, 10_000, 50_000)]
    assert found == pytest.approx([0.95, 0.725, 0.50, 0.50])
    rng = np.random.default_rng(0)
    drawn = [schedule.draw(5_000, rng) for _ in range(2_000)]
    assert drawn.count(contrastive.GLOBAL) / 2_000 == pytest.approx(0.725, abs=0.03)


@pytest.mark.parametrize(
    ("task", "fine", "glob", "allowed"),
    [
        (contrastive.GLOBAL, ["f1", "f2"], ["g"], [{"g", "f1"}, {"g", "f2"}]),
        (contrastive.FINE, ["f1", "f2"], ["g"], [{"f1", "f2"}]),
        (contrastive.FINE, ["f1"], ["g"], [{"g", "f1"}]),
        (contrastive.GLOBAL, ["f1", "f2"], [], [{"f1", "f2"}]),
        (contrastive.GLOBAL, [], ["g1", "g2"], [{"g1", "g2"}]),
    ],
)
def test_stage_2_takes_two_different_texts_of_what_there_is(task, fine, glob, allowed):
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert set(contrastive.two_texts(fine, glob, task, rng)) in allowed
