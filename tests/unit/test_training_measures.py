"""Numbers that labels follow from: written with every clip, learnt in phase 1, an order after it.

And the processes that share a batch.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clsp.config import CLSPConfig
from clsp.model import CLSPModel
from clsp.training import captions, losses, parallel, phases, synthesise, transforms
from clsp.training.measures import MEASURES, in_steps
from clsp.training.voices import VOICES
from clsp.training.wording import PROMPTS
from tests.unit.noise_clips import random_clips
from tests.unit.speech_engine import ENGINE

MIDDLE = {name: middle for name, (middle, _, _) in MEASURES.items()}


def test_steps_are_counted_from_the_middle_and_what_is_not_known_is_nan() -> None:
    assert in_steps(MIDDLE) == [0.0] * len(MEASURES)
    found = in_steps({"f0_hz": 160.0 * math.exp(0.35), "level_dbfs": -46.0, "tract_hz": None})
    told = dict(zip(MEASURES, found, strict=True))
    assert told["f0_hz"] == pytest.approx(1) and told["level_dbfs"] == -2
    assert all(math.isnan(told[name]) for name in told if name not in ("f0_hz", "level_dbfs"))


@given(st.floats(-100, 1e6), st.sampled_from(list(MEASURES)))
def test_any_measure_is_a_few_steps(value: float, name: str) -> None:
    told = dict(zip(MEASURES, in_steps({name: value}), strict=True))
    assert -4 <= told[name] <= 4


def test_a_measure_that_a_clip_has_not_teaches_nothing() -> None:
    guessed = torch.zeros(3, len(MEASURES), requires_grad=True)
    measured = torch.full((3, len(MEASURES)), math.nan)
    measured[1, 0] = 3.0
    loss = losses.measure_loss(guessed, measured)
    loss.backward()
    assert loss.item() == pytest.approx(2.5 / len(MEASURES))  # smooth L1 of 3 is 2.5
    assert guessed.grad is not None
    assert guessed.grad.nonzero().tolist() == [[1, 0]]


def loss_of_order(
    attribute: str, values: list[float], scores: list[float], gender: str | None = None
) -> float:
    """Clips whose measure for this attribute lies so many steps up, and whose cosine to its upper
    class is so high; all other cosines are 0."""
    measure, _, high = losses.ORDERS[attribute]
    texts = {
        name: torch.tensor([[float((name, value) == (attribute, high))] for value in PROMPTS[name]])
        for name in losses.ORDERS
    }
    measured = torch.full((len(values), len(MEASURES)), math.nan)
    measured[:, list(MEASURES).index(measure)] = torch.tensor(values)
    known = torch.from_numpy(np.stack([captions.states({"gender": gender}) for _ in values]))
    audio, scale = torch.tensor(scores)[:, None], torch.tensor(10.0)
    return losses.order_by_measures(audio, texts, scale, measured, known, PROMPTS).item()


@pytest.mark.parametrize("attribute", list(losses.ORDERS))
def test_clips_shall_score_in_the_order_of_their_measures(attribute: str) -> None:
    right = loss_of_order(attribute, [-1.0, 0.0, 1.0], [-0.9, 0.0, 0.9], "male")
    wrong = loss_of_order(attribute, [-1.0, 0.0, 1.0], [0.9, 0.0, -0.9], "male")
    assert right < 0.01 and wrong > 9


def test_clips_that_are_close_or_not_measured_have_no_order() -> None:
    assert loss_of_order("pitch", [0.0, 0.2], [0.9, -0.9]) == 0
    assert loss_of_order("pitch", [0.0, math.nan], [0.9, -0.9]) == 0


def test_who_has_no_gender_is_not_ordered_by_it() -> None:
    assert loss_of_order("gender", [0.0, 2.0], [0.9, -0.9], gender=None) == 0
    assert loss_of_order("gender", [0.0, 2.0], [0.9, -0.9], gender="female") > 9


def test_every_so_many_clips_are_a_set_of_their_own() -> None:
    clips = random_clips(24)
    some = clips.every(5, 2)
    assert len(some) == 5
    for place, number in enumerate(range(2, 24, 5)):
        assert some.rows[place] is clips.rows[number]
        np.testing.assert_array_equal(some.crop(place, 50, None), clips.crop(number, 50, None))
        np.testing.assert_array_equal(some.known[place], clips.known[number])
        np.testing.assert_array_equal(some.measured[place], clips.measured[number])


@ENGINE
@pytest.mark.parametrize(("number", "split"), [(0, "train"), (3, "dev")])
def test_a_clip_has_the_numbers_that_its_labels_follow_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, split: str
) -> None:
    pytest.importorskip("pyworld", reason="pip install clsp-pipelines[train]")
    espeak = tuple(v for v in VOICES if v.engine == "espeak-ng" and v.split == split)
    monkeypatch.setattr(synthesise, "VOICES", espeak)
    monkeypatch.setattr(synthesise, "BASES_PER_SHARD", 3)
    synthesise.make_shard(tmp_path, 1, number)
    rows = synthesise.read_manifest(tmp_path)
    assert len(rows) == 3 * synthesise.VARIANTS[split] * synthesise.RECORDINGS[split]
    for row, clip in zip(rows, synthesise.read_audio(tmp_path), strict=True):
        told, measured = row["attributes"], row["measured"]
        assert set(measured) == set(MEASURES)
        for name, measure, classes in (
            ("pitch", "f0_hz", transforms.PITCH_HZ),
            ("rate", "syllables_per_s", transforms.RATE_SYLLABLES),
            ("expressive", "spread_semitones", transforms.SPREAD_SEMITONES),
        ):
            assert told[name] == transforms.label(measured[measure], classes), (name, row)
        assert synthesise.augment.active_level(clip) == pytest.approx(measured["level_dbfs"], abs=1)
        assert row["split"] == split


def taught(folder: Path, own: int) -> None:
    """One of two processes that share phase 1's batches; writes what it learnt."""
    with parallel.group(own, 2, folder / "meeting"):
        torch.manual_seed(0)
        model = CLSPModel(CLSPConfig.tiny(joint_dim=32))
        torch.manual_seed(own)  # other heads, and dropout
        phases.learn_attributes(model, random_clips(), steps=2, batch=4, seed=0)
        torch.save(dict(model.named_parameters()), folder / f"{own}.pt")
        drawn = phases.draws(0, 1).integers(1_000, size=4).tolist()
        (folder / f"{own}.json").write_text(json.dumps(drawn))


def test_processes_hear_different_clips_and_learn_the_same(tmp_path: Path) -> None:
    other = torch.multiprocessing.get_context("spawn").Process(
        target=taught, args=(tmp_path, 1), daemon=True
    )
    other.start()
    taught(tmp_path, 0)
    other.join(120)
    assert other.exitcode == 0
    one, two = (torch.load(tmp_path / f"{own}.pt", weights_only=True) for own in (0, 1))
    torch.manual_seed(0)
    before = dict(CLSPModel(CLSPConfig.tiny(joint_dim=32)).named_parameters())
    assert any((one[name] - before[name]).abs().max() > 1e-4 for name in one)
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=0, rtol=0)
    drawn = [json.loads((tmp_path / f"{own}.json").read_text()) for own in (0, 1)]
    assert drawn[0] != drawn[1]
