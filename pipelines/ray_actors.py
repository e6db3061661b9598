"""The actors of a run on Ray: asked for, placed when Ray can, replaced where they are lost.

None is waited for: the run goes on with those that are ready, an autoscaler sees what is asked for,
and a node that comes later is used. Knows nothing of what actors are given to do.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines import faults
from pipelines.errors import WorkerLost, WorkerNotStarted
from pipelines.jobs import Chunk, Job
from pipelines.ray_sizes import Size, Sizing
from pipelines.settings import TagSettings
from pipelines.worker import Worker

MOST_STARTS = 3  # of an actor in a row that come to nothing, where its node is well
NODES_S = 5.0  # between looks at which nodes there are
PLACE_S = 900.0  # for the first actor to be ready: an autoscaler may have to buy a node
SAY_S = 30.0  # after which those that wait are mentioned

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """A chunk that an actor is given. `suspect`: a worker died with it before."""

    chunk: Chunk
    suspect: bool = False


@dataclass(eq=False)
class Actor:
    """One actor, and what it was asked; first of all, on which node it is."""

    handle: Any
    size: Size
    starts: int  # in a row that came to nothing, of those before it
    node: str | None = None  # its id, once the actor was ready
    tasks: dict[Any, Task | None] = field(default_factory=dict)  # by Ray's reference, as given
    doubtful: list[Task] = field(default_factory=list)  # given, when it was out of reach

    def ask(self) -> None:
        """Whether it is there, and where."""
        self.tasks[self.handle.__ray_call__.remote(_where)] = None

    @property
    def ready(self) -> bool:
        return self.node is not None and not self.doubtful

    @property
    def alone(self) -> bool:
        """With a suspect: it gets nothing else."""
        return any(task and task.suspect for task in self.tasks.values())


class Actors:
    """Those of a run, in the order in which they were asked for."""

    def __init__(self, settings: TagSettings, job: Job, alone: bool = False) -> None:
        """alone: no node will come to those that there are. Raises WorkerNotStarted then, where no
        actor fits on one."""
        self.job = job
        self.all: list[Actor] = []
        self.began = self.looked = self.last_ready = time.monotonic()
        self.said = False
        nodes = alive_nodes()
        self.known = set(nodes)  # those that have their actors
        self.sizing = Sizing.of(settings, nodes.values())
        sizes = self.sizing.at_start(nodes.values())
        if alone and not any(size.fits(node) for size in sizes for node in nodes.values()):
            raise WorkerNotStarted(f"no Ray worker can start on this machine: {_told(sizes[0])}")
        for size in sizes:
            self._start(size)

    def __iter__(self) -> Iterator[Actor]:
        return iter(self.all)

    def end(self) -> None:
        import ray

        for actor in self.all:
            ray.kill(actor.handle)
        self.all.clear()

    def replace(self, actor: Actor, why: str, node_lost: bool) -> None:
        """Another for one that is lost. Raises WorkerLost where the last ends again and again."""
        import ray

        ray.kill(actor.handle)  # where it is only out of reach, it must not go on by itself
        self.all.remove(actor)
        starts = 0 if actor.node or node_lost else actor.starts + 1
        if starts < MOST_STARTS:
            self._start(actor.size, starts)
        elif not self.all:
            raise WorkerLost(
                f"a Ray worker ended {starts} times before it was ready: {why}. Give the nodes "
                "more memory, then run again"
            )
        else:
            _log.warning(
                "a Ray worker ended %s times before it was ready: the run goes on with %s others",
                starts, len(self.all), extra={"run_id": self.job.run_id},
            )  # fmt: skip

    def look_around(self) -> None:
        """Use nodes that came since. Raises WorkerNotStarted where no actor finds a place."""
        now = time.monotonic()
        if now < self.looked + NODES_S:
            return
        self.looked = now
        waiting = [actor for actor in self.all if not actor.ready]
        if len(waiting) < len(self.all):
            self.last_ready = now
        elif now > self.last_ready + PLACE_S:
            raise WorkerNotStarted(
                f"no Ray worker was ready in {PLACE_S / 60:.0f} minutes: {_told(waiting[0].size)}, "
                "or add nodes"
            )
        if waiting and not self.said and now > self.began + SAY_S:
            self.said = True
            _log.warning(
                "%s of %s Ray workers are not ready yet: each asks for %s, and waits for a place",
                len(waiting), len(self.all), waiting[0].size, extra={"run_id": self.job.run_id},
            )  # fmt: skip
        if self.sizing.workers is None:
            self._use_new_nodes(len(waiting))

    def _use_new_nodes(self, waiting: int) -> None:
        for node, has in alive_nodes().items():
            if node not in self.known:
                self.known.add(node)
                wanted = self.sizing.of_node(has)
                there = sum(actor.node == node for actor in self.all)
                # Those that wait may be placed there: to ask for more would buy yet another node.
                for size in wanted[: max(0, len(wanted) - there - waiting)]:
                    self._start(size)

    def _start(self, size: Size, starts: int = 0) -> None:
        import ray

        threads = max(1, int(size.cpus))
        variables = {"OMP_NUM_THREADS": str(threads)}  # Ray sets it, and not always to this
        variables |= (faults.runtime_env() or {}).get("env_vars", {})
        kind = ray.remote(
            num_cpus=size.cpus,
            num_gpus=size.gpus,
            max_restarts=0,  # a file that kills its worker is found by the driver
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": variables},
        )(Worker)
        actor = Actor(kind.remote(replace(self.job, threads=threads)), size, starts)
        actor.ask()
        self.all.append(actor)


def alive_nodes() -> dict[str, dict[str, float]]:
    """The resources of each node of the cluster, by its id."""
    import ray

    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


def _told(size: Size) -> str:
    nodes = alive_nodes().values()
    there = [{what: has.get(what, 0.0) for what in ("CPU", "GPU")} for has in nodes]
    return (
        f"each asks for {size}; there are nodes of {there}. Ask for less by --device, "
        "--worker-cpus or --worker-gpus"
    )


def _where(worker: Worker) -> str:
    """Called in the actor, once it has its model: the id of its node."""
    import ray

    return str(ray.get_runtime_context().get_node_id())
