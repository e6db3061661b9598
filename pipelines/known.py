"""Rows from what the lake already holds: of files whose content it knows, and of files gone.

No audio is read and no file opened. Knows nothing of how files are listed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines import faults, schemas
from pipelines.jobs import Chunk, ChunkResult, Job, told_of
from pipelines.lake import Lake
from pipelines.models import load
from pipelines.query import arrow, connect

if TYPE_CHECKING:
    from pipelines.label import Labeller

RECORDINGS_PER_CHUNK = 20_000


def rewritten(rows: pa.Table, **values: Any) -> pa.Table:
    """Rows of recordings in the lake's schema, with one value for all of them in these columns."""
    for name, value in values.items():
        column = pa.array([value] * len(rows), schemas.RECORDINGS.field(name).type)
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return rows.select(schemas.RECORDINGS.names).cast(schemas.RECORDINGS)


def gone(lake: Lake, job: Job, uris: Sequence[str], listed_at: datetime) -> Iterator[ChunkResult]:
    """Rows that say of recordings of the job's archive that they are gone; what is known of them
    stays. What another run found since the listing (UTC) is left as it is."""
    for number, start in enumerate(range(0, len(uris), RECORDINGS_PER_CHUNK)):
        began, chunk_id = datetime.now(UTC), f"{job.run_id}-gone-{number:05d}"
        wanted = uris[start : start + RECORDINGS_PER_CHUNK]
        with connect(lake, of=("recordings",)) as db:
            db.register("wanted", pa.table({"uri": pa.array(wanted, pa.string())}))
            rows = arrow(
                db,
                """SELECT r.* FROM recordings r JOIN wanted USING (uri)
                   WHERE r.archive = ? AND r.state <> 'gone' AND r.processed_at < ?""",
                job.archive,
                listed_at,
            )
        rows = rewritten(
            rows, state="gone", processed_at=began, run_id=job.run_id, chunk_id=chunk_id
        )
        tables = {"recordings": rows}
        faults.reach("gone.made")
        yield ChunkResult(Chunk(chunk_id, ()), tables, 0, 0, 0, 0.0, began, gone=len(rows))


class Adopter:
    """Completes results: files that a worker found to be of known content get their rows, and
    their segments labels by the job's taxonomy where they have none."""

    def __init__(self, lake: Lake, job: Job) -> None:
        self.lake, self.job = lake, job
        self.labeller: Labeller | None = None  # holds the model: only where labels are lacking

    def __call__(self, result: ChunkResult) -> ChunkResult:
        if not result.known:
            return result
        contents, lacking = self._stored({content for _, content in result.known})
        faults.reach("adopt.stored")
        now, chunk_id, job = datetime.now(UTC), result.chunk.chunk_id, self.job
        rows = [
            {
                **contents[content],
                "archive": job.archive,
                "uri": entry.uri,
                "version": entry.version,
                "size_bytes": entry.size_bytes,
                "metadata": entry.metadata,
                "error_message": told_of(
                    entry.uri, contents[content]["error_message"], contents[content]["uri"]
                ),
                "attempts": 0,
                "taxonomy_key": job.taxonomy.key,
                "processed_at": now,
                "run_id": job.run_id,
                "chunk_id": chunk_id,
            }
            for entry, content in result.known
        ]
        more = {"recordings": pa.Table.from_pylist(rows, schemas.RECORDINGS)}
        if len(lacking):
            more["labels"] = self._labels(lacking, chunk_id)
        tables = dict(result.tables)
        for name, table in more.items():
            tables[name] = pa.concat_tables([tables[name], table]) if name in tables else table
        faults.reach("adopt.made")
        return replace(result, tables=tables, tagged=result.tagged + len(rows))

    def _labels(self, lacking: pa.Table, chunk_id: str) -> pa.Table:
        from pipelines.label import Labeller, labels_table
        from pipelines.packing import unpack

        self.labeller = self.labeller or Labeller(load(self.job.model), self.job.taxonomy)
        vectors = unpack(lacking["embedding"], self.labeller.model.config.joint_dim)
        ids = lacking["segment_id"].to_pylist()
        return labels_table(self.labeller, vectors, ids, self.job.model_key, chunk_id)

    def _stored(self, wanted: set[str]) -> tuple[dict[str, dict[str, Any]], pa.Table]:
        """The latest row of each content, and embeddings of segments without labels."""
        key = (self.job.policy.key, self.job.model_key)
        with connect(self.lake, of=("history", "segments", "embeddings", "labels")) as db:
            db.register("wanted", pa.table({"content_hash": pa.array(sorted(wanted), pa.string())}))
            rows = arrow(
                db,
                """SELECT h.* EXCLUDE (seq, committed_at) FROM history h
                   JOIN wanted USING (content_hash)
                   WHERE state = 'tagged' AND segments_policy = ? AND model_key = ? AND limits = ?
                   QUALIFY row_number() OVER (PARTITION BY content_hash ORDER BY seq DESC) = 1""",
                *key,
                self.job.limits.key,
            )
            lacking = arrow(
                db,
                """SELECT DISTINCT e.segment_id, e.embedding FROM segments s
                   JOIN wanted USING (content_hash)
                   JOIN embeddings e ON e.segment_id = s.segment_id
                   WHERE s.segments_policy = $1 AND e.model_key = $2
                     AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.segment_id = s.segment_id
                                     AND l.model_key = $2 AND l.taxonomy_key = $3)
                   ORDER BY e.segment_id""",
                *key,
                self.job.taxonomy.key,
            )
        return {row["content_hash"]: row for row in rows.to_pylist()}, lacking
