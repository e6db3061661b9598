"""The Prefect flow `maintain`: compact and vacuum table by table, verify, report.

Runs with or without a Prefect server, beside runs that write: it takes turns with their commits.
The tables are the truth, not Prefect's states. Knows nothing of terminals.
"""

import time
from dataclasses import asdict
from typing import Any

from flows import environment  # noqa: F401  (before prefect)

from prefect import flow, task  # isort: skip
from prefect.artifacts import create_table_artifact  # isort: skip
from prefect.cache_policies import NO_CACHE  # isort: skip

from flows import watching
from flows.guard import take_over
from pipelines import maintain as maintenance
from pipelines import ready, schemas, vectors
from pipelines import verify as verification
from pipelines.errors import LakeError
from pipelines.lake import Lake


@task(name="tend", task_run_name="tend {table}", cache_policy=NO_CACHE)
def tend(lake: str, table: str, keep_days: float) -> maintenance.TableReport:
    """Compact, vacuum and checkpoint one table."""
    return maintenance.tend(Lake(lake), table, keep_days)


@task(name="copy speech", cache_policy=NO_CACHE)
def copy_speech(lake: str) -> bool:
    """Make the copy of `speech` anew, where the lake has gone on since."""
    return ready.refresh(Lake(lake))


@task(name="copy embeddings", cache_policy=NO_CACHE)
def copy_embeddings(lake: str) -> None:
    """Add to the plain files that searches read."""
    vectors.refresh(Lake(lake))


@task(name="verify", cache_policy=NO_CACHE)
def verify(lake: str, deep: bool) -> list[verification.Finding]:
    """Check the whole lake."""
    return verification.verify(Lake(lake), deep)


@task(name="report", cache_policy=NO_CACHE)
def report(done: maintenance.Report) -> None:
    """The table artifact."""
    wrong = [f"{found.table}: {found.check}: {found.count}" for found in done.wrong]
    create_table_artifact(
        key="maintain",
        table=[asdict(table) for table in done.tables if table.files_before],
        description=f"`{done.lake}`: {'; '.join(wrong) or 'nothing is wrong'}",
    )


@flow(name="maintain", validate_parameters=True)
def maintain(
    lake: str, keep_days: float = maintenance.KEEP_DAYS, deep: bool = False
) -> dict[str, Any]:
    """Keep a lake small and sound; parameters as in pipelines.maintain.maintain. Checks its watches
    too, so that a schedule of this is one of them.

    Returns the report. Fails with LakeError, once all is done and reported, where verify finds
    something wrong.
    """
    take_over(lake)
    started = time.monotonic()
    tables = Lake(lake)
    maintenance.require_sound(tables)
    tended = [tend(lake, name, keep_days) for name in schemas.TABLES]
    copy_speech(lake)
    copy_embeddings(lake)
    tended.append(tend(lake, schemas.READY, keep_days))
    done = maintenance.Report(
        lake=str(tables.root),
        keep_days=keep_days,
        dry_run=False,
        tables=tuple(tended),
        findings=tuple(verify(lake, deep)),
        seconds=time.monotonic() - started,
    )
    report(done)
    watching.after_run(lake)
    if done.wrong:
        raise LakeError(
            f"lake {tables.root}: {len(done.wrong)} checks failed after maintenance. `clsp verify` "
            "shows them, and what to do"
        )
    return done.as_dict()
