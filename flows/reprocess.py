"""The Prefect flow `reprocess`: bring a lake to its target, or to what is given, step by step.

Runs with or without a Prefect server. What remains to be done is asked of the tables: a run that
was cut off, or an event that was missed, is made good by the next run. Knows nothing of terminals.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from flows import environment  # noqa: F401  (before prefect)

from prefect import flow, task  # isort: skip
from prefect.artifacts import create_table_artifact  # isort: skip
from prefect.cache_policies import NO_CACHE  # isort: skip
from prefect.utilities.annotations import quote  # isort: skip

from flows.guard import take_over
from flows.tag import carry_out, watchers
from flows.watching import after_run
from pipelines import reprocess as work
from pipelines.kept import Kept
from pipelines.planning import Plan

# Who listens to a flow that runs in this process: told of each step's report when it is done.
listener: ContextVar[Callable[[dict[str, Any]], None]] = ContextVar(
    "listener", default=lambda report: None
)


@task(name="count", cache_policy=NO_CACHE)
def count(settings: work.ReprocessSettings) -> list[work.Step]:
    """Ask the lake what is not as it shall be."""
    found = work.steps(settings)
    create_table_artifact(
        key="reprocess",
        table=work.counted(found).to_pylist(),
        description=f"What is to be done to `{settings.lake}`",
    )
    return found


@task(name="plan", cache_policy=NO_CACHE)
def plan(step: Any) -> Plan:
    """What a step will do; lists the archive where audio is needed."""
    planned: Plan = step.plan()
    return planned


@flow(name="reprocess", validate_parameters=True)
def reprocess(
    lake: str,
    taxonomy: str | None = None,
    model: str | None = None,
    segments: str | None = None,
    channels: str | None = None,
    precision: str | None = None,
    where: str | None = None,
    only: str | None = None,
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
) -> list[dict[str, Any]]:
    """Bring the recordings of a lake to another taxonomy, model, precision or cut; parameters as in
    pipelines.reprocess.ReprocessSettings.

    Returns the report of each step: none where nothing is to be done, or nothing says what. Where
    an archive cannot be read, the others are done, then its error is raised.
    """
    given = {key: value for key, value in locals().items() if value is not None}
    take_over(lake)
    settings = work.ReprocessSettings(**given)
    if not work.has_goal(settings):
        return []  # on schedule, of a lake that leaves it to whoever tags, or is not there yet
    on_plan, on_file = watchers.get()
    reports, kept = [], Kept()
    for step in count(settings):
        with kept.until_later():
            planned = plan(quote(step))
            on_plan(planned)
            reports.append(carry_out(planned, on_file))
            listener.get()(reports[-1])
    if reports:
        after_run(lake)
    kept.tell()
    return reports
