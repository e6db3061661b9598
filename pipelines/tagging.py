"""A tagging run: process what is planned, commit by chunk, balance the books, report.

Knows archives, lakes and executors; knows nothing of Prefect, terminals or how audio is read.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipelines import faults, ready, vectors
from pipelines.archive import FileEntry
from pipelines.errors import FailureKind, LakeBusy, LakeError, RecordingError
from pipelines.executors import OnFile, executor, ignore_file
from pipelines.jobs import Chunk, ChunkResult, Outcome, recordings_table
from pipelines.known import Adopter, gone
from pipelines.lake import Lake
from pipelines.planning import Plan, plan
from pipelines.query import connect
from pipelines.relabel import relabel
from pipelines.settings import TagSettings

STOPPED_WAIT_S = 3.0  # for the ledger, where a run ends early: less than it is given to end

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChunkReport:
    """What one committed chunk held."""

    chunk_id: str
    files: int
    tagged: int
    failed: int
    segments: int
    audio_s: float
    seconds: float
    known: int = 0
    gone: int = 0


@dataclass(frozen=True)
class RunReport:
    """What a run did. The books:
    listed + unlisted = tagged + failed + relabelled + unchanged + pending; gone is apart."""

    run_id: str
    archive: str
    lake: str
    model_key: str
    taxonomy_key: str
    segments_policy: str
    listed: int
    unlisted: int
    unchanged: int
    failing: int  # of those unchanged: failed before, and nothing says they would not again
    pending: int
    tagged: int
    known: int  # of those tagged: moved, copied or touched, and not embedded again
    relabelled: int  # or given new metadata, or back: in any case without reading audio
    failed: int
    gone: int  # newly so
    missing: int  # would be gone, were there anything in the archive; see `allow_empty`
    failures: dict[str, int]  # by kind, of this run
    warnings: dict[str, int]  # by kind, of those tagged
    segments: int
    audio_s: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def results(plan: Plan, on_file: OnFile = ignore_file) -> Iterator[ChunkResult]:
    """Do what is planned: one result for each chunk, ready to commit, as they come."""
    faults.reach("run.planned")
    if plan.unlisted:
        yield _unlisted(plan)
    if plan.chunks:
        adopted = Adopter(Lake(plan.settings.lake, create=True), plan.job)
        with executor(plan.settings, plan.job, on_file) as run:
            yield from map(adopted, run(plan.chunks))
    if plan.relabel:
        yield from relabel(Lake(plan.settings.lake), plan.job, plan.relabel)
    if plan.gone:  # last: what has moved is here by its new name before the old one goes
        yield from gone(Lake(plan.settings.lake), plan.job, plan.gone, plan.started_at)


def commit(lake: Lake, plan: Plan, result: ChunkResult) -> ChunkReport:
    """Put one result into the lake. Raises LakeError."""
    faults.reach("commit.begin")
    files = result.tagged + result.failed
    tables = dict(result.tables)
    if "recordings" in tables:
        tables["recordings"] = _counted(plan, tables["recordings"])
    lake.commit(
        tables,
        {
            **_ledger(plan, result.chunk.chunk_id, "chunk", result.started_at),
            "files": files,
            "tagged": result.tagged,
            "failed": result.failed,
            "unchanged": 0,
            "pending": 0,
            "gone": result.gone,
            "segments": result.segments,
            "audio_s": result.audio_s,
        },
        since=plan.since if result.since is None else result.since,
    )
    faults.reach("commit.done")
    report = ChunkReport(
        chunk_id=result.chunk.chunk_id,
        files=files,
        tagged=result.tagged,
        failed=result.failed,
        segments=result.segments,
        audio_s=result.audio_s,
        seconds=(datetime.now(UTC) - result.started_at).total_seconds(),
        known=len(result.known),
        gone=result.gone,
    )
    told = asdict(report) | {"run_id": plan.job.run_id, "planned_files": plan.ledger_files}
    _log.info("chunk %s is committed: %s tagged, %s failed, %s gone, %.0f s of audio in %.1f s",
              report.chunk_id, report.tagged, report.failed, report.gone, report.audio_s,
              report.seconds, extra=told)  # fmt: skip
    return report


@contextmanager
def told_if_stopped(lake: Lake, plan: Plan, chunks: list[ChunkReport]) -> Iterator[None]:
    """While open, `chunks` grows by those that are committed. Where the run ends early, by whatever
    but a kill, its ledger says so: a row of kind `stopped`."""
    try:
        yield
    except BaseException:
        if chunks:
            with suppress(LakeError, LakeBusy):  # what ended the run is what counts
                row = _ledger(plan, f"{plan.job.run_id}-stopped", "stopped", plan.started_at)
                lake.commit({}, row | _sums(chunks), wait_s=STOPPED_WAIT_S)
        raise


def finish(lake: Lake, plan: Plan, chunks: list[ChunkReport]) -> RunReport:
    """Balance the books, write the run's own ledger row, report.

    Raises LakeError when a listed file is unaccounted for: a fault of ours.
    """
    tagged, failed = sum(c.tagged for c in chunks), sum(c.failed for c in chunks)
    done = tagged + failed + plan.unchanged + plan.pending
    expected = plan.listed + len(plan.unlisted) + plan.still_unlisted
    if done != expected:
        raise LakeError(
            f"run {plan.job.run_id}: the books do not balance, {expected} files were listed and "
            f"{done} accounted for. Run again, and please report it"
        )
    report = RunReport(
        run_id=plan.job.run_id,
        archive=plan.job.archive,
        lake=str(lake.root),
        model_key=plan.job.model_key,
        taxonomy_key=plan.job.taxonomy.key,
        segments_policy=plan.job.policy.key,
        listed=plan.listed,
        unlisted=len(plan.unlisted) + plan.still_unlisted,
        unchanged=plan.unchanged,
        failing=plan.failing,
        pending=plan.pending,
        tagged=tagged - len(plan.relabel),
        known=sum(c.known for c in chunks),
        relabelled=len(plan.relabel),
        failed=failed,
        gone=sum(c.gone for c in chunks),
        missing=plan.missing,
        failures=_kinds(lake, plan.job.run_id, "failed") if failed else {},
        warnings=_kinds(lake, plan.job.run_id, "tagged") if tagged > len(plan.relabel) else {},
        segments=sum(c.segments for c in chunks),
        audio_s=sum(c.audio_s for c in chunks),
        seconds=(datetime.now(UTC) - plan.started_at).total_seconds(),
    )
    if chunks:
        faults.reach("run.balanced")
        lake.commit(
            {},
            {
                **_ledger(plan, plan.job.run_id, "run", plan.started_at),
                **_sums(chunks),
                "files": expected,
                "unchanged": plan.unchanged,
                "pending": plan.pending,
            },
        )
        faults.reach("run.done")
        _extend_copies(lake)
    return report


def _extend_copies(lake: Lake) -> None:
    """Queries answer without the copies, only later: the run is done."""
    try:
        ready.extend(lake)
        vectors.refresh(lake, make=False, wait_s=0)
    except (LakeError, LakeBusy) as error:
        _log.warning("the copy of `speech` or of embeddings is left as it was: %s", error)


def tag(
    settings: TagSettings,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    on_file: OnFile = ignore_file,
    retry: Collection[str] | None = None,
) -> RunReport:
    """Plan, process, commit, report: the whole run, without Prefect. `retry`: of these uris only,
    whether or not they have changed."""
    planned = plan(settings, retry)
    on_plan(planned)
    return carry_out(planned, on_file)


def carry_out(planned: Plan, on_file: OnFile = ignore_file) -> RunReport:
    """Process, commit, report."""
    lake, chunks = Lake(planned.settings.lake, create=True), list[ChunkReport]()
    with told_if_stopped(lake, planned, chunks):
        for result in results(planned, on_file):
            chunks.append(commit(lake, planned, result))
    return finish(lake, planned, chunks)


# ---- results that need no worker --------------------------------------------------------------


def _unlisted(plan: Plan) -> ChunkResult:
    """Names that could not be listed, as failures."""
    chunk_id = f"{plan.job.run_id}-unlisted"
    outcomes = [
        Outcome(FileEntry(uri, "", 0, ""), error=RecordingError(FailureKind.UNREADABLE, why))
        for uri, why in plan.unlisted
    ]
    tables = {"recordings": recordings_table(plan.job, chunk_id, outcomes)}
    return ChunkResult(Chunk(chunk_id, ()), tables, 0, len(outcomes), 0, 0.0, datetime.now(UTC))


# ---- the ledger -------------------------------------------------------------------------------


def _ledger(plan: Plan, chunk_id: str, kind: str, started_at: datetime) -> dict[str, Any]:
    return {
        "run_id": plan.job.run_id,
        "chunk_id": chunk_id,
        "kind": kind,
        "started_at": started_at,
        "archive": plan.job.archive,
        "segments_policy": plan.job.policy.key,
        "model_key": plan.job.model_key,
        "taxonomy_key": plan.job.taxonomy.key,
        "options_json": plan.options_json,
        "planned_files": plan.ledger_files,
    }


def _sums(chunks: list[ChunkReport]) -> dict[str, Any]:
    """Of what was committed, for a ledger row."""
    names = ("files", "tagged", "failed", "gone", "segments", "audio_s")
    return {name: sum(getattr(c, name) for c in chunks) for name in names} | {
        "unchanged": 0,
        "pending": 0,
    }


def _counted(plan: Plan, recordings: pa.Table) -> pa.Table:
    """The rows, with the failures of earlier runs in `attempts`."""
    if not plan.attempts:
        return recordings
    counts = [
        row["attempts"] and row["attempts"] + plan.attempts.get(row["uri"], 0)
        for row in recordings.select(["uri", "attempts"]).to_pylist()
    ]
    where = recordings.column_names.index("attempts")
    return recordings.set_column(where, "attempts", pa.array(counts, pa.int32()))


def _kinds(lake: Lake, run_id: str, state: str) -> dict[str, int]:
    """By error_kind, what the run read of that state."""
    with connect(lake, of=("history",)) as db:
        return dict(
            db.execute(
                """SELECT error_kind, count(*) FROM history WHERE run_id = ? AND state = ?
                   AND error_kind IS NOT NULL AND chunk_id NOT LIKE '%-relabel-%'
                   GROUP BY 1 ORDER BY 2 DESC, 1""",
                [run_id, state],
            ).fetchall()
        )
