"""The order of training: every clip has its turn, in batches of like length that change."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clsp.errors import InputError
from clsp.training.batches import Batches, Example, plan
from clsp.training.options import TrainOptions
from tests.unit.small_trainer import FEW, examples, tone, trainer


@pytest.mark.parametrize("sizes", [{"batch_clips": 8}, {"batch_s": 40.0}])
def test_a_plan_uses_every_clip_once_buckets_by_length_and_depends_on_seed_and_epoch(sizes):
    durations = np.random.default_rng(0).uniform(1, 12, 1_000)
    options = TrainOptions(**sizes)
    batches = plan(durations, options, epoch=0)
    taken = np.concatenate(batches)
    assert len(set(taken)) == len(taken) >= 985
    padded = sum(len(b) * min(durations[b].max(), 10) for b in batches)
    assert padded < 1.1 * np.minimum(durations[taken], 10).sum()
    if "batch_s" in sizes:
        assert all(len(b) * min(durations[b].max(), 10) <= 40.0 for b in batches)

    def same(other: list) -> bool:
        return len(other) == len(batches) and all(map(np.array_equal, batches, other))

    assert same(plan(durations, options, epoch=0))
    assert not same(plan(durations, options, epoch=1))
    assert not same(plan(durations, replace(options, seed=1), epoch=0))
    assert all(len(b) % 4 == 0 for b in plan(durations, options, 0, multiple_of=4))


SIZES = st.one_of(
    st.just({}),
    st.builds(lambda clips: {"batch_clips": clips}, st.integers(4, 40)),
    st.builds(lambda seconds: {"batch_s": float(seconds)}, st.integers(5, 200)),
)


@given(st.integers(4, 150), SIZES, st.sampled_from([1, 2, 3, 4]), st.integers(0, 1_000))
def test_every_clip_has_its_turn_and_meets_others_in_a_set_of_any_size(count, sizes, many, seed):
    durations = np.random.default_rng(seed).uniform(0.5, 12, count)
    options = TrainOptions(seed=seed, **sizes)
    epochs = [plan(durations, options, epoch, multiple_of=many) for epoch in range(40)]
    least = max(2, many)
    for batches in epochs:
        taken = np.concatenate(batches)
        assert len(set(taken)) == len(taken)
        assert all(len(batch) >= least and len(batch) % many == 0 for batch in batches)
        for batch in batches if "batch_s" in sizes else []:
            padded = len(batch) * min(durations[batch].max(), 10)
            assert len(batch) == least or padded <= sizes["batch_s"] + 1e-9
    assert len(set(np.concatenate([clip for batches in epochs for clip in batches]))) == count
    different = {frozenset(batch.tolist()) for batches in epochs for batch in batches}
    if len(epochs[0]) > 1 or len(epochs[0][0]) < count:
        assert len(different) > len(epochs[0])


def test_a_clip_of_a_small_set_is_not_always_compared_with_the_same():
    durations = np.random.default_rng(1).uniform(1, 9.5, 96)  # three batches
    met = np.eye(96, dtype=bool)
    for epoch in range(20):
        for batch in plan(durations, TrainOptions(), epoch):
            met[np.ix_(batch, batch)] = True
    assert met.mean() > 0.9


@pytest.mark.parametrize(
    ("count", "sizes", "most"),
    [
        (320, {}, 1.25),
        (1_500, {}, 1.06),
        (60, {"batch_s": 60.0}, 1.3),
        (320, {"batch_s": 100.0}, 1.15),
    ],
)
def test_padding_stays_small_and_no_batch_is_a_small_rest(count, sizes, most):
    durations = np.random.default_rng(1).uniform(1, 9.5, count)
    batches = [b for epoch in range(10) for b in plan(durations, TrainOptions(**sizes), epoch)]
    padded = [len(b) * durations[b].max() for b in batches]
    assert sum(padded) < most * sum(durations[b].sum() for b in batches)
    if "batch_s" in sizes:
        assert min(padded) > sizes["batch_s"] / 3


def test_too_few_clips_for_a_batch_is_an_error():
    with pytest.raises(InputError, match="2 usable clips make no batch"):
        plan(np.ones(2), TrainOptions(batch_clips=8), 0, multiple_of=4)


def test_a_clip_that_cannot_be_loaded_is_reported_and_replaced(tmp_path):
    def broken(offset_s: float, seconds: float) -> np.ndarray:
        raise InputError("cut off")

    data = examples()
    data[3] = replace(data[3], load=broken)
    made = trainer(tmp_path, replace(FEW, steps=6), data=data)
    notes = made.run()
    assert notes["lost"] == {"tone-3": "cut off"}
    assert notes["steps"] == 6
    assert trainer(tmp_path, replace(FEW, steps=6), data=data).run()["lost"] == notes["lost"]


@pytest.mark.parametrize("step", range(5))
def test_clips_of_a_batch_that_are_lost_have_stand_ins_of_their_own(step):
    def broken(offset_s: float, seconds: float) -> np.ndarray:
        raise InputError("cut off")

    def sound(offset_s: float, seconds: float) -> np.ndarray:
        return np.zeros(16_000, np.float32)

    lost = {0, 2, 5, 7, 9}  # and in its place 9, which is lost as well, may stand nobody
    data = [
        Example(f"{n}", 1.0, broken if n in lost else sound, fine_captions=(f"{n}",))
        for n in range(16)
    ]
    batches, batch = Batches(data, FEW), np.array([2, 1, 0, 5, 7])
    heard = [batches.load(step, int(clip), "", batch)[1] for clip in batch]
    names = [int(name) for (name,) in heard]
    assert names[1] == 1
    assert len(set(names)) == len(batch) and not lost.intersection(names)
    assert not set(names) - {1} & set(batch.tolist())


def test_augmentation_changes_what_is_heard_and_nothing_when_off():
    data = [replace(e, duration_s=0.6, load=partial(tone, 200.0, 0.6)) for e in examples(2)]

    def features(**options: float) -> torch.Tensor:
        batches = Batches(data, replace(FEW, **options)).from_place(0, 0, 0)
        found = next(batches).features
        batches.close()
        return found

    clean = features()
    assert torch.equal(clean, features())
    assert not torch.allclose(clean, features(noise=1.0), atol=0.5)
    assert not torch.allclose(clean, features(colour=1.0), atol=0.1)


def test_every_epoch_hears_another_part_of_a_clip_and_reads_another_caption():
    rising = np.linspace(-1, 1, 16_000 * 5, dtype=np.float32) * np.sin(np.arange(80_000))
    fine = tuple(f"caption {number}" for number in range(9))

    def part(offset_s: float, seconds: float) -> np.ndarray:
        return rising[int(offset_s * 16_000) :][: int(seconds * 16_000)]

    data = [Example(f"rising {n}", 5.0, part, fine) for n in range(2)]
    drawn = Batches(data, replace(FEW, batch_clips=2)).from_place(0, 0, 0)
    seen = [next(drawn) for _ in range(6)]
    drawn.close()
    assert [batch.place for batch in seen] == [(epoch, 0) for epoch in range(1, 7)]
    assert len({batch.features.sum().item() for batch in seen}) == 6
    assert len({batch.texts[0] for batch in seen}) > 2
