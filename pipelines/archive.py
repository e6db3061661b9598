"""Lists an archive: which files there are, how to open each, and whether one has changed.

Knows local files and folders; what is in stores (s3://, https:// ...) it asks of pipelines/remote.
Does not know what audio is: every file is listed, and one that is not audio becomes a failure row
later.

Names. A `uri` is the posix path below the archive's root, valid UTF-8, fit for a table. A local
name that is not UTF-8 keeps its odd bytes as `\\xNN` in the uri, and `#` and a hash behind it where
another name in its folder reads the same; `path` still opens the file.
Only regular files are listed: opening a pipe or a device could wait for ever.

Patterns are matched against the uri, case and all, as `fnmatch` does: `*` stands for any
characters, `/` among them, so `*.wav` finds every wav at any depth. `**/` at the start also stands
for nothing: `**/raw/*` finds `raw/a.wav` and `x/raw/a.wav`. An excluded folder is left out with
all it holds. Hidden files, and what lies in hidden folders, are left out unless a glob to include
names a hidden one: `.*` at the top, `**/.*` at any depth, `.cache/*`; with `*` beside it, all else.

A lake's tables are left out wherever they lie: an archive may have its own lake in it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO

from pipelines import pieces, remote
from pipelines.errors import ArchiveForbidden, ArchiveNotFound, FailureKind, RecordingError
from pipelines.places import of_url, resolved
from pipelines.redaction import redacted, why, without_credentials
from pipelines.remote import remote_info
from pipelines.walk import Fail, FileEntry, Node, OnError, as_text, matches, walk

__all__ = [
    "EVERYTHING", "FileEntry", "OnError", "archive_id", "as_text", "content_hash", "is_folder",
    "is_remote", "list_archive", "local_root", "local_version", "matches", "open_local",
    "open_stream", "remote_info", "why", "without_credentials",
]  # fmt: skip

EVERYTHING = ("*", "**/.*")  # to include: every file, hidden or not
HASH_BLOCK = 1 << 20  # bytes
GIVE = "Give a folder, a file, or a URL such as s3://bucket/calls."

_log = logging.getLogger(__name__)
_ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")  # see as_text
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(://|::)")


def list_archive(
    source: str,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    on_error: OnError | None = None,
) -> Iterator[FileEntry]:
    """Every file below `source` whose uri matches `include` (empty: all but hidden ones) and not
    `exclude`.

    In the order of the uris, holding one folder's names at a time. A source that is itself a file
    is listed whatever the patterns say. Symlinks are followed; a folder is not entered again from
    within itself. What cannot be listed (a forbidden folder, a dangling link) goes to
    `on_error(uri, exc)`, or to the log where there is none, and the listing goes on.

    Raises ArchiveNotFound when there is nothing at `source`, ArchiveForbidden when its store or the
    folder itself refuses, ArchiveUnreachable when it does not answer; at the call, not at the first
    item, but where a listing breaks off.
    """
    if not source.strip():
        raise ArchiveNotFound(
            f"no archive at {source!r}: the name is empty (a shell variable that is not set?). "
            + GIVE
        )
    report = on_error or _log_error
    if is_remote(source):
        top, scan = remote.list_store(source, archive_id(source))
        if isinstance(top, FileEntry):
            return iter([top])
        return walk(scan, top, "", include, exclude, report)
    root = local_root(source)
    try:
        stat = root.stat()
        if S_ISDIR(stat.st_mode):
            (root / "..").stat()  # may it be entered, and listed?
            os.scandir(root).close()
    except OSError as exc:
        raise _no_archive(source, exc) from exc
    if S_ISREG(stat.st_mode):
        return iter([FileEntry(as_text(root.name), str(root), stat.st_size, local_version(stat))])
    if not S_ISDIR(stat.st_mode):
        raise ArchiveNotFound(f"{source!r} is neither a file nor a folder (a pipe or a device?).")
    folder = Node("", str(root), True, inode=(stat.st_dev, stat.st_ino))
    return walk(_scan_local, folder, "", include, exclude, report)


def archive_id(source: str) -> str:
    """The archive's name in the tables: its absolute root, without a trailing slash.

    Local: the resolved posix path, so that two ways to write one folder are one archive. Remote:
    the URL without user and password, and on the web without query: where credentials sit.
    """
    if not is_remote(source):
        return as_text(local_root(source).as_posix())
    return "::".join(without_credentials(link) for link in source.split("::")).rstrip("/")


def is_remote(source: str) -> bool:
    """Whether `source` is a URL that fsspec opens. A file:// URL is local."""
    return bool(_REMOTE.match(source)) and not source.lower().startswith("file://")


@contextmanager
def open_local(entry: FileEntry) -> Iterator[Path]:
    """A local path to the entry's bytes: the file itself, or a copy that is removed afterwards of
    what is remote or a piece of a larger file.

    Raises RecordingError when the entry was refused at listing (with the kind it has), when a
    remote file is gone or forbidden, or a piece is not there (unreadable); ArchiveUnreachable
    (transient) when the store fails otherwise. A missing local file is found on opening it.
    """
    if entry.refusal:
        raise RecordingError(*entry.refusal)
    in_store = is_remote(entry.path)
    if not in_store and not entry.piece:
        yield Path(entry.path)
        return
    with tempfile.TemporaryDirectory(prefix="clsp-") as folder:
        # By its own name, which messages tell; none that leads elsewhere or is hidden.
        name = re.sub(r"[^\w. -]", "_", entry.uri.rpartition("/")[2])[-60:].lstrip(".")
        local = Path(folder) / (name or "recording")
        try:
            if entry.piece:
                key = f"{entry.path} {entry.version.rpartition('@')[0]}"
                pieces.copy(lambda: open_stream(entry.path), key, entry.piece, local)
            else:
                remote.fetch(entry.path, str(local))
        except pieces.DAMAGED as exc:
            raise RecordingError(
                FailureKind.UNREADABLE,
                f"{entry.uri!r} was listed but cannot be fetched ({why(exc)}). List again.",
            ) from None
        except Exception as exc:  # each store has its own classes for "not now"
            if not in_store and not isinstance(exc, remote.LASTING):
                raise  # a disk's own error: costs this file
            raise remote.not_fetched(entry.uri, exc) from None
        yield local


def open_stream(path: str) -> BinaryIO:
    """The bytes at a local path or URL, to read and seek in. Raises what the store raises."""
    if not is_remote(path):
        return Path(path).open("rb")
    return remote.remote_stream(path)


def content_hash(path: str | Path) -> str:
    """blake2b-128 of the file's bytes, in hex: what a recording is known by, whatever its name.

    Raises RecordingError(unreadable).
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        with Path(path).open("rb") as file:
            while block := file.read(HASH_BLOCK):
                digest.update(block)
    except OSError as exc:
        raise RecordingError(
            FailureKind.UNREADABLE, f"{str(path)!r} cannot be read ({why(exc)})."
        ) from exc
    return digest.hexdigest()


# --- local -------------------------------------------------------------------------------------


def _log_error(uri: str, exc: OSError) -> None:
    _log.warning("left out of the listing: %r (%s)", uri, why(exc))


def is_folder(source: str, holding: str = "") -> bool:
    """Whether a local source is a folder, or one that holds a file of this name.

    Raises ArchiveForbidden where that may not be looked at, ArchiveNotFound where it cannot be.
    """
    root = local_root(source)
    try:
        return (root / holding).is_file() if holding else root.is_dir()
    except OSError as exc:
        raise _no_archive(source, exc) from exc


def _no_archive(source: str, exc: OSError) -> ArchiveNotFound | ArchiveForbidden:
    """What an error on looking at a local source says of it."""
    looked = f"(looked at {str(local_root(source))!r}: {exc.strerror}). "
    if isinstance(exc, PermissionError):
        return ArchiveForbidden(
            redacted(f"the archive at {source!r} may not be looked at {looked}")
            + "Give whoever runs this the right to list its folder and to enter it: chmod +rx."
        )
    return ArchiveNotFound(redacted(f"no archive at {source!r} {looked}") + GIVE)


def local_root(source: str) -> Path:
    """Where a local source lies; it may be given by its `archive_id`."""
    root = resolved(of_url(source))
    if "\\x" in source and not os.path.lexists(root):
        named = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), os.fsencode(root))
        if os.path.lexists(named):
            return Path(os.fsdecode(named))
    return root


def local_version(stat: os.stat_result) -> str:
    """Size and time of change."""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _of_link(item: os.DirEntry[str], exc: OSError) -> OSError:
    """What to say of a link that leads nowhere; another error as it is."""
    if not isinstance(exc, FileNotFoundError):
        return exc
    try:
        place = as_text(str(Path(item.path).readlink()))
    except OSError:  # no link, or gone by now
        return exc
    told = f"a link to {place!r}, which is not there: expected a file or folder"
    return FileNotFoundError(exc.errno, f"{told}. Bring that back, or remove the link")


def _scan_local(folder: str, fail: Fail) -> Iterator[Node]:
    with os.scandir(folder) as items:
        for item in items:
            try:
                stat = item.stat()
                is_folder, is_file = item.is_dir(), item.is_file()
            except OSError as exc:
                fail(item.name, _of_link(item, exc))
                continue
            name = as_text(item.name)
            if is_folder:
                yield Node(name, item.path, True, inode=(stat.st_dev, stat.st_ino))
            elif is_file:
                yield Node(name, item.path, False, stat.st_size, local_version(stat))
