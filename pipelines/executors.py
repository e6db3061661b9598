"""Where chunks are processed: in this process, in child processes, or by Ray actors. One interface,
the same results.

    with executor(settings, job) as run:
        for result in run(chunks): ...

Results come as they are ready. On Ray, a chunk whose worker dies is tried again in halves, alone
on its actor, until the file that kills workers stands by itself and becomes a failure. Knows
nothing of lakes or plans.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from pipelines import faults
from pipelines.children import children
from pipelines.errors import FailureKind, WorkerLost, WorkerNotStarted
from pipelines.jobs import Chunk, ChunkResult, Job, halves, lost
from pipelines.settings import TagSettings
from pipelines.worker import Worker

IN_FLIGHT = 2  # chunks per actor: one running, one waiting, so that no actor idles
CPUS_PER_ACTOR = 4
PING_S = 0.2
RESTART_PINGS = 3000  # ten minutes for an actor to be back with its model loaded

Run = Callable[[Iterable[Chunk]], Iterator[ChunkResult]]
OnFile = Callable[[float], None]  # audio seconds of a file that is done


def ignore_file(audio_s: float) -> None:
    """For those who do not watch."""


@contextmanager
def executor(settings: TagSettings, job: Job, on_file: OnFile = ignore_file) -> Iterator[Run]:
    """The executor that the settings name. on_file is called in the driver: for each file as it
    is done; on Ray, for each file of a chunk when the chunk is."""
    if settings.executor == "ray":
        with _ray_executor(settings, job, on_file) as run:
            yield run
    elif settings.executor == "process":
        count = settings.workers or 1
        threads = max(1, (os.cpu_count() or 1) // count)
        with children(replace(job, threads=threads), count, on_file) as run:
            yield run
    else:
        worker = Worker(job)
        yield lambda chunks: (worker.process(chunk, on_file) for chunk in chunks)


# ---- Ray --------------------------------------------------------------------------------------


@dataclass
class _Task:
    """What an actor was asked: a chunk, or (None) whether it is back after it died."""

    actor: int
    chunk: Chunk | None
    suspect: bool = False


@contextmanager
def _ray_executor(settings: TagSettings, job: Job, on_file: OnFile) -> Iterator[Run]:
    # Before Ray is imported: it reads them then. Values already set win.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a FutureWarning
    import ray

    ours = not ray.is_initialized()
    if ours:
        ray.init(
            address=settings.ray_address or "local",  # never some cluster that happens to be here
            include_dashboard=None if settings.ray_address else False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    actors: list[Any] = []
    try:
        actors = _actors(settings, job)
        yield lambda chunks: _schedule(actors, chunks, job, on_file)
    finally:
        for actor in actors:
            ray.kill(actor)
        if ours:
            ray.shutdown()


def _actors(settings: TagSettings, job: Job) -> list[Any]:
    import ray
    from ray.exceptions import RayActorError

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = 0 if job.device == "cpu" else int(sum(node.get("GPU", 0) for node in nodes))
    cpus = [node["CPU"] for node in nodes if node.get("CPU")] or [1.0]
    count, cpus_each = shares(cpus, settings.workers or gpus or None)
    # Ray would give torch its threads only through OMP_NUM_THREADS, and only sometimes.
    job = replace(job, threads=max(1, int(cpus_each)))
    # The killed file is found here, by retry in halves: Ray itself must not try again.
    kind = ray.remote(
        num_cpus=cpus_each,
        num_gpus=min(1.0, gpus / count),
        max_restarts=-1,
        max_task_retries=0,
        runtime_env=faults.runtime_env(),
    )(Worker)
    actors = [kind.remote(job) for _ in range(count)]
    try:
        ray.get([actor.ping.remote() for actor in actors])
    except RayActorError as error:
        raise WorkerNotStarted(f"a Ray worker cannot start: {error}") from error
    return actors


def shares(cpus: list[float], workers: int | None) -> tuple[int, float]:
    """How many actors, and the CPUs of each, for nodes with so many CPUs: what Ray can place.

    By default one actor for every 4 CPUs of a node, at least one on each. More actors than CPUs
    share them.
    """
    if workers is None:
        per_node = [max(1, int(c) // CPUS_PER_ACTOR) for c in cpus]
        return sum(per_node), min(max(1, c // n) for c, n in zip(cpus, per_node, strict=True))
    each = min(sum(cpus) / workers, max(cpus))
    return workers, float(int(each)) if each >= 1 else each


def _schedule(
    actors: list[Any], chunks: Iterable[Chunk], job: Job, on_file: OnFile
) -> Iterator[ChunkResult]:
    """Keep every actor fed, hand out results as they come, bisect what kills a worker.

    Raises WorkerLost when an actor does not come back.
    """
    import ray
    from ray.exceptions import OutOfMemoryError, RayActorError, WorkerCrashedError

    waiting, suspects = iter(chunks), deque[Chunk]()
    running: dict[Any, _Task] = {}
    load = [0] * len(actors)
    closed: set[int] = set()  # actors that get nothing more for now: holding a suspect, or dead
    asked = [0] * len(actors)  # pings of a dead actor

    def submit(task: _Task) -> None:
        handle = actors[task.actor]
        ref = handle.process.remote(task.chunk) if task.chunk else handle.ping.remote()
        running[ref] = task
        load[task.actor] += 1
        if task.suspect or not task.chunk:
            closed.add(task.actor)

    def feed() -> None:
        for actor in sorted(range(len(actors)), key=lambda a: load[a]):
            if suspects and actor not in closed and load[actor] == 0:
                submit(_Task(actor, suspects.popleft(), suspect=True))
            # While suspects wait, busy actors run dry, so that one of them gets free.
            while not suspects and actor not in closed and load[actor] < IN_FLIGHT:
                chunk = next(waiting, None)
                if chunk is None:
                    return
                submit(_Task(actor, chunk))

    feed()
    while running:
        [done], _ = ray.wait(list(running), num_returns=1)
        task = running.pop(done)
        load[task.actor] -= 1
        result = None
        try:
            result = ray.get(done)
            closed.discard(task.actor)
            asked[task.actor] = 0
        except (RayActorError, WorkerCrashedError, OutOfMemoryError) as error:
            if task.chunk and task.suspect and len(task.chunk.entries) == 1:
                result = _lost(job, task.chunk, error)
            elif task.chunk:
                suspects.extend(halves(task.chunk) if task.suspect else [task.chunk])
            # Until it is back, whatever the actor is given fails at once, guilty or not.
            asked[task.actor] += 1
            if asked[task.actor] > RESTART_PINGS:
                raise WorkerLost(f"a Ray worker died and did not come back: {error}") from error
            if load[task.actor] == 0:
                time.sleep(PING_S)
                submit(_Task(task.actor, None))
        feed()
        if task.chunk and result is not None:
            for _ in result.chunk.entries:
                on_file(result.audio_s / len(result.chunk.entries))
            yield result


def _lost(job: Job, chunk: Chunk, error: Exception) -> ChunkResult:
    from ray.exceptions import OutOfMemoryError

    memory = isinstance(error, OutOfMemoryError)  # Ray's memory monitor stopped it
    kind = FailureKind.OUT_OF_MEMORY if memory else FailureKind.WORKER_LOST
    return lost(job, chunk, type(error).__name__, kind)
