"""`clsp deploy | announce`: schedules and triggers on a Prefect server.

They know how to ask and how to show; the work is done in flows/deploy.py and flows/events.py.
"""

from typing import Annotated, Any

import typer

from flows.options import JsonOption, LakeOption, not_empty

NO_CRON = "none"


def deploy(
    lake: LakeOption,
    source: Annotated[
        str | None, typer.Option(help="What tag_archive tags; else events say what.")
    ] = None,
    cron: Annotated[
        str, typer.Option(help="When to tag SOURCE: five cron fields, or `none`.")
    ] = NO_CRON,
    reprocess_cron: Annotated[
        str,
        typer.Option(help="When to bring the lake to its target, whatever events were missed."),
    ] = "0 3 * * *",
    maintain_cron: Annotated[
        str, typer.Option(help="When to compact, vacuum and verify.")
    ] = "30 4 * * 0",
    timezone: Annotated[str, typer.Option(help="Of the cron options.")] = "UTC",
    work_pool: Annotated[
        str, typer.Option(help="Whose workers run it; a process pool is made where it is not.")
    ] = "clsp",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FLOW.NAME=VALUE",
            help="A parameter of tag_archive, reprocess, maintain or evaluate_model; repeatable.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be registered; needs no server.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Register a lake's flows on the Prefect server at PREFECT_API_URL: schedules, triggers, limit.

    Run it again to change them. Parameters are checked now. --json prints a prefect.yaml.
    Runs wait for each other: one at a time on a lake. Then: prefect worker start --pool clsp
    """
    from flows import deploy as deployments
    from flows.console import err, print_json

    given = {"tag_archive": cron, "reprocess": reprocess_cron, "maintain": maintain_cron}
    crons = {name: None if text == NO_CRON else text for name, text in given.items()}
    planned = deployments.plan(lake, source, crons, timezone, work_pool, _options(set_ or []))
    notes = [] if dry_run else deployments.register(planned)
    if json:
        print_json(planned)
    else:
        _show(planned, dry_run)
    for note in notes:
        err.print(f"{note}.", markup=False)


def _options(given: list[str]) -> dict[str, dict[str, Any]]:
    """FLOW.NAME=VALUE, the value as YAML has it: 4 is a number, a.yaml a text."""
    import yaml

    options: dict[str, dict[str, Any]] = {}
    for text in given:
        where, equals, value = text.partition("=")
        flow, dot, name = where.partition(".")
        if not (equals and dot and flow and name):
            raise typer.BadParameter(f"--set {text}: expected FLOW.NAME=VALUE")
        try:
            options.setdefault(flow, {})[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise typer.BadParameter(f"--set {text}: the value is not YAML: {error}") from error
    return options


def _show(planned: dict[str, Any], dry_run: bool) -> None:
    from flows.console import out, print_rows

    rows = [
        {
            "deployment": f"{made['flow_name']}/{made['name']}",
            "schedule": "; ".join(f"{s['cron']} {s['timezone']}" for s in made["schedules"]),
            "starts on": "; ".join(_condition(trigger) for trigger in made["triggers"]),
            "parameters": ", ".join(
                f"{name}={value}" for name, value in made["parameters"].items()
            ),
        }
        for made in planned["deployments"]
    ]
    print_rows(rows, title="Would be registered" if dry_run else "Registered")
    limit, pool = planned["shared_concurrency_limit"], planned["work_pool"]["name"]
    out.print(f"One run at a time: they share the limit {limit['name']}.", markup=False)
    out.print(f"To run them: prefect worker start --pool {pool}", markup=False)


def _condition(trigger: dict[str, Any]) -> str:
    labels = [f"{k}={v}" for k, v in trigger["match"].items() if k != "prefect.resource.id"]
    return " ".join([*trigger["expect"], *labels])


def announce(
    source: Annotated[
        str, typer.Argument(help="Folder, file, list or URL that is new.", callback=not_empty)
    ],
    lake: LakeOption,
) -> None:
    """Tell the Prefect server of a new archive: what `clsp deploy` registered then tags it.

    Other systems may emit the event themselves: clsp.archive.added, see README.
    """
    from flows.console import out
    from flows.events import ARCHIVE_ADDED, absolute, emit, has_server, is_deployed
    from pipelines.errors import SettingsError

    if has_server() and not is_deployed(lake):
        raise SettingsError(
            f"the Prefect server has no deployments of lake {absolute(lake)}, so nothing would "
            f"tag {source}. Run `clsp deploy --lake {lake}`, or give the lake the path that it was "
            "deployed with"
        )
    if not emit(ARCHIVE_ADDED, lake, {"source": absolute(source)}):
        raise SettingsError(
            "no Prefect server: set PREFECT_API_URL to the address of the one that `clsp deploy` "
            f"registered the lake on. Or tag it here: clsp tag {source} --lake {lake}"
        )
    out.print(f"Announced {absolute(source)}", markup=False)
