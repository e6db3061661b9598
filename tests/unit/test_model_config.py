"""A configuration means the same however it is written, or is refused by the name of its key."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import clsp
from clsp import CLSPConfig, CLSPModel
from clsp.errors import CheckpointMismatch
from tests.unit.golden_models import GOLDEN, golden, golden_config


def rewritten(config: dict, per_stack: Callable[[list[int]], object], **others: object) -> dict:
    """The same configuration with every comma-separated string written another way."""
    stacks = {
        key: per_stack([int(part) for part in value.split(",")])
        for key, value in config.items()
        if isinstance(value, str) and "," in value
    }
    return {**config, **stacks, **others}


def single(write: Callable[[int], object]) -> Callable[[list[int]], object]:
    """One value for all stacks where they are alike."""
    return lambda values: write(values[0]) if len(set(values)) == 1 else values


WRITINGS = {
    "lists": lambda config: rewritten(config, list),
    "lists of strings": lambda config: rewritten(config, lambda v: [str(part) for part in v]),
    "spaced strings": lambda config: rewritten(config, lambda v: ", ".join(map(str, v))),
    "numbers": lambda config: rewritten(config, single(int)),
    "strings of one number": lambda config: rewritten(config, single(str)),
    "lists of one": lambda config: rewritten(config, single(lambda value: [value])),
    "numbers as strings": lambda config: {
        key: str(value) if type(value) is int else value for key, value in config.items()
    },
    "unknown keys": lambda config: {
        **config,
        "use_ctc": False,
        "warmup": "1,2,3",
        "text_config": {**config["text_config"], "made_up": [1]},
    },
    "no model type, no architecture": lambda config: {
        key: value for key, value in config.items() if key not in ("model_type", "architectures")
    },
}


@pytest.mark.parametrize("writing", WRITINGS.values(), ids=WRITINGS.keys())
def test_a_configuration_means_the_same_however_it_is_written(
    tmp_path: Path, writing: Callable[[dict], dict]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(writing(golden_config("uneven"))))
    (tmp_path / "model.safetensors").symlink_to(GOLDEN / "uneven" / "model.safetensors")
    model, vectors = golden("uneven")
    clips = [vectors["audio0.waveform"], vectors["audio1.waveform"]]
    with torch.inference_mode():
        assert torch.equal(clsp.load(tmp_path).embed_audio(clips), model.embed_audio(clips))


def test_single_values_stand_for_all_seven_stacks_of_the_published_pattern() -> None:
    written = CLSPConfig(**rewritten(golden_config("deep"), single(int)))
    assert written.encoder_dim == [32] * 7
    assert written.to_dict() == CLSPConfig(**golden_config("deep")).to_dict()


def test_a_causal_model_is_refused() -> None:
    with pytest.raises(CheckpointMismatch, match="causal"):
        CLSPConfig(**golden_config("uneven") | {"causal": True})


@pytest.mark.parametrize(
    ("key", "value"),
    [("encoder_dim", "24,32,48"), ("num_heads", [4, 4, 8, 4, 4]), ("cnn_module_kernel", [])],
)
def test_one_value_per_stack_or_one_for_all_and_nothing_else(key: str, value: object) -> None:
    with pytest.raises(CheckpointMismatch, match=f"{key}.*expected 1 or 4"):
        CLSPConfig(**golden_config("uneven") | {key: value})


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("encoder_dim", 0, "whole numbers from 1 to"),
        ("num_heads", [4, 4, -4, 4], "whole numbers from 1 to"),
        ("feedforward_dim", 10**12, "whole numbers from 1 to 1000000"),
        ("cnn_module_kernel", 14, "odd numbers from 1 to"),
        ("feature_dim", 6, "whole numbers from 7 to"),
        ("pos_dim", 47, "even numbers from 2 to"),
        ("text_config", {"num_attention_heads": 0}, "text_config.num_attention_heads is 0"),
        ("text_config", {"vocab_size": -1}, "text_config.vocab_size is -1"),
    ],
)
def test_numbers_that_nothing_can_be_computed_with_are_refused(name, value, told) -> None:
    with pytest.raises(CheckpointMismatch, match=told):
        CLSPConfig.tiny(**{name: value})


@pytest.mark.parametrize("load", [clsp.load, CLSPModel.from_pretrained])
@pytest.mark.parametrize(
    "told",
    [
        {"encoder_dim": 24.5}, {"feature_dim": float("nan")}, {"logit_scale_init": -1},
        {"projection_dropout": "0.1"}, {"text_config": {"layer_norm_eps": None}},
        {"text_config": {"pad_token_id": 320}}, {"text_config": {"vocab_size": 320.5}},
        {"text_config": {"hidden_dropout_prob": True}}, {"text_config": ["vocab_size"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_file_with_other_than_numbers_is_a_mismatch(tmp_path: Path, told: dict, load) -> None:
    config = golden_config("uneven")
    if isinstance(text := told.get("text_config"), dict):
        told = {"text_config": config["text_config"] | text}
    (tmp_path / "config.json").write_text(json.dumps(config | told))
    (tmp_path / "model.safetensors").symlink_to(GOLDEN / "uneven" / "model.safetensors")
    with pytest.raises(CheckpointMismatch, match=r"config"):
        load(tmp_path)


@pytest.mark.parametrize("value", ["24,wide,48,32", None])
def test_a_value_that_is_no_number_is_a_mismatch_naming_its_key(value: object) -> None:
    with pytest.raises(CheckpointMismatch, match="encoder_dim"):
        CLSPConfig(**golden_config("uneven") | {"encoder_dim": value})
