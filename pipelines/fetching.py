"""A file at hand for as long as it is read, however often its store must be asked.

Knows nothing of audio, or of what is done with the file.
"""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipelines.archive import FileEntry, local_version, open_local
from pipelines.errors import ArchiveUnreachable, FailureKind, RecordingError

FETCH_ATTEMPTS = 3  # of one file from a store that does not answer
FETCH_WAIT_S = 0.5  # before the second; twice as long before each that follows


@contextmanager
def fetched(entry: FileEntry) -> Iterator[Path]:
    """`open_local`; a store that does not answer is asked again, waiting longer each time.

    Raises RecordingError: also unreachable, when it never did, or when the file at the end is
    another than at the beginning: still being written, say. What was read may be of both.
    """
    waits = random.Random(entry.uri)  # many files must not come back at the same moment
    with ExitStack() as stack:
        for attempt in range(1, FETCH_ATTEMPTS + 1):
            try:
                path = stack.enter_context(open_local(entry))
                break
            except ArchiveUnreachable as error:
                if attempt == FETCH_ATTEMPTS:
                    text = f"{error} It was asked {attempt} times; the next run asks again."
                    raise RecordingError(FailureKind.UNREACHABLE, text) from error
            time.sleep(FETCH_WAIT_S * 2 ** (attempt - 1) * waits.uniform(0.5, 1.5))
        before = _state(path)
        try:
            yield path
        except Exception:
            _require_unchanged(entry, path, before)
            raise
        _require_unchanged(entry, path, before)


def _require_unchanged(entry: FileEntry, path: Path, before: tuple[int, str] | None) -> None:
    if _state(path) != before:
        raise RecordingError(
            FailureKind.UNREACHABLE,
            f"{entry.uri!r} changed while it was read (is it still being written?). The next run "
            "reads it again.",
        )


def _state(path: Path) -> tuple[int, str] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, local_version(stat)
