"""Rows of a list become entries of an archive: where each file is, its size, version and metadata.

What the readers of lists share. Knows no format, and nothing of tars.

A row may come from anyone: it names files and URLs, and nothing else that it says is acted on. A
URL must be of a plain store (SCHEMES), since others, and chains of them, can be made to do more.
"""

import errno
import json
import logging
import math
import os
import posixpath
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from pipelines import fetching
from pipelines.archive import (
    FileEntry,
    archive_id,
    as_text,
    is_remote,
    local_version,
    remote_info,
    why,
    without_credentials,
)
from pipelines.errors import FailureKind
from pipelines.places import of_url
from pipelines.redaction import redacted
from pipelines.remote import LASTING, credentials_fail
from pipelines.walk import short_hash

FILE = ("uri", "path", "file", "audio")  # columns that name the file; the first that is filled
STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hdfs", "webhdfs", "oss", "hf")
SCHEMES = frozenset((*STORES, "http", "https", "ftp", "sftp", "memory", "file"))
METADATA_BYTES = 64 << 10  # of one recording, as JSON
NESTED = 100  # levels of it; Python's own limit depends on who calls
LOOKUPS, WINDOW = 16, 256  # remote files asked for at once; rows looked up together
NO_NAME = (errno.ENAMETOOLONG, errno.ELOOP)  # no file can be there

_log = logging.getLogger(__name__)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)(://|::.*://)", re.DOTALL)
_USER = re.compile(r"(?<=://)[^/\s]*@")


@dataclass(frozen=True)
class Row:
    """One file as a list names it; a row that must not or cannot be used has a refusal."""

    name: str  # as written; of a refused row, what to call it
    metadata: Mapping[str, Any] = field(default_factory=dict)
    refusal: tuple[str, str] | None = None


Rows = Callable[[], Iterator[Row]]  # may be asked for more than once


def refused(name: str, kind: FailureKind, reason: str, metadata: Mapping[str, Any]) -> Row:
    """A row that is a failure before it is opened."""
    return Row(name, metadata, (str(kind), reason))


def entries(rows: Rows, folder: str, called: str) -> Iterator[FileEntry]:
    """The entries of a list's rows, in its order; `folder` is where relative names start.

    A file that is named again is listed once, with what is said of it last. Names that differ only
    in what is not shown (a URL's query) are told apart by a hash. Reads the rows twice and holds
    their names, not the rows.
    """
    last: dict[tuple[str, str], tuple[int, str]] = {}
    changed = 0
    for index, row in enumerate(rows()):
        entry = _entry(row, folder)
        key = (entry.uri, entry.path)
        said = short_hash(entry.metadata or "")
        if key in last and last[key][1] != said:
            changed += 1
            if changed == 1:
                _log.warning("%s: %r is named again with other metadata", called, entry.uri)
        last[key] = (index, said)
    if changed:
        _log.warning(
            "%s: %d rows with other metadata; the last one of a file counts", called, changed
        )
    yield from _looked_up(_unique(rows, folder, last))


def _unique(
    rows: Rows, folder: str, last: Mapping[tuple[str, str], tuple[int, str]]
) -> Iterator[FileEntry]:
    taken: set[str] = set()
    for index, row in enumerate(rows()):
        entry = _entry(row, folder)
        if last.get((entry.uri, entry.path), (index,))[0] != index:
            continue
        if entry.uri in taken:
            entry = replace(entry, uri=f"{entry.uri}#{short_hash(entry.path)}")
        if entry.uri not in taken:
            taken.add(entry.uri)
            yield entry


def folder_of(path: str) -> str:
    """The folder that a list's relative names start from: the list's own."""
    if not is_remote(path):
        return str(Path(path).parent)
    if path.lower().startswith(("http://", "https://")):
        path = re.split("[?#]", path)[0]
    return path.rpartition("/")[0]


# --- one row -----------------------------------------------------------------------------------


def _entry(row: Row, folder: str) -> FileEntry:
    """Where the row's file is; nothing is looked up but which way a backslash is meant."""
    refusal = row.refusal
    uri = path = ""
    if refusal is None:
        try:
            uri, path = _place(row.name, folder)
        except ValueError as error:
            refusal = (str(FailureKind.UNSUPPORTED), str(error))
    if refusal:
        uri = shown(archive_id(row.name) if is_remote(row.name) else row.name) or "?"
    return FileEntry(uri, path, 0, "", metadata_text(row.metadata), refusal=refusal)


def _place(name: str, folder: str) -> tuple[str, str]:
    """(uri, path) of a name in a list. Raises ValueError, with the reason, for an unfit one."""
    if "\0" in name:
        raise ValueError("the name holds a NUL: expected a path or URL")
    scheme = match[1].lower() if (match := _SCHEME.match(name)) else ""
    if scheme and (scheme not in SCHEMES or "::" in name):
        raise ValueError(
            f"a URL of {scheme!r}, or a chain of URLs, is not opened from a list: expected one of "
            f"{', '.join(sorted(SCHEMES))}. Copy the file to where one of these reaches it"
        )
    if scheme and scheme != "file":
        return shown(without_credentials(name)), name
    posix = str(PurePosixPath(of_url(name, folder)))
    if posix in (".", "/"):
        raise ValueError("the name is empty: expected a path or URL")
    if is_remote(folder + "/") and not posix.startswith("/"):
        return shown(posix), _below(folder, posix)
    if "\\" in posix and not _exists(Path(folder, posix)):  # written on Windows?
        slashed = str(PurePosixPath(posix.replace("\\", "/")))
        if _exists(Path(folder, slashed)):
            posix = slashed
    try:
        os.fsencode(posix)
    except UnicodeEncodeError as error:
        raise ValueError("the name holds half a character: expected text in UTF-8") from error
    return shown(posix), str(Path(folder, posix))


def _below(folder: str, name: str) -> str:
    """The URL of a name below a remote folder."""
    scheme, _, rest = folder.partition("://")
    host, _, base = rest.partition("/")
    joined = posixpath.normpath(f"{base}/{name}".lstrip("/"))
    if joined.startswith(".."):
        raise ValueError("the name leads out of the list's own store: expected a path within it")
    if scheme.lower() in ("http", "https"):
        joined = quote(joined)
    return f"{scheme}://{host}/{joined}"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def shown(name: str) -> str:
    """A name as text that any table takes."""
    try:
        return as_text(name)
    except UnicodeEncodeError:
        return name.encode("utf-8", "backslashreplace").decode()


# --- metadata ----------------------------------------------------------------------------------


def metadata_text(metadata: Mapping[str, Any]) -> str | None:
    """Metadata as a JSON object, keys sorted; None where there is none. What JSON has no word for
    (NaN, dates, bytes) becomes text, and URLs lose their credentials. What is too large or nested
    too deep is left out, and it says so."""
    if not metadata:
        return None
    try:
        value = plain(metadata)
    except ValueError as error:
        return json.dumps({"left_out": str(error)})
    hidden = {
        key: archive_id(value) if isinstance(value, str) else redacted(repr(value))
        for key, value in metadata.items()
        if key in FILE and (is_remote(value) if isinstance(value, str) else value is not None)
    }
    text = json.dumps(value | plain(hidden), sort_keys=True, ensure_ascii=False)
    if (size := len(text.encode())) > METADATA_BYTES:
        return json.dumps({"left_out": f"{size} bytes: more than {METADATA_BYTES}"})
    return text


def plain(value: Any, depth: int = 0) -> Any:
    """A value in JSON's words. Raises ValueError where it is nested deeper than NESTED."""
    if depth > NESTED:
        raise ValueError(f"nested: more than {NESTED} deep")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {shown(str(key)): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, depth + 1) for each in value]
    text = str(value)
    return shown(_USER.sub("", text) if "://" in text else text)


# --- looking up --------------------------------------------------------------------------------


def _looked_up(found: Iterable[FileEntry]) -> Iterator[FileEntry]:
    """The entries with size and version, in order. Stores are asked about many at once."""
    found = iter(found)
    with ThreadPoolExecutor(LOOKUPS, "lookup") as pool:
        while window := list(islice(found, WINDOW)):
            if any(is_remote(entry.path) for entry in window):
                yield from _asked(window, pool)
            else:
                yield from map(_look, window)


def _asked(window: list[FileEntry], pool: ThreadPoolExecutor) -> list[FileEntry]:
    """`_look` of each; stores that do not answer are asked again as often as when fetching."""
    entries = list(pool.map(_look, window))
    for attempt in range(1, fetching.FETCH_ATTEMPTS):
        silent = [i for i, entry in enumerate(entries) if unanswered(entry)]
        if not silent:
            break
        time.sleep(fetching.FETCH_WAIT_S * 2 ** (attempt - 1))
        for i, entry in zip(silent, pool.map(_look, [window[i] for i in silent]), strict=True):
            entries[i] = entry
    return entries


def unanswered(entry: FileEntry) -> bool:
    """Whether its store did not say if it is there: a reason that may pass."""
    return entry.refusal is not None and entry.refusal[0] == FailureKind.UNREACHABLE


def _look(entry: FileEntry) -> FileEntry:
    """A missing file keeps its empty version: it stays a failure until it is there. What a store
    does not answer for is asked for again at the next run."""
    if entry.refusal:
        return entry
    try:
        if is_remote(entry.path):
            size, version = remote_info(entry.path)
            return replace(entry, size_bytes=size, version=version)
        info = Path(entry.path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return _refuse(
            entry, "the list names it, but there is no such file (or no leave to see it)"
        )
    except Exception as exc:  # each store has its own classes for "not now" and "not you"
        if not credentials_fail(exc):
            if isinstance(exc, LASTING) or getattr(exc, "errno", None) in NO_NAME:
                return _refuse(entry, f"the list names it, but it cannot be opened ({why(exc)})")
            if isinstance(exc, ImportError | ValueError):
                return _refuse(entry, f"its store cannot be opened here ({why(exc)})")
        asked = f", asked {fetching.FETCH_ATTEMPTS} times" if is_remote(entry.path) else ""
        reason = f"its store does not answer ({why(exc)}){asked}. The next run asks again"
        return replace(entry, refusal=(str(FailureKind.UNREACHABLE), reason))
    if not stat.S_ISREG(info.st_mode):
        return _refuse(entry, "the list names it, but it is a folder, a pipe or a device")
    return replace(entry, size_bytes=info.st_size, version=local_version(info))


def _refuse(entry: FileEntry, reason: str) -> FileEntry:
    return replace(entry, refusal=(str(FailureKind.UNREADABLE), reason))
