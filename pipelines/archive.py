"""Lists an archive: which files there are, how to open each, and whether one has changed.

Knows files, folders and stores (whatever fsspec opens: s3://, gs://, https://, memory://). Does not
know what audio is: every file is listed, and one that is not audio becomes a failure row later.

Names. A `uri` is the posix path below the archive's root, valid UTF-8, fit for a table. A local
name that is not UTF-8 keeps its odd bytes as `\\xNN` in the uri; `path` still opens the file.
Only regular files are listed: opening a pipe or a device could wait for ever.

Patterns are matched against the uri, case and all, as `fnmatch` does: `*` stands for any
characters, `/` among them, so `*.wav` finds every wav at any depth. `**/` at the start also stands
for nothing: `**/raw/*` finds `raw/a.wav` and `x/raw/a.wav`. An excluded folder is left out with
all it holds.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO

from pipelines import pieces
from pipelines.errors import ArchiveNotFound, ArchiveUnreachable, FailureKind, RecordingError

DEFAULT_EXCLUDE = ("**/.*",)  # hidden files and folders
HASH_BLOCK = 1 << 20  # bytes

OnError = Callable[[str, OSError], None]

_log = logging.getLogger(__name__)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s'\"<>]+")
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(://|::)")


@dataclass(frozen=True)
class FileEntry:
    """One file of an archive."""

    uri: str  # posix path below the archive's root; for a source that is one file, its name
    path: str  # what opens it: an absolute local path or an fsspec URL
    size_bytes: int  # 0 where a remote store does not tell
    version: str  # the same version means the same content; see `_remote_version`
    metadata: str | None = None  # a JSON object: what a list says of it besides where it is
    piece: tuple[int, int] | None = None  # offset and size in `path`, unpacked: a tar's member
    refusal: tuple[str, str] | None = None  # a FailureKind and why: is never opened


@dataclass(frozen=True)
class _Node:
    """One name in a folder. `inode` is set on local folders and guards against symlink loops."""

    name: str
    path: str
    is_folder: bool
    size_bytes: int = 0
    version: str = ""
    inode: tuple[int, int] | None = None

    @property
    def sort_key(self) -> str:
        # With the slash, walking depth first visits the uris in their plain string order.
        return self.name + "/" if self.is_folder else self.name


_Fail = Callable[[str, OSError], None]  # (name in the folder, why)
_Scan = Callable[[str, _Fail], Iterable[_Node]]


def list_archive(
    source: str,
    include: Sequence[str] = (),
    exclude: Sequence[str] = DEFAULT_EXCLUDE,
    on_error: OnError | None = None,
) -> Iterator[FileEntry]:
    """Every file below `source` whose uri matches `include` (empty: all) and not `exclude`.

    In the order of the uris, holding one folder's names at a time. A source that is itself a file
    is listed whatever the patterns say. Symlinks are followed; a folder is not entered again from
    within itself. What cannot be listed (a forbidden folder, a dangling link) goes to
    `on_error(uri, exc)`, or to the log where there is none, and the listing goes on.

    Raises ArchiveNotFound when there is nothing at `source`, ArchiveUnreachable when its store does
    not answer; both at the call, not at the first item.
    """
    report = on_error or _log_error
    if is_remote(source):
        return _list_remote(source, include, exclude, report)
    root = _local_root(source)
    try:
        stat = root.stat()
    except OSError as exc:
        raise ArchiveNotFound(
            f"no archive at {source!r} (looked at {str(root)!r}: {exc.strerror}). "
            "Give a folder, a file, or a URL such as s3://bucket/calls."
        ) from exc
    if root.is_file():
        return iter([FileEntry(as_text(root.name), str(root), stat.st_size, local_version(stat))])
    if not root.is_dir():
        raise ArchiveNotFound(f"{source!r} is neither a file nor a folder (a pipe or a device?).")
    top = _Node("", str(root), True, inode=(stat.st_dev, stat.st_ino))
    return _walk(_scan_local, top, "", include, exclude, report, ())


def archive_id(source: str) -> str:
    """The archive's name in the tables: its absolute root, without a trailing slash.

    Local: the resolved posix path, so that two ways to write one folder are one archive. Remote:
    the URL without user and password, and on the web without query: where credentials sit.
    """
    if not is_remote(source):
        return as_text(_local_root(source).as_posix())
    return "::".join(without_credentials(link) for link in source.split("::")).rstrip("/")


def without_credentials(url: str) -> str:
    """A URL without user and password, and on the web without query and fragment."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    scheme, (host, slash, path) = scheme.lower(), rest.partition("/")
    if scheme in ("http", "https"):
        path = re.split("[?#]", path)[0]
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


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
    remote_path = is_remote(entry.path)
    if not remote_path and not entry.piece:
        yield Path(entry.path)
        return
    with tempfile.TemporaryDirectory(prefix="clsp-") as folder:
        name = re.sub(r"[^\w. -]", "_", entry.uri.rpartition("/")[2])  # for the eyes, in messages
        local = Path(folder) / f"fetched-{name[-60:]}"
        try:
            if entry.piece:
                key = f"{entry.path} {entry.version.rpartition('@')[0]}"
                pieces.copy(lambda: open_stream(entry.path), key, entry.piece, local)
            else:
                fs, remote = _filesystem(entry.path)
                fs.get_file(remote, str(local))
        except (FileNotFoundError, PermissionError, IsADirectoryError, *pieces.DAMAGED) as exc:
            raise RecordingError(
                FailureKind.UNREADABLE,
                f"{entry.uri!r} was listed but cannot be fetched ({why(exc)}). List again.",
            ) from exc
        except Exception as exc:  # each store has its own classes for "not now"
            if not remote_path:
                raise  # a disk's own error: costs this file
            raise ArchiveUnreachable(
                f"fetching {entry.uri!r} broke off ({why(exc)}). Try again later."
            ) from exc
        yield local


def open_stream(path: str) -> BinaryIO:
    """The bytes at a local path or URL, to read and seek in. Raises what the store raises."""
    if not is_remote(path):
        return Path(path).open("rb")
    fs, remote = _filesystem(path)
    stream: BinaryIO = fs.open(remote, "rb")
    return stream


def remote_info(url: str) -> tuple[int, str]:
    """Size and version of one remote file. Raises what the store raises."""
    fs, remote = _filesystem(url)
    fs.invalidate_cache()
    info = fs.info(remote)
    if info["type"] != "file":
        raise IsADirectoryError(f"not a file: {info['type']}")
    return info.get("size") or 0, _remote_version(info)


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


# --- walking -----------------------------------------------------------------------------------


def _walk(
    scan: _Scan,
    folder: _Node,
    prefix: str,
    include: Sequence[str],
    exclude: Sequence[str],
    on_error: OnError,
    inside: tuple[tuple[int, int], ...],
) -> Iterator[FileEntry]:
    """The files below `folder`, whose uri is `prefix`; `inside` holds the folders being visited."""
    if folder.inode is not None:
        if folder.inode in inside:
            return
        inside = (*inside, folder.inode)

    def excluded(uri: str) -> bool:
        return any(matches(uri, pattern) for pattern in exclude)

    def fail(name: str, exc: OSError) -> None:
        if not excluded(uri := prefix + as_text(name)):
            on_error(uri, exc)

    try:
        nodes = sorted(scan(folder.path, fail), key=lambda node: node.sort_key)
    except OSError as exc:
        on_error(prefix.rstrip("/"), exc)
        return
    for node in nodes:
        uri = prefix + node.name
        if excluded(uri):
            continue
        if node.is_folder:
            yield from _walk(scan, node, uri + "/", include, exclude, on_error, inside)
        elif not include or any(matches(uri, pattern) for pattern in include):
            yield FileEntry(uri, node.path, node.size_bytes, node.version)


def matches(uri: str, pattern: str) -> bool:
    """Whether a pattern, as described at the top, fits a uri."""
    return fnmatchcase(uri, pattern) or (
        pattern.startswith("**/") and fnmatchcase(uri, pattern.removeprefix("**/"))
    )


def _log_error(uri: str, exc: OSError) -> None:
    _log.warning("left out of the listing: %r (%s)", uri, why(exc))


def why(exc: BaseException) -> str:
    """The reason without the path: OSError's own text repeats it. URLs lose their credentials."""
    said = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return _URL.sub(lambda url: without_credentials(url[0]), said)


# --- local -------------------------------------------------------------------------------------


def _local_root(source: str) -> Path:
    return Path(re.sub("^file://", "", source, flags=re.IGNORECASE)).expanduser().resolve()


def as_text(name: str) -> str:
    """A file name as valid UTF-8: bytes that are not become `\\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def local_version(stat: os.stat_result) -> str:
    """Size and time of change."""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _scan_local(folder: str, fail: _Fail) -> Iterator[_Node]:
    with os.scandir(folder) as items:
        for item in items:
            try:
                stat = item.stat()
                is_folder, is_file = item.is_dir(), item.is_file()
            except OSError as exc:
                fail(item.name, exc)
                continue
            name = as_text(item.name)
            if is_folder:
                yield _Node(name, item.path, True, inode=(stat.st_dev, stat.st_ino))
            elif is_file:
                yield _Node(name, item.path, False, stat.st_size, local_version(stat))


# --- remote ------------------------------------------------------------------------------------


def _filesystem(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    return url_to_fs(url)


def _list_remote(
    source: str, include: Sequence[str], exclude: Sequence[str], on_error: OnError
) -> Iterator[FileEntry]:
    shown = archive_id(source)
    try:
        fs, root = _filesystem(source)
        fs.invalidate_cache()  # a long-lived process must see today's files
        info = fs.info(root)
    except FileNotFoundError as exc:
        raise ArchiveNotFound(
            f"no archive at {shown!r}: its store knows no such file or folder."
        ) from exc
    except (ImportError, ValueError) as exc:  # the scheme needs a package, or does not exist
        raise ArchiveNotFound(f"{shown!r} cannot be opened: {exc}.") from exc
    except Exception as exc:  # each store has its own classes for "not now" and "not you"
        raise ArchiveUnreachable(
            f"the store of {shown!r} does not answer ({why(exc)}). "
            "Check the credentials, then try again."
        ) from exc
    # On the web everything looks like a file: there a folder's URL ends in a slash.
    is_web_folder = source.endswith("/") and source.lower().startswith(("http://", "https://"))
    if info["type"] == "file" and not is_web_folder:
        name = root.rstrip("/").rpartition("/")[2]
        return iter([FileEntry(name, source, info.get("size") or 0, _remote_version(info))])

    top = _Node("", source.rstrip("/"), True)

    def ask(call: Callable[[str], Any], path: str) -> Any:
        try:
            return call(path)
        except (FileNotFoundError, PermissionError):
            raise  # this one name: reported, and the listing goes on
        except Exception as exc:  # half a listing would make the rest look deleted
            raise ArchiveUnreachable(
                f"listing {shown!r} broke off at {path!r} ({why(exc)}). Try again later."
            ) from exc

    def scan(folder: str, fail: _Fail) -> Iterator[_Node]:
        base = root.rstrip("/") + folder.removeprefix(top.path)
        for item in ask(fs.ls, base or "/"):
            path = item["name"].rstrip("/")
            name = path.rpartition("/")[2]
            if path == base:  # S3 lists a folder's own placeholder within it
                continue
            if item["type"] == "directory":
                yield _Node(name, f"{folder}/{name}", True)
                continue
            if item.get("size") is None or not _stamp(item):  # plain web listings tell names only
                try:
                    item = {**item, **ask(fs.info, item["name"])}
                except OSError as exc:
                    fail(name, exc)
                    continue
            size = item.get("size") or 0
            yield _Node(name, f"{folder}/{name}", False, size, _remote_version(item))

    return _walk(scan, top, "", include, exclude, on_error, ())


def _stamp(info: dict[str, Any]) -> str:
    """What the store says changes with the content: an entity tag, else a time."""
    keys = ("ETag", "etag", "LastModified", "last_modified", "mtime", "updated", "created")
    for key in keys:
        if value := info.get(key):  # some stores give a datetime here and a number there
            return str(value.timestamp() if isinstance(value, datetime) else value).strip('"')
    return ""


def _remote_version(info: dict[str, Any]) -> str:
    """Size and stamp. A store that gives no stamp gets a new version each time, so that a file is
    rather read once too often (and known by its content hash) than missed."""
    return f"{info.get('size') or 0}-{_stamp(info) or f'unknown-{time.time_ns()}'}"
