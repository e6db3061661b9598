"""Where a path that somebody gave leads. Knows nothing of what lies there."""

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

_FILE = re.compile("^file://(localhost(?=/))?", re.IGNORECASE)


def resolved(place: str | Path) -> Path:
    """Absolute and without links, with the user's folder for `~`. Never fails, as pathlib does for
    a link to itself or somebody unknown's folder: who opens what is returned gets the error."""
    return Path(os.path.realpath(os.path.expanduser(place)))  # noqa: PTH111


def of_url(place: str, folder: str = "") -> str:
    """The path of a `file://` URL: with `%20` and the like undone (RFC 8089), but where a file of
    just the name that is written is there, in the folder where it is told from there. What is no
    such URL is a path already."""
    if not (found := _FILE.match(place)):
        return place
    written = place[found.end() :]
    plain = os.fsdecode(unquote_to_bytes(written))
    return written if "\0" in plain or os.path.lexists(Path(folder, written)) else plain
