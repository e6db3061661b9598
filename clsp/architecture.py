"""The shape of a CLSP model: what the published `config.json` says, checked, or a preset.

Knows the recipe's argument names, the XLarge numbers and the file; knows nothing of weights, nor of
transformers, whose import takes as long as half of PyTorch's (config.py is the same for it).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from clsp.errors import CheckpointMismatch

FILE = "config.json"
Stacks = Any  # list[int] once made; may be given as a list, a comma-separated string or an int

# One value per stack of the encoder; a single value stands for all of them.
PER_STACK = (
    "downsampling_factor",
    "num_encoder_layers",
    "encoder_dim",
    "encoder_unmasked_dim",
    "feedforward_dim",
    "num_heads",
    "query_head_dim",
    "pos_head_dim",
    "value_head_dim",
    "cnn_module_kernel",
)
WHOLE_NUMBERS = (
    "feature_dim",
    "pos_dim",
    "output_downsampling_factor",
    "joint_dim",
    "text_encoder_dim",
)
TEXT_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
# The least that the architecture can be computed with, and in what steps it grows from there.
LIMITS = {
    "cnn_module_kernel": (1, 2, "odd numbers"),
    "feature_dim": (7, 1, "whole numbers"),  # one bin behind the front end
    "pos_dim": (2, 2, "even numbers"),
    "text_config.max_position_embeddings": (3, 1, "whole numbers"),  # two are never used
}
MOST = 1_000_000  # the largest published is the vocabulary, 50,265


class _Read:
    """What is remembered of the file, and is no field."""

    _name_or_path = ""  # its folder, where a tokenizer may lie
    _unknown: Mapping[str, Any] = MappingProxyType({})  # keys that nothing here goes by


@dataclass(kw_only=True)
class TextArchitecture(_Read):
    """Architecture of the text encoder, by the names of transformers' RobertaConfig. The defaults
    are the published model's (FacebookAI/roberta-base, config.json).

    Raises CheckpointMismatch for numbers that nothing can be computed with, and for what is not
    the published RoBERTa.
    """

    vocab_size: int = 50_265
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3_072
    max_position_embeddings: int = 514
    type_vocab_size: int = 1
    layer_norm_eps: float = 1e-5
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1  # training only, as the next two
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    pad_token_id: int = 1
    bos_token_id: int = 0
    eos_token_id: int = 2

    def __post_init__(self) -> None:
        self.check()

    @property
    def longest_text(self) -> int:
        """The most tokens of a text: RoBERTa's positions begin behind that of padding."""
        return self.max_position_embeddings - self.pad_token_id - 1

    def check(self) -> None:
        """Raises CheckpointMismatch."""
        if self.hidden_act != "gelu":
            raise CheckpointMismatch(
                f"config.json says text_config.hidden_act={self.hidden_act!r}; this "
                "implementation computes the published RoBERTa, whose is 'gelu'"
            )
        for name in TEXT_SIZES:
            setattr(self, name, _per_stack(f"text_config.{name}", getattr(self, name), 1)[0])
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            _require_number(f"text_config.{name}", getattr(self, name), 0, 1)
        _require_number("text_config.layer_norm_eps", self.layer_norm_eps, 0, 1)
        _require_number("text_config.initializer_range", self.initializer_range, 0, MOST)
        _require_number(
            "text_config.pad_token_id", self.pad_token_id, 0, self.vocab_size - 1, whole=True
        )
        if self.longest_text < 1:
            raise CheckpointMismatch(
                f"config: text_config.max_position_embeddings {self.max_position_embeddings} with "
                f"pad_token_id {self.pad_token_id}: expected at least 2 more"
            )
        if self.hidden_size % self.num_attention_heads:
            raise CheckpointMismatch(
                f"config: text_config.hidden_size {self.hidden_size} is not a multiple of its "
                f"num_attention_heads {self.num_attention_heads}"
            )


@dataclass(kw_only=True)
class Architecture(_Read):
    """Architecture of a CLSP model. The defaults are the published XLarge model's numbers
    (arXiv 2601.03065 and the authors' recipe).

    Per-stack values may be lists, comma-separated strings (as the recipe writes them) or one
    number for all stacks; they are kept as lists. `text_config` may be a mapping. Keys of a file
    that it does not know are kept and ignored: the strict shape check of every tensor at loading is
    the judge.

    Raises CheckpointMismatch when the lists do not have one value per stack, for numbers that
    nothing can be computed with, and for a causal model, which this implementation does not
    compute.
    """

    feature_dim: int = 128  # mel bins
    frontend_channels: Stacks = (8, 32, 128)  # of the three convolutions
    downsampling_factor: Stacks = (1, 2, 4, 8, 4, 2, 1)
    num_encoder_layers: Stacks = (1, 2, 3, 4, 1, 1, 1)
    encoder_dim: Stacks = 1280
    encoder_unmasked_dim: Stacks = 768  # training only: kept so that configs round-trip
    feedforward_dim: Stacks = 3840
    num_heads: Stacks = 8
    query_head_dim: Stacks = 32
    pos_head_dim: Stacks = 4
    value_head_dim: Stacks = 12
    cnn_module_kernel: Stacks = (31, 31, 15, 15, 15, 31, 31)
    pos_dim: int = 48
    output_downsampling_factor: int = 2
    causal: bool = False
    joint_dim: int = 512  # of the shared embedding space
    projection_dropout: float = 0.1  # training only
    text_encoder_dim: int = 768
    logit_scale_init: float = 1 / 0.07  # training only (paper: learnable, starts at 1/0.07)
    text_config: Any = None  # a TextArchitecture once made

    def __post_init__(self) -> None:
        if not isinstance(self.text_config, TextArchitecture):
            self.text_config = _made(TextArchitecture, self.text_config or {})
        self.check()

    def check(self) -> None:
        """Every value as it is computed with. Raises CheckpointMismatch."""
        stacks = len(_whole_numbers("downsampling_factor", self.downsampling_factor))
        for name in PER_STACK:
            setattr(self, name, _per_stack(name, getattr(self, name), stacks))
        self.frontend_channels = _per_stack("frontend_channels", self.frontend_channels, 3)
        for name in WHOLE_NUMBERS:
            setattr(self, name, _per_stack(name, getattr(self, name), 1)[0])
        _require_number("projection_dropout", self.projection_dropout, 0, 1)
        _require_number("logit_scale_init", self.logit_scale_init, 1e-6, 1e6)
        if self.text_encoder_dim != self.text_config.hidden_size:
            raise CheckpointMismatch(
                f"config.json says text_encoder_dim={self.text_encoder_dim}, and "
                f"text_config.hidden_size={self.text_config.hidden_size}: expected the same"
            )
        if self.causal:
            raise CheckpointMismatch(
                "config.json says causal=true; this implementation computes the published, "
                "non-causal encoder only"
            )

    @property
    def hidden_size(self) -> int:
        """Channels of the encoder's output: the widest stack's."""
        return max(self.encoder_dim)

    @classmethod
    def xlarge(cls, **overrides: Any) -> Self:
        """The published model: 724 million parameters."""
        return cls(**overrides)

    @classmethod
    def tiny(cls, **overrides: Any) -> Self:
        """The embedded default: about 4 million parameters of the same classes."""
        text = {
            "vocab_size": 1200,
            "hidden_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 384,
            "max_position_embeddings": 258,
            **overrides.pop("text_config", {}),
        }
        preset: dict[str, Any] = {
            "frontend_channels": (4, 8, 16),
            "downsampling_factor": (2, 4, 8, 4),
            "num_encoder_layers": 1,
            "encoder_dim": 128,
            "encoder_unmasked_dim": 128,
            "feedforward_dim": (192, 320, 384, 320),
            "num_heads": 4,
            "cnn_module_kernel": 15,
            "text_encoder_dim": text["hidden_size"],
            "text_config": text,
        }
        return cls(**{**preset, **overrides})

    # ---- the file ---------------------------------------------------------------------------

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Of a folder's `config.json`. Raises CheckpointMismatch for one that is no JSON object of
        names, or holds what cannot be a value of theirs; OSError for one that cannot be read."""
        text = (folder / FILE).read_bytes()
        try:
            made = _made(cls, json.loads(text))
        except (RecursionError, TypeError, ValueError) as error:
            raise no_config(folder, error) from error
        made._name_or_path = str(folder)
        return made

    def to_dict(self) -> dict[str, Any]:
        """What a `config.json` says of it, unknown keys of the one that it was read from too."""
        text = {**named(self.text_config), "model_type": "roberta"}
        return {**named(self), "text_config": text, "model_type": "clsp"}

    def write(self, folder: Path, **told: Any) -> None:
        """A `config.json`, with these keys as well."""
        text = json.dumps({**self.to_dict(), **told}, indent=2, sort_keys=True)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")


def no_config(folder: Any, error: Exception) -> CheckpointMismatch:
    """What to raise for a config.json that is no object of names, or holds other than numbers."""
    return CheckpointMismatch(
        f"{FILE} of {folder}: {error}. Expected a JSON object with a CLSP model's numbers; "
        "download it again"
    )


def _made(cls: type, given: Any) -> Any:
    """Of what a file says. Raises TypeError for what is no mapping of names."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{given!r:.80} is no object")
    names = {field.name for field in fields(cls)}
    made = cls(**{name: value for name, value in given.items() if name in names})
    made._unknown = {name: value for name, value in given.items() if name not in names}
    return made


def named(made: Any) -> dict[str, Any]:
    """An architecture's values by their names, and what else its file says."""
    return dict(made._unknown) | {field.name: getattr(made, field.name) for field in fields(made)}


def _whole_numbers(name: str, value: Stacks) -> list[int]:
    try:
        if isinstance(value, str):
            return [int(part) for part in value.split(",")]
        parts = value if isinstance(value, Sequence) else [value]
        if any(int(part) != float(part) for part in parts):
            raise ValueError("a fraction")
        return [int(part) for part in parts]
    except (OverflowError, TypeError, ValueError) as error:
        raise CheckpointMismatch(f"config: {name} is {value!r}; expected whole numbers") from error


def _per_stack(name: str, value: Stacks, stacks: int) -> list[int]:
    values = _whole_numbers(name, value)
    if len(values) == 1:
        values = values * stacks
    if len(values) != stacks:
        raise CheckpointMismatch(
            f"config: {name} has {len(values)} values {values}; expected 1 or {stacks}"
        )
    least, step, said = LIMITS.get(name, (1, 1, "whole numbers"))
    if any(not least <= number <= MOST or (number - least) % step for number in values):
        raise CheckpointMismatch(
            f"config: {name} is {value!r}; expected {said} from {least} to {MOST}. Download "
            "config.json again, or correct it"
        )
    return values


def _require_number(name: str, value: Any, least: float, most: float, whole: bool = False) -> None:
    kind = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= most:
        raise CheckpointMismatch(
            f"config: {name} is {value!r}; expected a number from {least:g} to {most:g}. Download "
            "config.json again, or correct it"
        )
