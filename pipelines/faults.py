"""Named points where a test may kill, fail or hold a run. Without CLSP_FAULTS they do nothing.

CLSP_FAULTS is read once per process, at import:

    POINT[:N]=ACTION[@FILE] [; ...]

At the N-th time (in this process; else the first) that POINT is reached: `kill` this process by
SIGKILL, raise OSError as a full disk does (`enospc`), or `pause` until FILE is removed. FILE is
made right before; where it is there already nothing happens, so that an actor that was started
again is killed once. `*=log@FILE` appends the name of every point reached to FILE. Knows nothing
of what happens at the points.
"""

import errno
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "CLSP_FAULTS"
PAUSE_S = 0.02

WORKER = {
    "worker.ready": "a worker has its model",
    "worker.chunk": "a worker was given a chunk",
    "worker.fetched": "a file is here and its content's hash is known",
    "worker.decoded": "a file was decoded to its end",
    "worker.embedded": "a batch of segments has its embeddings",
    "worker.result": "a chunk's tables are made",
}
DRIVER = {
    "run.planned": "the archive is listed and compared with the lake",
    "adopt.stored": "the rows of known contents are read",
    "adopt.made": "rows for files of known content are made",
    "relabel.stored": "the embeddings to label anew are read",
    "relabel.made": "a chunk of new labels is made",
    "gone.made": "a chunk of rows on files that are gone is made",
    "commit.begin": "a chunk's result is with the driver",
    "commit.locked": "the lake's lock is held",
    **{f"append.{name}": "the table's rows are about to be written" for name in (
        "recordings", "segments", "embeddings", "labels", "evaluations", "targets", "watches",
        "watch_checks", "runs")},
    **{f"appended.{name}": "the table's rows are written" for name in (
        "recordings", "segments", "embeddings", "labels", "evaluations", "targets", "watches",
        "watch_checks", "runs")},
    "commit.done": "a chunk is committed, the lock given back",
    "run.balanced": "all chunks are committed, the run's own ledger row is not",
    "run.done": "the run's own ledger row is written",
}  # fmt: skip
MAINTENANCE = {
    "maintain.locked": "the lake's lock is held for a table",
    "maintain.swept": "rows of chunks that were cut off are removed from it",
    "maintain.compacted": "its small files are put together",
    "maintain.vacuumed": "its files that no reader needs are deleted",
    "maintain.checkpointed": "its log is shortened",
    "maintain.copied": "the copy of `speech` is written",
    "vectors.written": "embeddings are added to a model's plain file, its record is not",
}
POINTS = WORKER | DRIVER | MAINTENANCE


@dataclass(frozen=True)
class Fault:
    """What to do at a point."""

    point: str  # or `*`
    count: int
    action: str  # kill | enospc | pause | log
    file: Path | None


def parse(text: str) -> tuple[Fault, ...]:
    """Raises ValueError for an unknown point or action, or one that lacks its file."""
    faults = []
    for part in filter(None, map(str.strip, text.split(";"))):
        where, _, what = part.partition("=")
        point, _, count = where.partition(":")
        action, _, file = what.partition("@")
        known = point in POINTS or (point, action) == ("*", "log")
        if not known or action not in ("kill", "enospc", "pause", "log"):
            raise ValueError(f"{VARIABLE}: {part!r} is no POINT[:N]=ACTION[@FILE]; see {__name__}")
        if action in ("pause", "log") and not file:
            raise ValueError(f"{VARIABLE}: {part!r} lacks the @FILE that {action} needs")
        faults.append(Fault(point, int(count or 1), action, Path(file) if file else None))
    return tuple(faults)


_faults = parse(os.environ.get(VARIABLE, ""))
_reached: Counter[str] = Counter()
_counting = threading.Lock()  # files are decoded in threads


def reach(point: str) -> None:
    """Say that this point of the code is reached. Raises OSError where told to, and KeyError,
    where any fault is set, for a point that is not in POINTS."""
    if _faults:
        _reach(point)


def arm(text: str) -> None:
    """What CLSP_FAULTS would have said, for this process and those it starts; counts anew."""
    global _faults
    _faults = parse(text)
    _reached.clear()
    os.environ[VARIABLE] = text


def runtime_env() -> dict[str, dict[str, str]] | None:
    """For Ray, whose processes may have been started before the variable was set."""
    return {"env_vars": {VARIABLE: os.environ[VARIABLE]}} if _faults else None


def _reach(point: str) -> None:
    if point not in POINTS:
        raise KeyError(f"no fault point {point!r}: add it to {__name__}.POINTS")
    with _counting:
        _reached[point] += 1
        count = _reached[point]
    for fault in _faults:
        if fault.action == "log" and fault.file:
            with fault.file.open("a") as log:
                log.write(f"{point}\n")
        elif fault.point == point and fault.count == count and _first(fault.file):
            if fault.action == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if fault.action == "enospc":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), point)
            while fault.file and fault.file.exists():
                time.sleep(PAUSE_S)


def _first(file: Path | None) -> bool:
    """Whether no process was here before."""
    if file is None:
        return True
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True
