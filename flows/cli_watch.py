"""`clsp watch add | list | remove | check`: SQL conditions that speak up by themselves.

Knows how to ask and how to show; what a watch is, is known a floor below.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.options import JsonOption, LakeOption

if TYPE_CHECKING:
    from pipelines.watches import Watch

watch_app = typer.Typer(
    no_args_is_help=True,
    help="SQL conditions, checked after every run: a query for one number, and a threshold.",
)


class Action(StrEnum):
    ALERT = "alert"
    REPROCESS = "reprocess"


class Preset(StrEnum):
    """`pipelines.watches.PRESETS`, without the import."""

    UNSURE_SHARE = "unsure-share"
    FAILURE_RATE = "failure-rate"
    LABEL_DRIFT = "label-drift"


@watch_app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    lake: LakeOption,
    sql: Annotated[
        str | None, typer.Option("--sql", help="A query that answers with one number.")
    ] = None,
    preset: Annotated[Preset | None, typer.Option("--preset", help="A ready-made query.")] = None,
    attribute: Annotated[
        str | None, typer.Option("--attribute", help="Of a preset: gender, for one.")
    ] = None,
    days: Annotated[
        float | None, typer.Option("--days", help="Of a preset: how far it looks back (7).")
    ] = None,
    above: Annotated[
        float | None, typer.Option("--above", help="Fires where the number is over this.")
    ] = None,
    below: Annotated[
        float | None, typer.Option("--below", help="Fires where the number is under this.")
    ] = None,
    then: Annotated[
        Action, typer.Option("--then", help="What its event asks for when it fires.")
    ] = Action.ALERT,
    replace: Annotated[
        bool, typer.Option("--replace", help="One of that name may be there: it is replaced.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Set a watch. The query is run now: one that fails, or does not answer with one number, is
    refused. It can only read, as with `clsp sql`."""
    from flows.console import out, print_json
    from flows.watching import condition
    from pipelines import watches
    from pipelines.lake import Lake

    if (sql is None) == (preset is None):
        raise typer.BadParameter("give one of --sql and --preset")
    if (above is None) == (below is None):
        raise typer.BadParameter("give one of --above and --below")
    if preset is None and (attribute is not None or days is not None):
        raise typer.BadParameter("--attribute and --days belong to a --preset")
    tables = Lake(lake)
    if preset is not None:
        span = watches.PRESET_DAYS if days is None else days
        sql = watches.preset_sql(preset.value, attribute, span)
        if attribute is not None:
            watches.require_attribute(tables, attribute)
    found = watches.add(tables, name, sql or "", above, below, then.value, replace)
    if json:
        return print_json(_row(found.watch) | {"value": found.value, "fires": found.fires})
    value = "no answer" if found.value is None else f"{found.value:g}"
    out.print(f"watch {name} fires {condition(found.watch)}; now: {value}", markup=False)


@watch_app.command("list")
def list_(lake: LakeOption, json: JsonOption = False) -> None:
    """The watches that are set, and what each had to say when it was last checked."""
    from flows.console import print_json, print_rows
    from pipelines import watches
    from pipelines.lake import Lake

    tables = Lake(lake)
    last = watches.last_checks(tables)
    rows = [
        _row(watch) | last.get(watch.name, dict.fromkeys(("checked_at", "value", "fires", "error")))
        for watch in watches.watches(tables)
    ]
    if json:
        return print_json(rows)
    print_rows([{k: v for k, v in row.items() if k not in ("revision", "error")} for row in rows])


@watch_app.command()
def remove(name: Annotated[str, typer.Argument(help="Its name.")], lake: LakeOption) -> None:
    """Take a watch back. What its checks found stays in the view `watch_checks`."""
    from flows.console import out
    from pipelines import watches
    from pipelines.lake import Lake

    watches.remove(Lake(lake), name)
    out.print(f"watch {name} is removed", markup=False)


@watch_app.command()
def check(
    lake: LakeOption,
    name: Annotated[str | None, typer.Argument(help="Only this one; else all.")] = None,
    json: JsonOption = False,
) -> None:
    """Ask every watch now, and keep what it says. Exits 1 if one fires or cannot be asked.

    One that begins to fire sends the event `clsp.watch.fired`, where a Prefect server is
    configured; one that goes on, another every day.
    """
    from flows.console import out, print_json
    from flows.watching import line, look

    checked = look(lake, [name] if name is not None else [])
    if json:
        shown = ("value", "fires", "announced", "error")
        print_json([_row(c.watch) | {what: getattr(c, what) for what in shown} for c in checked])
    else:
        for found in checked:
            style = "yellow" if found.fires or found.error else None
            out.print(line(found), style=style, markup=False, soft_wrap=True)
        if not checked:
            out.print("No watch is set: clsp watch add NAME ...", markup=False)
    if any(found.fires or found.error for found in checked):
        raise typer.Exit(1)


def _row(watch: "Watch") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(watch)
