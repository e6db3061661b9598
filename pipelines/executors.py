"""Where chunks are processed: in this process, in child processes, or by Ray actors. One interface,
the same results.

    with executor(settings, job) as run:
        for result in run(chunks): ...

Results come as they are ready; whoever asks for the next has committed the last. Asked to stop by
SIGTERM, no new chunk is begun, what is in hand is finished for a while, and the run ends with
Stopped. Knows nothing of lakes or plans.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from pipelines.children import Work, children
from pipelines.errors import Stopped
from pipelines.jobs import Chunk, ChunkResult, Job
from pipelines.models import cores
from pipelines.settings import TagSettings
from pipelines.stopping import Stop, stoppable
from pipelines.worker import Worker

Run = Callable[[Iterable[Chunk]], Iterator[ChunkResult]]
OnFile = Callable[[float], None]  # audio seconds of a file that is done

_log = logging.getLogger(__name__)


# Settings that mean nothing to an executor.
OF_NO_USE = {
    "local": ("workers", "worker_cpus", "worker_gpus", "ray_address"),
    "process": ("worker_cpus", "worker_gpus", "ray_address"),
}


def ignore_file(audio_s: float) -> None:
    """For those who do not watch."""


@contextmanager
def executor(settings: TagSettings, job: Job, on_file: OnFile = ignore_file) -> Iterator[Run]:
    """The executor that the settings name. on_file is called in the driver: for each file as it
    is done; on Ray, for each file of a chunk when the chunk is."""
    if idle := [
        n for n in OF_NO_USE.get(settings.executor, ()) if getattr(settings, n) is not None
    ]:
        of_use = "ray or process" if idle == ["workers"] else "ray"
        _log.warning(
            "%s: of no use to the %s executor; expected with --executor %s",
            ", ".join(idle), settings.executor, of_use,
        )  # fmt: skip
    with stoppable(job.run_id) as stop, _workers(settings, job, on_file) as work:
        yield lambda chunks: _watched(work, chunks, job, stop)


@contextmanager
def _workers(settings: TagSettings, job: Job, on_file: OnFile) -> Iterator[Work]:
    if settings.executor == "ray":
        from pipelines.ray_executor import ray_workers

        with ray_workers(settings, job, on_file) as work:
            yield work
    elif settings.executor == "process":
        count = settings.workers or 1
        threads = max(1, cores() // count)
        with children(replace(job, threads=threads), count, on_file) as work:
            yield work
    else:
        worker = Worker(job)
        yield lambda chunks, check: _one_by_one(worker, chunks, check, on_file)


def _one_by_one(
    worker: Worker, chunks: Iterable[Chunk], check: Callable[[], None], on_file: OnFile
) -> Iterator[ChunkResult]:
    def on_file_and_check(audio_s: float) -> None:
        on_file(audio_s)
        check()

    for chunk in chunks:
        yield worker.process(chunk, on_file_and_check)


def _watched(work: Work, chunks: Iterable[Chunk], job: Job, stop: Stop) -> Iterator[ChunkResult]:
    """The results, until the run is asked to stop. Raises Stopped then; and says what was dropped,
    however the run ends."""
    begun = done = 0  # files

    def until_asked() -> Iterator[Chunk]:
        nonlocal begun
        for chunk in chunks:
            if stop.asked:
                return
            begun += len(chunk.entries)
            yield chunk

    try:
        for result in work(until_asked(), stop.check):
            yield result
            done += len(result.chunk.entries)
    except Stopped:
        pass  # the time is over
    finally:
        if begun > done:
            _log.warning(
                "%s files in hand were dropped: the next run does them",
                begun - done, extra={"run_id": job.run_id},
            )  # fmt: skip
    if stop.asked:
        raise Stopped(
            f"stopped by SIGTERM: of {begun} files that were begun {done} are done and committed, "
            f"{begun - done} were dropped. Run again: it goes on from there"
        )
