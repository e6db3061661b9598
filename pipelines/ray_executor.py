"""Workers as Ray actors, on this machine or a cluster.

Ray itself tries nothing again. A chunk whose node is gone is done by another actor; one whose
worker died may be to blame, and is done alone on its actor, in halves, until the file that kills
workers stands by itself and becomes a failure. Knows nothing of lakes or plans.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pipelines.children import Work
from pipelines.errors import ClusterUnreachable, FailureKind, WorkerNotStarted
from pipelines.jobs import Chunk, ChunkResult, Job, halves, lost
from pipelines.ray_actors import Actor, Actors, Task, alive_nodes
from pipelines.redaction import why
from pipelines.settings import TagSettings

IN_FLIGHT = 2  # chunks per actor: one running, one waiting, so that no actor idles
POLL_S = 0.05  # between looks at what is done
ANSWER_S = 20.0  # for a cluster to answer at all

_log = logging.getLogger(__name__)


@contextmanager
def ray_workers(
    settings: TagSettings, job: Job, on_file: Callable[[float], None]
) -> Iterator[Work]:
    """What processes chunks on Ray: see pipelines.executors. Actors end with the context; so does
    Ray, where it was started here."""
    # Before Ray is imported: it reads them then. Values already set win.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a FutureWarning
    import ray

    ours = not ray.is_initialized()
    if ours:
        _connect(settings.ray_address)
    try:
        actors = Actors(settings, job, alone=ours and settings.ray_address is None)
        try:
            yield lambda chunks, check: Schedule(actors, job, on_file).results(chunks, check)
        finally:
            actors.end()
    finally:
        if ours:
            ray.shutdown()


def _connect(address: str | None) -> None:
    """Raises ClusterUnreachable where nobody answers, and WorkerNotStarted where Ray does not like
    who does, or cannot be started here."""
    import ray
    from ray.exceptions import RayError

    _require_answer(address)
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)  # of pipelines.stopping, or Prefect: Ray takes it
    try:
        ray.init(
            address=address or "local",  # never some cluster that happens to be here
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (OSError, RuntimeError, RayError) as error:
        if address is None:
            raise WorkerNotStarted(
                f"Ray cannot be started here: {str(error).strip()}. Check that the home folder "
                "(HOME) can be written to, or give Ray's token as RAY_AUTH_TOKEN, and that the "
                "temporary folder (TMPDIR) can; or do without it: --executor process"
            ) from error
        raise WorkerNotStarted(
            f"the Ray cluster at {address!r} cannot be used: {str(error).strip()}. Check that it "
            "is one, that its Ray and Python are of the same version as here, and its token "
            "(RAY_AUTH_TOKEN or ~/.ray/auth_token)"
        ) from error
    finally:
        if main:
            signal.signal(signal.SIGTERM, handler)


def _require_answer(address: str | None) -> None:
    """Ray itself would try for many minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
        except OSError as error:
            raise ClusterUnreachable(
                f"no Ray cluster answers at {address!r} ({why(error)}): expected host:6379, or "
                "ray://host:10001. Start it, or check the address, then run again"
            ) from error


class Schedule:
    """Which actor does which chunk, and what is to be done again."""

    def __init__(self, actors: Actors, job: Job, on_file: Callable[[float], None]) -> None:
        self.actors, self.job, self.on_file = actors, job, on_file
        self.again: deque[Task] = deque()

    def results(self, chunks: Iterable[Chunk], check: Callable[[], None]) -> Iterator[ChunkResult]:
        """Keep every actor fed, hand out results as they come. At most IN_FLIGHT chunks to an actor
        are begun and not yet handed out: whoever takes them slowly holds up the work.

        Raises WorkerNotStarted, WorkerLost, what `check` raises, and what a worker raised.
        """
        waiting = iter(chunks)
        more = True
        while True:
            more = self._feed(waiting) and more
            in_hand = any(
                task for actor in self.actors for task in (*actor.tasks.values(), *actor.doubtful)
            )
            if not (more or self.again or in_hand):
                return
            check()
            self.actors.look_around()
            done = self._done()
            for actor, reference in done:
                if result := self._settle(actor, reference):
                    self._feed(waiting)  # it works while its result is committed
                    for _ in result.chunk.entries:
                        self.on_file(result.audio_s / len(result.chunk.entries))
                    yield result
            if not done:
                # Not in ray.wait: it drops what the handler of a signal raises, such as Prefect's.
                time.sleep(POLL_S)

    def _feed(self, waiting: Iterator[Chunk]) -> bool:
        """Give actors what they can take. False when no more chunks are to come."""
        for actor in sorted(self.actors, key=lambda actor: len(actor.tasks)):
            while actor.ready and not actor.alone and len(actor.tasks) < IN_FLIGHT:
                suspects = [task for task in self.again if task.suspect]
                # While suspects wait, busy actors run dry, so that one of them gets free.
                if suspects and actor.tasks:
                    break
                if self.again:
                    task = suspects[0] if suspects else self.again[0]
                    self.again.remove(task)
                else:
                    chunk = next(waiting, None)
                    if chunk is None:
                        return False
                    task = Task(chunk)
                actor.tasks[actor.handle.process.remote(task.chunk)] = task
        return True

    def _done(self) -> list[tuple[Actor, Any]]:
        """What there is an answer to, of each actor the oldest first."""
        import ray

        asked = {reference: actor for actor in self.actors for reference in actor.tasks}
        if not asked:
            return []
        # Not fetched: a wait that is over would give up fetching.
        done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0, fetch_local=False)
        return [(asked[reference], reference) for reference in done]

    def _settle(self, actor: Actor, reference: Any) -> ChunkResult | None:
        """A result; or none, where a task came to nothing and is to be done again."""
        import ray
        from ray.exceptions import (
            ActorUnavailableError,
            ObjectLostError,
            OutOfMemoryError,
            RayActorError,
            RuntimeEnvSetupError,
            WorkerCrashedError,
        )

        if reference not in actor.tasks:  # the actor was lost meanwhile: others have its tasks
            return None
        task = actor.tasks[reference]
        try:
            answer = ray.get(reference)
        except ObjectLostError:  # it was done, and its result went with the node
            del actor.tasks[reference]
            if task:
                self._again(task, "its result was lost with its node")
            return None
        except RuntimeEnvSetupError as error:
            raise WorkerNotStarted(f"a Ray worker cannot start: {error}") from error
        except ActorUnavailableError:
            # Dead or not: nobody knows yet. What is asked of it now is answered once it is known.
            actor.doubtful += [task for task in actor.tasks.values() if task]
            actor.tasks.clear()
            actor.ask()
            return None
        except (RayActorError, WorkerCrashedError, OutOfMemoryError) as error:
            if getattr(error, "actor_init_failed", False):
                raise WorkerNotStarted(f"a Ray worker cannot start: {error}") from error
            return self._lost(actor, error)
        del actor.tasks[reference]
        if task:
            return answer
        if actor.doubtful:  # it is well, and what became of its chunks is not known
            return self._lost(actor, None)
        actor.node, actor.starts = answer, 0
        return None

    def _lost(self, actor: Actor, error: Exception | None) -> ChunkResult | None:
        """An actor is gone, or without an error given up: others do its chunks. Of those the oldest
        was being worked on, and may be what killed it, unless the node is gone too."""
        tasks = [*actor.doubtful, *(task for task in actor.tasks.values() if task)]
        actor.doubtful.clear()
        actor.tasks.clear()
        node_lost = error is not None and _node_lost(actor, error)
        reason = "its node is gone" if node_lost else _reason(error)
        _log.warning("a Ray worker was lost (%s)", reason, extra={"run_id": self.job.run_id})
        self.actors.replace(actor, reason, node_lost)
        blamed = tasks.pop(0) if tasks and error and not node_lost else None
        for task in tasks:
            self._again(task, reason)
        if error is None or blamed is None:
            return None
        if blamed.suspect and len(blamed.chunk.entries) == 1:
            return lost_to_ray(self.job, blamed.chunk, error)
        for chunk in halves(blamed.chunk) if blamed.suspect else [blamed.chunk]:
            self._again(Task(chunk, suspect=True), reason)
        return None

    def _again(self, task: Task, reason: str) -> None:
        self.again.append(task)
        told = {"run_id": self.job.run_id, "chunk_id": task.chunk.chunk_id}
        _log.warning("chunk %s is tried again: %s", task.chunk.chunk_id, reason, extra=told)


def _node_lost(actor: Actor, error: Exception) -> bool:
    if "its node has died" in str(error) or getattr(error, "preempted", False):
        return True
    return actor.node is not None and actor.node not in alive_nodes()


def _reason(error: Exception | None) -> str:
    from ray.exceptions import OutOfMemoryError

    if error is None:
        return "it was out of reach"
    if isinstance(error, OutOfMemoryError):
        return "Ray's memory monitor stopped it"
    # Of what Ray says the last line has the cause; the rest of that line is what it may have been.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].split(". ")[0] if lines else type(error).__name__


def lost_to_ray(job: Job, chunk: Chunk, error: Exception) -> ChunkResult:
    """The one file that its actor died of."""
    from ray.exceptions import OutOfMemoryError

    memory = isinstance(error, OutOfMemoryError)  # Ray's memory monitor stopped it
    kind = FailureKind.OUT_OF_MEMORY if memory else FailureKind.WORKER_LOST
    return lost(job, chunk, type(error).__name__, kind)
