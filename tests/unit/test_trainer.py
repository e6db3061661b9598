"""Training that others can use: objectives, order, resuming, collapse, several processes.

A small random model and generated tones stand in where the trained model's quality does not matter.
"""

import json
import math
import shutil
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

import clsp
from clsp.checkpoint import ASSETS
from clsp.config import CLSPConfig
from clsp.errors import CheckpointMismatch, InputError, TrainingCollapsed
from clsp.model import CLSPModel
from clsp.training import checkpoints, contrastive, optimise, parallel, splits, start
from clsp.training.batches import Batches, Example, plan
from clsp.training.options import ModelOptions, TrainOptions, parse
from clsp.training.trainer import Trainer
from clsp.training.watch import Watch

PITCHES = {"very low": 90.0, "low": 160.0, "middling": 280.0, "high": 500.0, "very high": 900.0}


def tone(hz: float, length_s: float, offset_s: float, seconds: float) -> np.ndarray:
    size = int(min(seconds, length_s - offset_s) * 16_000)
    time = np.arange(size) / 16_000
    return (0.1 * sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 6))).astype("float32")


def examples(count: int = 12, length_s: float = 0.6) -> list[Example]:
    """Tones whose captions say how high they are; lengths differ a little."""
    made = []
    for number in range(count):
        name, hz = list(PITCHES.items())[number % len(PITCHES)]
        seconds = length_s + 0.05 * (number % 3)
        made.append(
            Example(
                f"tone-{number}",
                seconds,
                partial(tone, hz * (1 + 0.01 * number), seconds),
                (f"A {name} tone, number {number}.", f"Tone {number} is {name}."),
                (f"{name} tone {number}",),
            )
        )
    return made


def small_config(**overrides: object) -> CLSPConfig:
    """Two stacks of 16 channels, two layers of text; no dropout, so that processes agree."""
    text = {
        "vocab_size": CLSPConfig.from_pretrained(ASSETS / "tiny").text_config.vocab_size,
        "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    return CLSPConfig.tiny(
        **{
            "downsampling_factor": (2, 4), "num_encoder_layers": (1, 2), "encoder_dim": 16,
            "encoder_unmasked_dim": 16, "feedforward_dim": 24, "num_heads": 2,
            "query_head_dim": 8, "value_head_dim": 4, "frontend_channels": (2, 3, 4),
            "cnn_module_kernel": 7, "joint_dim": 24, "text_config": text,
            "projection_dropout": 0.0, **overrides,
        }
    )  # fmt: skip


def small(seed: int = 0, **overrides: object) -> CLSPModel:
    torch.manual_seed(seed)
    config = small_config(**overrides)
    config._name_or_path = str(ASSETS / "tiny")  # its tokenizer
    return CLSPModel(config)


FEW = TrainOptions(
    steps=4, batch_clips=4, learning_rate=1e-3, warmup_steps=2, eval_every=2, save_every=2,
    log_every=1, max_s=0.6, workers=1, prefetch=2, seed=3,
)  # fmt: skip


def trainer(out: Path, options: TrainOptions = FEW, **given: object) -> Trainer:
    model = given.pop("model", None) or small()
    data = given.pop("data", examples())
    return Trainer(model, data, given.pop("dev", examples(4)), options, out, **given)


def weights(trained: Trainer) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in trained.model.model.state_dict().items()}


# ---- objectives -----------------------------------------------------------------------------


def unit(*shape: int) -> torch.Tensor:
    return nn.functional.normalize(torch.randn(*shape, generator=torch.manual_seed(1)), dim=-1)


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


# ---- order ----------------------------------------------------------------------------------


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


# ---- what learns ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "still", "moving"),
    [
        (("speech_encoder",), ("encoder_embed.", "encoder."), ("text_encoder.", "audio_proj")),
        (("front_end", "heads"), ("encoder_embed.", "audio_proj", "text_trans"), ("encoder.",)),
        (("text_encoder", "temperature"), ("text_encoder.", "logit_scale"), ("audio_trans",)),
    ],
)
def test_what_is_frozen_does_not_move_and_the_rest_does(tmp_path, parts, still, moving):
    made = trainer(tmp_path, replace(FEW, steps=2), model_options=ModelOptions(freeze=parts))
    before = weights(made)
    made.run()
    moved = {name for name, value in weights(made).items() if not torch.equal(value, before[name])}
    assert not [name for name in moved if name.startswith(still)]
    for prefix in moving:
        assert any(name.startswith(prefix) for name in moved)


def test_dropout_is_off_in_what_is_frozen_and_on_in_the_rest(tmp_path):
    seen = []
    frozen = ModelOptions(freeze=("text_encoder",))
    made = trainer(tmp_path, model_options=frozen, dev=[], say=lambda line: seen.append(
        (made.model.model.text_encoder.training, made.model.model.audio_transform.training)
    ))  # fmt: skip
    made.run()
    assert set(seen) == {(False, True)}
    assert not made.model.training


def test_freezing_everything_is_an_error(tmp_path):
    every = ("speech_encoder", "text_encoder", "heads", "temperature")
    with pytest.raises(InputError, match="nothing is left to learn"):
        trainer(tmp_path, model_options=ModelOptions(freeze=every))


def test_layers_further_from_the_heads_learn_slower():
    model = small()
    optimise.freeze(model, ())
    options = ModelOptions(layer_decay=0.5, rates={})  # type: ignore[arg-type]
    options = replace(
        options, rates=parse(ModelOptions, {"rates": {"text_encoder": 0.1}}, "").rates
    )
    found = optimise.rates(model, options)
    assert found["logit_scale"] == found["audio_projection.0.weight"] == 1
    assert found["encoder.downsample_output.bias"] == 0.5
    assert found["encoder.encoders.1.encoder.layers.1.norm.bias"] == 0.5
    assert found["encoder.encoders.1.encoder.layers.0.norm.bias"] == 0.25
    assert found["encoder.encoders.1.downsample.bias"] == 0.25
    assert found["encoder.encoders.1.out_combiner.bypass_scale"] == 0.5
    assert found["encoder.encoders.0.encoder.layers.0.norm.bias"] == 0.125
    assert found["encoder_embed.out.weight"] == 0.0625
    assert found["text_encoder.pooler.dense.weight"] == pytest.approx(0.05)
    assert found["text_encoder.encoder.layer.0.output.dense.bias"] == pytest.approx(0.025)
    assert found["text_encoder.embeddings.word_embeddings.weight"] == pytest.approx(0.0125)
    made = optimise.optimiser(model, options, FEW)
    assert {n: g["scale"] for g in made.param_groups for n in g["names"]} == found


def test_the_rate_warms_up_then_follows_a_cosine():
    options = TrainOptions(steps=110, warmup_steps=10, learning_rate=1.0, final_rate=0.1)
    found = [optimise.rate_at(step, options) for step in (0, 4, 9, 10, 60, 110)]
    assert found == pytest.approx([0.1, 0.5, 1.0, 1.0, 0.55, 0.1])


# ---- the run --------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [1, 2])
def test_the_loss_falls_on_real_clips(tmp_path, tiny, sample_archive, stage):
    """The embedded model learns which of six clips is said to be what."""
    from pipelines.training_data import decode

    files = sorted((sample_archive / "voicemail").glob("*")) + sorted(
        (sample_archive / "field-notes").glob("*")
    )
    said = ("a man", "a woman", "a child", "a whisper", "a telephone", "noise")
    data = []
    for path, what in zip(files, said, strict=True):
        clip = decode(str(path), 0.0, 1.5)
        fine = (f"The voice of {what}.", f"I hear {what}.")
        data.append(Example(path.name, 1.5, lambda o, s, clip=clip: clip, fine, (what,)))
    options = TrainOptions(
        stage=stage, steps=20, batch_clips=6, learning_rate=3e-4, warmup_steps=4, max_s=1.5,
        log_every=1, eval_every=20, save_every=20, workers=1,
    )  # fmt: skip
    model = clsp.load("tiny")
    lines: list[dict] = []
    made = trainer(tmp_path, options, model=model, data=data, dev=data, say=lines.append)
    before = made.evaluate()
    notes = made.run()
    losses = [line["loss"] for line in lines if "loss" in line]
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.5
    assert notes["best"]["loss"] < before["loss"]
    again = clsp.load(tmp_path)  # a model like any other
    texts = [one.fine_captions[-1] for one in data]
    torch.testing.assert_close(again.embed_text(texts), model.embed_text(texts))


def test_resuming_equals_never_stopping_to_the_bit(tmp_path):
    options = replace(FEW, stage=2, steps=7, save_every=3, noise=0.5, colour=0.5)
    dropping = {"projection_dropout": 0.3}
    straight = trainer(tmp_path / "straight", options, model=small(**dropping))
    straight.run()

    class Killed(Exception):
        pass

    def kill(line: dict) -> None:
        if line["step"] == 5:  # the last checkpoint is of step 3
            raise Killed

    with pytest.raises(Killed):
        trainer(tmp_path / "twice", options, model=small(**dropping), say=kill).run()
    torch.rand(17)  # whatever happened in between
    resumed = trainer(tmp_path / "twice", options, model=small(5, **dropping))
    resumed.run()

    expected, found = weights(straight), weights(resumed)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("straight", "twice")]
    assert logs[0] == logs[1]
    for name in (checkpoints.MODEL, checkpoints.OPTIMISER):
        one, two = (
            load_file(checkpoints.latest(tmp_path / run / "checkpoints").folder / name)
            for run in ("straight", "twice")
        )
        assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
    both = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("straight", "twice")]
    assert both[0] == both[1]


def test_a_finished_run_does_nothing_more_and_goes_on_when_asked_for_more_steps(tmp_path):
    trainer(tmp_path).run()
    lines: list[dict] = []
    assert trainer(tmp_path, say=lines.append).run()["steps"] == 4
    assert lines == []
    assert trainer(tmp_path, replace(FEW, steps=6)).run()["steps"] == 6


def test_resuming_with_other_settings_or_data_names_what_changed(tmp_path):
    trainer(tmp_path, provenance={"digest": "one"}).run()
    with pytest.raises(InputError, match=r"learning_rate was 0\.001, is 0\.1.*data was 'one'"):
        other = replace(FEW, learning_rate=0.1)
        trainer(tmp_path, other, provenance={"digest": "two"}).run()
    notes = trainer(tmp_path, replace(FEW, learning_rate=0.01, steps=2)).run(resume=False)
    assert notes["steps"] == 2


def test_the_folder_holds_the_best_weights_and_patience_ends_the_run(tmp_path):
    made = trainer(tmp_path, replace(FEW, steps=40, eval_every=1, patience=3, learning_rate=0.05))
    notes = made.run()
    assert notes["steps"] < 40
    assert notes["steps"] == notes["best"]["step"] + 3
    made.model.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert made.evaluate()["loss"] == pytest.approx(notes["best"]["loss"], abs=1e-5)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["best"] == notes["best"]
    assert record["train"]["seed"] == 3
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]


def test_bf16_keeps_weights_in_fp32_and_learns_about_the_same(tmp_path):
    plain = trainer(tmp_path / "fp32").run()
    made = trainer(tmp_path / "bf16", replace(FEW, precision="bf16"))
    assert made.run()["best"]["loss"] == pytest.approx(plain["best"]["loss"], rel=0.05)
    assert {value.dtype for value in made.model.parameters()} == {torch.float32}


def test_bf16_is_for_the_encoders_and_dev_clips_are_compared_in_fp32(tmp_path, monkeypatch):
    """Vectors stand in for what encoders give, all close together, as a young model's are: in bf16
    the cosines would be the same number, and ties count as wrong."""
    made = trainer(tmp_path, replace(FEW, precision="bf16"), dev=examples(40))
    close = unit(40, 64) + 30 * unit(1, 64)
    inner = made.model.model
    heard, read, products = iter(close.split(32)), iter([close]), []

    def encoder(vectors: object) -> object:
        def encode(*given: torch.Tensor) -> torch.Tensor:
            products.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
            return next(vectors)

        return encode

    monkeypatch.setattr(inner, "pooled_audio", encoder(heard))
    monkeypatch.setattr(inner, "text_pooled", encoder(read))  # in the order that clips are heard
    for head in ("audio_head", "text_head"):
        monkeypatch.setattr(inner, head, partial(nn.functional.normalize, dim=-1))
    assert made.evaluate()["recall_at_1"] == 1
    assert set(products) == {torch.bfloat16}


def test_the_best_is_the_best_among_as_many_dev_clips(tmp_path):
    trainer(tmp_path, replace(FEW, eval_clips=12), dev=examples(12)).run()
    with pytest.raises(InputError, match="eval_clips was 12, is 4"):
        trainer(tmp_path, replace(FEW, eval_clips=4, steps=6), dev=examples(12)).run()


def test_dev_clips_are_not_the_first_of_a_list_and_stay_as_data_grows(tmp_path):
    dev = [replace(one, name=f"speaker {n // 10}/{n}") for n, one in enumerate(examples(40))]
    made = trainer(tmp_path, replace(FEW, eval_clips=12), dev=dev)
    names = [one.name for one in made.dev]
    assert len(names) == 12 and names == [one.name for one in dev if one.name in names]
    assert len({name.split("/")[0] for name in names}) > 2
    assert names == [
        one.name for one in trainer(tmp_path, made.options, dev=made.dev + dev[:0]).dev
    ]
    more = [dev[number].name for number in splits.draw([one.name for one in dev], 13)]
    assert len(set(more) - set(names)) == 1


@pytest.mark.parametrize(("learnt", "measured"), [(1, 4), (12, 1)])
def test_too_few_clips_on_a_side_is_an_error_that_names_the_options(tmp_path, learnt, measured):
    with pytest.raises(InputError, match=rf"{learnt} clips .* {measured} dev .*dev_share"):
        trainer(tmp_path, data=examples(learnt), dev=examples(measured))


def test_without_a_dev_set_the_folder_holds_the_last_weights(tmp_path):
    made = trainer(tmp_path, dev=[])
    assert made.run()["best"] is None
    last = load_file(tmp_path / "model.safetensors")
    assert torch.equal(last["model.logit_scale"], made.model.model.logit_scale.detach())


# ---- collapse -------------------------------------------------------------------------------


def test_a_model_to_which_all_is_alike_is_reported(tmp_path):
    model = small()
    with torch.no_grad():
        model.model.audio_projection[0].weight.zero_()  # no clip gets through
    options = replace(FEW, steps=50, collapse_steps=5)
    frozen = ModelOptions(freeze=("speech_encoder", "heads"))
    with pytest.raises(
        TrainingCollapsed, match=r"all clips .* 5 steps.*Start from a trained model"
    ):
        trainer(tmp_path, options, model=model, model_options=frozen).run()


def test_a_loss_stuck_at_chance_is_reported():
    watch = Watch(steps=3, cosine=0.99)
    watch.look(1, 1.39, math.log(4), 0.2, 0.2)
    watch.look(2, 0.9, math.log(4), 0.2, 0.2)  # once below: not stuck
    watch.look(3, 1.39, math.log(4), 0.2, 0.2)
    watch.look(4, 1.38, math.log(4), 0.2, 0.2)
    with pytest.raises(TrainingCollapsed, match=r"what guessing gives for 3 steps, at step 5"):
        watch.look(5, 1.385, math.log(4), 0.2, 0.2)


def test_a_loss_that_is_no_number_is_reported_before_it_reaches_the_weights(tmp_path):
    model = small()
    made = trainer(tmp_path, model=model)
    with torch.no_grad():
        model.model.logit_scale.fill_(math.nan)
    before = weights(made)
    with pytest.raises(TrainingCollapsed, match="no number at step 1: loss nan"):
        made.run()
    after = weights(made)
    assert all(torch.equal(before[n], after[n]) for n in before if n != "logit_scale")


# ---- checkpoints ----------------------------------------------------------------------------


def save(folder: Path, step: int, keep: int = 2) -> Path:
    tensors = {checkpoints.MODEL: {"w": torch.full((3,), float(step))}}
    return checkpoints.save(folder, step, tensors, {"place": [0, step]}, keep)


def test_only_whole_checkpoints_count_and_the_last_few_stay(tmp_path):
    assert checkpoints.latest(tmp_path / "none") is None
    for step in (10, 20, 30):
        save(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000020", "step-00000030"]
    found = checkpoints.latest(tmp_path)
    assert (found.step, found.state["place"]) == (30, [0, 30])
    weights_file = found.folder / checkpoints.MODEL
    weights_file.write_bytes(weights_file.read_bytes()[:-4])  # cut off by a full disk
    assert checkpoints.latest(tmp_path).step == 20
    shutil.copytree(tmp_path / "step-00000020", tmp_path / "step-00000040")  # says it is 20
    (tmp_path / "step-00000050").mkdir()
    assert checkpoints.latest(tmp_path).step == 20


def test_a_checkpoint_cut_off_while_written_is_not_there(tmp_path, monkeypatch):
    import safetensors.torch

    save(tmp_path, 10)

    def full(named: dict, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(safetensors.torch, "save_file", full)
        with pytest.raises(OSError, match="No space left"):
            save(tmp_path, 20)
    assert checkpoints.latest(tmp_path).step == 10
    save(tmp_path, 30)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010", "step-00000030"]


def test_damaged_tensors_are_named(tmp_path):
    place = save(tmp_path, 10)
    size = (place / checkpoints.MODEL).stat().st_size
    (place / checkpoints.MODEL).write_bytes(b"\xff" * size)
    with pytest.raises(CheckpointMismatch, match=r"step-00000010.*remove that folder"):
        checkpoints.latest(tmp_path).tensors(checkpoints.MODEL)


# ---- several processes ----------------------------------------------------------------------


def together(folder: Path, rank: int, options: TrainOptions) -> None:
    """One of two processes that train the same model as `trainer(...)` alone would."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2,
        timeout=timedelta(seconds=120),
    )  # fmt: skip
    try:
        assert parallel.world() == 2
        trainer(folder / "two", options).run()
    finally:
        torch.distributed.destroy_process_group()


def test_two_processes_learn_what_one_does_from_the_same_batches(tmp_path):
    options = replace(FEW, stage=2, batch_clips=6, steps=3, save_every=3)
    other = torch.multiprocessing.get_context("spawn").Process(
        target=together, args=(tmp_path, 1, options), daemon=True
    )
    other.start()
    alone = trainer(tmp_path / "one", options)
    before = weights(alone)
    alone.run()
    together(tmp_path, 0, options)
    other.join(60)
    assert other.exitcode == 0

    def kept(run: str, name: str) -> dict[str, torch.Tensor]:
        return load_file(checkpoints.latest(tmp_path / run / "checkpoints").folder / name)

    moments = kept("one", checkpoints.OPTIMISER)  # sums of gradients: linear in them
    for name, value in kept("two", checkpoints.OPTIMISER).items():
        torch.testing.assert_close(value, moments[name], atol=1e-6, rtol=1e-3)
    learnt = kept("one", checkpoints.MODEL)
    assert max(float((learnt[name] - before[name]).abs().max()) for name in learnt) > 1e-3
    for name, value in kept("two", checkpoints.MODEL).items():
        # Adam divides by what may be rounding: a few of the smallest gradients move further.
        torch.testing.assert_close(value, learnt[name], atol=2e-4, rtol=1e-3)
    logs = [
        [json.loads(line) for line in (tmp_path / run / "log.jsonl").read_text().splitlines()]
        for run in ("one", "two")
    ]
    for one, both in zip(*logs, strict=True):
        assert both == pytest.approx(one, abs=1e-4, rel=1e-3)


# ---- options and starts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rat": 1.0}, r"no option 'learning_rat'; did you mean 'learning_rate'\?"),
        ({"steps": "100"}, r"steps: got str '100'; expected a whole number"),
        ({"steps": True}, r"steps: got bool True; expected a whole number"),
        ({"learning_rate": "1e-4"}, r"expected a number \(YAML takes 1e-4 for text"),
        ({"stage": 3}, r"stage: got int 3; expected one of 1, 2"),
        ({"stage": True}, r"stage: got bool True; expected one of 1, 2"),
        ({"steps": 0}, r"train: steps 0: expected at least 1"),
        ({"batch_clips": 8, "batch_s": 60}, r"batch_clips and batch_s are both given"),
        ({"noise": 1.5}, r"noise 1\.5: expected a probability"),
    ],
)
def test_options_are_checked(given, message):
    with pytest.raises(InputError, match=message):
        parse(TrainOptions, given, "train")


def test_options_nest_and_lists_are_checked():
    found = parse(ModelOptions, {"freeze": ["heads"], "rates": {"heads": 2}}, "model")
    assert (found.freeze, found.rates.heads, found.rates.text_encoder) == (("heads",), 2.0, 1.0)
    with pytest.raises(InputError, match=r"model: freeze: got str 'head'; expected one of front_"):
        parse(ModelOptions, {"freeze": ["head"]}, "model")
    with pytest.raises(InputError, match=r"model: rates: no option 'audio'"):
        parse(ModelOptions, {"rates": {"audio": 2}}, "model")


def test_from_scratch_has_the_layout_a_tokenizer_and_standard_features(tiny):
    model = start.start("tiny-config", seed=1)
    shapes = {name: value.shape for name, value in tiny.state_dict().items()}
    assert {name: value.shape for name, value in model.state_dict().items()} == shapes
    assert model.dtype == torch.float32
    assert torch.isfinite(model.embed_text(["A low voice."])).all()
    features = torch.randn(500, 128) * 3 - 9
    raw, flat = model.model.encoder_embed.conv["0"], (features + 9) / 3
    deviation, mean = features.std(), features.mean()
    expected = raw((features[None, None] - mean) / deviation)[..., 1:-1].detach()
    start.standardise(model, [features])
    found = raw(features[None, None])[..., 1:-1].detach()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert flat.std() == pytest.approx(1, abs=0.1)
