"""Training that others can use: what learns, the run, resuming, collapse."""

import json
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import clsp
from clsp.errors import InputError, TrainingCollapsed
from clsp.training import checkpoints, optimise, splits
from clsp.training.batches import Example
from clsp.training.options import ModelOptions, Rates, TrainOptions, parse
from clsp.training.trainer import Trainer
from clsp.training.watch import Watch
from tests.unit.small_trainer import FEW, examples, small, trainer, unit, weights

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


@pytest.mark.parametrize("told", [{"freeze": ("temperature",)}, {"rates": Rates(heads=0.0)}])
def test_a_frozen_temperature_stays_where_it_is_wherever_that_is(tmp_path, told):
    model = small()
    model.model.logit_scale.data.fill_(5.0)  # past what learning keeps it under
    made = trainer(tmp_path, FEW, model=model, model_options=ModelOptions(**told))
    made.run()
    assert model.model.logit_scale.item() == 5.0


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
    none = Rates(speech_encoder=0.0, text_encoder=0.0, heads=0.0)
    with pytest.raises(InputError, match="nothing is left to learn; expected a rate over 0"):
        trainer(tmp_path, model_options=ModelOptions(rates=none))


def test_layers_further_from_the_heads_learn_slower():
    model = small()
    optimise.freeze(model, ())
    said = {"layer_decay": 0.5, "rates": {"text_encoder": 0.1}}
    options = parse(ModelOptions, said, "")
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


def test_the_record_is_of_the_weights_in_the_folder_whatever_a_resumed_run_finds(tmp_path):
    """Cut off after a best that no checkpoint knows of, and resumed to look less often."""

    def scripted(made: Trainer, losses: dict[int, float]) -> Trainer:
        def evaluate() -> dict[str, float]:
            return {"loss": losses[made.step_done], "recall_at_1": 0.0, "recall_at_10": 0.0}

        made.evaluate = evaluate
        return made

    class Killed(Exception):
        pass

    def kill(line: dict) -> None:
        if line["step"] == 7:
            raise Killed

    options = replace(FEW, steps=10, eval_every=2, save_every=4)
    losses = {2: 1.0, 4: 0.9, 6: 0.5, 8: 0.95, 10: 0.95}
    with pytest.raises(Killed):
        scripted(trainer(tmp_path, options, say=kill), losses).run()
    kept = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / ".export-killed").mkdir()
    scripted(trainer(tmp_path, replace(options, eval_every=5)), {5: 0.95, 10: 0.95}).run()
    assert (tmp_path / "model.safetensors").read_bytes() == kept
    record = json.loads((tmp_path / "training.json").read_text())
    assert (record["best"]["step"], record["best"]["loss"], record["steps"]) == (6, 0.5, 10)
    scripted(trainer(tmp_path, options), losses | {5: 0.4}).run(resume=False)
    assert not list(tmp_path.glob(".export-*"))  # of a run that was killed


def test_bf16_gives_the_loss_embeddings_of_unit_length(tmp_path):
    made = trainer(tmp_path, replace(FEW, precision="bf16"))
    features, lengths = torch.randn(3, 60, 128), torch.tensor([60, 60, 60])
    with made._autocast():
        audio, text, _ = made.both(features, lengths, *made.model.tokens(["low", "high", "loud"]))
    for embeddings in (audio, text):
        assert embeddings.dtype == torch.float32
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))


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
    assert names == [one.name for one in trainer(tmp_path, made.options, dev=made.dev).dev]
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
