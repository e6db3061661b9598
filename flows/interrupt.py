"""Ctrl-C while a flow runs in this process, and no Prefect server elsewhere.

Prefect has then started a server as a child of this process. The same Ctrl-C ends that, and Prefect
would try to tell it of the end for a minute and more (2, 4, 8, 16 and 32 s apart).
Knows nothing of what the flow does.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from flows import environment  # noqa: F401  (before prefect)

from prefect.settings import get_current_settings  # isort: skip


@contextmanager
def ends_at_once() -> Iterator[None]:
    """While open, Ctrl-C ends a flow without another try to reach a server that went with it.

    Raises KeyboardInterrupt, whatever became of the last try.
    """
    settings, before = get_current_settings(), signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler
    in_main = threading.current_thread() is threading.main_thread()
    if settings.api.url or not (ours and in_main):
        yield
        return

    asked = threading.Event()

    def interrupted(number: int, frame: FrameType | None) -> None:
        asked.set()
        settings.client.max_retries = 0  # for good: at exit, Prefect sends what it has logged
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    except Exception:
        if asked.is_set():
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)
