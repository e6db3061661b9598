"""Weights between a safetensors file and a module, all of them or none.

Knows tensors and their names; nothing of where files come from or what the tensors compute.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copymode
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from clsp.errors import CheckpointMismatch

NAMED = 10  # faults that a message names


class _NoInit(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@contextmanager
def bare() -> Iterator[None]:
    """Modules that are made within have shapes and no values, for `fill` to give them.

    On the `meta` device, where to initialise would only be slow: PyTorch imports its compiler to
    draw numbers that are nowhere.
    """
    with torch.device("meta"), _NoInit():
        yield


def check(
    name: object,
    missing: Iterable[str],
    unexpected: Iterable[str],
    misshapen: Iterable[tuple[str, Iterable[int], Iterable[int]]],
) -> None:
    """Raises CheckpointMismatch for any tensor that is not as the model needs it.

    misshapen: name, shape in the file, shape in the model.
    """
    problems = [
        *(f"missing: {key}" for key in sorted(missing)),
        *(f"unexpected: {key}" for key in sorted(unexpected)),
        *(
            f"misshapen: {key} is {tuple(found)} in the file, {tuple(wanted)} in the model"
            for key, found, wanted in sorted(misshapen)
        ),
    ]
    if problems:
        more = f" ... and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        raise CheckpointMismatch(
            f"weights of {name} do not fit its config.json: {'; '.join(problems[:NAMED])}{more}. "
            "Expected every tensor of the published layout; download the checkpoint again, "
            "or fix config.json"
        )


def fill(module: nn.Module, path: Path, prefix: str, dtype: torch.dtype) -> None:
    """Give a module that was made `bare` its tensors, one by one, so that the file is never in
    memory beside them. Whole numbers keep their type, others get `dtype`.

    prefix: of all names in the file, or of none.
    Raises CheckpointMismatch for any missing, unexpected or misshapen tensor; SafetensorError or
    OSError for a file that cannot be read.
    """
    wanted = module.state_dict()
    # pread: pages of a mapped file would count as this process's memory, and double it.
    with safe_open(path, framework="pt", backend="pread") as file:
        names = {key.removeprefix(prefix): key for key in file.keys()}  # noqa: SIM118
        shapes = {name: tuple(file.get_slice(key).get_shape()) for name, key in names.items()}
        check(
            path.parent,
            missing=wanted.keys() - names.keys(),
            unexpected=names.keys() - wanted.keys(),
            misshapen=[
                (name, shapes[name], tuple(tensor.shape))
                for name, tensor in wanted.items()
                if name in shapes and shapes[name] != tuple(tensor.shape)
            ],
        )
        made = {
            name: tensor.to(dtype)
            if (tensor := file.get_tensor(key)).is_floating_point()
            else tensor
            for name, key in names.items()
        }
    module.load_state_dict(made, assign=True)


def write(module: nn.Module, path: Path, prefix: str) -> None:
    """A module's tensors as they are, in one file."""
    tensors = {prefix + name: each.contiguous() for name, each in module.state_dict().items()}
    save_file(tensors, path, metadata={"format": "pt"})


def share(folder: Path) -> None:
    """Give a model's weights the mode of its config.json: safetensors makes them their owner's
    alone, whatever the umask."""
    config = folder / "config.json"
    for path in folder.glob("model*.safetensors") if config.is_file() else ():
        copymode(config, path)
