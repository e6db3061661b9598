"""The rows of a table file: CSV, TSV, Parquet, JSONL (maybe gzipped) or a JSON list of objects.

In CSV a cell in quotes may hold commas and line ends, as spreadsheets write it. In TSV a quote is a
character like any other, as in Common Voice; but a cell wholly in quotes, those inside it doubled,
is taken out of them, with tabs and line ends in it where the lines come out more even by that.
Knows nothing of what columns mean.
"""

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from clsp.errors import InputError
from pipelines.datasets.files import brief, json_lines, shown
from pipelines.datasets.items import Skipped

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".jsonl.gz", ".json")
QUOTED = re.compile(r'"((?:[^"]|"")*)"')
SHOWN = 60  # letters of a type's name
CELL = 16 << 20  # letters of a cell in quotes or of CSV

Cells = tuple[int, list[str] | str]  # the line where a row begins; its cells, or why there are none


@dataclass(frozen=True)
class Unread:
    """A column of a type that is not read."""

    column: str
    type: str


def rows(path: Path) -> Iterator[tuple[str, Any]]:
    """("FILE:LINE", row). In place of a row, a `Skipped` for a line that is none, and an `Unread`
    for a column. Raises InputError, here or while reading, for a file that is no such table."""
    name = path.name.lower()
    if name.endswith((".csv", ".tsv")):
        return _text(path, tabs=name.endswith(".tsv"))
    if name.endswith((".jsonl", ".jsonl.gz")):
        return json_lines(path)
    if name.endswith(".json"):
        return _json(path)
    if name.endswith(".parquet"):
        return _parquet(path)
    raise InputError(f"{path} is no table that can be read: expected one of {', '.join(SUFFIXES)}")


# ---- CSV and TSV ------------------------------------------------------------------------------


def _text(path: Path, tabs: bool) -> Iterator[tuple[str, Any]]:
    try:
        lines = cells_of(path, str(path), tabs)
        _, header = next(lines, (1, []))
        if isinstance(header, str):
            raise InputError(f"{path} has no header: {header}")
        names = [name.strip() for name in header]
        if len(set(names)) < len(names):
            raise InputError(f"{path} has the columns {names}: expected each name once")
        for line, cells in lines:
            where = f"{shown(path)}:{line}"
            if isinstance(cells, str):
                yield where, Skipped(where, cells)
            elif len(cells) == len(names):
                yield where, dict(zip(names, cells, strict=True))
            else:
                reason = f"{len(cells)} cells: expected {len(names)}, as in the header"
                yield where, Skipped(where, reason)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): expected a table in UTF-8") from error


def cells_of(path: Path, called: str, tabs: bool, errors: str = "strict") -> Iterator[Cells]:
    """The lines of a CSV file, or TSV: blank ones are left out. `called` is its name in messages;
    `errors` says what becomes of bytes that are no UTF-8, as for `open`.

    Raises InputError for a quote that runs over line ends and is not closed as it should be: nobody
    knows how many rows are in that cell. OSError, UnicodeDecodeError.
    """
    plain = partial(_plain, path, errors)
    if not tabs:
        return _quoted(path, called, ",", errors)
    # Line by line, unless quotes over tabs and line ends leave fewer lines that are no rows.
    quoted = partial(_quoted, path, called, "\t", errors)
    uneven = _uneven(plain())
    return quoted() if uneven and _uneven(quoted()) < uneven else plain()


def _quoted(path: Path, called: str, delimiter: str, errors: str) -> Iterator[Cells]:
    ended = False

    def read(file: Iterable[str]) -> Iterator[str]:
        nonlocal ended
        yield from file
        ended = True

    csv.field_size_limit(CELL)  # of the whole process; nobody else reads CSV in it
    with path.open(newline="", encoding="utf-8-sig", errors=errors) as file:
        lines = csv.reader(read(file), delimiter=delimiter, strict=True)
        while True:
            line = lines.line_num + 1
            try:
                cells = next(lines)
            except StopIteration:
                return
            except csv.Error as error:
                if ended or lines.line_num > line:
                    raise InputError(
                        f"{called} has a quote that begins in line {line} and runs on to line "
                        f"{lines.line_num} ({error}): expected its end in that cell. Remove or "
                        "close it; within a cell in quotes, a quote is written twice"
                    ) from error
                reason = "within a cell in quotes, a quote is written twice"
                if "field limit" in str(error):
                    reason = f"expected cells of at most {CELL} letters"
                yield line, f"not a row of a table ({error}): {reason}"
            else:
                if cells:
                    yield line, cells


def _plain(path: Path, errors: str) -> Iterator[Cells]:
    with path.open(encoding="utf-8-sig", errors=errors) as file:
        for number, line in enumerate(file, 1):
            if cells := line.rstrip("\n"):
                yield number, [_bare(cell) for cell in cells.split("\t")]


def _bare(cell: str) -> str:
    return match[1].replace('""', '"') if (match := QUOTED.fullmatch(cell)) else cell


def _uneven(lines: Iterator[Cells]) -> float:
    """How many rows have more or fewer cells than the first; infinite where quotes do not close."""
    try:
        widths = [None if isinstance(cells, str) else len(cells) for _, cells in lines]
    except InputError:
        return math.inf
    return math.inf if None in widths else sum(width != widths[0] for width in widths)


# ---- others -----------------------------------------------------------------------------------


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
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            plain = []
            for column in file.schema_arrow:
                if _readable(column.type):
                    plain.append(column.name)
                else:
                    yield shown(path), Unread(column.name, str(column.type)[:SHOWN])
            index = 0
            for batch in file.iter_batches(columns=plain):
                for row in plain_rows(batch):
                    index += 1
                    yield f"{shown(path)}:{index}", row
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read ({error}): expected Parquet") from error


def plain_rows(batch: Any) -> list[dict[str, Any]]:
    """The rows of a batch of Arrow's, as `to_pylist` gives them; text for each value that Python
    has no type for: nanoseconds, years over 9999, a time zone that it does not know."""
    try:
        found: list[dict[str, Any]] = batch.to_pylist()
    except (ValueError, OverflowError, LookupError):
        cells = (map(_cell, column) for column in batch.columns)
        names = batch.schema.names
        return [dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)]
    return found


def _cell(cell: Any) -> Any:
    import pyarrow as pa

    try:
        return cell.as_py()
    except (ValueError, OverflowError, LookupError):
        pass
    if isinstance(cell, pa.DictionaryScalar):
        return _cell(cell.value)
    if isinstance(cell, pa.MapScalar):
        return [(_cell(pair["key"]), _cell(pair["value"])) for pair in cell.values]
    if isinstance(cell, pa.StructScalar):
        return {name: _cell(each) for name, each in cell.items()}
    if isinstance(cell, pa.ListScalar):  # of any size
        return [_cell(each) for each in cell.values]
    if isinstance(cell, pa.StringScalar):  # no UTF-8
        return cell.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")
    if isinstance(cell, pa.TimestampScalar) and cell.type.tz:
        return f"{cell.cast(pa.timestamp(cell.type.unit)).cast(pa.string())}Z"
    return cell.cast(pa.string()).as_py()


def _readable(type_: Any) -> bool:
    """Single values but bytes, such as embedded audio, and lists of text."""
    from pyarrow import types

    def is_one_of(kind: Any, names: str) -> bool:
        return any(getattr(types, f"is_{name}")(kind) for name in names.split())

    if types.is_dictionary(type_):
        return _readable(type_.value_type)
    if is_one_of(type_, "list large_list fixed_size_list list_view large_list_view"):
        value = type_.value_type
        value = value.value_type if types.is_dictionary(value) else value
        return is_one_of(value, "string large_string string_view null")
    return not is_one_of(type_, "nested binary large_binary binary_view fixed_size_binary")
