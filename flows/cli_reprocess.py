"""`clsp target | reprocess`: what a lake shall be tagged with, and bringing it there. They know how
to ask and to show; the work is done a floor below."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from flows.options import (
    ChannelPolicy,
    DeviceOption,
    ExecutorName,
    ExecutorOption,
    JsonOption,
    LakeOption,
    Precision,
    RayAddressOption,
    StrictOption,
    WorkerCpusOption,
    WorkerGpusOption,
    WorkersOption,
    not_empty,
)

NOTHING = "Nothing to do: every recording that was asked for is as it shall be"

TaxonomyOption = Annotated[
    str | None,
    typer.Option("--taxonomy", help="YAML file of attributes and styles.", callback=not_empty),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="`tiny`, `yfyeung/CLSP`, or a folder.", callback=not_empty),
]
SegmentsOption = Annotated[
    str | None,
    typer.Option(
        "--segments", help="How recordings are cut: as of `clsp tag`.", callback=not_empty
    ),
]
ChannelsOption = Annotated[
    ChannelPolicy | None, typer.Option("--channels", help="Which channels: as of `clsp tag`.")
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="What the speech encoder computes in: as of `clsp tag`. Another is a re-embed.",
    ),
]


def target(
    lake: LakeOption,
    taxonomy: TaxonomyOption = None,
    model: ModelOption = None,
    segments: SegmentsOption = None,
    channels: ChannelsOption = None,
    precision: PrecisionOption = None,
    clear: Annotated[bool, typer.Option("--clear", help="Declare nothing any more.")] = False,
    json: JsonOption = False,
) -> None:
    """Declare what the lake's recordings shall be tagged with, or show what is declared.

    `clsp tag` takes from it what it is not given; `clsp reprocess` brings to it what is not so. It
    is kept in the lake (the taxonomy's text, not its file's name). Where a Prefect server is
    configured it is told, so that a deployment made by `clsp deploy` starts reprocessing.
    """
    from dataclasses import asdict

    from flows.console import out, print_json, print_rows
    from pipelines import targets
    from pipelines.lake import Lake

    tables = Lake(lake)
    given = {
        "taxonomy": taxonomy, "model": model, "segments": segments,
        "channels": channels and channels.value, "precision": precision and precision.value,
    }  # fmt: skip
    if clear and any(given.values()):
        raise typer.BadParameter("--clear declares nothing: leave the other options out")
    before = targets.declared(tables)
    if clear:
        targets.withdraw(tables)
    elif any(given.values()):
        targets.declare(tables, **given)
    now = targets.declared(tables)
    told = now != before and _tell(lake, now)
    labels = now.labels
    if json:
        key = labels and labels.key
        return print_json({**asdict(now), "taxonomy_key": key, "changed": now != before})
    print_rows(
        [
            {"declared": "taxonomy", "value": labels and f"{labels.key}: {_named(labels)}"},
            {"declared": "model", "value": now.model},
            {"declared": "segments", "value": now.segments},
            {"declared": "channels", "value": now.channels},
            {"declared": "precision", "value": now.precision},
        ]
    )
    if now != before and now == targets.Target():
        out.print("Nothing is declared any more" + ("; the Prefect server is told" if told else ""))
    elif now != before:
        who = "The Prefect server is told" if told else "To bring what is there to it"
        out.print(f"{who}: clsp reprocess --lake {lake}", markup=False, soft_wrap=True)


def _tell(lake: str, now: Any) -> bool:
    """Whether the Prefect server knows. It is declared in any case: the lake is the truth."""
    from flows.console import err
    from flows.events import TARGET_CHANGED, ServerNotReached, emit

    labels = now.labels
    payload = {
        "taxonomy_key": labels.key if labels else "",
        "model": now.model or "",
        "precision": now.precision or "",
    }
    try:
        return emit(TARGET_CHANGED, lake, payload)
    except ServerNotReached as error:
        err.print(f"[yellow]{error}[/yellow]", soft_wrap=True)
        return False


def _named(labels: Any) -> str:
    return ", ".join([a.name for a in labels.attributes] + [s.column for s in labels.styles])


def reprocess(
    lake: LakeOption,
    relabel: Annotated[
        bool, typer.Option("--relabel", help="Only what needs no audio: new labels.")
    ] = False,
    re_embed: Annotated[
        bool,
        typer.Option("--re-embed", help="Only what needs audio: another model, precision or cut."),
    ] = False,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            help="SQL condition on the columns of `speech`: only recordings of which a segment "
            "fits it.",
            callback=not_empty,
        ),
    ] = None,
    taxonomy: TaxonomyOption = None,
    model: ModelOption = None,
    segments: SegmentsOption = None,
    channels: ChannelsOption = None,
    precision: PrecisionOption = None,
    executor: ExecutorOption = ExecutorName.local,
    ray_address: RayAddressOption = None,
    workers: WorkersOption = None,
    worker_cpus: WorkerCpusOption = None,
    worker_gpus: WorkerGpusOption = None,
    device: DeviceOption = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be done; write nothing.")
    ] = False,
    flow: Annotated[
        bool, typer.Option("--flow", help="Run as the Prefect flow reprocess.")
    ] = False,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> None:
    """Bring what is in the lake to another taxonomy, model, precision or cut: just what is not so.

    What is not given is as the lake declares (`clsp target`), else as it is with each recording.
    New labels come from the stored embeddings, whether or not the audio is still there; another
    model, precision or cut reads the files again, and another cut those too that failed by theirs
    (too long for one segment, say). Old rows stay readable until the new ones are committed, and in
    `labels` and `embeddings` after that. A run that was cut off is continued by running it again;
    where an archive is not there, the others are done.
    """
    if relabel and re_embed:
        raise typer.BadParameter("--relabel and --re-embed: give one, or neither for both")
    only = "relabel" if relabel else "re-embed" if re_embed else None
    given: dict[str, Any] = {
        "lake": lake, "taxonomy": taxonomy, "model": model, "segments": segments,
        "channels": channels and channels.value, "precision": precision and precision.value,
        "where": where, "only": only, "executor": executor.value, "ray_address": ray_address,
        "workers": workers, "worker_cpus": worker_cpus, "worker_gpus": worker_gpus,
        "device": device,
    }  # fmt: skip
    if dry_run:
        return _foretold(given, json)
    from flows.console import out, print_json
    from flows.report import show, with_progress
    from pipelines.kept import Kept
    from pipelines.reprocess import ReprocessSettings, require_goal, steps

    require_goal(ReprocessSettings(**given))  # the flow takes it for nothing to do
    reports: list[dict[str, Any]] = []
    kept = Kept()
    if flow:
        from flows.interrupt import ends_at_once
        from flows.reprocess import listener
        from flows.reprocess import reprocess as as_flow

        token = listener.set(reports.append)
        try:
            with kept.until_later(), ends_at_once():
                as_flow(**given)
        finally:
            listener.reset(token)
    else:
        from flows.watching import after_run
        from pipelines.tagging import carry_out

        for step in steps(ReprocessSettings(**given)):

            def run(
                on_plan: Callable[[Any], None], on_file: Any, plan: Callable[[], Any] = step.plan
            ) -> dict[str, Any]:
                planned = plan()
                on_plan(planned)
                return carry_out(planned, on_file).as_dict()

            with kept.until_later():
                reports.append(with_progress(run, shown=not json))
        if reports:
            after_run(lake)
    if json:
        print_json(reports)
    else:
        for report in reports:
            show(report, json)
        if not reports and not kept.errors:
            out.print(NOTHING)
    kept.tell()
    if strict and any(report["failed"] for report in reports):
        raise typer.Exit(1)


def _foretold(given: dict[str, Any], json: bool) -> None:
    from flows.console import duration, out, print_json, print_rows
    from pipelines.forecast import seconds_of
    from pipelines.lake import Lake
    from pipelines.reprocess import ReprocessSettings, counted, steps

    found = steps(ReprocessSettings(**given))
    rows = counted(found).to_pylist()
    seconds = seconds_of(Lake(given["lake"]), found)
    if json:
        return print_json({"steps": rows, "seconds": seconds})
    if not rows:
        return out.print(NOTHING)
    print_rows(rows, title="To do")
    for what, estimate in seconds.items():
        if any(row["what"] == what for row in rows):
            told = "not known, the lake has seen none" if estimate is None else duration(estimate)
            out.print(f"Time to {what}: {told}")
