"""Files in stores: whatever fsspec opens (s3://, gs://, https://, memory://).

Knows how stores list, answer and fail. Messages hold no credentials, and errors of ours do not
carry those of a store along, which may repeat what they were sent. Does not know patterns or
tables.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO

from pipelines.errors import (
    ArchiveForbidden,
    ArchiveNotFound,
    ArchiveUnreachable,
    FailureKind,
    RecordingError,
)
from pipelines.redaction import why, without_credentials
from pipelines.walk import Fail, FileEntry, Node, Scan

PACKED = ("zip", "tar", "libarchive")  # in a chain of `::`, files whose members fsspec shows
BUCKETS = frozenset(("s3", "s3a", "gs", "gcs"))
# A URL of these is one place; `::` in it is a part of a name. Other URLs may be chains.
PLAIN = BUCKETS | {"az", "abfs", "abfss", "adl", "oss", "http", "https", "memory"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
# What S3, botocore and google-auth call credentials that are missing, wrong or worn out.
_CREDENTIALS = re.compile(
    "Expired|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|InvalidSecurity|TokenRefresh"
    "|RequestTimeTooSkewed|CredentialsError|ProfileNotFound|SSOToken|TokenRetrieval"
)
NO_NAME = "a folder without a name, as in `a//b`, which fsspec does not list. Rename what is in it"
LASTING = (FileNotFoundError, PermissionError, IsADirectoryError)  # of one file, for good
HINT = "Check the credentials (for s3://, AWS_ACCESS_KEY_ID and so on)"


def filesystem(url: str) -> tuple[Any, str]:
    """The store of a URL, and the name of the file in it."""
    import fsspec

    scheme = match[1].lower() if (match := _SCHEME.match(url)) else ""
    if scheme not in PLAIN:
        fs, name = fsspec.core.url_to_fs(url)
        return fs, name
    kind = fsspec.get_filesystem_class(scheme)
    fs = kind(**kind._get_kwargs_from_urls(url))
    return fs, kind._strip_protocol(url)


def remote_info(url: str) -> tuple[int, str]:
    """Size and version of one remote file. Raises what the store raises."""
    fs, remote = filesystem(url)
    fs.invalidate_cache()
    info = _info(fs, remote)
    if info["type"] != "file":
        raise IsADirectoryError(f"not a file: {info['type']}")
    return info.get("size") or 0, _version(info)


def remote_stream(url: str) -> BinaryIO:
    """The bytes at a URL, to read and seek in. Raises what the store raises."""
    fs, remote = filesystem(url)
    stream: BinaryIO = fs.open(remote, "rb")
    return stream


def fetch(url: str, local: str) -> None:
    """Copy one remote file to a local path. Raises what the store raises."""
    fs, remote = filesystem(url)
    fs.get_file(remote, local)


def not_fetched(uri: str, exc: Exception) -> RecordingError | ArchiveUnreachable:
    """What an error while fetching a listed file means: it is gone or forbidden, for good; or its
    store does not answer, or not with these credentials, for now."""
    if isinstance(exc, LASTING) and not credentials_fail(exc):
        return RecordingError(
            FailureKind.UNREADABLE,
            f"{uri!r} was listed but cannot be fetched ({why(exc)}). List again.",
        )
    return ArchiveUnreachable(f"fetching {uri!r} broke off ({why(exc)}). Try again later.")


def credentials_fail(exc: BaseException) -> bool:
    """Whether credentials are the reason, and not this one file."""
    response = getattr(exc.__cause__, "response", None) or getattr(exc, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    names = [kind.__name__ for kind in type(exc).__mro__]
    return any(_CREDENTIALS.search(name) for name in (str(code), *names))


def list_store(source: str, shown: str) -> tuple[FileEntry | Node, Scan]:
    """What there is at `source`: one file, or the folder at the top and what scans folders in it.
    `shown` is the source in messages.

    Raises ArchiveNotFound, ArchiveForbidden, ArchiveUnreachable.
    """
    scheme, _, rest = source.partition("://")
    if scheme.lower() in BUCKETS and not rest.strip("/"):
        raise ArchiveNotFound(f"{source!r} names no bucket. Give one: {scheme}://bucket/calls")
    try:
        fs, root = filesystem(source)
        fs.invalidate_cache()  # a long-lived process must see today's files
        info = _info(fs, root)
    except Exception as exc:
        raise _no_archive(shown, exc) from None
    # On the web everything looks like a file: there a folder's URL ends in a slash.
    is_web_folder = source.endswith("/") and source.lower().startswith(("http://", "https://"))
    if info["type"] == "file" and not is_web_folder:
        name = root.rstrip("/").rpartition("/")[2]
        return FileEntry(name, source, info.get("size") or 0, _version(info)), _nothing

    if "::" in source and scheme.lower() in PACKED:
        raise ArchiveNotFound(
            f"{shown!r} is a folder in a packed file, which is not listed: expected one member of "
            "it, or a tar by its own URL. Unpack it, or list its members"
        )
    top = Node("", source.rstrip("/"), True)
    root = root.rstrip("/")

    def ask(call: Callable[..., Any], path: str, **given: Any) -> Any:
        try:
            return call(path, **given)
        except Exception as exc:  # each store has its own classes for "not now" and "not you"
            if credentials_fail(exc):
                raise _no_archive(shown, exc) from None
            if isinstance(exc, FileNotFoundError | PermissionError):
                raise  # this one name: reported, and the listing goes on
            # Half a listing would make the rest look deleted.
            at = without_credentials(path)
            raise ArchiveUnreachable(
                f"listing {shown!r} broke off at {at!r} ({why(exc)}). Try again later."
            ) from None

    def scan(folder: str, fail: Fail) -> Iterator[Node]:
        base = root + folder.removeprefix(top.path)
        for item in ask(fs.ls, base or "/", detail=True):
            path = item["name"].rstrip("/")
            name = path.rpartition("/")[2]
            if path == base:
                if item["type"] == "directory":  # else S3's placeholder of the folder itself
                    fail("/", OSError(NO_NAME))
                continue
            if item["type"] == "directory":
                yield Node(name, f"{folder}/{name}", True)
                continue
            if item.get("size") is None or not _stamp(item):  # plain web listings tell names only
                try:
                    item = {**item, **ask(partial(_info, fs), item["name"])}
                except OSError as exc:
                    fail(name, exc)
                    continue
            size = item.get("size") or 0
            yield Node(name, f"{folder}/{name}", False, size, _version(item))

    return top, scan


def _info(fs: Any, path: str) -> dict[str, Any]:
    """What the store says of one name. On the web fsspec calls every failure a file that is not
    there: a refusal is PermissionError here, and a server that fails is as it failed."""
    try:
        found: dict[str, Any] = fs.info(path)
    except FileNotFoundError as exc:
        cause = exc.__cause__
        if cause is None or not type(cause).__module__.startswith(("aiohttp", "asyncio")):
            raise
        status = getattr(cause, "status", None)
        if status in (401, 403):
            raise PermissionError(f"{status} {getattr(cause, 'message', '')}".strip()) from None
        if status in (404, 410):
            raise
        raise cause from None
    return found


def _nothing(folder: str, fail: Fail) -> Iterator[Node]:
    yield from ()


def _no_archive(
    shown: str, exc: Exception
) -> ArchiveNotFound | ArchiveForbidden | ArchiveUnreachable:
    """What an error of the store says of the archive as a whole."""
    if isinstance(exc, FileNotFoundError):
        return ArchiveNotFound(
            f"no archive at {shown!r}: its store knows no such bucket, folder or file. "
            "Check the name"
        )
    if isinstance(exc, ImportError | ValueError) and not credentials_fail(exc):
        # The scheme needs a package, or does not exist; or the name cannot be one.
        return ArchiveNotFound(f"{shown!r} cannot be opened: {why(exc).rstrip('.')}.")
    if isinstance(exc, PermissionError) or credentials_fail(exc):
        return ArchiveForbidden(f"the store of {shown!r} refuses ({why(exc)}). {HINT}")
    return ArchiveUnreachable(
        f"the store of {shown!r} does not answer ({why(exc)}). Try again later; if it goes on, "
        "check its address, and your credentials"
    )


def _stamp(info: dict[str, Any]) -> str:
    """What the store says changes with the content: an entity tag, else a time."""
    keys = ("ETag", "etag", "LastModified", "Last-Modified", "last_modified", "mtime", "updated")
    for key in (*keys, "created"):
        if value := info.get(key):  # some stores give a datetime here and a number there
            return str(value.timestamp() if isinstance(value, datetime) else value).strip('"')
    return ""


def _version(info: dict[str, Any]) -> str:
    """Size and stamp. A store that gives no stamp gets a new version each time, so that a file is
    rather read once too often (and known by its content hash) than missed."""
    return f"{info.get('size') or 0}-{_stamp(info) or f'unknown-{time.time_ns()}'}"
