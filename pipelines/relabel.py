"""New labels from stored embeddings, and new metadata, without touching audio: what a changed
taxonomy or list costs.

Old labels stay in the lake under their own taxonomy key. Knows nothing of how files are listed.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa

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
        yield ChunkResult(Chunk(chunk_id, ()), tables, len(recordings), 0, len(ids), 0.0, began)


def _stored(lake: Lake, job: Job, entries: Sequence[FileEntry]) -> tuple[pa.Table, pa.Table]:
    """The current rows of these recordings, with the entries' metadata, and the embeddings of
    their segments that are to be labelled anew."""
    uris, metadata = [e.uri for e in entries], [e.metadata for e in entries]
    wanted = {"uri": pa.array(uris, pa.string()), "metadata": pa.array(metadata, pa.string())}
    with connect(lake) as db:
        db.register("wanted", pa.table(wanted))
        recordings = arrow(
            db,
            """SELECT r.* REPLACE (w.metadata AS metadata) FROM recordings r
               JOIN wanted w ON w.uri = r.uri WHERE r.archive = ?""",
            job.archive,
        )
        embeddings = arrow(
            db,
            """SELECT DISTINCT e.segment_id, e.embedding FROM recordings r
               JOIN wanted w ON w.uri = r.uri
               JOIN segments s ON s.content_hash = r.content_hash
                              AND s.segments_policy = r.segments_policy
               JOIN embeddings e ON e.segment_id = s.segment_id AND e.model_key = r.model_key
               WHERE r.archive = ? AND r.taxonomy_key <> ? ORDER BY e.segment_id""",
            job.archive,
            job.taxonomy.key,
        )
    return recordings, embeddings
