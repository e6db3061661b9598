"""A file at hand for as long as it is read, however often its store must be asked.

Knows nothing of audio, or of what is done with the file.
"""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipelines.archive import FileEntry, open_local
from pipelines.errors import ArchiveUnreachable, FailureKind, RecordingError

FETCH_ATTEMPTS = 3  # of one file from a store that does not answer
FETCH_WAIT_S = 0.5  # before the second; twice as long before each that follows


@contextmanager
def fetched(entry: FileEntry) -> Iterator[Path]:
    """`open_local`; a store that does not answer is asked again, waiting longer each time.

    Raises RecordingError: also unreachable, when it never did.
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
        yield path
