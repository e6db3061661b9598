"""The command line: `clsp tag | sql | search | classify | similarity | train | status | doctor`,
and the group `clsp evaluate`.

Heavy imports only where a command needs them: `clsp --help` answers in a fraction of a second.
Knows how to ask and how to show; all work is done a floor below.
"""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

import flows.cli_robustness  # noqa: F401  registers `clsp evaluate perturbation | wording`
from flows.cli_adhoc import classify, similarity
from flows.cli_evaluate import evaluate_app
from flows.cli_train import train
from flows.options import JsonOption, LakeModelOption, LakeOption, ModelOption, SegmentsOption

app = typer.Typer(
    name="clsp",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Tag archives of speech with CLSP and query them with SQL.",
    epilog="Exit codes: 0 done; 1 done, but --strict and some files failed, or doctor found "
    "something wrong; 2 the command line makes no sense; 3 an error that trying again will not "
    "cure; 4 one that it may.",
)

EXIT_STRICT, EXIT_TERMINAL, EXIT_TRANSIENT = 1, 3, 4


class ExecutorName(StrEnum):
    local = "local"
    ray = "ray"


class Format(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


@app.command()
def tag(
    source: Annotated[str, typer.Argument(help="Folder, file or URL of the archive.")],
    lake: LakeOption,
    model: ModelOption = "tiny",
    taxonomy: Annotated[
        str | None, typer.Option(help="YAML file of attributes and styles; else the built-in one.")
    ] = None,
    segments: SegmentsOption = "windows",
    executor: Annotated[
        ExecutorName, typer.Option(help="In this process, or on Ray actors.")
    ] = ExecutorName.local,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="A Ray cluster's address; else Ray starts on this machine.", envvar="RAY_ADDRESS"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Ray actors; else one per GPU, or one per 4 CPUs.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    batch_s: Annotated[float, typer.Option(help="Seconds of audio in one batch.")] = 60.0,
    decode_threads: Annotated[int, typer.Option(help="Decoding threads in each worker.")] = 2,
    chunk_files: Annotated[int, typer.Option(help="Most files committed together.")] = 256,
    chunk_mib: Annotated[int, typer.Option(help="Most MiB of files committed together.")] = 256,
    include: Annotated[
        list[str] | None, typer.Option(help="Glob on the path within the archive; repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Glob left out (default: hidden files); repeatable.")
    ] = None,
    flow: Annotated[
        bool, typer.Option("--flow", help="Run as the Prefect flow tag_archive.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if any file failed.")] = False,
    json: JsonOption = False,
) -> None:
    """Tag an archive: what is new or changed is embedded, labelled and written to the lake.

    A file that cannot be read becomes a row of `failures`; the run goes on.
    """
    given: dict[str, Any] = {
        "source": source, "lake": lake, "model": model, "taxonomy": taxonomy,
        "segments": segments, "executor": executor.value, "ray_address": ray_address,
        "workers": workers, "device": device, "batch_s": batch_s,
        "decode_threads": decode_threads, "chunk_files": chunk_files, "chunk_mib": chunk_mib,
    }  # fmt: skip
    given |= {k: v for k, v in (("include", include), ("exclude", exclude)) if v}
    from flows.report import show, watched

    report = watched(given, flow, shown=not json)
    show(report, json)
    if strict and report["failed"]:
        raise typer.Exit(EXIT_STRICT)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SQL query, in DuckDB's dialect.")],
    lake: LakeOption,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
) -> None:
    """Query the lake. The view to start with is `speech`; `SHOW TABLES` and `DESCRIBE speech` work.

    Sees the lake's own files only. parquet goes to standard output: redirect it to a file.
    """
    from flows.console import write_arrow
    from pipelines.lake import Lake
    from pipelines.query import run

    write_arrow(run(Lake(lake), query), format_.value)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help='What to look for: "a woman whispering".')],
    lake: LakeOption,
    k: Annotated[int, typer.Option("-k", help="How many segments.")] = 10,
    model: LakeModelOption = None,
    json: JsonOption = False,
) -> None:
    """Find the segments that a description fits best."""
    from flows.console import print_json, print_rows
    from pipelines.lake import Lake
    from pipelines.search import lake_model
    from pipelines.search import search as find

    tables = Lake(lake)
    rows = find(tables, lake_model(tables, model), text, k).to_pylist()
    if json:
        return print_json(rows)
    shown = ("similarity", "uri", "start_s", "end_s")
    print_rows([{key: row[key] for key in shown} for row in rows])


@app.command()
def status(lake: LakeOption, json: JsonOption = False) -> None:
    """What the lake holds: recordings by archive and state, models, taxonomies, the last runs."""
    from flows.console import duration, out, print_json, print_rows
    from pipelines.lake import Lake
    from pipelines.query import arrow, connect

    tables = Lake(lake)
    with connect(tables) as db:

        def rows(query: str) -> list[dict[str, Any]]:
            return arrow(db, query).to_pylist()

        archives = rows(
            """SELECT archive, count(*) FILTER (state = 'tagged') AS tagged,
                      count(*) FILTER (state = 'failed') AS failed,
                      coalesce(sum(duration_s) FILTER (state = 'tagged'), 0) AS audio_s
               FROM recordings GROUP BY 1 ORDER BY 1"""
        )
        keys = rows(
            """SELECT model_key, taxonomy_key, segments_policy, count(*) AS recordings
               FROM recordings WHERE state = 'tagged' GROUP BY ALL ORDER BY 4 DESC"""
        )
        runs = rows(
            """SELECT run_id, committed_at, archive, files, tagged, failed, unchanged,
                      audio_s, epoch(committed_at) - epoch(started_at) AS seconds
               FROM runs WHERE kind = 'run' ORDER BY seq DESC LIMIT 5"""
        )
        segments = rows("SELECT count(*) AS n FROM speech")[0]["n"]
    held = {
        "lake": str(tables.root),
        "size_bytes": tables.size_bytes(),
        "segments": segments,
        "archives": archives,
        "keys": keys,
        "runs": runs,
    }
    if json:
        return print_json(held)
    audio_s = sum(row["audio_s"] for row in archives)
    out.print(
        f"[bold]{tables.root}[/bold]: {segments} segments, {duration(audio_s)} of audio, "
        f"{held['size_bytes'] / 1e6:.1f} MB"
    )
    print_rows(archives, title="Archives")
    print_rows(keys, title="Current labels come from")
    print_rows(runs, title="Last runs")


@app.command()
def doctor(
    model: ModelOption = "tiny",
    lake: Annotated[
        str | None, typer.Option("--lake", help="A lake to look at too.", envvar="CLSP_LAKE")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check versions, devices, the model's files and tokenizer, and the lake."""
    from flows.console import print_json, print_rows
    from flows.doctor import examine

    rows = examine(model, lake)
    if json:
        print_json(rows)
    else:
        print_rows([{**row, "ok": "ok" if row["ok"] else "NO"} for row in rows])
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


for command in (classify, similarity, train):
    app.command()(command)
app.add_typer(evaluate_app, name="evaluate")


def main() -> None:
    """The console script: errors of ours are one sentence and an exit code, not a traceback."""
    from clsp.errors import ClspError, TransientError

    try:
        app()
    except ClspError as error:
        print(f"clsp: {error}", file=sys.stderr)
        raise SystemExit(
            EXIT_TRANSIENT if isinstance(error, TransientError) else EXIT_TERMINAL
        ) from None


if __name__ == "__main__":
    main()
