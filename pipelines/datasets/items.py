"""What every reader gives: one `Item` per clip, and what was passed over with the reason.

It knows no data set by name and opens no files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """One clip. `start_s`/`end_s` cut it out of a longer file (None: the whole file).

    labels: attribute -> class, only what is known ("emotion": "happy"). captions: kind -> texts
    ("global", "fine"; several wordings of one clip are several texts). ratings: style description
    -> mean human rating.
    """

    uri: str
    labels: Mapping[str, str] = field(default_factory=dict)
    captions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ratings: Mapping[str, float] = field(default_factory=dict)
    speaker: str | None = None
    split: str | None = None
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Skipped:
    """A file or line that gave no item, or a value or column left out of items, and why."""

    uri: str
    reason: str
    broke_off: bool = False  # and what came after it was not read


@dataclass(frozen=True)
class Dataset:
    """Items in a fixed order (by uri, then start) and what was passed over."""

    name: str
    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...] = ()
