"""Workers in child processes on this machine: what kills one costs a file, not the run.

A decoder is C code that reads what anyone sent; where it crashes, or the machine runs out of
memory, the process is gone. Here that is a child: its chunk is tried again by a new one, in halves,
until the file that kills workers stands alone and becomes a failure. Children are spawned: a script
of your own that tags with them needs its `if __name__ == "__main__":`. Knows nothing of lakes,
plans or Ray.
"""

import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from traceback import format_exc
from typing import Any

from clsp.errors import ClspError
from pipelines.errors import WorkerLost, WorkerNotStarted
from pipelines.jobs import Chunk, ChunkResult, Job, halves, lost
from pipelines.worker import Worker

MOST_STARTS = 3  # in a row that come to nothing
END_S = 5.0  # for a child to be gone
POLL_S = 1.0  # between looks at whether the run was asked to stop

Make = Callable[[Job], Worker]
Work = Callable[[Iterable[Chunk], Callable[[], None]], Iterator[ChunkResult]]

_log = logging.getLogger(__name__)


@dataclass
class Child:
    """A process with a worker in it, and what it was given."""

    pipe: Connection
    process: Any
    chunk: Chunk | None = None
    suspect: bool = False  # a worker died with it before
    ready: bool = False  # has its model

    def give(self, chunk: Chunk, suspect: bool) -> None:
        self.chunk, self.suspect = chunk, suspect
        with suppress(OSError):  # it is dead: found out on reading
            self.pipe.send(chunk)

    def died_of(self) -> str:
        self.process.join(END_S)
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"exit status {code}"
        return signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()  # it has nothing to put in order
        self.process.join(END_S)


@contextmanager
def children(
    job: Job, count: int, on_file: Callable[[float], None], make: Make = Worker
) -> Iterator[Work]:
    """What processes chunks on `count` children, each with its share of the CPUs: see
    pipelines.executors. The children start at once, and end with the context."""
    there = [_start(job, make) for _ in range(count)]
    try:
        yield lambda chunks, check: _schedule(there, chunks, check, job, on_file, make)
    finally:
        for child in there:
            child.end()


def _start(job: Job, make: Make) -> Child:
    spawn = multiprocessing.get_context("spawn")  # a fork would share torch's threads, and locks
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, job, make), daemon=True)
    process.start()
    theirs.close()  # so that its end is seen
    return Child(ours, process)


def _serve(pipe: Connection, job: Job, make: Make) -> None:
    """The child: chunks in, results out, until nobody is there any more."""
    for name in (signal.SIGINT, signal.SIGTERM):  # they are for the driver, which ends us
        signal.signal(name, signal.SIG_IGN)
    try:
        try:
            worker = make(job)
        except Exception as error:  # of any class, which the driver might not be able to read
            text = f"a worker cannot start: {type(error).__name__}: {error}"
            return pipe.send(("error", WorkerNotStarted(text)))
        pipe.send(("ready", None))
        while True:
            chunk = pipe.recv()
            try:
                result = worker.process(chunk, lambda audio_s: pipe.send(("file", audio_s)))
            except (BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:  # ours; not a file's: it would meet every other one too
                told = error if isinstance(error, ClspError) else RuntimeError(format_exc())
                return pipe.send(("error", told))
            pipe.send(("done", result))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the driver is gone; decode threads need not end well


def _schedule(
    there: list[Child],
    chunks: Iterable[Chunk],
    check: Callable[[], None],
    job: Job,
    on_file: Callable[[float], None],
    make: Make,
) -> Iterator[ChunkResult]:
    """Keep every child busy, hand out results as they come, bisect what kills one.

    Raises WorkerNotStarted; WorkerLost when they die before they are ready; what `check` raises,
    and what a worker raised, which is no class of a library's: RuntimeError then, with its
    traceback as text.
    """
    waiting, again = ((chunk, False) for chunk in chunks), deque[tuple[Chunk, bool]]()
    starts = 0

    def feed(child: Child) -> None:
        work = again.popleft() if again else next(waiting, None)
        if work:
            child.give(*work)

    while True:
        for child in there:
            if child.chunk is None:
                feed(child)
        busy = {child.pipe: child for child in there if child.chunk}
        if not busy:
            return
        check()
        for pipe in wait(busy, POLL_S):
            child = busy[pipe]  # type: ignore[index]
            chunk, suspect = child.chunk, child.suspect
            assert chunk
            try:
                what, value = child.pipe.recv()
            except (EOFError, OSError):
                how = child.died_of()
                told = {"run_id": job.run_id, "chunk_id": chunk.chunk_id}
                _log.warning("a worker process was lost (%s): another is started", how, extra=told)
                starts = 0 if child.ready else starts + 1
                if starts >= MOST_STARTS:
                    raise WorkerLost(
                        f"a worker process ended {starts} times before it was ready ({how}). "
                        "Give the machine more memory, then run again"
                    ) from None
                if not child.ready:  # the chunk had no part in it
                    again.appendleft((chunk, suspect))
                elif not suspect:
                    again.append((chunk, True))
                elif len(chunk.entries) > 1:
                    again.extend((half, True) for half in halves(chunk))
                else:
                    yield lost(job, chunk, how)
                child.end()
                there[there.index(child)] = _start(job, make)
                continue
            if what == "error":
                raise value
            if what == "file":
                on_file(value)
            elif what == "ready":
                child.ready = True
            else:
                child.chunk = None
                feed(child)  # it works while its result is committed
                yield value
