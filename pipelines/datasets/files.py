"""What the readers share: local paths, lines of JSON, single values, items in order.

It knows no data set. A line or value that cannot be used raises InputError, which the readers turn
into a `Skipped`.
"""

import gzip
import json
import math
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clsp.errors import InputError
from pipelines.archive import FileEntry, archive_id, is_remote, list_archive
from pipelines.datasets.items import Dataset, Item, Skipped
from pipelines.redaction import redacted

NO_FILE = "no such file"
NAMED = 5  # lines listed in a reason; all are counted


def local_folder(root: str | Path, expected: str) -> Path:
    """`root` as an absolute path to a folder; `expected` says what should be in it."""
    path = local_path(root)
    if not path.is_dir():
        raise InputError(f"no folder {str(root)!r}: expected {expected}")
    return path


def local_file(path: str | Path, expected: str) -> Path:
    """`path` as an absolute path to a file; `expected` says what it should be."""
    found = local_path(path)
    if not is_file(found):
        raise InputError(f"no file {str(path)!r}: expected {expected}")
    return found


def local_path(path: str | Path) -> Path:
    if is_remote(str(path)):
        shown = archive_id(str(path))
        raise InputError(f"{shown!r} is remote: data sets are read from local paths; copy it")
    return Path(path).expanduser().absolute()


def is_file(path: Path) -> bool:
    """Whether there is a file, for any path: too long a name, or a NUL in it, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def shown(path: str | Path) -> str:
    """A path as text that any table takes: bytes that are not UTF-8 become `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def wav_files(root: Path, skipped: list[Skipped]) -> Iterator[FileEntry]:
    """Every .wav below `root` in order, hidden ones left out; what cannot be listed is skipped."""

    def fail(uri: str, error: OSError) -> None:
        skipped.append(Skipped(f"{shown(root)}/{uri}", f"cannot be listed: {error.strerror}"))

    yield from list_archive(str(root), include=("*.wav", "*.WAV"), on_error=fail)


def in_order(name: str, found: Iterable[Item | Skipped], where: str) -> Dataset:
    """The data set, by uri, then start. Raises InputError where nothing at all was found."""
    items: list[Item] = []
    skipped: dict[Skipped, None] = {}  # each once, in order
    for each in found:
        if isinstance(each, Item):
            items.append(each)
        else:
            skipped[each] = None
    if not items and not skipped:
        raise InputError(f"nothing to read in {where}")
    items.sort(key=lambda item: (item.uri, item.start_s or 0.0, item.end_s or math.inf))
    return Dataset(name, tuple(items), tuple(skipped))


@dataclass
class LeftOut:
    """Single values left out of lines that are used all the same; each name is told once."""

    reasons: dict[str, Skipped] = field(default_factory=dict)  # the first of each name
    lines: dict[str, list[str]] = field(default_factory=dict)  # of the others

    def add(self, name: str, where: str, reason: str) -> None:
        """where: FILE:LINE."""
        if name in self.reasons:
            self.lines[name].append(where.rpartition(":")[2])
        else:
            self.reasons[name] = Skipped(where, reason)
            self.lines[name] = []

    def told(self) -> Iterator[Skipped]:
        for name, first in self.reasons.items():
            reason = f"{first.reason}. The rest of the line is used"
            if lines := self.lines[name]:
                more = ", ..." if len(lines) > NAMED else ""
                reason += f"; {len(lines)} more such: {', '.join(lines[:NAMED])}{more}"
            yield Skipped(first.uri, reason)


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """("FILE:LINE", value) for every line that is not blank; a `Skipped` for a value where the
    line is not JSON. `.gz` is unpacked; where that breaks off, the last value is a `Skipped`.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{shown(path)}:{number}"
                if line.strip():
                    try:
                        yield where, json.loads(line.decode("utf-8-sig"))
                    except (ValueError, RecursionError) as error:
                        yield where, Skipped(where, f"not a line of JSON in UTF-8: {error}")
    except (OSError, EOFError, zlib.error) as error:
        where = f"{shown(path)}:{number + 1}"
        lost = f"reading breaks off here, what follows is lost: {error}"
        yield where, Skipped(where, lost, broke_off=True)


def text(value: Any, what: str) -> str | None:
    """`value` without blanks around it; None for None and for blank text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str):
        raise InputError(f"{what} is {brief(value)}: expected text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{what} holds half a character: expected text in UTF-8") from error
    return value.strip() or None


def texts(value: Any, what: str) -> tuple[str, ...]:
    """One text or a list of them; blank ones are left out."""
    values = value if isinstance(value, list) else [value]
    return tuple(found for each in values if (found := text(each, what)))


def label(value: Any, what: str) -> str | None:
    """A class's name. Numbers and truth values are written out: 1, 0.5, true."""
    if isinstance(value, list | dict):
        raise InputError(f"{what} is {brief(value)}: expected one class")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return None if value != value else f"{value:.15g}"
    return text(value if value is None else str(value), what)


def number(value: Any, what: str) -> float | None:
    """A finite number, or its digits in text; None for None, NaN and for blank text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        value = text(value, what)
    if value is None or value != value:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        found = math.inf
    if not math.isfinite(found):
        raise InputError(f"{what} is {brief(value)}: expected a number")
    return found


def span(start_s: float | None, end_s: float | None) -> None:
    """Raises InputError unless 0 <= start < end (None: the file's own start or end)."""
    start = start_s or 0.0
    if start < 0 or (end_s is not None and not start < end_s < math.inf):
        raise InputError(f"from {start:g} s to {end_s} s: expected 0 <= start < end")


def brief(value: Any) -> str:
    written = redacted(repr(value))
    return written if len(written) <= 60 else written[:57] + "..."
