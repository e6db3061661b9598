"""A tagging run as a person sees it: progress while it runs, a few lines when it is done."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from time import monotonic
from typing import Any

from flows.console import duration, out, print_json, print_rows, progress


def watched(given: dict[str, Any], flow: bool, shown: bool) -> dict[str, Any]:
    """Run `clsp tag` with these settings, as a Prefect flow or not; returns the report."""

    def run(on_plan: Callable[[Any], None], on_file: Callable[[float], None]) -> dict[str, Any]:
        if flow:
            from flows.interrupt import ends_at_once
            from flows.tag import tag_archive, watchers

            token = watchers.set((on_plan, on_file))
            try:
                with ends_at_once():
                    return tag_archive(**given)
            finally:
                watchers.reset(token)
        from pipelines.tagging import tag as tag_now

        return tag_now(_settings(given), on_plan, on_file).as_dict()

    return with_progress(run, shown)


def _settings(given: dict[str, Any]) -> Any:
    from pipelines.settings import TagSettings

    lists = {name: tuple(given[name]) for name in {"include", "exclude"} & set(given)}
    return TagSettings(**(given | lists))


def with_progress(run: Callable[..., dict[str, Any]], shown: bool) -> dict[str, Any]:
    """`run(on_plan, on_file)`, under a progress bar; returns what it does."""
    # Standard output is for the answer: Ray, for one, tells there of nodes that died.
    with redirect_stdout(sys.stderr), progress(shown) as bar:
        task = bar.add_task("planning", total=None, rate="")
        audio_s = 0.0
        began: float | None = None

        def on_plan(plan: Any) -> None:
            bar.reset(task, description="loading", total=plan.files)

        def on_file(seconds: float) -> None:
            nonlocal audio_s, began
            if began is None:  # from the first file on: what came before is start-up
                began = monotonic()
                bar.update(task, description="tagging", advance=1)
                return
            audio_s += seconds
            speed = audio_s / max(monotonic() - began, 1e-3)
            bar.update(task, advance=1, rate=f"{speed:.0f}x real time")

        return run(on_plan, on_file)


def foretold(given: dict[str, Any], json: bool) -> None:
    """`clsp tag --dry-run`: what would be done, for a person or a script."""
    from pipelines.forecast import forecast

    found = forecast(_settings(given)).as_dict()
    if json:
        return print_json(found)
    what = ("process", "relabel", "unchanged", "failing", "pending", "gone")
    names = {"failing": "unchanged: failed before"}
    unlisted = f", {found['unlisted']} could not be listed" if found["unlisted"] else ""
    print_rows(
        [{"would be": names.get(name, name), **found[name]} for name in what],
        title=f"{found['listed']} files listed{unlisted}",
    )
    if found["because"]:
        out.print(f"No estimate of the work: {found['because']}", markup=False)
    if found["audio_s"] is not None:
        work = f" in {duration(found['seconds'])}" if found["seconds"] is not None else ""
        out.print(f"About {duration(found['audio_s'])} of audio to process{work}")
    _say_missing(found["missing"])


def _say_missing(missing: int) -> None:
    if missing:
        out.print(
            f"[yellow]{missing} files are in the lake and none in the archive[/yellow]: left as "
            "they are. If it is empty indeed, --allow-empty marks them gone"
        )


def show(report: dict[str, Any], json: bool) -> None:
    """The report of a run, for a person or a script."""
    if json:
        return print_json(report)
    _say_missing(report["missing"])
    failing = report["failing"]
    before = f" ({failing} of them failed before: clsp failures)" if failing else ""
    done = report["tagged"] + report["relabelled"] + report["failed"] + report["gone"]
    if not done:
        unchanged = f"all {report['unchanged']} files are unchanged in"
        out.print(f"Nothing to do: {unchanged if report['listed'] else 'no file in'}", end=" ")
        out.print(report["archive"], markup=False, end=f"{before}\n")
        return
    known = f" ({report['known']} of known content)" if report["known"] else ""
    parts = [f"[bold]{report['tagged']} tagged[/bold]{known}"]
    if report["relabelled"]:
        parts.append(f"{report['relabelled']} relabelled or redescribed without reading audio")
    if report["unchanged"]:
        parts.append(f"{report['unchanged']} unchanged{before}")
    if report["pending"]:
        parts.append(f"{report['pending']} pending: run again")
    if report["gone"]:
        parts.append(f"{report['gone']} gone")
    if report["failed"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in report["failures"].items())
        parts.append(f"[yellow]{report['failed']} failed[/yellow] ({kinds})")
    if report["warnings"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in report["warnings"].items())
        parts.append(f"[yellow]{kinds}[/yellow] and tagged in part")
    out.print(" · ".join(parts))
    out.print(
        f"{report['segments']} segments, {duration(report['audio_s'])} of audio in "
        f"{duration(report['seconds'])}; model {report['model_key']}"
    )
    for view in ("failures", "warnings"):
        if report[view]:
            query = f"SELECT uri, error_kind, error_message FROM {view}"
            out.print(
                f'Why: clsp sql "{query}" --lake "{report["lake"]}"', markup=False, soft_wrap=True
            )
