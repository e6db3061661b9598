"""`clsp maintain`: keep a lake small and sound. It knows how to ask and to show; the work is done a
floor below."""

from typing import Annotated, Any

import typer

from flows.options import JsonOption, LakeOption


def maintain(
    lake: LakeOption,
    keep_days: Annotated[
        float,
        typer.Option(
            "--keep-days",
            help="How long to keep files that were replaced (an hour or more): for queries that "
            "began before, and Delta's time travel.",
        ),
    ] = 7.0,
    deep: Annotated[
        bool, typer.Option("--deep", help="Unpack every page of every file at the end.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Put small files together, delete those that nobody needs any more, shorten the log, verify.

    Copies `speech` to one wide table, which queries read in its place while it is up to date, and
    embeddings to plain files, for searches.
    Queries answer as before, and runs may go on meanwhile: commits wait for one table at a time.
    Exits 1 if verify finds something wrong.
    """
    from flows.console import duration, out, print_json
    from pipelines.lake import Lake
    from pipelines.maintain import maintain as tend

    done = tend(Lake(lake), keep_days, deep, dry_run)
    if json:
        print_json(done.as_dict())
    else:
        _show(done)
        if dry_run:
            out.print("Nothing was changed. To do it, leave out --dry-run")
        elif not done.wrong:
            out.print(f"{len(done.findings)} checks: nothing is wrong; {duration(done.seconds)}")
        for finding in done.wrong:
            out.print(f"[yellow]{finding.table}: {finding.check}: {finding.count} not so[/yellow]")
    if done.wrong:
        out.print("See `clsp verify`", markup=False)
        raise typer.Exit(1)


def _show(done: Any) -> None:
    from flows.console import print_rows

    megabytes = 1e6
    rows = [
        {
            "table": table.table,
            "files": table.files_before,
            "MB": table.bytes_before / megabytes,
            "to merge" if done.dry_run else "merged": table.merged,
            **({} if done.dry_run else {
                "files now": table.files_after, "MB now": table.bytes_after / megabytes,
            }),
            "dead rows": table.dead_rows,
            "to delete" if done.dry_run else "deleted": table.deleted_files,
            "deleted MB": table.deleted_bytes / megabytes,
            "kept": table.kept_files,
            "kept MB": table.kept_bytes / megabytes,
        }
        for table in done.tables
        if table.files_before
    ]  # fmt: skip
    print_rows(rows, title=f"{done.lake}, replaced files kept for {done.keep_days:g} days")
