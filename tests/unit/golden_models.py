"""Golden models and what else the tests of the model compare: clips of noise, and how close.

`tests/data/golden` holds two small models with random weights in the published layout, and what
each of their parts must give (numbers only).
"""

import functools
import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import clsp
from clsp import CLSPModel

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
MODELS = ("deep", "uneven")
CLIPS = ("audio0", "audio1", "audio2")
GOLDEN_ATOL = 1e-5
BATCH_ATOL = 1e-6


@functools.cache
def golden(name: str) -> tuple[CLSPModel, dict[str, Tensor]]:
    """A golden model, and its inputs and outputs by name."""
    return clsp.load(GOLDEN / name), load_file(GOLDEN / name / "vectors.safetensors")


def same(found: Tensor, expected: Tensor, atol: float = GOLDEN_ATOL, what: str = "") -> None:
    torch.testing.assert_close(
        found, expected, atol=atol, rtol=0, msg=lambda text: f"{what}: {text}"
    )


def noise(samples: int) -> Tensor:
    """A waveform (samples,), always the same for the same length."""
    return torch.randn(samples, generator=torch.Generator().manual_seed(samples)) * 0.1


def padded(clips: Iterable[Tensor], value: float = 0.0) -> tuple[Tensor, Tensor]:
    """A batch as the published examples make it, and its lengths in samples."""
    clips = list(clips)
    lengths = torch.tensor([len(clip) for clip in clips])
    return nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=value), lengths


def golden_config(name: str) -> dict:
    return json.loads((GOLDEN / name / "config.json").read_text())
