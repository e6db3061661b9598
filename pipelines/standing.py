"""How each recording of an archive stands in the lake, and what that asks of a run that lists it
again: to process it, to label it again, or nothing.

Most of an archive is settled: tagged just as this run would, so that the version alone decides.
Knows tables and listed entries; reads no audio and lists nothing.
"""

import hashlib
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.archive import FileEntry
from pipelines.audio_info import LIMITED
from pipelines.errors import COSTLY, COSTLY_ATTEMPTS, TRANSIENT
from pipelines.jobs import Job
from pipelines.lake import Lake
from pipelines.query import arrow, connect
from pipelines.settings import TagSettings
from pipelines.sources import kind_of, kinds_like, would_list
from pipelines.sources.rows import unanswered


class Known(NamedTuple):
    """Of a current recording, what deciding needs. `before` is its state, of one that is gone the
    one it had; `kind`, what its source was taken for."""

    uri: str
    version: str
    state: str
    error_kind: str | None
    limits: str | None
    segments_policy: str
    model_key: str
    taxonomy_key: str
    metadata: str | None  # sha256 of it
    size_bytes: int | None
    attempts: int
    before: str
    kind: str


class Standing:
    """The current recordings of the job's archive, as they were when asked for. Every entry is to
    be `met`, once; then `gone` tells of the rest.

    settled: version by uri of those not met yet of which the version alone decides. It holds one
    string for each, where `others` hold a row: an archive may have millions.
    """

    def __init__(self, lake: Lake, job: Job, settings: TagSettings) -> None:
        self.job, self.settings = job, settings
        self.kind = kind_of(settings.source, settings.kind)
        self.kinds = kinds_like(self.kind)
        with connect(lake, of=("recordings",)) as db:
            rows = arrow(
                db,
                """SELECT r.uri, r.version, r.state, r.error_kind, r.limits, r.segments_policy,
                          r.model_key, r.taxonomy_key, sha256(r.metadata) AS metadata,
                          r.size_bytes, coalesce(r.attempts, 1) AS attempts,
                          coalesce(h.before, r.state) AS before, coalesce(l.kind, 'folder') AS kind,
                          r.metadata IS NULL AND r.version IS NOT NULL
                          AND coalesce(l.kind, 'folder') IN (SELECT unnest($2))
                          AND (r.state, r.segments_policy, r.model_key, r.taxonomy_key)
                              = ('tagged', $3, $4, $5) AS settled
                   FROM recordings r
                   JOIN (SELECT chunk_id, options_json->>'kind' AS kind FROM runs
                         WHERE kind = 'chunk') l USING (chunk_id)
                   LEFT JOIN (SELECT uri, arg_max(state, seq) AS before FROM history
                              WHERE archive = $1 AND state <> 'gone' GROUP BY uri) h
                          ON h.uri = r.uri AND r.state = 'gone'
                   WHERE r.archive = $1""",
                job.archive,
                list(self.kinds),
                job.policy.key,
                job.model_key,
                job.taxonomy.key,
            )
        settled = pc.fill_null(rows["settled"], False)
        self._settled = rows.filter(settled).select(["uri", "version", "size_bytes"])
        uris, versions = (self._settled[name].to_pylist() for name in ("uri", "version"))
        self.settled: dict[str, str] = dict(zip(uris, versions, strict=True))
        # By columns: several times faster than row by row.
        others = rows.filter(pc.invert(settled))
        columns = (others[name].to_pylist() for name in Known._fields)
        self.others = {known.uri: known for known in map(Known, *columns)}
        self._lost = {uri for uri, known in self.others.items() if known.state != "gone"}

    def met(self, entry: FileEntry) -> tuple[str, Known | None]:
        """What the entry asks for: process, relabel, unchanged or pending; and what is known of
        it, but of one that is settled and unchanged."""
        version = self.settled.pop(entry.uri, None)
        if version == entry.version and entry.metadata is None:
            return "unchanged", None
        if version is None:
            self._lost.discard(entry.uri)
            known = self.others.get(entry.uri)
        else:
            known = self._row(entry.uri, version)
        return _work(entry, known, self.job), known

    def gone(
        self, in_part: Iterable[str], only: Iterable[str] | None
    ) -> tuple[tuple[str, ...], int]:
        """Which of those not met are not there, `only` these if told, and their bytes: what another
        kind of source or other patterns named was not looked for, and what lies below a name that
        could not be listed (`in_part`) was not seen."""
        given = self.settings
        looked_for = would_list(given.source, given.kind, given.include, given.exclude)
        unseen = set(in_part)
        lost = {uri for uri in self._lost if self.others[uri].kind in self.kinds}
        lost.update(self.settled)
        if only is not None:
            lost.intersection_update(only)
        found = tuple(
            sorted(
                uri
                for uri in lost
                if looked_for(uri)
                and "" not in unseen
                and unseen.isdisjoint((uri, *map(str, PurePosixPath(uri).parents)))
            )
        )
        settled = pc.is_in(self._settled["uri"], pa.array(found, pa.string()))
        size = pc.sum(self._settled["size_bytes"].filter(settled)).as_py() or 0
        return found, size + sum(self.others[u].size_bytes or 0 for u in found if u in self.others)

    def _row(self, uri: str, version: str) -> Known:
        """Of one that is settled: all else of it that decides is as the job has it."""
        job, state = self.job, "tagged"
        return Known(
            uri, version, state, None, None, job.policy.key, job.model_key, job.taxonomy.key, None,
            None, 1, state, self.kind,
        )  # fmt: skip


def _work(entry: FileEntry, known: Known | None, job: Job) -> str:
    """process | relabel | unchanged | pending. A failed file is tried again when it, its metadata
    or the policy changes, or the limits that it was over: model and taxonomy have no part in why it
    could not be read; and, though nothing changed, where its failure may pass. New metadata alone
    costs no audio, nor does a file that is back. What is tagged stays so while its store does not
    answer: pending."""
    if unanswered(entry) and known is not None and known.state == "tagged":
        return "pending"
    said = entry.metadata and hashlib.sha256(entry.metadata.encode()).hexdigest()
    if known is None or known.version != entry.version:
        return "process"
    if known.segments_policy != job.policy.key:
        return "process"
    if known.before == "failed":
        kind = known.error_kind
        again = kind in LIMITED and known.limits != job.limits.key
        again |= kind in TRANSIENT or known.state == "gone" or known.metadata != said
        again |= entry.refusal is not None and entry.refusal[0] != kind  # fails otherwise now
        again |= kind in COSTLY and known.attempts < COSTLY_ATTEMPTS
        return "process" if again else "unchanged"
    if known.model_key != job.model_key:
        return "process"
    same = known.taxonomy_key == job.taxonomy.key and known.metadata == said
    return "unchanged" if same and known.state != "gone" else "relabel"
