"""CLSPModel: the model as one of transformers' own, for its Auto classes and all they can do.

    from clsp import CLSPModel as AutoModel     # and the published examples run

Knows transformers; what is computed is Embedder's.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, PreTrainedModel

from clsp.architecture import Architecture
from clsp.config import CLSPConfig
from clsp.embedder import PREFIX, DualEncoder, Embedder
from clsp.text_reader import TextReader
from clsp.weights import check, share


class CLSPModel(Embedder, PreTrainedModel):
    """An Embedder that is a transformers model too: `from_pretrained` from the hub or a folder,
    `push_to_hub` and the rest of it."""

    config_class = CLSPConfig
    base_model_prefix = PREFIX.rstrip(".")
    main_input_name = "audio"

    def __init__(self, config: Architecture) -> None:
        if not isinstance(config, CLSPConfig):  # of a model that `clsp.load` gave
            name, config = config._name_or_path, CLSPConfig(**config.to_dict())
            config._name_or_path = name
        PreTrainedModel.__init__(self, config)
        self.precision = None
        self.model = DualEncoder(config)
        self._texts = TextReader(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing to do: each constructor initialises its own parameters, and loading is strict,
        so no tensor of ours is ever left to transformers' defaults.
        """

    @classmethod
    def from_pretrained(cls, name: Any, *args: Any, **kwargs: Any) -> Any:
        """transformers' own, made strict: float32 unless `dtype` says otherwise, and
        CheckpointMismatch for any missing, unexpected or misshapen tensor.

        `tiny` and the published name mean the checked files of `clsp.load`, at the pinned
        revision; so the published examples run with `from clsp import CLSPModel as AutoModel`.
        """
        from clsp.checkpoint import NAMES, resolve

        if name in NAMES and "revision" not in kwargs:
            name = resolve(name).folder
        elif (folder := Path(name).expanduser()).is_dir():
            name = folder.resolve()  # where its tokenizer is found later, from wherever
        kwargs.pop("trust_remote_code", None)  # there is none here to trust
        wants_info = kwargs.pop("output_loading_info", False)
        if "torch_dtype" not in kwargs:  # what `dtype` was called, and is in many examples
            kwargs.setdefault("dtype", torch.float32)
        kwargs["ignore_mismatched_sizes"] = True  # collected below, where all can be named at once
        model, info = super().from_pretrained(name, *args, output_loading_info=True, **kwargs)
        check(name, info["missing_keys"], info["unexpected_keys"], info["mismatched_keys"])
        return (model, info) if wants_info else model

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """transformers' own, and the tokenizer as `Embedder.save_pretrained` has it."""
        self.refuse_packed()
        self._texts.save(save_directory)
        PreTrainedModel.save_pretrained(self, save_directory, **kwargs)
        share(Path(save_directory))


AutoModel.register(CLSPConfig, CLSPModel, exist_ok=True)
