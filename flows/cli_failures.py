"""`clsp failures` and `clsp retry`: what could not be tagged, and once more.

Knows how to ask and how to show.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.options import (
    MOST,
    DeviceOption,
    ExecutorName,
    ExecutorOption,
    JsonOption,
    LakeOption,
    RayAddressOption,
    StrictOption,
    WorkerCpusOption,
    WorkerGpusOption,
    WorkersOption,
)

if TYPE_CHECKING:
    from pipelines.lake import Lake

SHOWN = 5  # archives in a message


class Kind(StrEnum):
    """`pipelines.errors.FailureKind`, without the import."""

    UNREADABLE = "unreadable"
    UNSUPPORTED = "unsupported"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    TOO_SHORT = "too_short"
    SILENT = "silent"
    NO_SPEECH = "no_speech"
    TOO_LONG = "too_long"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    WORKER_LOST = "worker_lost"
    UNREACHABLE = "unreachable"
    INTERNAL = "internal"


ArchiveOption = Annotated[
    str | None, typer.Option("--archive", help="Of this archive only: as `clsp status` names it.")
]


def failures(
    lake: LakeOption,
    kind: Annotated[
        list[Kind] | None, typer.Option("--kind", help="Failures of this kind; repeatable.")
    ] = None,
    archive: ArchiveOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST, help="Most rows shown.")] = 100,
    json: JsonOption = False,
) -> None:
    """Files that could not be tagged: how many of each kind, then which, why, when, how often."""
    from flows.console import out, print_json, print_rows
    from pipelines.lake import Lake
    from pipelines.retry import failures as find

    tables = Lake(lake)
    _require_known(tables, archive)
    found = find(tables, [str(each) for each in kind or ()], archive, limit)
    if json:
        return print_json(found)
    counts, rows = found["counts"], found["rows"]
    print_rows(counts, title="Failures")
    if rows:
        several = len({row["archive"] for row in counts}) > 1
        left_out = () if several else ("archive",)
        print_rows([{k: v for k, v in row.items() if k not in left_out} for row in rows])
    if (total := sum(row["files"] for row in counts)) > len(rows):
        out.print(f"[dim]the latest {len(rows)} of {total}: --limit shows more[/dim]")


def _require_known(lake: "Lake", archive: str | None) -> None:
    """Raises SettingsError for an archive of which the lake has no recording: no failures in it
    would read like good news."""
    from pipelines.archive import archive_id
    from pipelines.errors import SettingsError
    from pipelines.query import run

    if archive is None:
        return
    query = "SELECT DISTINCT archive FROM recordings ORDER BY archive"
    known = run(lake, query)["archive"].to_pylist()
    wanted = archive.strip() and archive_id(archive)
    if wanted not in known:
        some = ", ".join(map(repr, known[:SHOWN])) + (", ..." if len(known) > SHOWN else "")
        raise SettingsError(
            f"archive {wanted!r}: the lake {lake.root} has recordings of {some or 'none'}. Name "
            "one of these: `clsp status` lists them all"
        )


def retry(
    lake: LakeOption,
    source: Annotated[
        str | None,
        typer.Argument(help="The archive, where its URL needs a password or query to be read."),
    ] = None,
    kind: Annotated[
        list[Kind] | None,
        typer.Option("--kind", help="Failures of this kind; repeatable. Default: what may pass."),
    ] = None,
    archive: ArchiveOption = None,
    executor: ExecutorOption = ExecutorName.local,
    ray_address: RayAddressOption = None,
    workers: WorkersOption = None,
    worker_cpus: WorkerCpusOption = None,
    worker_gpus: WorkerGpusOption = None,
    device: DeviceOption = "auto",
    max_duration_s: Annotated[
        float | None, typer.Option(help="Else as in the latest run: seconds of audio in one file.")
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(help="Else as in the latest run: bytes of one file.")
    ] = None,
    file_timeout_s: Annotated[
        float | None, typer.Option(help="Else as in the latest run: seconds to decode one file.")
    ] = None,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> None:
    """Process failed files again, and no others, as the latest run on their archive would have.

    Without --kind: unreachable, worker_lost, out_of_memory, unreadable, timeout and internal. The
    others say something of the bytes themselves. What is no longer there is gone.
    """
    from flows.console import out, print_json
    from flows.report import show, with_progress
    from flows.watching import after_run
    from pipelines.errors import CURABLE
    from pipelines.kept import Kept
    from pipelines.lake import Lake
    from pipelines.retry import Retry, retries
    from pipelines.retry import failures as left_failures
    from pipelines.tagging import tag

    if source is not None and archive is not None:
        raise typer.BadParameter("SOURCE names the archive: give one of SOURCE and --archive")
    given: dict[str, Any] = {
        "executor": executor.value, "ray_address": ray_address, "workers": workers,
        "worker_cpus": worker_cpus, "worker_gpus": worker_gpus, "device": device,
        "max_duration_s": max_duration_s, "max_bytes": max_bytes,
        "file_timeout_s": file_timeout_s,
    }  # fmt: skip

    def once(wanted: Retry) -> dict[str, Any]:
        def run(on_plan: Callable[[Any], None], on_file: Any) -> dict[str, Any]:
            def checked(planned: Any) -> None:
                wanted.check(planned)
                on_plan(planned)

            return tag(wanted.settings, checked, on_file, wanted.uris).as_dict()

        return with_progress(run, shown=not json)

    kinds = [str(each) for each in kind or ()]
    tables = Lake(lake)
    _require_known(tables, archive if source is None else source)
    reports, kept = [], Kept()
    for wanted in retries(tables, kinds, archive, source, **given):
        with kept.until_later():
            reports.append(once(wanted))
            if not json:
                show(reports[-1], json)
    if reports:
        after_run(lake)
    if json:
        print_json(reports)
    elif not reports and not kept.errors:
        left = sum(
            each["files"] for each in left_failures(tables, archive=archive or source)["counts"]
        )
        others = f"; of others there are {left}: `clsp failures` tells them" if left else ""
        looked_for = ", ".join(kinds or map(str, CURABLE))
        out.print(f"Nothing to retry: no failure of the kinds {looked_for}{others}")
    kept.tell()
    if strict and any(report["failed"] for report in reports):
        raise typer.Exit(1)
