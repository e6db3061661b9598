"""SIGTERM while a run works: no new chunk is begun, what is in hand is finished for a while, and
the run ends with an error that says so.

What was committed stays; running again does the rest. Where somebody else handles SIGTERM (Prefect
raises at once) it is theirs, and what is in hand is dropped. Knows nothing of how chunks are done.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipelines.errors import Stopped

GRACE_S = 20.0  # for what is in hand; Kubernetes kills 30 s after it asked, if not told otherwise
LAST_S = 5.0  # more, where the process is too busy to look: then it ends all the same
EXIT_STATUS = 128 + signal.SIGTERM  # what a shell says of a process that SIGTERM ended

_log = logging.getLogger(__name__)
_grace_s = GRACE_S


def allow(seconds: float) -> None:
    """For what is in hand, in this process, instead of GRACE_S."""
    global _grace_s
    _grace_s = seconds


class Stop:
    """Whether the run was asked to stop, and until when it may finish what is in hand."""

    def __init__(self, run_id: str | None = None, grace_s: float | None = None) -> None:
        self.run_id = run_id
        self.grace_s = _grace_s if grace_s is None else grace_s
        self.until: float | None = None  # on the monotonic clock
        self._told = False
        self._woken = threading.Event()

    @property
    def asked(self) -> bool:
        return self.until is not None

    def ask(self, *_: Any) -> None:
        """The handler of SIGTERM. The second time there is nothing more to wait for."""
        self.until = time.monotonic() + (0.0 if self.asked else self.grace_s)
        self._woken.set()

    def guard(self) -> None:
        """A thread of its own, there before it is needed: a handler must not start any."""
        self._woken.wait()
        if self.asked:
            time.sleep(self.grace_s + LAST_S)
            os._exit(EXIT_STATUS)

    def dismiss(self) -> None:
        """The guard goes, unless the run was asked to stop: then what comes after it is bounded
        too."""
        self._woken.set()

    def check(self) -> None:
        """Called by whoever works or waits, often. Raises Stopped when the time is over."""
        if self.until is None:
            return
        if not self._told:
            self._told = True
            _log.warning(
                "SIGTERM: no new chunk is begun; what is in hand has %.0f s",
                self.grace_s, extra={"run_id": self.run_id},
            )  # fmt: skip
        if time.monotonic() >= self.until:
            raise Stopped("SIGTERM")


@contextmanager
def stoppable(run_id: str | None = None, grace_s: float | None = None) -> Iterator[Stop]:
    """While open, SIGTERM asks the Stop instead of ending this process; where nobody else handles
    it, and in the main thread, as Python has it."""
    stop = Stop(run_id, grace_s)
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield stop
        return
    threading.Thread(target=stop.guard, name="sigterm", daemon=True).start()
    signal.signal(signal.SIGTERM, stop.ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stop.dismiss()
