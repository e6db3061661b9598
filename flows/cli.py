"""The command line: `clsp tag | sql | search | classify | similarity | status | doctor`.

Heavy imports only where a command needs them: `clsp --help` answers in a fraction of a second.
Knows how to ask and how to show; all work is done a floor below.
"""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

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


LakeOption = Annotated[
    str, typer.Option("--lake", help="Folder of the tables.", envvar="CLSP_LAKE")
]
ModelOption = Annotated[
    str, typer.Option("--model", help="`tiny`, `yfyeung/CLSP`, or a folder.", envvar="CLSP_MODEL")
]
LakeModelOption = Annotated[
    str | None,
    typer.Option("--model", help="The lake's model, where it is a folder; else found by itself."),
]
SegmentsOption = Annotated[
    str,
    typer.Option(
        "--segments",
        help="`whole`, `windows` (30 s), `windows:LENGTH` or `windows:LENGTH/HOP` in s.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON value on standard output.")]


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
def classify(
    files: Annotated[list[str], typer.Argument(help="Audio files or folders.")],
    labels: Annotated[
        str | None, typer.Option(help="Labels to choose from, with commas: happy,angry,sad.")
    ] = None,
    template: Annotated[
        str, typer.Option(help="The prompt each label is put in.")
    ] = "A speaker in a {} tone.",
    prompt: Annotated[
        list[str] | None, typer.Option(help="LABEL=PROMPT, any wording; repeatable.")
    ] = None,
    attribute: Annotated[
        str | None, typer.Option(help="An attribute of the taxonomy instead: gender, emotion ...")
    ] = None,
    taxonomy: Annotated[str | None, typer.Option(help="The taxonomy that has it.")] = None,
    model: ModelOption = "tiny",
    segments: SegmentsOption = "windows",
    json: JsonOption = False,
) -> None:
    """Zero-shot: which label fits each segment, with every label's probability and cosine.

    Give --labels (with --template), --prompt, or --attribute.
    """
    from clsp.zero_shot import classifier
    from clsp.zero_shot import classify as score
    from flows.console import print_json, print_rows
    from pipelines.adhoc import embed

    prompts = _prompts(labels, template, prompt, attribute, taxonomy)
    done = embed(files, model, segments)
    import torch

    vectors = torch.from_numpy(done.vectors).to(done.model.device)
    scores = score(vectors, classifier(done.model, prompts), done.model.scale)
    names = list(prompts)
    rows = [
        {
            **span,
            "label": names[int(scores.best[i])],
            "margin": float(scores.margin[i]),
            "probability": dict(zip(names, scores.probability[i].tolist(), strict=True)),
            "cosine": dict(zip(names, scores.cosine[i].tolist(), strict=True)),
        }
        for i, span in enumerate(done.spans.to_pylist())
    ]
    if json:
        return print_json({"segments": rows, "failures": done.failures.to_pylist()})
    for row in rows:
        row |= {f"p({name})": p for name, p in row.pop("probability").items()}
        del row["cosine"]
    print_rows(rows)
    _show_failures(done.failures.to_pylist())


def _prompts(
    labels: str | None,
    template: str,
    prompt: list[str] | None,
    attribute: str | None,
    taxonomy: str | None,
) -> dict[str, list[str]]:
    from clsp.zero_shot import expand
    from pipelines.taxonomy import load

    if sum(map(bool, (labels, prompt, attribute))) != 1:
        raise typer.BadParameter("give one of --labels, --prompt or --attribute")
    if attribute:
        known = {a.name: a for a in load(taxonomy).attributes}
        if attribute not in known:
            raise typer.BadParameter(f"attribute {attribute!r}: the taxonomy has {list(known)}")
        return {label: list(words) for label, words in known[attribute].prompts.items()}
    if labels:
        if "{}" not in template:
            raise typer.BadParameter(f"template {template!r} has no {{}} for the label")
        return expand([label.strip() for label in labels.split(",") if label.strip()], [template])
    pairs = [text.partition("=") for text in prompt or []]
    if wrong := [label for label, equals, words in pairs if not (equals and label and words)]:
        raise typer.BadParameter(f"prompt {wrong}: expected LABEL=PROMPT")
    prompts: dict[str, list[str]] = {}
    for label, _, words in pairs:
        prompts.setdefault(label.strip(), []).append(words.strip())
    return prompts


@app.command()
def similarity(
    files: Annotated[list[str], typer.Argument(help="Audio files or folders.")],
    text: Annotated[list[str], typer.Option(help="A description of a style; repeatable.")],
    model: ModelOption = "tiny",
    segments: SegmentsOption = "windows",
    json: JsonOption = False,
) -> None:
    """Style similarity: the cosine between each segment and each description."""
    from clsp.style import similarity as compare
    from flows.console import print_json, print_rows
    from pipelines.adhoc import embed

    done = embed(files, model, segments)
    import torch

    cosines = compare(done.model, torch.from_numpy(done.vectors).to(done.model.device), text)
    rows = [
        {**span, "text": description, "similarity": float(cosines[i, j])}
        for i, span in enumerate(done.spans.to_pylist())
        for j, description in enumerate(text)
    ]
    if json:
        return print_json({"segments": rows, "failures": done.failures.to_pylist()})
    print_rows(rows)
    _show_failures(done.failures.to_pylist())


def _show_failures(failures: list[dict[str, Any]]) -> None:
    from flows.console import print_rows

    if failures:
        print_rows(failures, title="Could not be read")


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
