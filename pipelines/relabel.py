"""New labels from stored embeddings, without touching audio: what a changed taxonomy costs.

Old labels stay in the lake under their own taxonomy key. Knows nothing of files.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from pipelines import schemas
from pipelines.jobs import Chunk, ChunkResult, Job
from pipelines.lake import Lake
from pipelines.query import arrow, connect

RECORDINGS_PER_CHUNK = 20_000


def relabel(lake: Lake, job: Job, uris: Sequence[str]) -> Iterator[ChunkResult]:
    """Labels by the job's taxonomy for recordings of its archive that its model embedded."""
    import clsp
    from pipelines.label import Labeller, labels_table, unpack

    labeller = Labeller(clsp.load(job.model), job.taxonomy)
    for number, start in enumerate(range(0, len(uris), RECORDINGS_PER_CHUNK)):
        began, chunk_id = datetime.now(UTC), f"{job.run_id}-relabel-{number:05d}"
        recordings, embeddings = _stored(lake, job, uris[start : start + RECORDINGS_PER_CHUNK])
        ids = embeddings["segment_id"].to_pylist()
        vectors = unpack(embeddings["embedding"], labeller.model.config.joint_dim)
        changed = {
            "taxonomy_key": job.taxonomy.key,
            "processed_at": began,
            "run_id": job.run_id,
            "chunk_id": chunk_id,
        }
        for name, value in changed.items():
            type_ = schemas.RECORDINGS.field(name).type
            column = pa.array([value] * len(recordings), type_)
            recordings = recordings.set_column(recordings.column_names.index(name), name, column)
        tables = {
            "recordings": recordings.cast(schemas.RECORDINGS),
            "labels": labels_table(labeller, vectors, ids, job.model_key, chunk_id),
        }
        yield ChunkResult(Chunk(chunk_id, ()), tables, len(recordings), 0, len(ids), 0.0, began)


def _stored(lake: Lake, job: Job, uris: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """The current rows of these recordings, and their segments' embeddings."""
    with connect(lake) as db:
        db.register("wanted", pa.table({"uri": list(uris)}))
        recordings = arrow(
            db,
            "SELECT r.* FROM recordings r JOIN wanted USING (uri) WHERE archive = ?",
            job.archive,
        )
        embeddings = arrow(
            db,
            """SELECT DISTINCT e.segment_id, e.embedding FROM recordings r
               JOIN wanted USING (uri)
               JOIN segments s USING (content_hash, segments_policy)
               JOIN embeddings e ON e.segment_id = s.segment_id AND e.model_key = r.model_key
               WHERE r.archive = ? ORDER BY e.segment_id""",
            job.archive,
        )
    return recordings, embeddings
