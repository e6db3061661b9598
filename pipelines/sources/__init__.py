"""What `clsp tag SOURCE` takes: folders and files, lists of files, Kaldi, lhotse, WebDataset tars.

Tells which of these a source is and hands it to its reader; each gives the entries of an archive.
Nothing that a source says is run, and no pickle is read. Knows nothing of audio or tables.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from glob import escape
from pathlib import Path, PurePosixPath

from pipelines.archive import (
    FileEntry,
    OnError,
    archive_id,
    is_folder,
    is_remote,
    list_archive,
    local_root,
    matches,
)
from pipelines.errors import ArchiveUnreachable, FailureKind, RecordingError, SettingsError
from pipelines.fetching import fetched
from pipelines.sources import kaldi, lhotse, lists, webdataset
from pipelines.sources.rows import Rows, entries, folder_of
from pipelines.walk import is_hidden, taker

KINDS = ("auto", "folder", "list", "scp", "lhotse", "webdataset")
TARS = webdataset.SUFFIXES
WEB = ("http://", "https://")


def list_source(
    source: str,
    kind: str = "auto",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    on_error: OnError | None = None,
) -> Iterator[FileEntry]:
    """Every file of the source: as `list_archive` does, or as a list or a tar names them.

    Hidden files that a list names are not left out: it names them. What a list names and cannot be
    used is an entry with a `refusal`.

    Raises what `list_archive` does; SettingsError where the kind does not fit the source; while
    listing, InputError where a list cannot be read as what it should be, ArchiveUnreachable where
    it changes meanwhile.
    """
    if kind == "auto":
        kind = detect(source)
    if kind == "folder":
        return list_archive(source, include, exclude, on_error)
    if kind == "webdataset":
        tars = list_archive(source, _of_tars(include), exclude, on_error)
        return _members(tars, source, include, exclude)
    return (
        entry
        for entry in _listed(_list_file(source, kind), kind)
        if _named(entry.uri, include if entry.path else (), exclude)
    )


def detect(source: str) -> str:
    """The kind of a source by its name: folder | list | scp | webdataset, or `jsonl`, where the
    first row decides between list and lhotse. A local folder with a `wav.scp` in it is `scp`.

    Raises ArchiveForbidden where that may not be looked at.
    """
    name = archive_id(source).rpartition("/")[2].lower()
    if not is_remote(source) and is_folder(source):
        return "scp" if is_folder(source, kaldi.SCP) else "folder"
    if source.endswith("/"):
        return "folder"
    if name.endswith((".jsonl", ".jsonl.gz")):
        return "jsonl"
    if name.endswith((".csv", ".tsv", ".parquet")):
        return "list"
    if name.endswith(".scp"):
        return "scp"
    return "webdataset" if name.endswith(TARS) else "folder"


def kind_of(source: str, kind: str) -> str:
    """What a run takes the source for; `auto` where only the list's first row tells."""
    found = detect(source) if kind == "auto" else kind
    return "auto" if found == "jsonl" else found


def kinds_like(kind: str) -> tuple[str, ...]:
    """The kinds that a run may have called what one of this kind, by `kind_of`, lists."""
    if kind == "auto":
        return "auto", "list", "lhotse"
    return (kind, "auto") if kind in ("list", "lhotse") else (kind,)


def would_list(
    source: str, kind: str, include: Sequence[str], exclude: Sequence[str]
) -> Callable[[str], bool]:
    """Tells of a uri whether `list_source`, called like this, lists it where it is there."""
    kind = kind_of(source, kind)
    if kind == "folder" and source.lower().startswith(WEB) and not source.endswith("/"):
        page = archive_id(source).rpartition("/")[2]  # one file, whatever the folder holds
        return lambda uri: uri == page
    if kind == "folder":
        unseen = _unseen(source)
        return lambda uri: _wanted(uri, include, exclude) and not unseen(uri)
    if kind == "webdataset":
        alone = _alone(source)
        return lambda uri: _member_wanted(uri, alone, include, exclude)
    return lambda uri: _named(uri, include, exclude)


def _unseen(source: str) -> Callable[[str], bool]:
    """Tells of a uri whether it lies below a name that cannot be looked at, such as a link to a
    disk that is not mounted. Where no pattern asks for that name, the listing was silent on it."""
    if is_remote(source):
        return lambda uri: False
    root = local_root(source)

    @cache
    def closed(folder: str) -> bool:
        path = Path(root, folder)
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return path.is_symlink()
        except OSError:
            return True
        return False

    return lambda uri: any(closed(str(folder)) for folder in PurePosixPath(uri).parents)


def _alone(source: str) -> str:
    """The name of a tar that is a source by itself, else nothing."""
    name = archive_id(source).rpartition("/")[2]
    if is_remote(source):
        return name if name.lower().endswith(TARS) and not source.endswith("/") else ""
    return "" if is_folder(source) else name


def _member_wanted(uri: str, alone: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """`_members`, of one uri; `alone` is the tar that is a source by itself."""
    parts = uri.split("/")
    if alone and parts[0] == alone:
        tar, inside = alone, "/".join(parts[1:])
    else:
        ends = [i for i, part in enumerate(parts, 1) if part.lower().endswith(TARS)]
        if not ends:
            return _wanted(uri, include, exclude)  # a folder that could not be read
        tar, inside = "/".join(parts[: ends[0]]), uri
    if uri == tar:
        return tar == alone or _wanted(tar, _of_tars(include), exclude)
    return _wanted(inside.replace("../", ""), _within(tar, tar == alone, include), exclude)


def _of_tars(include: Sequence[str]) -> tuple[str, ...]:
    """What finds everything but what is hidden, and of that what these globs name: the tars of a
    folder, whose members may be asked for."""
    return ("*", *filter(is_hidden, include))


def _within(tar: str, alone: bool, include: Sequence[str]) -> Sequence[str]:
    """The globs for the members of a tar; where one names the tar, all of it but what is hidden."""
    if not any(matches(tar, pattern) for pattern in include):
        return include
    return _of_tars(include) if alone else (*include, f"{escape(tar)}/*")


def _members(
    tars: Iterator[FileEntry], source: str, include: Sequence[str], exclude: Sequence[str]
) -> Iterator[FileEntry]:
    """The members of each tar that the patterns take; a pattern may also name the tar. What is
    said of a tar itself, such as that it breaks off, is kept."""
    for tar in tars:
        alone = archive_id(tar.path) == archive_id(source)  # then it was called a tar by hand
        if not alone and not tar.uri.lower().endswith(TARS):
            continue
        chosen = _within(tar.uri, alone, include)
        for entry in webdataset.members(tar):
            name = entry.uri.removeprefix(f"{tar.uri}/") if alone else entry.uri
            name = name.replace("../", "")  # refused, not hidden
            if entry.uri == tar.uri or _wanted(name, chosen, exclude):
                yield entry


def _wanted(uri: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether the patterns take a uri, as in a folder: not what is hidden, unless one names it."""
    return not _excluded(uri, exclude) and bool(taker(tuple(include))(uri))


def _named(uri: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether the patterns take a uri that a list names, hidden or not."""
    if _excluded(uri, exclude):
        return False
    return not include or any(matches(uri, pattern) for pattern in include)


def _excluded(uri: str, exclude: Sequence[str]) -> bool:
    """As in a folder, what lies below an excluded name is out."""
    names = [uri, *(str(parent) for parent in PurePosixPath(uri).parents if parent.name)]
    return any(matches(name, pattern) for name in names for pattern in exclude)


def _list_file(source: str, kind: str) -> FileEntry:
    """The file that holds the list."""
    if kind == "scp":
        source = kaldi.scp_of(source)
    if not is_remote(source) and is_folder(source):
        raise SettingsError(
            f"kind {kind!r} with the folder {source!r}: expected a file. "
            "Name the list itself, or take kind 'folder'"
        )
    return next(list_archive(source))


def _listed(file: FileEntry, kind: str) -> Iterator[FileEntry]:
    try:
        with fetched(file) as path:  # its rows are read twice, and must be the same
            rows = _rows(path, file, kind)
            yield from entries(rows, folder_of(file.path), file.uri)
    except RecordingError as error:
        if error.kind != FailureKind.UNREACHABLE:
            raise
        raise ArchiveUnreachable(f"the list cannot be used now: {error}") from error


def _rows(path: Path, file: FileEntry, kind: str) -> Rows:
    if kind == "jsonl":
        kind = "lhotse" if lhotse.is_manifest(lists.first_object(path)) else "list"
    if kind == "scp":
        return kaldi.rows(path, folder_of(file.path))
    if kind == "lhotse":
        return lhotse.rows(path, file.uri)
    return lists.rows(path, file.uri)
