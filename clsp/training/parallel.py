"""Several processes that train one model: who am I, embeddings and gradients across all of them.

Knows torch.distributed and torchrun's environment; nothing of models or losses.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
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


@contextmanager
def group(own: int, count: int, meeting: Path) -> Iterator[None]:
    """Join `count` processes of this machine as number `own`, on CPUs; `meeting` is a file that is
    not there yet, the same for all. Alone, nothing is joined."""
    if count == 1:
        yield
        return
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=own, world_size=count)
    try:
        yield
    finally:
        dist.destroy_process_group()


def begin_alike(parameters: Iterable[nn.Parameter]) -> None:
    """All processes take the first one's values."""
    if world() > 1:
        for one in parameters:
            dist.broadcast(one.data, 0)


def mean_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """The mean over all processes in place of each one's own gradients, in one message."""
    if world() == 1:
        return
    grads = [one.grad for one in parameters if one.grad is not None]
    flat = torch.cat([grad.flatten() for grad in grads])
    dist.all_reduce(flat)
    for grad, mean in zip(grads, (flat / world()).split([g.numel() for g in grads]), strict=True):
        grad.copy_(mean.view_as(grad))


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
