"""Where a path that somebody gave leads. Knows nothing of what lies there."""

import os
from pathlib import Path


def resolved(place: str | Path) -> Path:
    """Absolute and without links, with the user's folder for `~`. Never fails, as pathlib does for
    a link to itself or somebody unknown's folder: who opens what is returned gets the error."""
    return Path(os.path.realpath(os.path.expanduser(place)))  # noqa: PTH111
