"""Kaldi's `wav.scp`: a key and a path in each line; what its folder says of a key is metadata.

A line that is a shell pipe, or a piece of an `ark`, is refused, never run. `utt2spk`, `spk2gender`
and `text` are joined where their keys are those of `wav.scp`; `segments` is not applied: how a
recording is cut says the run. Knows nothing of where files are.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from clsp.errors import InputError
from pipelines.archive import (
    FileEntry,
    archive_id,
    is_folder,
    is_remote,
    local_root,
    open_local,
)
from pipelines.errors import FailureKind, RecordingError
from pipelines.sources.rows import Row, Rows, refused

SCP = "wav.scp"
PIPE = "is a shell pipe (it ends in `|`), and those are never run. Write its output to a file"
ARK = "is a piece of an ark: expected a file of its own. Copy it out with wav-copy"
BLANKS = " \t\r\n"
_ARK = re.compile(r"\.ark(:\d+)?(\[.*\])?$")
_log = logging.getLogger(__name__)


def scp_of(source: str) -> str:
    """The scp file of a source: itself, or `wav.scp` in a data folder."""
    if is_remote(source):
        return (
            source
            if "." in archive_id(source).rpartition("/")[2]
            else f"{source.rstrip('/')}/{SCP}"
        )
    return str(local_root(source) / SCP) if is_folder(source) else source


def rows(path: Path, folder: str) -> Rows:
    """The rows of the scp at `path`; `folder` is that of the source, where the tables lie."""
    tables = {name: _table(folder, name) for name in ("utt2spk", "spk2gender", "text")}
    if (Path(folder) / "segments").is_file():
        _log.info("%s: its file `segments` is not applied", folder)

    def read() -> Iterator[Row]:
        for number, line in enumerate(_lines(path), 1):
            if line.strip(BLANKS):
                yield _row(line, f"{SCP}:{number}", tables)

    return read


def _row(line: str, where: str, tables: dict[str, dict[str, str]]) -> Row:
    key, *rest = re.split(r"[ \t]+", line.strip(BLANKS), maxsplit=1)
    name = rest[0] if rest else ""
    said = {"key": key}
    if speaker := tables["utt2spk"].get(key):
        said["speaker"] = speaker
        if gender := tables["spk2gender"].get(speaker):
            said["gender"] = gender
    if (text := tables["text"].get(key)) is not None:
        said["text"] = text
    if name.endswith("|") or name.startswith("|"):
        return refused(key, FailureKind.UNSUPPORTED, PIPE, said)
    if _ARK.search(name):
        return refused(key, FailureKind.UNSUPPORTED, ARK, said)
    if name in ("", "-"):
        reason = f"{where} names no file: expected a key and a path"
        return refused(key, FailureKind.UNREADABLE, reason, said)
    return Row(name, said)


def _table(folder: str, name: str) -> dict[str, str]:
    """A file of `key value` lines beside the scp; nothing where there is none."""
    place = f"{folder}/{name}"
    try:
        with open_local(FileEntry(name, place, 0, "")) as path:
            pairs = (line.strip().split(maxsplit=1) for line in _lines(path))
            return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs if pair}
    except (FileNotFoundError, RecordingError):
        return {}


def _lines(path: Path) -> Iterator[str]:
    """Lines that end in LF only: a name may hold any other character."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as lines:
            yield from lines
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error}): expected lines of text") from error
