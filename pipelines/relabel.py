"""New labels from stored embeddings, and new metadata, without touching audio: what a changed
taxonomy or list costs.

First the labels, which nobody sees in `speech` yet, then the recordings that point to them: a run
that is cut off leaves what it labelled, and the next goes on from there. Old labels stay in the
lake under their own taxonomy key. What another run found meanwhile stays as it found it. Knows
nothing of how files are listed.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from pipelines import faults
from pipelines.archive import FileEntry
from pipelines.jobs import Chunk, ChunkResult, Job
from pipelines.known import RECORDINGS_PER_CHUNK, rewritten
from pipelines.lake import Lake
from pipelines.models import load
from pipelines.query import connect, one_of

_log = logging.getLogger(__name__)

SEGMENTS_PER_CHUNK = 1 << 17  # labels committed together: about 50 MB of them
SEGMENTS_PER_BATCH = 1 << 14  # embeddings scored together: 64 MB in double precision

# The rows as planned for, by version, policy and model: the current ones may be another run's now.
PLANNED = """
    FROM history h JOIN wanted w ON w.uri = h.uri AND w.version = h.version
    WHERE h.archive = $archive AND h.state = 'tagged'
      AND h.segments_policy = $policy AND h.model_key = $model
    QUALIFY row_number() OVER (PARTITION BY h.uri ORDER BY h.seq DESC) = 1"""
# The current rows, and whether each is still what was planned for. One that is gone may have been
# so before, if it was listed: then it is back.
CURRENT = """
    SELECT h.* EXCLUDE (seq, committed_at),
           h.version IS NOT DISTINCT FROM w.version
           AND h.segments_policy = $policy AND h.model_key = $model
           AND (h.state = 'tagged' OR h.state = 'gone' AND w.listed) AS planned
    FROM history h JOIN wanted w ON w.uri = h.uri WHERE h.archive = $archive
    QUALIFY row_number() OVER (PARTITION BY h.uri ORDER BY h.seq DESC) = 1"""


def relabel(lake: Lake, job: Job, entries: Sequence[FileEntry]) -> Iterator[ChunkResult]:
    """Labels by the job's taxonomy, and the entries' metadata, for recordings of its archive that
    its model embedded. The model is loaded only where segments lack labels."""
    yield from _labels(lake, job, entries)
    for number, start in enumerate(range(0, len(entries), RECORDINGS_PER_CHUNK)):
        began, chunk_id = datetime.now(UTC), f"{job.run_id}-relabel-{number:05d}"
        rows, others = _recordings(lake, job, entries[start : start + RECORDINGS_PER_CHUNK])
        by = {"run_id": job.run_id, "chunk_id": chunk_id}
        rows = rewritten(
            rows,
            state="tagged",  # one that was gone is back
            attempts=0,
            taxonomy_key=job.taxonomy.key,
            processed_at=began,
            **by,
        )
        if len(others):  # said again as they are: each planned recording has a row, the books say
            _log.warning("%d recordings of %s are left as another run found them meanwhile",
                         len(others), job.archive)  # fmt: skip
            rows = pa.concat_tables([rows, rewritten(others, **by)])
        faults.reach("relabel.made")
        tables = {"recordings": rows}
        yield ChunkResult(Chunk(chunk_id, ()), tables, len(rows), 0, 0, 0.0, began)


def _labels(lake: Lake, job: Job, entries: Sequence[FileEntry]) -> Iterator[ChunkResult]:
    """Labels for those segments of these recordings that have none by the job's taxonomy: so many
    to a chunk, however many there are."""
    from pipelines.label import Labeller, labels_table
    from pipelines.packing import halves

    began, number = datetime.now(UTC), 0
    tables: list[pa.Table] = []
    with connect(lake, of=("history", "segments", "embeddings", "labels")) as db:
        db.register("wanted", _wanted(entries))
        [(seen,)] = db.execute("SELECT max(seq) FROM runs").fetchall()

        def chunk() -> ChunkResult:
            labels = pa.concat_tables(tables)
            made = Chunk(_labels_chunk(job, number), ())
            return ChunkResult(made, {"labels": labels}, 0, 0, len(labels), 0.0, began, since=seen)

        db.execute(
            f"""CREATE TEMP TABLE lacking AS
                WITH planned AS (SELECT h.content_hash, h.taxonomy_key {PLANNED})
                SELECT DISTINCT s.segment_id FROM planned r
                JOIN segments s ON s.content_hash = r.content_hash AND s.segments_policy = $policy
                WHERE r.taxonomy_key <> $taxonomy
                  AND s.segment_id NOT IN (SELECT segment_id FROM labels
                                           WHERE model_key = $model AND taxonomy_key = $taxonomy)
            """,
            {**_keys(job), "taxonomy": job.taxonomy.key},
        )
        faults.reach("relabel.stored")
        if not db.execute("FROM lacking LIMIT 1").fetchall():
            return
        labeller = Labeller(load(job.model), job.taxonomy)
        stream = db.sql(
            f"""SELECT segment_id, embedding FROM embeddings
                WHERE model_key = ? AND {one_of("segment_id", "FROM lacking")}""",
            params=[job.model_key],
        ).to_arrow_reader(SEGMENTS_PER_BATCH)
        for batch in stream:
            vectors = halves(batch["embedding"], labeller.model.config.joint_dim)
            ids = batch["segment_id"].to_pylist()  # the column itself would hold on to the vectors
            name = _labels_chunk(job, number)
            tables.append(labels_table(labeller, vectors, ids, job.model_key, name))
            if sum(map(len, tables)) >= SEGMENTS_PER_CHUNK:
                yield chunk()
                began, number, tables = datetime.now(UTC), number + 1, []
        if tables:
            yield chunk()


def _labels_chunk(job: Job, number: int) -> str:
    return f"{job.run_id}-labels-{number:05d}"


def _recordings(lake: Lake, job: Job, entries: Sequence[FileEntry]) -> tuple[pa.Table, pa.Table]:
    """The rows of these recordings, with the metadata of the entries that were listed; and the
    current ones of those of which another run has found something else since."""
    metadata = "CASE WHEN w.listed THEN w.metadata ELSE h.metadata END AS metadata"
    columns = f"h.* EXCLUDE (seq, committed_at) REPLACE ({metadata})"
    with connect(lake, of=("history",)) as db:
        db.register("wanted", _wanted(entries))
        db.execute(f"CREATE TEMP TABLE current AS {CURRENT}", _keys(job))
        rows = db.sql(
            f"""FROM (SELECT {columns} {PLANNED})
                WHERE uri IN (SELECT uri FROM current WHERE planned)""",
            params=_keys(job),
        ).to_arrow_table()
        others = db.sql("SELECT * EXCLUDE (planned) FROM current WHERE NOT planned")
        return rows, others.to_arrow_table()


def _wanted(entries: Sequence[FileEntry]) -> pa.Table:
    """Those without a path were not listed: the lake itself told of them."""
    wanted = {
        name: pa.array([getattr(entry, name) for entry in entries], pa.string())
        for name in ("uri", "version", "metadata")
    }
    return pa.table(wanted | {"listed": pa.array([bool(e.path) for e in entries], pa.bool_())})


def _keys(job: Job) -> dict[str, str]:
    return {"archive": job.archive, "policy": job.policy.key, "model": job.model_key}
