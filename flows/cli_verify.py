"""`clsp verify`: is the lake whole? It knows how to ask and to show; the work is a floor below."""

from typing import Annotated

import typer

from flows.options import JsonOption, LakeOption


def verify(
    lake: LakeOption,
    deep: Annotated[
        bool, typer.Option("--deep", help="Unpack every page of every file as well.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check the whole lake: its files against its log, its rows against each other. Writes nothing.

    Exits 1 if something is wrong, and says what to do. What a run that was cut off left behind is
    told, and is not wrong: readers do not see it.
    """
    from dataclasses import asdict

    from flows.console import out, print_json, print_rows
    from pipelines.lake import Lake
    from pipelines.verify import verify as check

    tables = Lake(lake)
    found = check(tables, deep)
    wrong = [finding for finding in found if finding.count and finding.harmful]
    if json:
        print_json([asdict(finding) for finding in found])
    else:
        told = [finding for finding in found if finding.count]
        if told:
            print_rows(
                [
                    {
                        "": "WRONG" if finding.harmful else "note",
                        "table": finding.table,
                        "expected": finding.check,
                        "not so": finding.count,
                        "such as": "; ".join(finding.examples),
                    }
                    for finding in told
                ]
            )
        for advice in dict.fromkeys(finding.advice for finding in told):
            out.print(f"{advice}.")
        verdict = f"{len(wrong)} of {len(found)} checks failed" if wrong else "nothing is wrong"
        out.print(f"{len(found)} checks of {tables.root}: {verdict}")
    if wrong:
        raise typer.Exit(1)
