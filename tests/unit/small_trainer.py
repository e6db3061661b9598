"""What the tests of training train: a small random model, on generated tones, for a few steps.

They stand in where the trained model's quality does not matter.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from clsp.checkpoint import ASSETS
from clsp.config import CLSPConfig
from clsp.model import CLSPModel
from clsp.training.batches import Example
from clsp.training.options import TrainOptions
from clsp.training.trainer import Trainer

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


def unit(*shape: int) -> torch.Tensor:
    return nn.functional.normalize(torch.randn(*shape, generator=torch.manual_seed(1)), dim=-1)
