"""Which parameters learn, how fast each, and how the rate moves over the steps.

Knows the parts and layers of a model by the names of its parameters; nothing of data or losses.
"""

import math
import re
from collections.abc import Sequence

import torch
from torch import nn

from clsp.embedder import Embedder
from clsp.errors import InputError
from clsp.training.options import ModelOptions, TrainOptions

PARTS: dict[str, tuple[str, ...]] = {
    "front_end": ("encoder_embed",),
    "speech_encoder": ("encoder_embed", "encoder"),
    "text_encoder": ("text_encoder",),
    "heads": ("audio_projection", "audio_transform", "text_projection", "text_transform"),
    "temperature": ("logit_scale",),
}
# In the published layout, of no effect (see zipformer.Layer): it has no gradient.
UNUSED = re.compile(r"\.layers\.\d+\.bypass_scale$")
_SPEECH = re.compile(r"encoder\.encoders\.(\d+)\.(?:encoder\.)?layers\.(\d+)\.")
_TEXT = re.compile(r"text_encoder\.encoder\.layer\.(\d+)\.")


def freeze(model: Embedder, parts: Sequence[str]) -> list[nn.Module]:
    """Stop these parts from learning, all others learn; returns the frozen modules, whose dropout
    must be off too. Raises InputError when nothing is left to learn."""
    frozen = {module for part in parts for module in PARTS[part]}
    for name, parameter in model.model.named_parameters():
        learns = name.split(".")[0] not in frozen and not UNUSED.search(name)
        parameter.requires_grad_(learns)
    if not any(p.requires_grad for p in model.parameters()):
        raise InputError(f"freeze {list(parts)}: nothing is left to learn; expected fewer parts")
    return [getattr(model.model, name) for name in frozen if name != "logit_scale"]


def depth(name: str, layers: Sequence[int], text_layers: int) -> int:
    """How far a parameter of DualEncoder is from the heads, in layers: heads 0, the top layer of
    an encoder 1, ..., the front end, and the embeddings of words, one below the lowest layer.

    layers: of each stack of the speech encoder.
    """
    top = name.split(".")[0]
    if top == "encoder_embed":
        return sum(layers) + 1
    if top == "encoder":
        if match := _SPEECH.match(name):
            stack, layer = int(match[1]), int(match[2])
            return sum(layers[stack:]) - layer
        if match := re.match(r"encoder\.encoders\.(\d+)\.(\w+)", name):
            stack = int(match[1])  # its downsampling goes with its first layer, the rest its last
            return sum(layers[stack:]) if match[2] == "downsample" else sum(layers[stack + 1 :]) + 1
        return 1  # downsample_output
    if top == "text_encoder":
        if match := _TEXT.match(name):
            return text_layers - int(match[1])
        return text_layers + 1 if ".embeddings." in f".{name}" else 1  # else the pooler
    return 0


def rates(model: Embedder, options: ModelOptions) -> dict[str, float]:
    """Of every learning parameter of `model.model`, the multiple of the learning rate it gets."""
    layers = model.config.num_encoder_layers
    text_layers = model.config.text_config.num_hidden_layers
    found = {}
    for name, parameter in model.model.named_parameters():
        if parameter.requires_grad:
            part = (
                options.rates.speech_encoder
                if name.startswith("encoder")
                else options.rates.text_encoder
                if name.startswith("text_encoder")
                else options.rates.heads
            )
            found[name] = part * options.layer_decay ** depth(name, layers, text_layers)
    return found


def optimiser(model: Embedder, options: ModelOptions, train: TrainOptions) -> torch.optim.AdamW:
    """AdamW with a group per rate; each group's `scale` is its multiple. Biases, norms and scales
    do not decay. Raises InputError where all rates are 0."""
    parameters = dict(model.model.named_parameters())
    groups: dict[tuple[float, bool], list[str]] = {}
    found = rates(model, options)
    if not any(found.values()):
        raise InputError(f"{options.rates}: nothing is left to learn; expected a rate over 0")
    for name, rate in found.items():
        groups.setdefault((rate, parameters[name].ndim > 1), []).append(name)
    return torch.optim.AdamW(
        [
            {
                "params": [parameters[name] for name in names],
                "names": names,
                "scale": rate,
                "weight_decay": train.weight_decay if decays else 0.0,
            }
            for (rate, decays), names in groups.items()
        ],
        lr=train.learning_rate,
        betas=(0.9, 0.98),
    )


def rate_at(step: int, options: TrainOptions) -> float:
    """The learning rate of a step counted from 0: a linear warm-up, then a cosine."""
    if step < options.warmup_steps:
        return options.learning_rate * (step + 1) / options.warmup_steps
    after = max(options.steps - options.warmup_steps, 1)
    done = min((step - options.warmup_steps) / after, 1.0)
    share = options.final_rate + (1 - options.final_rate) * (1 + math.cos(math.pi * done)) / 2
    return options.learning_rate * share
