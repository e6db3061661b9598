"""The shape of a CLSP model, read from the published `config.json` or from a preset.

Knows the recipe's argument names and the XLarge numbers; knows nothing of weights or files.
"""

from collections.abc import Sequence
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from clsp.errors import CheckpointMismatch

Stacks = Any  # list[int] once made; may be given as a list, a comma-separated string or an int


class TextConfig(PreTrainedConfig):
    """Architecture of the text encoder, by the names of transformers' RobertaConfig. The defaults
    are the published model's (FacebookAI/roberta-base, config.json).

    Why not RobertaConfig: importing that imports every model class of transformers.
    """

    model_type = "roberta"

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

    def __post_init__(self, **kwargs: Any) -> None:
        if self.hidden_act != "gelu":
            raise CheckpointMismatch(
                f"config.json says text_config.hidden_act={self.hidden_act!r}; this "
                "implementation computes the published RoBERTa, whose is 'gelu'"
            )
        sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                 "intermediate_size", "max_position_embeddings", "type_vocab_size")  # fmt: skip
        for name in sizes:
            _per_stack(f"text_config.{name}", getattr(self, name), 1)
        if self.hidden_size % self.num_attention_heads:
            raise CheckpointMismatch(
                f"config: text_config.hidden_size {self.hidden_size} is not a multiple of its "
                f"num_attention_heads {self.num_attention_heads}"
            )
        super().__post_init__(**kwargs)


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


# The least that the architecture can be computed with, and in what steps it grows from there.
LIMITS = {
    "cnn_module_kernel": (1, 2, "odd numbers"),
    "feature_dim": (7, 1, "whole numbers"),  # one bin behind the front end
    "pos_dim": (2, 2, "even numbers"),
}
MOST = 1_000_000  # the largest published is the vocabulary, 50,265


class CLSPConfig(PreTrainedConfig):
    """Architecture of a CLSP model. The defaults are the published XLarge model's numbers
    (arXiv 2601.03065 and the authors' recipe).

    Per-stack values may be lists, comma-separated strings (as the recipe writes them) or one
    number for all stacks; they are kept as lists. Keys it does not know are kept and ignored:
    the strict shape check of every tensor at loading is the judge.

    Raises CheckpointMismatch when the lists do not have one value per stack, for numbers that
    nothing can be computed with, and for a causal model, which this implementation does not
    compute.
    """

    model_type = "clsp"
    sub_configs = {"text_config": TextConfig}  # noqa: RUF012  (transformers' own convention)

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
    text_config: dict[str, Any] | PreTrainedConfig | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if not isinstance(self.text_config, TextConfig):
            given = self.text_config or {}
            given = given.to_dict() if isinstance(given, PreTrainedConfig) else dict(given)
            given.pop("model_type", None)
            self.text_config = TextConfig(**given)
        stacks = len(_ints(self.downsampling_factor))
        for name in PER_STACK:
            setattr(self, name, _per_stack(name, getattr(self, name), stacks))
        self.frontend_channels = _per_stack("frontend_channels", self.frontend_channels, 3)
        for name in WHOLE_NUMBERS:
            setattr(self, name, _per_stack(name, getattr(self, name), 1)[0])
        if self.causal:
            raise CheckpointMismatch(
                "config.json says causal=true; this implementation computes the published, "
                "non-causal encoder only"
            )
        super().__post_init__(**kwargs)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """transformers' own, and CheckpointMismatch for a config.json that is no object of names,
        or holds what cannot be a value of theirs."""
        try:
            return super().from_pretrained(*args, **kwargs)
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise CheckpointMismatch(
                f"config.json of {args[0] if args else cls.__name__}: {error}. Expected a JSON "
                "object with a CLSP model's numbers; download it again"
            ) from error

    @property
    def hidden_size(self) -> int:
        """Channels of the encoder's output: the widest stack's."""
        return max(self.encoder_dim)

    @classmethod
    def xlarge(cls, **overrides: Any) -> "CLSPConfig":
        """The published model: 724 million parameters."""
        return cls(**overrides)

    @classmethod
    def tiny(cls, **overrides: Any) -> "CLSPConfig":
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


def _ints(value: Stacks) -> list[int]:
    if isinstance(value, str):
        return [int(part) for part in value.split(",")]
    if isinstance(value, Sequence):
        return [int(part) for part in value]
    return [int(value)]


def _per_stack(name: str, value: Stacks, stacks: int) -> list[int]:
    try:
        values = _ints(value)
    except (TypeError, ValueError) as error:
        raise CheckpointMismatch(f"config: {name} is {value!r}; expected whole numbers") from error
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


AutoConfig.register(CLSPConfig.model_type, CLSPConfig, exist_ok=True)
