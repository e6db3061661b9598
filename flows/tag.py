"""The Prefect flow `tag_archive`: plan, process and commit chunk by chunk, report.

Runs with or without a Prefect server. The tables are the truth, not Prefect's states: a flow that
was cut off is repaired by running it again. Knows nothing of terminals.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from flows import environment  # noqa: F401  (before prefect)

from prefect import flow, task  # isort: skip
from prefect.artifacts import (  # isort: skip
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE  # isort: skip
from prefect.utilities.annotations import quote  # isort: skip

from flows import artifacts
from flows.guard import take_over
from flows.watching import after_run
from pipelines import tagging
from pipelines.executors import OnFile, ignore_file
from pipelines.lake import Lake
from pipelines.settings import LIMITS, TagSettings

# Who watches a flow that runs in this process: told of the plan, then of each file's seconds.
watchers: ContextVar[tuple[Callable[[tagging.Plan], None], OnFile]] = ContextVar(
    "watchers", default=(lambda planned: None, ignore_file)
)


@task(name="plan", cache_policy=NO_CACHE)
def plan(settings: TagSettings) -> tagging.Plan:
    """List the archive, compare with the lake."""
    return tagging.plan(settings)


@task(name="commit", task_run_name="commit {chunk_id}", cache_policy=NO_CACHE)
def commit(chunk_id: str, lake: Any, planned: Any, result: Any) -> tagging.ChunkReport:
    """Put one processed chunk into the lake."""
    return tagging.commit(lake, planned, result)


@task(name="report", cache_policy=NO_CACHE)
def report(lake: Any, planned: Any, chunks: list[tagging.ChunkReport]) -> tagging.RunReport:
    """Balance the books, write the run's ledger row; a table artifact for programs, a summary with
    the shares of labels for people."""
    done = tagging.finish(lake, planned, chunks)
    create_markdown_artifact(
        artifacts.summary(done.as_dict(), lake), key="summary", description=f"Run `{done.run_id}`"
    )
    by_kind = ("failures", "warnings")
    summary = {key: value for key, value in done.as_dict().items() if key not in by_kind}
    failures = {f"failed: {kind}": count for kind, count in done.failures.items()}
    failures |= {f"tagged in part: {kind}": count for kind, count in done.warnings.items()}
    create_table_artifact(
        key="tag-archive",
        table=[{"what": key, "value": value} for key, value in {**summary, **failures}.items()],
        description=f"`{done.archive}` into `{done.lake}`: {done.tagged} tagged, "
        f"{done.failed} failed, {done.unchanged} unchanged, {done.gone} gone",
    )
    return done


def carry_out(planned: tagging.Plan, on_file: OnFile) -> dict[str, Any]:
    """Within a flow: process and commit chunk by chunk, with a progress artifact, and report."""
    lake, began = Lake(planned.settings.lake, create=True), time.monotonic()
    shown = create_progress_artifact(0.0, key="progress", description=planned.job.run_id)
    chunks: list[tagging.ChunkReport] = []
    with tagging.told_if_stopped(lake, planned, chunks):
        for result in tagging.results(planned, on_file):
            # quote: Prefect would otherwise search every table for futures.
            chunks.append(commit(result.chunk.chunk_id, quote(lake), quote(planned), quote(result)))
            percent, text = artifacts.progress(
                planned.ledger_files,
                sum(chunk.files for chunk in chunks),
                sum(chunk.audio_s for chunk in chunks),
                time.monotonic() - began,
            )
            update_progress_artifact(shown, percent, f"{planned.job.run_id}: {text}")
    return report(quote(lake), quote(planned), chunks).as_dict()


@flow(name="tag_archive", validate_parameters=True)
def tag_archive(
    source: str,
    lake: str,
    model: str | None = None,
    taxonomy: str | None = None,
    segments: str | None = None,
    channels: str | None = None,
    precision: str | None = None,
    executor: str = "local",
    ray_address: str | None = None,
    workers: int | None = None,
    worker_cpus: float | None = None,
    worker_gpus: float | None = None,
    device: str = "auto",
    batch_s: float | None = None,
    decode_threads: int = 2,
    chunk_files: int | None = None,
    chunk_mib: int | None = None,
    kind: str = "auto",
    limit: int | None = None,
    max_duration_s: float = LIMITS.max_duration_s,
    max_bytes: int = LIMITS.max_bytes,
    file_timeout_s: float = LIMITS.file_timeout_s,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    allow_empty: bool = False,
) -> dict[str, Any]:
    """Tag an archive of speech into a lake; parameters as in pipelines.settings.TagSettings.

    Returns the run's report. Bad files become rows of `failures`, they do not fail the flow.
    """
    given = {key: value for key, value in locals().items() if value is not None}
    for name in {"include", "exclude"} & set(given):
        given[name] = tuple(given[name])
    take_over(lake)
    on_plan, on_file = watchers.get()
    planned = plan(TagSettings(**given))
    on_plan(planned)
    done = carry_out(planned, on_file)
    after_run(lake)
    return done
