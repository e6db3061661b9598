"""Labelled speech in a plain table: one file and what is known about it in each row.

CSV, TSV, Parquet, JSONL (maybe gzipped) or a JSON list of objects. Which column is what goes by its
name:

    file, path, uri, audio (the first that there is)       the audio; relative to the table's folder
    global_caption(s), short_captions, caption             "global" captions
    finegrained_caption(s), long_captions                  "fine" captions
    speaker, split, start_s, end_s                         as in Item
    style and rating                                       a description and how well it fits
    any other                                              a label; blank where it is not known

Rows of the same clip become one item: captions add up, and ratings of one style are averaged. Where
a label, speaker or split contradicts an earlier row's, the earlier stays, and that is told. Knows
nothing of what the labels mean, and of formats only that there are rows.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clsp.errors import InputError
from pipelines.archive import is_remote
from pipelines.datasets.files import (
    NO_FILE,
    LeftOut,
    brief,
    in_order,
    is_file,
    label,
    local_file,
    number,
    shown,
    span,
    text,
    texts,
)
from pipelines.datasets.items import Dataset, Item, Skipped
from pipelines.datasets.rows import SUFFIXES, Unread, rows

FILE = ("file", "path", "uri", "audio")
CAPTIONS = {
    "global_caption": "global",
    "global_captions": "global",
    "short_captions": "global",
    "caption": "global",
    "finegrained_caption": "fine",
    "finegrained_captions": "fine",
    "long_captions": "fine",
}
OTHERS = ("speaker", "split", "start_s", "end_s", "style", "rating")
IGNORE = "ignore"
IGNORED = "A column that says nothing of a clip can be left out: --column NAME=ignore"
Row = dict[str, Any]


def read(root: str | Path, *, columns: Mapping[str, str] | None = None) -> Dataset:
    """The table at `root`.

    `columns` says how to take a column of another name: {"wav": "file", "feeling": "emotion",
    "notes": "ignore"}. Files that are URLs are taken as they are, not looked for.
    """
    path = local_file(root, f"a table ({', '.join(SUFFIXES)})")
    renamed = dict(columns or {})
    clips: dict[tuple[str, float | None, float | None], _Clip] = {}
    skipped: list[Skipped] = []
    seen: set[str] = set()
    unread: dict[str, str] = {}
    left_out = LeftOut()
    for where, row in rows(path):
        if isinstance(row, Skipped):
            skipped.append(row)
            continue
        if isinstance(row, Unread):
            unread[row.column] = row.type
            continue
        try:
            if not isinstance(row, dict):
                raise InputError(f"{brief(row)}: expected an object")
            seen.update(row)
            item = _item(_rename(row, renamed), path.parent)
            clip = clips.setdefault((item.uri, item.start_s, item.end_s), _Clip(item.uri))
            clip.add(item, where, left_out)
        except InputError as error:
            skipped.append(Skipped(where, str(error)))
    _check_columns(path, seen, unread, renamed)
    skipped += [
        Skipped(
            shown(path),
            f"column {brief(name)} of type {type_} is not read: expected text, numbers or lists of "
            f"text. {IGNORED}",
        )
        for name, type_ in unread.items()
        if renamed.get(name) != IGNORE
    ]
    skipped += left_out.told()
    found = [
        clip.item()
        if is_remote(clip.uri) or is_file(Path(clip.uri))
        else Skipped(shown(clip.uri), NO_FILE)
        for clip in clips.values()
    ]
    return in_order(path.name.split(".")[0], [*found, *skipped], f"{path}: no row in it")


def _check_columns(
    path: Path, seen: set[str], unread: Mapping[str, str], renamed: Mapping[str, str]
) -> None:
    if not seen and not unread:
        return
    if unknown := sorted(set(renamed) - seen - set(unread)):
        raise InputError(f"{path} has no column {unknown}: it has {sorted({*seen, *unread})}")
    names = [name for column in seen if (name := renamed.get(column, column)) != IGNORE]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path} would have several columns {twice}: rename or ignore others")
    if not set(names) & set(FILE):
        not_read = "".join(f"; {n!r}, of type {type_}, is not read" for n, type_ in unread.items())
        raise InputError(
            f"{path} has the columns {sorted(seen)}{not_read}: expected one of {FILE}, as text. "
            "Say which column has the files: --column NAME=file (in Python, columns)"
        )


def _rename(row: Row, renamed: Mapping[str, str]) -> Row:
    return {renamed.get(name, name): value for name, value in row.items()}


def _item(row: Row, folder: Path) -> Item:
    """One row alone. Raises InputError, saying what is wrong with it."""
    file = next((found for name in FILE if (found := text(row.get(name), name))), None)
    if file is None:
        raise InputError("no file is named")
    captions: dict[str, tuple[str, ...]] = {}
    labels = {}
    for name, value in row.items():
        if kind := CAPTIONS.get(name):
            if wordings := texts(value, name):
                captions[kind] = (*captions.get(kind, ()), *wordings)
        elif name not in (*FILE, *OTHERS, IGNORE) and (found := _label(value, name)):
            labels[text(name, "a column's name") or "label"] = found
    style, rating = text(row.get("style"), "style"), number(row.get("rating"), "rating")
    if (style is None) != (rating is None):
        raise InputError(f"style {style!r} with rating {rating}: expected both or neither")
    start_s, end_s = number(row.get("start_s"), "start_s"), number(row.get("end_s"), "end_s")
    span(start_s, end_s)
    return Item(
        uri=file if is_remote(file) else str(folder / file),
        labels=labels,
        captions=captions,
        ratings={} if style is None or rating is None else {style: rating},
        speaker=_label(row.get("speaker"), "speaker"),
        split=_label(row.get("split"), "split"),
        start_s=start_s,
        end_s=end_s,
    )


def _label(value: Any, name: str) -> str | None:
    try:
        return label(value, name)
    except InputError as error:
        raise InputError(f"{error}. Leave such a column out: --column {name}=ignore") from error


@dataclass
class _Clip:
    """What several rows say about one clip."""

    uri: str
    rows: list[Item] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)  # speaker and split

    def add(self, row: Item, where: str, left_out: LeftOut) -> None:
        """What contradicts an earlier row is left out: no more of the row than that."""
        columns = {"speaker": row.speaker, "split": row.split}
        both = ("label ", self.labels, row.labels), ("", self.columns, columns)
        for prefix, said, says in both:
            for name, value in says.items():
                if value is None or (earlier := said.setdefault(name, value)) == value:
                    continue
                told = f"{prefix}{name} is {value!r}: an earlier row of this clip has {earlier!r}"
                left_out.add(prefix + name, where, f"{told}, which stays. {IGNORED}")
        self.rows.append(row)

    def item(self) -> Item:
        captions: dict[str, dict[str, None]] = {}
        ratings: dict[str, list[float]] = {}
        for row in self.rows:
            for kind, wordings in row.captions.items():
                captions.setdefault(kind, {}).update(dict.fromkeys(wordings))
            for style, rating in row.ratings.items():
                ratings.setdefault(style, []).append(rating)
        return Item(
            uri=self.uri,
            labels=self.labels,
            captions={kind: tuple(wordings) for kind, wordings in captions.items()},
            ratings={style: statistics.fmean(given) for style, given in ratings.items()},
            speaker=self.columns.get("speaker"),
            split=self.columns.get("split"),
            start_s=self.rows[0].start_s,
            end_s=self.rows[0].end_s,
        )
