"""What a training run can be told, and how a plain mapping becomes it: strictly.

Knows names, types and ranges; nothing of YAML, files, models or data.
"""

import dataclasses
import difflib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from clsp.errors import InputError

Part = Literal["front_end", "speech_encoder", "text_encoder", "heads", "temperature"]
T = TypeVar("T")


@dataclass(frozen=True)
class Rates:
    """Learning rates of the parts, as multiples of `learning_rate`."""

    speech_encoder: float = 1.0  # with its front end
    text_encoder: float = 1.0
    heads: float = 1.0  # and the temperature

    def __post_init__(self) -> None:
        _at_least(self, 0, "speech_encoder", "text_encoder", "heads")


@dataclass(frozen=True)
class ModelOptions:
    """What learns: from which weights, which parts of it, how fast each layer."""

    init: str = "tiny"  # tiny, yfyeung/CLSP, a folder; from scratch: tiny-config, xlarge-config
    freeze: tuple[Part, ...] = ()  # speech_encoder includes front_end
    rates: Rates = field(default_factory=Rates)
    layer_decay: float = 1.0  # each layer further from the heads learns this much slower

    def __post_init__(self) -> None:
        if not 0 < self.layer_decay <= 1:
            raise InputError(f"layer_decay {self.layer_decay}: expected over 0, and at most 1")


@dataclass(frozen=True)
class TrainOptions:
    """How it learns. Sizes are of the whole batch, over all processes."""

    stage: Literal[1, 2] = 1
    steps: int = 1_000
    batch_clips: int | None = None  # clips in a batch; this or batch_s (neither: 32 clips)
    batch_s: float | None = None  # seconds of audio in a batch
    max_s: float = 10.0  # a longer clip gives a random crop of this length
    seed: int = 0
    learning_rate: float = 1e-4
    warmup_steps: int = 100  # linear from 0; then a cosine
    final_rate: float = 0.0  # where the cosine ends, as a share of learning_rate
    weight_decay: float = 0.01
    clip_norm: float = 1.0  # gradients are scaled down to this norm
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: autocast; weights and loss stay fp32
    global_start: float = 0.95  # stage 2: probability of the task global + fine ...
    global_end: float = 0.50  # ... and what it falls to ...
    global_steps: int = 10_000  # ... over so many steps
    noise: float = 0.0  # probability that a clip gets background noise, 10 to 30 dB below speech
    colour: float = 0.0  # probability that a clip gets another microphone's colour
    eval_every: int = 200  # steps between evaluations on the dev split
    eval_clips: int = 1_000  # at most so many dev clips, the same ones each time
    monitor: Literal["loss", "recall_at_1"] = "loss"  # what makes an evaluation the best
    patience: int | None = None  # stop after so many evaluations that are not the best
    save_every: int = 200  # steps between checkpoints
    keep: int = 2  # checkpoints that stay
    log_every: int = 10
    collapse_steps: int = 200  # so many steps of collapse in a row end the run
    collapse_cosine: float = 0.99  # mean cosine of different clips, or texts, from which it is one
    workers: int = 2  # decoding threads
    prefetch: int = 4  # batches decoded ahead

    def __post_init__(self) -> None:
        if self.batch_clips is not None and self.batch_s is not None:
            raise InputError("batch_clips and batch_s are both given: expected one of them")
        if self.batch_clips is not None:
            _at_least(self, 2, "batch_clips")
        ones = ("steps", "eval_every", "save_every", "keep", "log_every", "collapse_steps",
                "workers", "prefetch")  # fmt: skip
        _at_least(self, 1, *ones, *(["patience"] if self.patience is not None else []))
        _at_least(self, 0, "warmup_steps", "global_steps", "seed", "final_rate", "weight_decay")
        _at_least(self, 2, "eval_clips")
        for name in ("global_start", "global_end", "noise", "colour"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} {getattr(self, name)}: expected a probability, 0 to 1")
        for name in ("learning_rate", "clip_norm", "batch_s", "max_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} {value}: expected more than 0")
        if self.max_s < 0.25:
            raise InputError(f"max_s {self.max_s}: expected at least 0.25 s, to hear anything")


# What may differ when a run is resumed: how long, how it is watched, and who decodes. Not
# eval_clips: the best so far was the best among so many.
MAY_CHANGE = frozenset(
    ("steps", "eval_every", "patience", "save_every", "keep", "log_every", "workers", "prefetch")
)


def _at_least(options: Any, least: int, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        if not least <= value < float("inf"):
            raise InputError(f"{name} {value}: expected at least {least}")


# ---- from a mapping -------------------------------------------------------------------------


def parse(kind: type[T], given: Any, where: str) -> T:
    """A mapping, as YAML or JSON gives it, to the frozen dataclass `kind`.

    Raises InputError for a key that does not exist (naming the nearest), a missing one, a value of
    another type or out of range; `where` is named in it.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"{where}: got {_shown(given)}; expected a mapping of options")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(f"{where}: no option {key!r}; {hint}it has {', '.join(known)}")
    required = [
        name
        for name, f in known.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing := [name for name in required if name not in given]:
        raise InputError(f"{where}: {', '.join(missing)} not given; expected {', '.join(required)}")
    hints = get_type_hints(kind)
    values = {key: _value(hints[key], given[key], f"{where}: {key}") for key in given}
    try:
        return kind(**values)
    except InputError as error:
        raise error if str(error).startswith(where) else InputError(f"{where}: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return parse(hint, {} if value is None else value, where)  # type: ignore[arg-type]
    if origin in (types.UnionType, Union):  # X | None
        return None if value is None else _value(args[0], value, where)
    if origin is Literal:
        if value in args and type(value) in map(type, args):
            return value
        expected = f"one of {', '.join(map(str, args))}"
    elif origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(_value(args[0], one, where) for one in value)
        expected = "a list"
    elif origin is dict:
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return dict(value)
        expected = "a mapping"
    elif hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            return float(value)
        expected = "a number"
        if isinstance(value, str):
            expected += " (YAML takes 1e-4 and 1.0e4 for text: write 1.0e-4, 1.0e+4)"
    elif hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        expected = "a whole number"
    else:
        if isinstance(value, hint):
            return value
        expected = {str: "text", bool: "true or false"}.get(hint, str(hint))
    raise InputError(f"{where}: got {_shown(value)}; expected {expected}")


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 60 else text[:57] + '...'}"
