"""The command line: the commands that `clsp --help` names, most of them in `flows/cli_*.py`.

Heavy imports only where a command needs them: `clsp --help` answers in a fraction of a second.
Knows how to ask and how to show; all work is done a floor below.
"""

import atexit
import errno
import os
import sys
import traceback
from enum import StrEnum
from typing import Annotated, Any

import typer

import flows.cli_robustness  # noqa: F401  registers `clsp evaluate perturbation | wording`
from flows.cli_adhoc import classify, similarity
from flows.cli_deploy import announce, deploy
from flows.cli_evaluate import evaluate_app
from flows.cli_failures import failures, retry
from flows.cli_maintain import maintain
from flows.cli_query import search, sql
from flows.cli_reprocess import reprocess, target
from flows.cli_runs import runs, status
from flows.cli_train import train
from flows.cli_verify import verify
from flows.cli_watch import watch_app
from flows.logs import LogFormat, LogLevel, set_up
from flows.options import (
    DeviceOption,
    ExecutorName,
    ExecutorOption,
    JsonOption,
    LakeOption,
    ModelOption,
    RayAddressOption,
    StrictOption,
    WantedChannelsOption,
    WantedModelOption,
    WantedPrecisionOption,
    WantedSegmentsOption,
    WantedTaxonomyOption,
    WorkerCpusOption,
    WorkerGpusOption,
    WorkersOption,
    not_empty,
)

app = typer.Typer(
    name="clsp",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Tag archives of speech with CLSP and query them with SQL.",
    epilog="Exit codes: 0 done; 1 done, but --strict and some files failed, or doctor, verify or "
    "maintain found something wrong, or a watch fires; 2 the command line makes no sense; 3 an "
    "error that trying again will not cure; 4 one that it may; 130 stopped by Ctrl-C, 143 by "
    "SIGTERM: run again.",
)

EXIT_STRICT, EXIT_TERMINAL, EXIT_TRANSIENT = 1, 3, 4
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what a disk says to one more byte


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"clsp-pipelines {version('clsp-pipelines')}")
        raise typer.Exit


@app.callback()
def before(
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            help="Log lines on standard error: one JSON object each, or text.",
            envvar="CLSP_LOG_FORMAT",
        ),
    ] = None,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            help="From this level on: info, or warning where no format is given either.",
            envvar="CLSP_LOG_LEVEL",
        ),
    ] = None,
    grace_s: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds that SIGTERM leaves for what is in hand (20).",
            envvar="CLSP_GRACE_S",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="This version; no more."),
    ] = False,
) -> None:
    set_up(log_format, log_level)
    if grace_s is not None:
        from pipelines.stopping import allow

        allow(grace_s)


class SourceKind(StrEnum):
    """`pipelines.sources.KINDS`, without the import."""

    AUTO = "auto"
    FOLDER = "folder"
    LIST = "list"
    SCP = "scp"
    LHOTSE = "lhotse"
    WEBDATASET = "webdataset"


@app.command()
def tag(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder, file or URL of the archive; a list of files (CSV, TSV, Parquet, JSONL), "
            "a Kaldi wav.scp, a lhotse manifest or a WebDataset tar."
        ),
    ],
    lake: LakeOption,
    kind: Annotated[
        SourceKind, typer.Option(help="What SOURCE is; else told by its name.")
    ] = SourceKind.AUTO,
    model: WantedModelOption = None,
    taxonomy: WantedTaxonomyOption = None,
    segments: WantedSegmentsOption = None,
    channels: WantedChannelsOption = None,
    precision: WantedPrecisionOption = None,
    executor: ExecutorOption = ExecutorName.local,
    ray_address: RayAddressOption = None,
    workers: WorkersOption = None,
    worker_cpus: WorkerCpusOption = None,
    worker_gpus: WorkerGpusOption = None,
    device: DeviceOption = "auto",
    batch_s: Annotated[
        float | None, typer.Option(help="Seconds of audio in one batch. Default: by device.")
    ] = None,
    decode_threads: Annotated[int, typer.Option(help="Decoding threads in each worker.")] = 2,
    chunk_files: Annotated[
        int | None,
        typer.Option(
            help="Most files committed together. Default: 256; 4096 with --device cuda, with auto "
            "where this machine shows an NVIDIA GPU, or where Ray's workers take --worker-gpus."
        ),
    ] = None,
    chunk_mib: Annotated[
        int | None,
        typer.Option(help="Most MiB of files committed together. Default: 256; 2048 likewise."),
    ] = None,
    max_duration_s: Annotated[
        float, typer.Option(help="Most seconds of audio in one file.")
    ] = 86_400.0,
    max_bytes: Annotated[int, typer.Option(help="Most bytes of one file.")] = 4 << 30,
    file_timeout_s: Annotated[
        float, typer.Option(help="Most seconds to decode one file, besides as long as it lasts.")
    ] = 600.0,
    include: Annotated[
        list[str] | None,
        typer.Option(
            help="Glob on the path within the archive; repeatable. Hidden files are left out, but "
            "for those that a glob with a hidden name finds: '**/.*'."
        ),
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Glob left out; repeatable.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most files read in this run; the rest stay pending.")
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Nothing in SOURCE: all its files are gone.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    flow: Annotated[
        bool, typer.Option("--flow", help="Run as the Prefect flow tag_archive.")
    ] = False,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> None:
    """Tag an archive: what is new or changed is embedded, labelled and written to the lake.

    A file that cannot be read becomes a row of `failures`; the run goes on. One that ends early is
    tagged as far as it goes, and becomes a row of `warnings`. One that is no longer there is gone
    from `speech`, and stays in `history`. The tables of a lake that lies in the archive are no
    files of it.
    """
    given: dict[str, Any] = {
        "source": source, "lake": lake, "model": model, "taxonomy": taxonomy,
        "segments": segments, "executor": executor.value, "ray_address": ray_address,
        "workers": workers, "device": device, "batch_s": batch_s,
        "decode_threads": decode_threads, "chunk_files": chunk_files, "chunk_mib": chunk_mib,
        "channels": channels and channels.value, "precision": precision and precision.value,
        "max_duration_s": max_duration_s, "max_bytes": max_bytes,
        "file_timeout_s": file_timeout_s, "kind": kind.value, "limit": limit,
        "allow_empty": allow_empty,
    }  # fmt: skip
    more = {
        "include": include, "exclude": exclude, "worker_cpus": worker_cpus,
        "worker_gpus": worker_gpus,
    }  # fmt: skip
    given |= {name: value for name, value in more.items() if value not in (None, [])}
    from flows.report import foretold, show, watched
    from flows.watching import after_run

    if dry_run:
        return foretold(given, json)
    report = watched(given, flow, shown=not json)
    if not flow:
        after_run(lake)
    show(report, json)
    if strict and report["failed"]:
        raise typer.Exit(EXIT_STRICT)


def doctor(
    model: ModelOption = "tiny",
    lake: Annotated[
        str | None,
        typer.Option(
            "--lake", help="A lake to look at too.", envvar="CLSP_LAKE", callback=not_empty
        ),
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


for command in (
    sql, search, doctor, failures, retry, runs, status, target, reprocess, verify, maintain,
    classify, similarity, train, deploy, announce,
):  # fmt: skip
    app.command()(command)
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(watch_app, name="watch")


def _hush() -> None:
    """Prefect's threads keep objects alive to the very end, which DuckDB's bindings (nanobind) tell
    on standard error line by line. All is done by then: nobody needs to hear of it."""
    if "prefect" in sys.modules:
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def main() -> None:
    """The console script: errors of ours are one sentence and an exit code, not a traceback; and
    no secret is printed, whoever's error it is."""
    from clsp.errors import ClspError, TransientError
    from pipelines.errors import Stopped
    from pipelines.redaction import redacted
    from pipelines.stopping import EXIT_STATUS

    atexit.register(_hush)  # first: so it runs after what Prefect registers
    # Closed by who wants to hear nothing: then they are None.
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):  # in which some names cannot be written: ASCII, say
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where an error can be told
    except ClspError as error:
        print(f"clsp: {redacted(str(error))}", file=sys.stderr)
        if isinstance(error, Stopped):
            raise SystemExit(EXIT_STATUS) from None
        raise SystemExit(
            EXIT_TRANSIENT if isinstance(error, TransientError) else EXIT_TERMINAL
        ) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
            print(f"clsp: the answer cannot be written: {error.strerror}", file=sys.stderr)
        else:  # a fault of ours
            print(redacted(traceback.format_exc()), file=sys.stderr, end="")
        raise SystemExit(EXIT_TERMINAL) from None


if __name__ == "__main__":
    main()
