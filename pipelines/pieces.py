"""Copies a piece out of a file by its offset: how one member of a tar is read without the others.

Knows streams, gzipped or not; knows nothing of tars, stores or names.
"""

import gzip
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

GZIP = b"\x1f\x8b"
BLOCK = 1 << 20  # bytes
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)  # the file is not what it was listed as

# The stream that a thread read from last. Pieces are asked for in about the order they lie in, and
# a gzipped stream only goes forward: opening it anew for each would unpack all before it each time.
_held = threading.local()


def unpacked(raw: BinaryIO) -> BinaryIO:
    """The stream itself, or what it holds if it is gzipped: told by its first bytes."""
    magic = raw.read(2)
    raw.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if magic == GZIP else raw


def copy(open_raw: Callable[[], BinaryIO], key: str, piece: tuple[int, int], target: Path) -> None:
    """Write a piece (offset and size in the unpacked stream) to `target`.

    `key` names the stream and its version: the same key may be read on from where a thread
    stopped. Raises one of DAMAGED, or what opening raises.
    """
    offset, left = piece
    stream = _stream(open_raw, key)
    try:
        stream.seek(offset)
        with target.open("wb") as out:
            while left:
                if not (block := stream.read(min(left, BLOCK))):
                    raise EOFError(f"it ends {left} bytes before this member does")
                left -= out.write(block)
    except BaseException:
        release()
        raise


def release() -> None:
    """Close what this thread holds."""
    for stream in getattr(_held, "streams", ()):
        stream.close()
    _held.key, _held.streams = None, ()


def _stream(open_raw: Callable[[], BinaryIO], key: str) -> BinaryIO:
    if getattr(_held, "key", None) != key:
        release()
        raw = open_raw()
        try:
            _held.streams = (unpacked(raw), raw)
        except BaseException:
            raw.close()
            raise
        _held.key = key
    return cast(BinaryIO, _held.streams[0])
