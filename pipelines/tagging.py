"""A tagging run: list the archive, leave out what is unchanged, process the rest, commit by chunk.

Knows archives, lakes and executors; knows nothing of Prefect, terminals or how audio is read.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from clsp.checkpoint import resolve
from pipelines import taxonomy
from pipelines.archive import FileEntry, archive_id, list_archive
from pipelines.errors import FailureKind, LakeError, RecordingError
from pipelines.executors import OnFile, executor, ignore_file
from pipelines.jobs import Chunk, ChunkResult, Job, Outcome, model_key, recordings_table
from pipelines.lake import Lake
from pipelines.query import arrow, connect
from pipelines.relabel import relabel
from pipelines.segments import SegmentPolicy
from pipelines.settings import TagSettings


@dataclass(frozen=True)
class Plan:
    """What a run will do. The books: listed = to process + to relabel + unchanged."""

    settings: TagSettings
    job: Job
    chunks: tuple[Chunk, ...]
    relabel: tuple[str, ...]  # uris whose audio and model are unchanged, but not their labels
    unlisted: tuple[tuple[str, str], ...]  # names that could not be listed, and why
    listed: int
    unchanged: int
    started_at: datetime

    @property
    def files(self) -> int:
        return sum(len(chunk.entries) for chunk in self.chunks)

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for chunk in self.chunks for entry in chunk.entries)


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


@dataclass(frozen=True)
class RunReport:
    """What a run did. The books: listed + unlisted = tagged + failed + relabelled + unchanged."""

    run_id: str
    archive: str
    lake: str
    model_key: str
    taxonomy_key: str
    segments_policy: str
    listed: int
    unlisted: int
    unchanged: int
    tagged: int
    relabelled: int
    failed: int
    failures: dict[str, int]  # by kind, of this run
    segments: int
    audio_s: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan(settings: TagSettings) -> Plan:
    """List the archive and compare it with the lake. Reads no audio.

    Raises ArchiveNotFound, TaxonomyError, SettingsError, ModelNotFound, LakeError.
    """
    started = datetime.now(UTC)
    checkpoint = resolve(settings.model)
    job = Job(
        archive=archive_id(settings.source),
        model=settings.model,
        model_key=model_key(checkpoint.name, checkpoint.revision),
        taxonomy=taxonomy.load(settings.taxonomy),
        policy=SegmentPolicy.parse(settings.segments),
        run_id=f"{started:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}",
        device=settings.device,
        batch_s=settings.batch_s,
        decode_threads=settings.decode_threads,
    )
    unlisted: list[tuple[str, str]] = []
    entries = list_archive(
        settings.source,
        settings.include,
        settings.exclude,
        on_error=lambda uri, error: unlisted.append((uri, error.strerror or str(error))),
    )
    known = _known(Lake(settings.lake, create=True), job.archive)
    todo: list[FileEntry] = []
    relabel: list[str] = []
    listed = unchanged = 0
    for entry in entries:
        listed += 1
        what = _work(entry, known.get(entry.uri), job)
        if what == "process":
            todo.append(entry)
        elif what == "relabel":
            relabel.append(entry.uri)
        else:
            unchanged += 1
    fresh = [
        (uri, why) for uri, why in unlisted if uri not in known or known[uri]["state"] != "failed"
    ]
    return Plan(
        settings=settings,
        job=job,
        chunks=tuple(chunked(todo, job.run_id, settings.chunk_files, settings.chunk_mib << 20)),
        relabel=tuple(relabel),
        unlisted=tuple(fresh),
        listed=listed,
        unchanged=unchanged,
        started_at=started,
    )


def results(plan: Plan, on_file: OnFile = ignore_file) -> Iterator[ChunkResult]:
    """Do what is planned: one result for each chunk, ready to commit, as they come."""
    if plan.unlisted:
        yield _unlisted(plan)
    if plan.chunks:
        with executor(plan.settings, plan.job, on_file) as run:
            yield from run(plan.chunks)
    if plan.relabel:
        yield from relabel(Lake(plan.settings.lake), plan.job, plan.relabel)


def commit(lake: Lake, plan: Plan, result: ChunkResult) -> ChunkReport:
    """Put one result into the lake. Raises LakeError."""
    files = result.tagged + result.failed
    lake.commit(
        result.tables,
        {
            **_ledger(plan, result.chunk.chunk_id, "chunk", result.started_at),
            "files": files,
            "tagged": result.tagged,
            "failed": result.failed,
            "unchanged": 0,
            "segments": result.segments,
            "audio_s": result.audio_s,
        },
    )
    return ChunkReport(
        chunk_id=result.chunk.chunk_id,
        files=files,
        tagged=result.tagged,
        failed=result.failed,
        segments=result.segments,
        audio_s=result.audio_s,
        seconds=(datetime.now(UTC) - result.started_at).total_seconds(),
    )


def finish(lake: Lake, plan: Plan, chunks: list[ChunkReport]) -> RunReport:
    """Balance the books, write the run's own ledger row, report.

    Raises LakeError when a listed file is unaccounted for: a fault of ours.
    """
    tagged, failed = sum(c.tagged for c in chunks), sum(c.failed for c in chunks)
    done = tagged + failed + plan.unchanged
    expected = plan.listed + len(plan.unlisted)
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
        unlisted=len(plan.unlisted),
        unchanged=plan.unchanged,
        tagged=tagged - len(plan.relabel),
        relabelled=len(plan.relabel),
        failed=failed,
        failures=_failures(lake, plan.job.run_id) if failed else {},
        segments=sum(c.segments for c in chunks),
        audio_s=sum(c.audio_s for c in chunks),
        seconds=(datetime.now(UTC) - plan.started_at).total_seconds(),
    )
    if chunks:
        lake.commit(
            {},
            {
                **_ledger(plan, plan.job.run_id, "run", plan.started_at),
                "files": expected,
                "tagged": tagged,
                "failed": failed,
                "unchanged": plan.unchanged,
                "segments": report.segments,
                "audio_s": report.audio_s,
            },
        )
    return report


def tag(
    settings: TagSettings,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    on_file: OnFile = ignore_file,
) -> RunReport:
    """Plan, process, commit, report: the whole run, without Prefect."""
    planned = plan(settings)
    on_plan(planned)
    lake = Lake(settings.lake, create=True)
    return finish(lake, planned, [commit(lake, planned, r) for r in results(planned, on_file)])


def chunked(
    entries: list[FileEntry], run_id: str, most_files: int, most_bytes: int
) -> Iterator[Chunk]:
    """Cut the listing into chunks of at most so many files and bytes (one file at the least)."""
    members: list[FileEntry] = []
    size = number = 0
    for entry in entries:
        if members and (len(members) >= most_files or size + entry.size_bytes > most_bytes):
            yield Chunk(f"{run_id}-{number:05d}", tuple(members))
            members, size, number = [], 0, number + 1
        members.append(entry)
        size += entry.size_bytes
    if members:
        yield Chunk(f"{run_id}-{number:05d}", tuple(members))


# ---- planning ---------------------------------------------------------------------------------


def _known(lake: Lake, archive: str) -> dict[str, dict[str, Any]]:
    """The archive's current recordings by uri: only what deciding needs."""
    with connect(lake) as db:
        rows = arrow(
            db,
            """SELECT uri, version, state, segments_policy, model_key, taxonomy_key
               FROM recordings WHERE archive = ?""",
            archive,
        )
    return {row["uri"]: row for row in rows.to_pylist()}


def _work(entry: FileEntry, known: dict[str, Any] | None, job: Job) -> str:
    """process | relabel | nothing. A failed file is tried again when it or the policy changes:
    model and taxonomy have no part in why it could not be read."""
    if known is None or known["version"] != entry.version:
        return "process"
    if known["segments_policy"] != job.policy.key:
        return "process"
    if known["state"] == "failed":
        return "nothing"
    if known["model_key"] != job.model_key:
        return "process"
    return "nothing" if known["taxonomy_key"] == job.taxonomy.key else "relabel"


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
    }


def _failures(lake: Lake, run_id: str) -> dict[str, int]:
    with connect(lake) as db:
        return dict(
            db.execute(
                """SELECT error_kind, count(*) FROM history WHERE run_id = ? AND state = 'failed'
                   GROUP BY 1 ORDER BY 2 DESC, 1""",
                [run_id],
            ).fetchall()
        )
