"""New labels from stored embeddings, and new metadata, without touching audio: what a changed
taxonomy or list costs.

Old labels stay in the lake under their own taxonomy key. Knows nothing of how files are listed.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from pipelines import faults
from pipelines.archive import FileEntry
from pipelines.jobs import Chunk, ChunkResult, Job
from pipelines.known import RECORDINGS_PER_CHUNK, rewritten
from pipelines.lake import Lake
from pipelines.query import arrow, connect


def relabel(lake: Lake, job: Job, entries: Sequence[FileEntry]) -> Iterator[ChunkResult]:
    """Labels by the job's taxonomy, and the entries' metadata, for recordings of its archive that
    its model embedded. The model is loaded only where labels are of another taxonomy."""
    import clsp
    from pipelines.label import Labeller, labels_table, unpack

    labeller: Labeller | None = None
    for number, start in enumerate(range(0, len(entries), RECORDINGS_PER_CHUNK)):
        began, chunk_id = datetime.now(UTC), f"{job.run_id}-relabel-{number:05d}"
        recordings, embeddings = _stored(lake, job, entries[start : start + RECORDINGS_PER_CHUNK])
        faults.reach("relabel.stored")
        ids = embeddings["segment_id"].to_pylist()
        recordings = rewritten(
            recordings,
            state="tagged",  # one that was gone is back
            attempts=0,
            taxonomy_key=job.taxonomy.key,
            processed_at=began,
            run_id=job.run_id,
            chunk_id=chunk_id,
        )
        tables = {"recordings": recordings}
        if ids:
            labeller = labeller or Labeller(clsp.load(job.model), job.taxonomy)
            vectors = unpack(embeddings["embedding"], labeller.model.config.joint_dim)
            tables["labels"] = labels_table(labeller, vectors, ids, job.model_key, chunk_id)
        faults.reach("relabel.made")
        yield ChunkResult(Chunk(chunk_id, ()), tables, len(recordings), 0, len(ids), 0.0, began)


def _stored(lake: Lake, job: Job, entries: Sequence[FileEntry]) -> tuple[pa.Table, pa.Table]:
    """The rows of these recordings, with the entries' metadata, and the embeddings of their
    segments that have no labels by the job's taxonomy.

    Rows as planned for, by version, policy and model: the current ones may be another run's by now.
    """
    wanted = {
        name: pa.array([getattr(entry, name) for entry in entries], pa.string())
        for name in ("uri", "version", "metadata")
    }
    with connect(lake) as db:
        db.register("wanted", pa.table(wanted))
        recordings = arrow(
            db,
            """SELECT h.* EXCLUDE (seq, committed_at) REPLACE (w.metadata AS metadata)
               FROM history h JOIN wanted w ON w.uri = h.uri AND w.version = h.version
               WHERE h.archive = ? AND h.state = 'tagged'
                 AND h.segments_policy = ? AND h.model_key = ?
               QUALIFY row_number() OVER (PARTITION BY h.uri ORDER BY h.seq DESC) = 1""",
            job.archive,
            job.policy.key,
            job.model_key,
        )
        db.register("planned", recordings)
        embeddings = arrow(
            db,
            """SELECT DISTINCT e.segment_id, e.embedding FROM planned r
               JOIN segments s ON s.content_hash = r.content_hash
                              AND s.segments_policy = r.segments_policy
               JOIN embeddings e ON e.segment_id = s.segment_id AND e.model_key = r.model_key
               WHERE r.taxonomy_key <> $1
                 AND NOT EXISTS (FROM labels l WHERE l.segment_id = e.segment_id
                                 AND l.model_key = e.model_key AND l.taxonomy_key = $1)
               ORDER BY e.segment_id""",
            job.taxonomy.key,
        )
    return recordings, embeddings
