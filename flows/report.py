"""A tagging run as a person sees it: progress while it runs, a few lines when it is done."""

from time import monotonic
from typing import Any

from flows.console import duration, out, print_json, progress


def watched(given: dict[str, Any], flow: bool, shown: bool) -> dict[str, Any]:
    """Run `clsp tag` with these settings, as a Prefect flow or not; returns the report."""
    with progress(shown) as bar:
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

        if flow:
            from flows.tag import tag_archive, watchers

            token = watchers.set((on_plan, on_file))
            try:
                return tag_archive(**given)
            finally:
                watchers.reset(token)
        from pipelines.settings import TagSettings
        from pipelines.tagging import tag as tag_now

        for name in {"include", "exclude"} & set(given):
            given[name] = tuple(given[name])
        return tag_now(TagSettings(**given), on_plan, on_file).as_dict()


def show(report: dict[str, Any], json: bool) -> None:
    """The report of a run, for a person or a script."""
    if json:
        return print_json(report)
    done = report["tagged"] + report["relabelled"] + report["failed"]
    if not done:
        unchanged = f"all {report['unchanged']} files are unchanged in"
        out.print(f"Nothing to do: {unchanged if report['listed'] else 'no file in'}", end=" ")
        out.print(report["archive"], markup=False)
        return
    parts = [f"[bold]{report['tagged']} tagged[/bold]"]
    if report["relabelled"]:
        parts.append(f"{report['relabelled']} relabelled without reading audio")
    if report["unchanged"]:
        parts.append(f"{report['unchanged']} unchanged")
    if report["failed"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in report["failures"].items())
        parts.append(f"[yellow]{report['failed']} failed[/yellow] ({kinds})")
    out.print(" · ".join(parts))
    out.print(
        f"{report['segments']} segments, {duration(report['audio_s'])} of audio in "
        f"{duration(report['seconds'])}; model {report['model_key']}"
    )
    if report["failed"]:
        query = "SELECT uri, error_kind, error_message FROM failures"
        out.print(
            f'Why: clsp sql "{query}" --lake "{report["lake"]}"', markup=False, soft_wrap=True
        )
