"""Several processes that train one model: who am I, and embeddings across all of them.

Knows torch.distributed and torchrun's environment; nothing of models or losses.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from clsp.errors import InputError


def started() -> bool:
    return bool(dist.is_available() and dist.is_initialized())


def rank() -> int:
    return int(dist.get_rank()) if started() else 0


def world() -> int:
    return int(dist.get_world_size()) if started() else 1


@contextmanager
def processes(device: str) -> Iterator[str]:
    """Join the other processes where torchrun started several; gives this one's device.

    device: auto, cpu or cuda. Alone, nothing is joined.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r}: expected auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device 'cuda': torch sees no GPU here; use cpu or auto")
    on_gpu = device != "cpu" and torch.cuda.is_available()
    # torchrun's own contract; nothing else of the environment is read here.
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or started():
        yield "cuda" if on_gpu else "cpu"
        return
    place = "cpu"
    if on_gpu:
        place = f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield place
    finally:
        dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    """Rows of all processes. Backward sums what every process found for these rows: each works out
    the loss of the whole batch, so the mean of gradients, which DDP takes, is the true gradient."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(world())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(grad)
        size = len(grad) // world()
        return grad[rank() * size : (rank() + 1) * size]


def gather_rows(rows: Tensor) -> Tensor:
    """(n, ...) here to (n * processes, ...) everywhere, in the processes' order, with gradients."""
    return _Gather.apply(rows) if world() > 1 else rows


def own_slice(count: int) -> slice:
    """Which of `count` rows of the whole batch are this process's; `count` is a multiple."""
    size = count // world()
    return slice(rank() * size, (rank() + 1) * size)


def from_first(values: list[float], device: Any) -> list[float]:
    """The first process's numbers, in all of them."""
    if world() == 1:
        return values
    shared = torch.tensor(values, dtype=torch.float64, device=device)
    dist.broadcast(shared, 0)
    return list(map(float, shared.tolist()))


def wait() -> None:
    """Until all are here."""
    if world() > 1:
        dist.barrier()
