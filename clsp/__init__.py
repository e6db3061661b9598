"""CLSP (contrastive language-speech pretraining), natively: speech and text in one space.

    import clsp
    model = clsp.load("tiny")                 # in the package; also "yfyeung/CLSP" or a folder
    audio_embedding, text_embedding, logit_scale = model(audio, audio_lens, text)

`load` gives an `Embedder`; a `CLSPModel` is one that is a transformers model too.

Importing this package costs milliseconds: torch loads with the first name used, transformers with
`CLSPModel` and `CLSPConfig` alone.
It also lets `transformers.AutoModel.from_pretrained(folder)` and `AutoConfig` find these classes
without `trust_remote_code`, whichever of the two packages is imported first.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:
    from clsp.checkpoint import load as load
    from clsp.config import CLSPConfig as CLSPConfig
    from clsp.embedder import Embedder as Embedder
    from clsp.model import CLSPModel as CLSPModel

__version__ = "0.1.0"

# What PyTorch reads once, before its first tensor; values already set win. Speech comes in batches
# of ever other shapes: without these a worker took a tenth more time and memory, and its memory
# grew for hours (tests/faults/memory.py).
for _name, _value in {
    "THP_MEM_ALLOC_ENABLE": "1",  # large tensors in huge pages, where Linux has them
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",  # kernels kept for shapes seen: 1,024 by default
    "LRU_CACHE_CAPACITY": "256",  # the same, of what PyTorch keeps around them
}.items():
    os.environ.setdefault(_name, _value)

_HOME = {
    "load": "clsp.checkpoint",
    "CLSPConfig": "clsp.config",
    "CLSPModel": "clsp.model",
    "Embedder": "clsp.embedder",
}
_MODULES = ("metrics", "retrieval", "style", "zero_shot")
__all__ = ["CLSPConfig", "CLSPModel", "Embedder", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"clsp.{name}")
    if name not in _HOME:
        has = sorted([*_HOME, *_MODULES])
        raise AttributeError(f"module 'clsp' has no attribute {name!r}; it has {has}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES})


# The Auto classes live behind several seconds of imports. Registering the moment they load, and
# not before, keeps `import clsp` cheap for those who only want the command line.
wrapt.register_post_import_hook(
    lambda _: import_module("clsp.config"), "transformers.models.auto.configuration_auto"
)
wrapt.register_post_import_hook(
    lambda _: import_module("clsp.model"), "transformers.models.auto.modeling_auto"
)
