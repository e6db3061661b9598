"""What a person sees in the terminal: tables, progress, formats. Knows nothing of their meaning."""

import csv
import io
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line end
PIPE_WIDTH = 240  # columns where the output is no terminal: nobody folds a file by hand
LEAST_WIDTH = 8  # of a column that can be read

# No emoji: a name such as `a:key:b.wav` is what it is.
out = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """One JSON value on standard output; times in ISO 8601, null for NaN and the infinite."""
    unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")  # else JSON's own escapes
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=not unicode, indent=2) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:  # as DuckDB sums integers
        return int(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def print_rows(rows: Sequence[dict[str, Any]], title: str | None = None) -> None:
    """Dictionaries with the same keys, as a table; where that is too wide, a block for each."""
    columns = list(rows[0]) if rows else []
    longest = {c: max(len(c), *(len(_cell(row[c])) for row in rows)) for c in columns}
    if sum(min(length, LEAST_WIDTH) + 3 for length in longest.values()) > out.width:
        return _print_blocks(rows, title)
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        number = all(isinstance(row[column], int | float | None) for row in rows)
        table.add_column(_literal(column), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    out.print(table if rows else "[dim]no rows[/dim]")


def _print_blocks(rows: Sequence[dict[str, Any]], title: str | None) -> None:
    """Each row as lines of a column's name and its value: Rich would make many columns so narrow
    that nothing is left of them."""
    if title:
        out.print(title, style="italic")
    for number, row in enumerate(rows, 1):
        out.rule(f"row {number}", align="left", characters="-")
        block = Table.grid(padding=(0, 2))
        block.add_column(style="bold", no_wrap=True)
        block.add_column(overflow="fold")
        for column, value in row.items():
            block.add_row(_literal(column), _cell(value))
        out.print(block)


def _cell(value: Any) -> str:
    if value is None:
        return "[dim]NULL[/dim]"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return _literal(str(value))


def _literal(text: str) -> str:
    """Names, of files too, may hold what a terminal or Rich would obey."""
    from rich.markup import escape

    return escape(CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text))


def write_arrow(table: "pa.Table", format_: str) -> None:
    """An Arrow table on standard output as table, json, csv or parquet. Columns of one name get a
    number; what these formats have no type for is text, as DuckDB writes it.

    Raises QueryError for what Parquet cannot hold.
    """
    from pipelines.query import presentable

    table = presentable(table, in_python=format_ != "parquet")
    if format_ == "table":
        print_rows(table.to_pylist())
        if table.num_rows:
            out.print(f"[dim]{table.num_rows} rows[/dim]")
    elif format_ == "json":
        print_json(table.to_pylist())
    elif format_ == "csv":
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(table.column_names)
        writer.writerows(map(_csv_cell, row.values()) for row in table.to_pylist())
        sys.stdout.write(text.getvalue())
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from pipelines.errors import QueryError

        buffer = io.BytesIO()
        try:
            pq.write_table(table, buffer)
        except pa.ArrowException as error:
            raise QueryError(
                f"the answer does not fit Parquet: {error}. Cast that column to another type, such "
                "as VARCHAR, or choose another --format"
            ) from error
        sys.stdout.buffer.write(buffer.getvalue())


def _csv_cell(value: Any) -> Any:
    """Lists and structs as JSON."""
    plain = _plain(value)
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, list | dict) else plain


@contextmanager
def progress(shown: bool) -> Iterator[Any]:
    """A progress bar over files, with audio seconds per second and time left, on stderr."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    shown = shown and err.is_terminal  # a log is no place for a bar
    with Progress(*columns, console=err, disable=not shown, transient=True) as bar:
        yield bar


def duration(seconds: float) -> str:
    """12 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes} min {rest:02d} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60:02d} min"
    )
