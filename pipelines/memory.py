"""Keeps a long run's memory flat: what was freed goes back to the system.

Batches of ever other lengths leave holes that the C library's allocator keeps for later, in each of
the arenas that it makes for threads; over a day of chunks they add up (measured by
`python -m tests.faults.memory`). glibc alone is asked; others, such as macOS's, give back by
themselves or cannot be told. Knows nothing of what the memory was for.
"""

import ctypes
import sys
from functools import cache

M_ARENA_MAX = -8  # <malloc.h>


def keep_one_arena() -> None:
    """From now on threads share the allocator's one arena; those made before stay."""
    if libc := _glibc():
        libc.mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Give freed memory back to the system. About 20 ms."""
    if libc := _glibc():
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None  # musl has no malloc_trim
