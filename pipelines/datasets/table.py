"""Labelled speech in a plain table: one file and what is known about it in each row.

CSV, TSV, Parquet, JSONL (maybe gzipped) or a JSON list of objects. Which column is what goes by its
name:

    file, path, uri, audio (the first that there is)       the audio; relative to the table's folder
    global_caption(s), short_captions, caption             "global" captions
    finegrained_caption(s), long_captions                  "fine" captions
    speaker, split, start_s, end_s                         as in Item
    style and rating                                       a description and how well it fits
    any other                                              a label; blank where it is not known

Rows of the same clip become one item: captions add up, ratings of one style are averaged, and a row
that contradicts an earlier one is skipped. Knows nothing of what the labels mean.
"""

import csv
import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clsp.errors import InputError
from pipelines.archive import is_remote
from pipelines.datasets.files import (
    NO_FILE,
    brief,
    in_order,
    is_file,
    json_lines,
    local_file,
    number,
    shown,
    span,
    text,
    texts,
)
from pipelines.datasets.items import Dataset, Item, Skipped

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
SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".jsonl.gz", ".json")
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
    for where, row in _rows(path):
        if isinstance(row, Skipped):
            skipped.append(row)
            continue
        try:
            if not isinstance(row, dict):
                raise InputError(f"{brief(row)}: expected an object")
            seen.update(row)
            item = _item(_rename(row, renamed), path.parent)
            clips.setdefault((item.uri, item.start_s, item.end_s), _Clip(item.uri)).add(item)
        except InputError as error:
            skipped.append(Skipped(where, str(error)))
    _check_columns(path, seen, renamed)
    found = [
        clip.item()
        if is_remote(clip.uri) or is_file(Path(clip.uri))
        else Skipped(shown(clip.uri), NO_FILE)
        for clip in clips.values()
    ]
    return in_order(path.name.split(".")[0], [*found, *skipped], f"{path}: no row in it")


def _check_columns(path: Path, seen: set[str], renamed: dict[str, str]) -> None:
    if not seen:
        return
    if unknown := sorted(set(renamed) - seen):
        raise InputError(f"{path} has no column {unknown}: it has {sorted(seen)}")
    names = [name for column in seen if (name := renamed.get(column, column)) != IGNORE]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path} would have several columns {twice}: rename or ignore others")
    if not set(names) & set(FILE):
        raise InputError(
            f"{path} has the columns {sorted(seen)}: expected one of {FILE}. Say which column has "
            'the files: columns={"NAME": "file"}'
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
        elif name not in (*FILE, *OTHERS, IGNORE) and (label := _label(value, name)):
            labels[text(name, "a column's name") or "label"] = label
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
    """A class's name. Numbers and truth values are written out: 1, 0.5, true."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return None if value != value else f"{value:.15g}"
    if isinstance(value, list | dict):
        raise InputError(
            f"{name} is {brief(value)}: expected one class. Leave such a column out with "
            f'columns={{"{name}": "ignore"}}'
        )
    return text(value if value is None else str(value), name)


@dataclass
class _Clip:
    """What several rows say about one clip."""

    uri: str
    rows: list[Item] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)  # labels; speaker and split as columns

    def add(self, row: Item) -> None:
        says = {f"label {name}": value for name, value in row.labels.items()}
        says |= {"speaker": row.speaker} if row.speaker else {}
        says |= {"split": row.split} if row.split else {}
        for name, value in says.items():
            if (earlier := self.said.get(name, value)) != value:
                raise InputError(
                    f"{name} is {value!r}: an earlier row of this clip has {earlier!r}"
                )
        self.said |= says
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
            labels={name: value for row in self.rows for name, value in row.labels.items()},
            captions={kind: tuple(wordings) for kind, wordings in captions.items()},
            ratings={style: statistics.fmean(given) for style, given in ratings.items()},
            speaker=self.said.get("speaker"),
            split=self.said.get("split"),
            start_s=self.rows[0].start_s,
            end_s=self.rows[0].end_s,
        )


# --- formats -----------------------------------------------------------------------------------


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """("FILE:LINE", row) or, for a line that is none, ("FILE:LINE", Skipped)."""
    name = path.name.lower()
    if name.endswith((".csv", ".tsv")):
        return _csv(path, "\t" if name.endswith(".tsv") else ",")
    if name.endswith((".jsonl", ".jsonl.gz")):
        return json_lines(path)
    if name.endswith(".json"):
        return _json(path)
    if name.endswith(".parquet"):
        return _parquet(path)
    raise InputError(f"{path} is no table that can be read: expected one of {', '.join(SUFFIXES)}")


def _csv(path: Path, delimiter: str) -> Iterator[tuple[str, Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, delimiter=delimiter)
            header = [name.strip() for name in next(lines, [])]
            if len(set(header)) < len(header):
                raise InputError(f"{path} has the columns {header}: expected each name once")
            for cells in lines:
                where = f"{shown(path)}:{lines.line_num}"
                if len(cells) == len(header):
                    yield where, dict(zip(header, cells, strict=True))
                elif cells:
                    reason = f"{len(cells)} cells: expected {len(header)}, as in the header"
                    yield where, Skipped(where, reason)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}): expected a table in UTF-8") from error


def _json(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}): expected JSON in UTF-8") from error
    if not isinstance(rows, list):
        raise InputError(f"{path} holds {brief(rows)}: expected a list of objects")
    for index, row in enumerate(rows, 1):
        yield f"{shown(path)}:{index}", row


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    """Columns of bytes and structs, such as embedded audio, are not read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            plain = [
                column.name
                for column in file.schema_arrow
                if not pa.types.is_nested(column.type) or pa.types.is_list(column.type)
                if not pa.types.is_binary(column.type) and not pa.types.is_large_binary(column.type)
            ]
            index = 0
            for batch in file.iter_batches(columns=plain):
                for row in batch.to_pylist():
                    index += 1
                    yield f"{shown(path)}:{index}", row
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read ({error}): expected Parquet") from error
