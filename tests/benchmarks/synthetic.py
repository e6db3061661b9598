"""A lake of as many segments as wanted, of random embeddings: for measuring what reads tables. Its
rows fit together as those of a real one (`clsp verify` finds nothing)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

import clsp
from pipelines import schemas
from pipelines.jobs import model_key, segment_id
from pipelines.label import Labeller, labels_table
from pipelines.lake import Lake
from pipelines.packing import pack
from pipelines.taxonomy import Taxonomy

POLICY, LIMITS = "windows:30/30", "synthetic"
PER_RECORDING = 10


def make(
    root: Path,
    segments: int,
    taxonomy: Taxonomy,
    per_commit: int = 100_000,
    embeddings: bool = True,
) -> Lake:
    """Recordings of ten segments each, tagged with `tiny` as far as the tables say. Without
    embeddings, all commits have the labels of the first: ten times as fast."""
    lake, model = Lake(root, create=True), clsp.load("tiny")
    key = model_key(model.checkpoint.name, model.checkpoint.revision)
    labeller, dim = Labeller(model, taxonomy), model.config.joint_dim
    draw = np.random.default_rng(0)
    labels = pa.table({})
    for start in range(0, segments, per_commit):
        n, now, chunk_id = min(per_commit, segments - start), datetime.now(UTC), f"made-{start:09d}"
        numbers = range(start // PER_RECORDING, -(-(start + n) // PER_RECORDING))
        contents = [f"{number:032x}" for number in numbers]
        of = np.arange(n) // PER_RECORDING
        at = np.arange(n) % PER_RECORDING
        ids = [
            segment_id(contents[i], j * 480_000, (j + 1) * 480_000)
            for i, j in zip(of.tolist(), at.tolist(), strict=True)
        ]
        if embeddings or not start:
            vectors = draw.standard_normal((n, dim), np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            labels = labels_table(labeller, vectors, ids, key, chunk_id)
        else:
            new = {"segment_id": ids, "chunk_id": [chunk_id] * n}
            labels = pa.table(
                {**dict(zip(labels.column_names, labels.slice(0, n).columns, strict=True)), **new},
                labels.schema,
            )
        tables = {
            "recordings": _table(
                schemas.RECORDINGS, len(contents), archive="synthetic", version="1",
                uri=[f"{name}.wav" for name in contents], content_hash=contents, size_bytes=960_000,
                codec=[("PCM_16", "OPUS", "MP3")[number % 3] for number in numbers],
                duration_s=30.0 * PER_RECORDING, state="tagged", limits=LIMITS, attempts=0,
                segments_policy=POLICY, model_key=key, taxonomy_key=taxonomy.key, processed_at=now,
                run_id="made", chunk_id=chunk_id,
            ),
            "segments": _table(
                schemas.SEGMENTS, n, segment_id=ids, content_hash=[contents[i] for i in of],
                segments_policy=POLICY, start_s=at * 30.0, end_s=(at + 1) * 30.0,
                rms_dbfs=draw.normal(-25, 5, n), chunk_id=chunk_id,
            ),
            "labels": labels,
        }  # fmt: skip
        if embeddings:
            tables["embeddings"] = _table(
                schemas.EMBEDDINGS, n, segment_id=ids, model_key=key, embedding=pack(vectors),
                chunk_id=chunk_id,
            )  # fmt: skip
        ledger = {
            "run_id": "made", "chunk_id": chunk_id, "kind": "chunk", "started_at": now,
            "archive": "synthetic", "segments_policy": POLICY, "model_key": key,
            "taxonomy_key": taxonomy.key, "files": len(contents), "tagged": len(contents),
            "failed": 0, "unchanged": 0, "pending": 0, "gone": 0, "segments": n,
            "audio_s": 30.0 * n,
            "options_json": '{"source": "synthetic", "kind": "folder", "model": "tiny"}',
        }  # fmt: skip
        lake.commit(tables, ledger, since=start)  # nothing of it is there
    return lake


def _table(schema: pa.Schema, rows: int, **columns: object) -> pa.Table:
    """Lists and arrays as they are, one value for all rows, nothing where none is given."""

    def column(field: pa.Field) -> pa.Array:
        value = columns.get(field.name)
        if isinstance(value, list | np.ndarray):
            return pa.array(value, field.type)
        if isinstance(value, pa.Array):
            return value
        return pa.array([value] * rows, field.type)

    return pa.Table.from_arrays([column(field) for field in schema], schema=schema)
