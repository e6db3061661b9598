"""`clsp sql | search`: questions to a lake. They know how to ask and how to show; the answers come
from a floor below."""

from enum import StrEnum
from typing import Annotated

import typer

from flows.options import (
    MOST,
    JsonOption,
    LakeModelOption,
    LakeOption,
    LakePrecisionOption,
    not_empty,
)


class Format(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


def sql(
    query: Annotated[str, typer.Argument(help="One SQL query, in DuckDB's dialect.")],
    lake: LakeOption,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            help="As the lake was at this time: 2026-11-30T12:00, UTC unless it ends as in +01:00.",
            callback=not_empty,
        ),
    ] = None,
) -> None:
    """Query the lake. The view to start with is `speech`; `SHOW TABLES` and `DESCRIBE speech` work.

    `FROM speech_by('KEY')` is `speech` with the labels of another taxonomy that the lake has. Sees
    the lake's own files only. parquet goes to standard output: redirect it to a file.
    """
    from datetime import UTC, datetime

    from flows.console import write_arrow
    from pipelines.lake import Lake
    from pipelines.query import run

    try:
        then = None if at is None else datetime.fromisoformat(at)
    except ValueError as error:
        raise typer.BadParameter(f"--at {at!r}: {error}; expected 2026-11-30T12:00") from None
    if then and then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    write_arrow(run(Lake(lake), query, then), format_.value)


def search(
    text: Annotated[str, typer.Argument(help='What to look for: "a woman whispering".')],
    lake: LakeOption,
    k: Annotated[int, typer.Option("-k", max=MOST, help="How many segments.")] = 10,
    model: LakeModelOption = None,
    precision: LakePrecisionOption = None,
    json: JsonOption = False,
) -> None:
    """Find the segments that a description fits best."""
    from flows.console import print_json, print_rows
    from pipelines.lake import Lake
    from pipelines.search import lake_model
    from pipelines.search import search as find

    tables, among = Lake(lake), precision and precision.value
    rows = find(tables, lake_model(tables, model, among), text, k, among).to_pylist()
    if json:
        return print_json(rows)
    shown = ["similarity", "uri", "start_s", "end_s"]
    if len({row["archive"] for row in rows}) > 1:
        shown.insert(1, "archive")
    if any(row["channel"] is not None for row in rows):
        shown.append("channel")
    print_rows([{key: row[key] for key in shown} for row in rows])
