"""The text encoder against transformers' own, and what loading a model no longer waits for."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import RobertaConfig

import clsp
from clsp.architecture import TextArchitecture
from clsp.config import CLSPConfig, TextConfig
from clsp.embedder import Embedder
from clsp.errors import CheckpointMismatch
from clsp.roberta import Roberta
from clsp.weights import bare

SMALL = {
    "vocab_size": 97, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 40, "max_position_embeddings": 22,
}  # fmt: skip
LENGTHS = (20, 1, 7, 12)
PADDING = 1


def both() -> tuple[Roberta, nn.Module]:
    """Ours and transformers', of the same random weights, biases and all."""
    from transformers import RobertaModel

    torch.manual_seed(5)
    ours = Roberta(TextConfig(**SMALL)).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    theirs = RobertaModel(RobertaConfig(**TextConfig(**SMALL).to_dict())).eval()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of LENGTHS and their mask."""
    drawn = torch.Generator().manual_seed(3)
    ids = torch.full((len(LENGTHS), max(LENGTHS)), PADDING)
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = torch.randint(4, SMALL["vocab_size"], (length,), generator=drawn)
    return ids, (ids != PADDING).long()


@torch.inference_mode()
def test_it_computes_what_transformers_does():
    ours, theirs = both()
    ids, mask = batch()
    wanted = theirs(ids, attention_mask=mask).pooler_output
    torch.testing.assert_close(ours(ids, mask), wanted, atol=1e-6, rtol=0)
    for row, length in enumerate(LENGTHS):  # alone: nothing is masked, and no mask is made
        alone = ours(ids[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(alone[0], wanted[row], atol=1e-6, rtol=0)


def test_its_gradients_are_transformers():
    ours, theirs = both()
    ids, mask = batch()
    ours(ids, mask).square().sum().backward()
    theirs(ids, attention_mask=mask).pooler_output.square().sum().backward()
    wanted = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name].grad, atol=1e-5, rtol=1e-4)


def test_dropout_is_for_training_alone():
    ours, _ = both()
    ids, mask = batch()
    assert torch.equal(ours(ids, mask), ours(ids, mask))
    ours.train()
    assert not torch.equal(ours(ids, mask), ours(ids, mask))


@pytest.mark.parametrize("given_as", [dict, RobertaConfig, TextArchitecture, TextConfig])
def test_a_text_config_is_taken_however_it_is_written(given_as):
    text = {**SMALL, "hidden_dropout_prob": 0.25}
    made = CLSPConfig(text_config=given_as(**text), text_encoder_dim=SMALL["hidden_size"])
    assert made.text_config.hidden_dropout_prob == 0.25
    assert {name: getattr(made.text_config, name) for name in SMALL} == SMALL
    assert CLSPConfig.from_dict(made.to_dict()).to_dict() == made.to_dict()


@pytest.mark.parametrize(
    ("setting", "told"),
    [({"hidden_act": "relu"}, "relu"), ({"num_attention_heads": 5}, "multiple")],
)
def test_a_text_encoder_that_is_not_the_published_one_is_refused(setting, told):
    with pytest.raises(CheckpointMismatch, match=told):
        TextConfig(**{**SMALL, **setting})


@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_tokens_are_those_of_transformers_tokenizer(tiny: Embedder, texts: list[str]):
    wanted = tiny.tokenizer(
        texts, padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    fresh = Embedder(CLSPConfig.tiny())
    fresh.config._name_or_path = tiny.config._name_or_path
    ids, mask = fresh.tokens(texts)
    assert "tokenizer" not in fresh.__dict__
    assert torch.equal(ids, wanted["input_ids"])
    assert torch.equal(mask, wanted["attention_mask"])


def test_a_module_made_bare_has_shapes_and_no_values():
    with bare():
        made = Embedder(CLSPConfig.tiny())
    assert {tensor.device.type for tensor in made.state_dict().values()} == {"meta"}
    shapes = {
        name: tensor.shape for name, tensor in Embedder(CLSPConfig.tiny()).state_dict().items()
    }
    assert {name: tensor.shape for name, tensor in made.state_dict().items()} == shapes


def test_to_load_and_use_a_model_imports_no_transformers_and_no_compiler():
    slow = ["transformers", "torch._dynamo", "sympy"]
    code = (
        "import clsp, sys, torch\n"
        "model = clsp.load('tiny', precision='float32')\n"
        "model(torch.zeros(1, 16000), torch.tensor([16000]), ['A male speaker.'])\n"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_published_text_encoders_size():
    with bare():
        text = Roberta(CLSPConfig.xlarge().text_config)
    assert sum(parameter.numel() for parameter in text.parameters()) == 124_645_632
    assert clsp.load("tiny").config.text_config.hidden_size == 128
