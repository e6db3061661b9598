"""What a run will do: the listing of the archive against what the lake knows of it.

Reads no audio and writes nothing. Knows archives, sources and lakes; nothing of workers.
"""

import json
import logging
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from clsp.checkpoint import resolve
from pipelines import memory, targets
from pipelines.archive import FileEntry, archive_id, is_remote, why
from pipelines.audio_info import Limits
from pipelines.errors import FailureKind
from pipelines.jobs import Chunk, Job, model_key
from pipelines.lake import Lake
from pipelines.places import resolved
from pipelines.query import arrow, connect
from pipelines.settings import TagSettings, check_precision
from pipelines.sources import kind_of, list_source
from pipelines.standing import Standing

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a run will do. The books: listed = to process + to relabel + unchanged + pending."""

    settings: TagSettings
    job: Job
    chunks: tuple[Chunk, ...]
    relabel: tuple[FileEntry, ...]  # audio and model are unchanged, but not labels or metadata
    unlisted: tuple[tuple[str, str], ...]  # names that could not be listed, and why: rows to be
    listed: int
    unchanged: int
    pending: int  # to process as well, but over the run's limit; or tagged, and out of reach now
    started_at: datetime
    gone: tuple[str, ...] = ()  # no longer listed, where all that they lay among was
    missing: int = 0  # the same, but nothing at all is listed: not believed
    still_unlisted: int = 0  # nor could these by an earlier run: unchanged, and failing
    failing: int = 0  # of those unchanged: failed before, and nothing says they would not again
    attempts: Mapping[str, int] = field(default_factory=dict)  # failures so far, of this version
    size_bytes_of: Mapping[str, int] = field(default_factory=dict)  # relabel, unchanged, ...
    since: int = 0  # the lake's newest commit (`runs.seq`) that has none of the rows to be made

    @property
    def files(self) -> int:
        return sum(len(chunk.entries) for chunk in self.chunks)

    @property
    def ledger_files(self) -> int:
        """What `files` of the run's chunks add up to in the ledger, once all are committed."""
        return self.files + len(self.unlisted) + len(self.relabel)

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for chunk in self.chunks for entry in chunk.entries)

    @property
    def options_json(self) -> str:
        """What `clsp retry` needs to plan like this again. Like an archive's name, it has no
        credentials and no query of a URL."""
        given = self.settings
        source = archive_id(given.source)
        if is_remote(given.source) and given.source.endswith("/"):
            source += "/"
        model = self.job.model  # whoever said it: what the lake declares may be another tomorrow
        folder = Path(model).expanduser()
        options = {
            "source": source,
            "kind": kind_of(given.source, given.kind),
            "model": str(folder.resolve()) if folder.is_dir() else model,
            "taxonomy": given.taxonomy and str(resolved(given.taxonomy)),
            "segments": given.segments,
            "channels": given.channels,
            "precision": given.precision,
            "max_duration_s": given.max_duration_s,
            "max_bytes": given.max_bytes,
            "file_timeout_s": given.file_timeout_s,
        }
        return json.dumps({k: v for k, v in options.items() if v is not None})


def plan(settings: TagSettings, retry: Collection[str] | None = None, create: bool = True) -> Plan:
    """List the archive and compare it with the lake. Reads no audio; makes the lake's folder,
    unless told not to. With `retry`, these uris are all that there is to do.

    Raises ArchiveNotFound, InputError (a list that is none), TaxonomyError, SettingsError,
    ModelNotFound, LakeError.
    """
    memory.keep_one_arena()  # before a lake's engines make their threads, whose arenas would stay
    started = datetime.now(UTC)
    wanted = targets.wanted(settings, Lake(settings.lake, absent_ok=True))
    check_precision(wanted.precision, settings.device)
    checkpoint = resolve(wanted.model)
    job = Job(
        archive=archive_id(settings.source),
        model=wanted.model,
        model_key=model_key(checkpoint.name, checkpoint.revision, wanted.precision),
        taxonomy=wanted.taxonomy,
        policy=wanted.policy,
        run_id=new_run_id(started),
        precision=wanted.precision,
        device=settings.device,
        batch_s=settings.batch_s,
        decode_threads=settings.decode_threads,
        limits=Limits(settings.max_duration_s, settings.max_bytes, settings.file_timeout_s),
    )
    unlisted: list[tuple[str, str]] = []
    entries = list_source(
        settings.source,
        settings.kind,
        settings.include,
        settings.exclude,
        on_error=lambda uri, error: unlisted.append((uri, why(error))),
    )
    lake = Lake(settings.lake, create=create, absent_ok=True)
    standing = Standing(lake, job, settings)
    todo: list[FileEntry] = []
    relabel: list[FileEntry] = []
    counts, sizes = Counter[str](), Counter[str]()
    attempts: dict[str, int] = {}
    in_part: list[str] = []  # what could not be listed to its end
    silent: list[FileEntry] = []  # tagged, and their store does not answer
    unchanged = unchanged_bytes = 0
    anything = False
    for entry in entries:
        anything = True
        what, before = standing.met(entry)
        if entry.refusal and entry.refusal[0] == FailureKind.TRUNCATED:
            in_part.append("")  # a list that breaks off: it may have named any file
        elif entry.refusal and standing.kind == "webdataset":  # a tar; a list's row is one file
            in_part.append(entry.uri)
        if retry is not None:
            if entry.uri not in retry:
                continue
            what = "pending" if what == "pending" else "process"
        if what == "unchanged" and before is None:  # of most files this is all
            unchanged += 1
            unchanged_bytes += entry.size_bytes
            continue
        if what == "pending":
            silent.append(entry)
        elif what == "process" and settings.limit is not None and len(todo) >= settings.limit:
            what = "pending"
        elif what == "process":
            todo.append(entry)
            if before and before.before == "failed" and before.version == entry.version:
                attempts[entry.uri] = before.attempts
        elif what == "relabel":
            relabel.append(entry)
        elif before and before.state == "failed":
            counts["failing"] += 1
            sizes["failing"] += entry.size_bytes
        counts[what] += 1
        sizes[what] += entry.size_bytes
    if silent:
        first = silent[0]
        _log.warning(
            "%d recordings are left as they are tagged, such as %r: %s", len(silent), first.uri,
            first.refusal and first.refusal[1],
        )  # fmt: skip
    counts["unchanged"] += unchanged
    sizes["unchanged"] += unchanged_bytes
    others = standing.others
    fresh = [
        (uri, why)
        for uri, why in unlisted
        if (
            uri in retry
            if retry is not None
            else uri not in others or others[uri].state != "failed"
        )
    ]
    still = len(unlisted) - len(fresh) if retry is None else 0
    for uri, _ in fresh:
        if uri in others and others[uri].before == "failed":
            attempts[uri] = others[uri].attempts
    gone, gone_bytes = standing.gone([*in_part, *(uri for uri, _ in unlisted)], retry)
    believed = anything or settings.allow_empty
    if believed:
        sizes["gone"] = gone_bytes
    contents, since = _contents(lake, job, todo)
    return Plan(
        settings=settings,
        job=replace(job, known=contents),
        chunks=tuple(chunked(todo, job.run_id, *settings.chunk_size)),
        relabel=tuple(relabel),
        unlisted=tuple(fresh),
        listed=counts.total() - counts["failing"],
        unchanged=counts["unchanged"] + still,
        pending=counts["pending"],
        started_at=started,
        gone=gone if believed else (),
        missing=0 if believed else len(gone),
        still_unlisted=still,
        failing=counts["failing"] + still,
        attempts=attempts,
        size_bytes_of=dict(sizes),
        since=since,
    )


def new_run_id(started: datetime) -> str:
    """Sorts by time, and no two are the same."""
    return f"{started:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


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


def _contents(lake: Lake, job: Job, entries: Iterable[FileEntry]) -> tuple[frozenset[bytes], int]:
    """The contents that need no embedding, should one of these files have them: tagged before,
    under the same policy, model and limits. Only of the files' own sizes: few, in most runs.

    Beside them, the newest commit that holds no row which tagging any other content could bring: 0
    where contents were tagged under another policy or model, for they share rows.
    """
    files = [entry for entry in entries if not entry.refusal]
    untold = any(is_remote(entry.path) and not entry.size_bytes for entry in files)
    sizes = pa.table({"size_bytes": pa.array(sorted({e.size_bytes for e in files}), pa.int64())})
    under = {"policy": job.policy.key, "model": job.model_key, "limits": job.limits.key}
    with connect(lake, of=("history",)) as db:
        db.register("wanted", sizes)
        found = arrow(
            db,
            """SELECT DISTINCT content_hash FROM history
               WHERE state = 'tagged' AND content_hash IS NOT NULL
                 AND segments_policy = ? AND model_key = ? AND limits = ?
                 AND (? OR size_bytes = 0 OR size_bytes IN (SELECT size_bytes FROM wanted))""",
            *under.values(),
            untold,
        )
        [(newest,)] = db.execute(
            """SELECT coalesce(max(seq), 0) FROM runs WHERE NOT EXISTS (
                 FROM history WHERE state = 'tagged'
                   AND (segments_policy = $policy OR model_key = $model)
                   AND (segments_policy, model_key, limits)
                       IS DISTINCT FROM ($policy, $model, $limits))""",
            under,
        ).fetchall()
    return frozenset(bytes.fromhex(value) for value in found["content_hash"].to_pylist()), newest
