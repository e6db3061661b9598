"""The shape of a CLSP model as one of transformers' configurations, for its Auto classes.

Fields, presets and checks are architecture.py's. `clsp.load` does without: importing transformers
takes a second.
"""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from clsp.architecture import Architecture, TextArchitecture, named, no_config


class TextConfig(TextArchitecture, PreTrainedConfig):
    """TextArchitecture for transformers.

    Why not RobertaConfig: importing that imports every model class of transformers.
    """

    model_type = "roberta"

    def __post_init__(self, **kwargs: Any) -> None:
        self.check()
        PreTrainedConfig.__post_init__(self, **kwargs)


class CLSPConfig(Architecture, PreTrainedConfig):
    """Architecture for transformers; raises as it does. Keys it does not know become attributes."""

    model_type = "clsp"
    sub_configs = {"text_config": TextConfig}  # noqa: RUF012  (transformers' own convention)

    def __post_init__(self, **kwargs: Any) -> None:
        if not isinstance(self.text_config, TextConfig):
            given = self.text_config or {}
            if isinstance(given, TextArchitecture):
                given = named(given)
            given = given.to_dict() if isinstance(given, PreTrainedConfig) else dict(given)
            given.pop("model_type", None)
            self.text_config = TextConfig(**given)
        self.check()
        PreTrainedConfig.__post_init__(self, **kwargs)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """transformers' own, and CheckpointMismatch for a config.json that is no object of names,
        or holds what cannot be a value of theirs."""
        try:
            return super().from_pretrained(*args, **kwargs)
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise no_config(args[0] if args else cls.__name__, error) from error

    def to_dict(self) -> dict[str, Any]:
        return dict(PreTrainedConfig.to_dict(self))

    def write(self, folder: Path, **told: Any) -> None:
        for name, value in told.items():
            setattr(self, name, value)
        self.save_pretrained(folder)


AutoConfig.register(CLSPConfig.model_type, CLSPConfig, exist_ok=True)
