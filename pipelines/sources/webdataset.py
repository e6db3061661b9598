"""WebDataset shards: the audio members of a tar, plain or gzipped, each an entry of its own.

A member is opened by its offset; nothing is unpacked to where a tar says. The `.json`, `.txt` and
`.cls` members of the same key are metadata. Members that are not audio by their name are left out
and counted in the log; links, devices and names that lead out of the tar are refused. A tar may
come from anyone: nothing in it is run, and no pickle is read.
"""

import json
import logging
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from pipelines.archive import FileEntry, is_remote, open_stream, why
from pipelines.errors import ArchiveUnreachable, FailureKind
from pipelines.pieces import unpacked
from pipelines.sources.rows import metadata_text, plain, shown

SUFFIXES = (".tar", ".tar.gz", ".tgz")
LOSSLESS = ("wav", "wave", "flac", "aif", "aiff", "aifc", "au", "snd", "caf", "w64", "rf64", "wv")
LOSSY = ("mp3", "mp2", "mpc", "ogg", "oga", "opus", "spx", "aac", "wma", "amr", "awb")
VIDEO = ("mp4", "m4a", "m4b", "webm", "mka", "mkv", "mov", "avi", "3gp")  # or audio alone in such
AUDIO = frozenset((*LOSSLESS, *LOSSY, *VIDEO, "ac3", "eac3", "ape", "tta", "gsm", "sph", "nist"))
SIDECARS = ("json", "txt", "cls")
SIDECAR_BYTES = 64 << 10
LEFT_OUT, ALONE = "unusable sidecar", "sidecar apart from its audio"
HEADER_BYTES = 1 << 20  # no header of a member is longer
BROKEN = (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, RecursionError)

_log = logging.getLogger(__name__)


def members(tar: FileEntry) -> Iterator[FileEntry]:
    """The audio members of a tar, in its order. A tar that breaks off gives what came before, and
    an entry for itself that says so. Raises ArchiveUnreachable where its store fails."""
    taken: dict[str, int] = {}
    others: Counter[str] = Counter()
    try:
        with open_stream(tar.path) as raw:
            for entry in _grouped(_infos(cast(BinaryIO, _Bounded(unpacked(raw)))), tar, others):
                yield replace(entry, uri=_free(entry.uri, taken))
    except (*BROKEN, OSError) as error:
        if is_remote(tar.path) and not isinstance(
            error, (*BROKEN, FileNotFoundError, PermissionError)
        ):
            raise ArchiveUnreachable(
                f"listing {tar.uri!r} broke off ({why(error)}). Try again later."
            ) from error
        reason = f"is no tar, plain or gzipped, or breaks off ({why(error)})"
        yield _refused(tar, tar.uri, FailureKind.UNREADABLE, reason)
    if others:
        counts = ", ".join(f"{count} {ending}" for ending, count in others.most_common(5))
        _log.info("%s: members left out, not audio by their name: %s", tar.uri, counts)


def _infos(stream: BinaryIO) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """Each header as it comes, with the stream to read its bytes from."""
    tar = tarfile.TarFile(fileobj=stream)
    reached = -1
    while (info := tar.next()) is not None:
        if info.size < 0 or tar.offset <= reached:  # a header may send its reader back for ever
            raise tarfile.ReadError("a member of a size that cannot be")
        reached = tar.offset
        vars(tar)["members"] = []  # it would keep every header
        yield info, stream
    # tarfile takes a damaged header for the end.
    stream.seek(tar.offset)
    if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError("damaged header")


def _grouped(
    infos: Iterator[tuple[tarfile.TarInfo, BinaryIO]], tar: FileEntry, others: "Counter[str]"
) -> Iterator[FileEntry]:
    """Members of one key lie beside each other: the audio ones get what the sidecars say."""
    key, audio, said = "", list[FileEntry](), dict[str, Any]()
    while True:
        try:
            if (found := next(infos, None)) is None:
                break
        except Exception:
            yield from _with_metadata(audio, said)
            raise
        info, stream = found
        name = str(PurePosixPath(info.name))
        folder, _, base = name.rpartition("/")
        start, _, ending = base.partition(".")
        if f"{folder}/{start}" != key:
            yield from _with_metadata(audio, said)
            _count_alone(key, audio, said, tar, others)
            key, audio, said = f"{folder}/{start}", [], {}
        uri = f"{tar.uri}/{shown(name.lstrip('/'))}"
        if info.isdir():
            continue
        if problem := _problem(info, name):
            audio.append(_refused(tar, uri, FailureKind.UNSUPPORTED, problem))
        elif ending.lower() in SIDECARS:
            try:
                said |= _sidecar(info, stream, ending.lower())
            except (ValueError, RecursionError) as error:  # one line for each tar, however many
                if not others[LEFT_OUT]:
                    _log.warning("%s: left out, as may be others like it (%s)", uri, error)
                others[LEFT_OUT] += 1
        elif ending.rpartition(".")[2].lower() in AUDIO:
            at, size = info.offset_data, info.size
            version = f"{tar.version}@{at}+{size}"
            audio.append(FileEntry(uri, tar.path, size, version, piece=(at, size)))
        else:
            others[shown(f".{ending[-40:]}")] += 1
    yield from _with_metadata(audio, said)
    _count_alone(key, audio, said, tar, others)


def _count_alone(
    key: str, audio: list[FileEntry], said: dict[str, Any], tar: FileEntry, others: "Counter[str]"
) -> None:
    """What sidecars say of a key without audio is lost: told once for each tar."""
    if audio or not said:
        return
    if not others[ALONE]:
        _log.warning(
            "%s: what is said of %s is left out, as may be of others: no audio of that name stands "
            "beside it. Where it stands elsewhere in the tar, make that with `tar --sort=name`",
            tar.uri,
            shown(key.lstrip("/")),
        )
    others[ALONE] += 1


def _free(uri: str, taken: dict[str, int]) -> str:
    """The uri, or with a number where a tar holds one name twice."""
    path, number, free = PurePosixPath(uri), taken.get(uri, 0) + 1, uri
    while (
        number > 1 and (free := str(path.with_name(f"{path.stem}~{number}{path.suffix}"))) in taken
    ):
        number += 1
    taken[uri] = number
    taken.setdefault(free, 1)
    return free


def _problem(info: tarfile.TarInfo, name: str) -> str | None:
    if name.startswith("/") or ".." in PurePosixPath(name).parts or "\0" in name:
        return "a member whose name leads out of the tar: expected a relative path"
    if info.issym() or info.islnk():
        return "a link, which is not followed: expected the file itself"
    if not info.isreg() or info.issparse():
        return "a device, a pipe or a file with holes: expected a plain file"
    return None


def _sidecar(info: tarfile.TarInfo, stream: BinaryIO, ending: str) -> dict[str, Any]:
    """What a sidecar says. Raises ValueError or RecursionError where it cannot be used."""
    if info.size > SIDECAR_BYTES:
        raise ValueError(f"more than {SIDECAR_BYTES} bytes")
    stream.seek(info.offset_data)
    text = stream.read(info.size).decode("utf-8", "backslashreplace")
    if ending != "json":
        return {ending: text.strip()}
    value = plain(json.loads(text))
    return value if isinstance(value, dict) else {"json": value}


def _with_metadata(audio: list[FileEntry], said: dict[str, Any]) -> Iterator[FileEntry]:
    metadata = metadata_text(said)
    for entry in audio:
        yield replace(entry, metadata=metadata)


def _refused(tar: FileEntry, uri: str, kind: FailureKind, reason: str) -> FileEntry:
    """An entry that is never opened; it is looked at again once its tar has changed."""
    return FileEntry(uri, "", 0, tar.version, refusal=(str(kind), reason))


class _Bounded:
    """A stream whose single reads are no longer than a header may be: tarfile reads as much as a
    header claims."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.seek, self.tell = stream.seek, stream.tell
        self.mode = "rb"

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.stream.read(size)
