"""Lists of files: CSV, TSV, Parquet, JSONL (maybe gzipped), one file in each row.

The file is in the column `uri`, else `path`, `file` or `audio`; every other column is metadata. A
row that names no file is refused, with its line. Text in CSV may hold bytes that are no UTF-8, as
local file names do. Knows nothing of where files are.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from clsp.errors import InputError
from pipelines.datasets.files import brief, json_lines
from pipelines.datasets.items import Skipped
from pipelines.datasets.rows import cells_of, plain_rows
from pipelines.errors import FailureKind
from pipelines.sources.rows import FILE, Row, Rows, refused

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".jsonl.gz")


def rows(path: Path, called: str) -> Rows:
    """The rows of the list at `path`; `called` is its name in messages. Raises InputError where
    it is no such list, here or while reading."""
    name = called.lower()
    if name.endswith((".csv", ".tsv")):
        read = partial(_text, path, called, name.endswith(".tsv"))
    elif name.endswith(".parquet"):
        read = partial(_parquet, path, called)
    elif name.endswith((".jsonl", ".jsonl.gz")):
        if (first := first_object(path)) is not None:
            _require_columns(list(first), called)
        read = partial(_jsonl, path, called)
    else:
        raise InputError(f"{called} is no list: expected one of {', '.join(SUFFIXES)}")
    return read


def first_object(path: Path) -> dict[str, Any] | None:
    """The first JSON object of a JSONL file; None where there is none."""
    return next((value for _, value in json_lines(path) if isinstance(value, dict)), None)


def row(value: dict[str, Any], where: str) -> Row:
    """One row of named cells. `where` says which, should it name no file."""
    for column in FILE:
        name = value.get(column)
        if isinstance(name, bytes):
            name = name.decode("utf-8", "surrogateescape")
        if isinstance(name, str) and name.strip():
            return Row(name, {key: cell for key, cell in value.items() if key != column})
    return refused(where, FailureKind.UNREADABLE, f"names no file: expected one of {FILE}", value)


def _require_columns(columns: list[str], called: str) -> None:
    if len(set(columns)) < len(columns):
        raise InputError(f"{called} has the columns {brief(columns)}: expected each once")
    if not set(columns) & set(FILE):
        raise InputError(
            f"{called} has the columns {brief(columns)}: expected one of {', '.join(FILE)}. Rename "
            "the column that names the files"
        )


def _text(path: Path, called: str, tabs: bool) -> Iterator[Row]:
    try:
        lines = cells_of(path, called, tabs, "surrogateescape")
        _, first = next(lines, (1, []))
        if isinstance(first, str):
            raise InputError(f"{called} has no header: {first}")
        header = [name.strip() for name in first]
        _require_columns(header, called)
        for line, cells in lines:
            where = f"{called}:{line}"
            if isinstance(cells, str):
                yield refused(where, FailureKind.UNREADABLE, cells, {})
            elif len(cells) == len(header):
                yield row(dict(zip(header, cells, strict=True)), where)
            else:
                reason = f"{len(cells)} cells: expected {len(header)}, as in the header"
                yield refused(where, FailureKind.UNREADABLE, reason, {})
    except OSError as error:
        raise InputError(f"{called} cannot be read ({error}): expected a table of text") from error


def _jsonl(path: Path, called: str) -> Iterator[Row]:
    for where, value in json_objects(path, called):
        yield row(value, where) if isinstance(value, dict) else value


def json_objects(path: Path, called: str) -> Iterator[tuple[str, dict[str, Any] | Row]]:
    """("NAME:LINE", object) for each line; a refused row for a line that holds none, of kind
    `truncated` where the list breaks off: what came after it is not known."""
    for place, value in json_lines(path):
        where = f"{called}:{place.rpartition(':')[2]}"
        if isinstance(value, dict):
            yield where, value
        else:
            reason = value.reason if isinstance(value, Skipped) else brief(value)
            broke_off = isinstance(value, Skipped) and value.broke_off
            kind = FailureKind.TRUNCATED if broke_off else FailureKind.UNREADABLE
            yield where, refused(where, kind, f"{reason}: expected an object", {})


def _parquet(path: Path, called: str) -> Iterator[Row]:
    """Columns that hold bytes, such as embedded audio, are not read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def plain(type_: Any) -> bool:
        if pa.types.is_nested(type_):
            return all(plain(type_.field(i).type) for i in range(type_.num_fields))
        return not (pa.types.is_binary(type_) or pa.types.is_large_binary(type_))

    try:
        with pq.ParquetFile(path) as file:
            columns = [each.name for each in file.schema_arrow if plain(each.type)]
            _require_columns(columns, called)
            number = 0
            for batch in file.iter_batches(columns=columns):
                for value in plain_rows(batch):
                    number += 1
                    yield row(value, f"{called}:{number}")
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{called} cannot be read ({error}): expected Parquet") from error
