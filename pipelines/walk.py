"""Walks a tree of folders in the order of its uris, and tells which names are wanted.

Knows entries, patterns and folders; whatever scans one folder, a disk or a store, is handed in.
Passes over what is hidden, unless asked for, and the tables of a lake: they are no recordings.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from hashlib import blake2b
from pathlib import PurePath
from typing import NamedTuple

OnError = Callable[[str, OSError], None]  # (uri, why)
Fail = Callable[[str, OSError], None]  # (name in the folder, why)

# What a folder holds that is a table of a lake, or the plain copy of one (pipelines/vectors.py).
TABLES = ({"_delta_log"}, {"embeddings.f16", "segment_ids"})
LOCKS = (".commit.lock", ".vectors.lock", ".speech.lock")  # files of a lake, beside its tables


@dataclass(frozen=True)
class FileEntry:
    """One file of an archive."""

    uri: str  # posix path below the archive's root; for a source that is one file, its name
    path: str  # what opens it: an absolute local path or an fsspec URL
    size_bytes: int  # 0 where a remote store does not tell
    version: str  # the same version means the same content
    metadata: str | None = None  # a JSON object: what a list says of it besides where it is
    piece: tuple[int, int] | None = None  # offset and size in `path`, unpacked: a tar's member
    refusal: tuple[str, str] | None = None  # a FailureKind and why: is never opened


class Node(NamedTuple):
    """One name in a folder. `inode` is set on local folders and guards against symlink loops."""

    name: str
    path: str
    is_folder: bool
    size_bytes: int = 0
    version: str = ""
    inode: tuple[int, int] | None = None


def _in_order(node: Node) -> str:
    # With the slash, walking depth first visits the uris in their plain string order.
    return node.name + "/" if node.is_folder else node.name


Scan = Callable[[str, Fail], Iterable[Node]]


def walk(
    scan: Scan,
    folder: Node,
    prefix: str,
    include: Sequence[str],
    exclude: Sequence[str],
    on_error: OnError,
) -> Iterator[FileEntry]:
    """The files below `folder`, whose uri is `prefix`.

    A name that cannot be looked at is told of where it is asked for; a folder always, for what is
    asked for may lie in it.
    """
    excluded, included = matcher(tuple(exclude)), taker(tuple(include))
    with_hidden = any(map(is_hidden, include))

    def entered(folder: Node, prefix: str, inside: frozenset[tuple[int, int]]) -> _Visit:
        if folder.inode is not None:
            if folder.inode in inside:
                return _Visit(iter(()), prefix, inside)
            inside = inside | {folder.inode}

        def fail(name: str, exc: OSError) -> None:
            uri = prefix + as_text(name)
            if not excluded(uri) and (uri.endswith("/") or included(uri)):
                on_error(uri, exc)

        try:
            nodes = sorted(scan(folder.path, fail), key=_in_order)
        except OSError as exc:
            on_error(prefix.rstrip("/"), exc)
            nodes = []
        names = {node.name for node in nodes}
        if len(names) < len(nodes):
            nodes = _told_apart(nodes)
        if any(table <= names for table in TABLES):
            nodes = []
        return _Visit(iter(nodes), prefix, inside)

    visits = [entered(folder, prefix, frozenset())]  # a folder, one in it, one in that...
    while visits:
        nodes, prefix, inside = visits[-1]
        for node in nodes:
            uri = prefix + node.name
            if excluded(uri) or node.name in LOCKS:
                continue
            if not node.is_folder:
                if included(uri):
                    yield FileEntry(uri, node.path, node.size_bytes, node.version)
            elif with_hidden or not is_hidden(node.name):
                visits.append(entered(node, uri + "/", inside))
                break  # and go on behind it afterwards
        else:
            visits.pop()


class _Visit(NamedTuple):
    """What of a folder is still to be looked at; `inside` are the folders around it and itself."""

    nodes: Iterator[Node]
    prefix: str
    inside: frozenset[tuple[int, int]]


def _told_apart(nodes: list[Node]) -> list[Node]:
    """With a hash for names that read like another one, since they are no UTF-8."""
    like = Counter(map(_in_order, nodes))

    def apart(node: Node) -> Node:
        name = PurePath(node.path).name
        if like[_in_order(node)] == 1 or name == node.name:
            return node
        return node._replace(name=f"{node.name}#{short_hash(name)}")

    return sorted(map(apart, nodes), key=_in_order)


def matches(uri: str, pattern: str) -> bool:
    """Whether a pattern, as pipelines/archive.py describes them, fits a uri."""
    return bool(matcher((pattern,))(uri))


def is_hidden(name: str) -> bool:
    """Whether a uri, or a glob, has a name in it that begins with a dot."""
    return name.startswith(".") or "/." in name


@lru_cache(maxsize=256)
def taker(include: tuple[str, ...]) -> Callable[[str], object]:
    """Tells of a uri whether the globs take it (none: all do). One with a hidden name in it is
    taken only by a glob that has a hidden name in it, too."""
    plain, hidden = matcher(include or ("*",)), matcher(tuple(filter(is_hidden, include)))
    return lambda uri: hidden(uri) if is_hidden(uri) else plain(uri)


@lru_cache(maxsize=256)
def matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Tells of a uri, by what it returns being true, whether any of the patterns fits it."""
    also = [pattern.removeprefix("**/") for pattern in patterns if pattern.startswith("**/")]
    nothing = "(?!)"  # where there are no patterns
    return re.compile("|".join(map(translate, (*patterns, *also))) or nothing).match


def as_text(name: str) -> str:
    """A file name as valid UTF-8: bytes that are not become `\\xNN`."""
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def short_hash(text: str) -> str:
    """What tells apart two names that are shown alike."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
