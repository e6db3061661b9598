"""How many Ray actors a run asks for, and how large: by what each node has, and what was asked.

Knows numbers only; nothing of Ray's library.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelines.settings import TagSettings

CPUS_PER_ACTOR = 4.0  # more threads than this gain little, and each actor has its own model

Node = Mapping[str, float]  # what it has, in Ray's words: CPU, GPU


@dataclass(frozen=True, order=True)
class Size:
    """What one actor takes of a node."""

    gpus: float
    cpus: float

    def fits(self, node: Node) -> bool:
        return self.gpus <= node.get("GPU", 0.0) and self.cpus <= node.get("CPU", 0.0)

    def __str__(self) -> str:
        return f"{self.cpus:g} CPUs" + (f" and {self.gpus:g} GPUs" if self.gpus else "")


@dataclass(frozen=True)
class Sizing:
    """By what rule actors are made."""

    workers: int | None  # how many; None: what fills the nodes
    cpus: float | None  # of each, where it was asked for
    gpus: float  # of each; 0: they work on CPUs
    shared: bool  # this machine is all there is: they share it, however many

    @classmethod
    def of(cls, settings: TagSettings, nodes: Iterable[Node]) -> "Sizing":
        there = sum(node.get("GPU", 0.0) for node in nodes)
        workers, shared = settings.workers, settings.ray_address is None
        gpus = settings.worker_gpus or float(there > 0 or settings.device.startswith("cuda"))
        if settings.device == "cpu":
            gpus = 0.0
        elif settings.worker_gpus is None and shared and there and workers:
            gpus = 1 / math.ceil(workers / there)
        return cls(workers, settings.worker_cpus, gpus, shared)

    def at_start(self, nodes: Iterable[Node]) -> list[Size]:
        """What to ask for, largest first, so that small ones do not take their places. Those that
        fit no node now wait: an autoscaler sees them. At least one."""
        nodes = list(nodes)
        if self.shared and self.workers and self.cpus is None:
            cpus = sum(node.get("CPU", 0.0) for node in nodes)
            return [Size(self.gpus, _part(cpus, self.workers))] * self.workers
        fitting = sorted((size for node in nodes for size in self.of_node(node)), reverse=True)
        count = len(fitting) if self.workers is None else self.workers
        largest = fitting[0] if fitting else Size(self.gpus, self.cpus or CPUS_PER_ACTOR)
        return (fitting + [largest] * max(1, count))[: max(1, count)]

    def of_node(self, node: Node) -> list[Size]:
        """The actors that fill a node."""
        cpus = node.get("CPU", 0.0)
        if self.gpus:
            count = int(node.get("GPU", 0.0)) * int(1 / self.gpus)  # none is split over two GPUs
            each = min(CPUS_PER_ACTOR, _part(cpus, count)) if count else 0.0
        else:
            count = int(cpus // CPUS_PER_ACTOR) or int(cpus > 0)
            each = _part(cpus, count) if count else 0.0
        if self.cpus is not None:
            fit = int(cpus // self.cpus)
            count, each = (min(count, fit) if self.gpus else fit), self.cpus
        return [Size(self.gpus, each)] * count


def _part(cpus: float, of: int) -> float:
    """A whole number of CPUs, as Ray wants it, or less than one."""
    each = cpus / of
    return float(int(each)) if each >= 1 else math.floor(each * 1000) / 1000
