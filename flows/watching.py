"""Watches after a run: each is checked, and who listens is told of those that fire.

Knows how to tell, by an event and by a line for a person; what is asked is a floor below.
"""

from collections.abc import Collection

from clsp.errors import ClspError
from pipelines import watches
from pipelines.lake import Lake
from pipelines.redaction import redacted
from pipelines.watches import Checked, Watch


def look(lake: str, names: Collection[str] = ()) -> list[Checked]:
    """Check the lake's watches, or these, and send an event for each that is to be announced."""
    return watches.check(Lake(lake), names, lambda checked: _announce(lake, checked))


def after_run(lake: str) -> list[Checked]:
    """`look`, with a line on the terminal for each watch that fires or could not be asked.

    Never fails what it comes after, whose rows are committed by now: an error is a line too.
    """
    from flows.console import err

    try:
        if not Lake(lake, absent_ok=True).exists("runs"):
            return []  # nothing was committed, now or ever: nobody can have set a watch
        checked = look(lake)
    except ClspError as error:
        err.print(f"[yellow]watches could not be checked[/yellow]: {redacted(str(error))}")
        return []
    for found in checked:
        if found.fires or found.error:
            err.print(f"[yellow]{line(found)}[/yellow]", soft_wrap=True)
    return checked


def line(found: Checked) -> str:
    """What a check found, as one line."""
    watch = found.watch
    if found.error:
        return f"watch {watch.name} cannot be asked: {found.error.splitlines()[0]}"
    if found.fires:
        told = "; event sent" if found.announced else ""
        return f"watch {watch.name} fires: {found.value:g} is {condition(watch)}{told}"
    value = "no answer" if found.value is None else f"{found.value:g}"
    return f"watch {watch.name} is quiet: {value}, fires {condition(watch)}"


def condition(watch: Watch) -> str:
    """`above 0.2`, or `below 10`."""
    return f"above {watch.above:g}" if watch.above is not None else f"below {watch.below:g}"


def _announce(lake: str, checked: Checked) -> bool:
    from flows import events  # brings Prefect, which takes seconds to import
    from flows.console import err

    watch = checked.watch
    payload = {"watch": watch.name, "value": checked.value, "action": watch.action}
    try:
        return events.emit(events.WATCH_FIRED, lake, payload)
    except events.ServerNotReached as error:  # the next check tries again
        err.print(f"[yellow]{redacted(str(error))}[/yellow]", soft_wrap=True)
        return False
