"""Text to the nearest segments of a lake, by the embeddings it keeps.

Exact: streams every embedding once and keeps the best k. Knows nothing of audio.
"""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipelines.errors import QueryError, SettingsError
from pipelines.jobs import model_key
from pipelines.lake import Lake
from pipelines.query import arrow, connect, one_of

if TYPE_CHECKING:
    from clsp.model import CLSPModel

BATCH_ROWS = 65_536


def lake_model(lake: Lake, name: str | None = None) -> "CLSPModel":
    """The model that the lake's recordings were embedded with; `name` where it was a folder.

    Raises QueryError when the lake holds no embedding of that exact model.
    """
    import clsp

    with connect(lake) as db:
        keys = [
            row[0]
            for row in db.execute(
                """SELECT model_key FROM recordings WHERE state = 'tagged'
                   GROUP BY 1 ORDER BY count(*) DESC, 1"""
            ).fetchall()
        ]
    if not keys:
        raise QueryError(
            f"the lake {lake.root} holds no tagged recording yet: run `clsp tag` first"
        )
    model = clsp.load(name or keys[0].rpartition("@")[0])
    found = model_key(model.checkpoint.name, model.checkpoint.revision)
    if found not in keys:
        raise QueryError(
            f"the lake was embedded with {', '.join(keys)}; the model here is {found}. Name the "
            "same model, or tag again with this one"
        )
    return model


def search(lake: Lake, model: "CLSPModel", text: str, k: int = 10) -> pa.Table:
    """The k segments most like `text`, best first: similarity (cosine), then speech's columns.

    Raises SettingsError for k < 1 or an empty text.
    """
    import torch

    if k < 1 or not text.strip():
        raise SettingsError(f"k={k}, text={text!r}: expected k of at least 1 and some text")
    with torch.inference_mode():
        query = model.embed_text([text])[0].float().cpu().numpy()
    key = model_key(model.checkpoint.name, model.checkpoint.revision)
    ids: list[str] = []
    scores = np.empty(0, np.float32)
    with connect(lake) as db:
        stream = db.sql(
            f"""SELECT segment_id, embedding FROM embeddings WHERE model_key = ?
                AND {one_of("segment_id", "SELECT segment_id FROM speech WHERE model_key = ?")}""",
            params=[key, key],
        ).to_arrow_reader(BATCH_ROWS)
        for batch in stream:
            ids, scores = _best(ids, scores, batch, query, k)
        db.register("hits", pa.table({"segment_id": ids, "similarity": scores}))
        return arrow(
            db,
            """SELECT h.similarity, s.* FROM hits h JOIN speech s USING (segment_id)
               WHERE s.model_key = ? ORDER BY h.similarity DESC, s.uri, s.start_s LIMIT ?""",
            key,
            k,
        )


def _best(
    ids: list[str], scores: np.ndarray, batch: pa.RecordBatch, query: np.ndarray, k: int
) -> tuple[list[str], np.ndarray]:
    from pipelines.label import unpack

    fresh = unpack(batch["embedding"], len(query)) @ query
    scores = np.concatenate([scores, fresh])
    ids = ids + batch["segment_id"].to_pylist()
    best = np.argsort(-scores, kind="stable")[:k]
    return [ids[i] for i in best], scores[best]
