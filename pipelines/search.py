"""Text to the nearest segments of a lake, by the embeddings it keeps.

Exact: reads every embedding once and keeps the best. Knows nothing of audio.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import vectors, views
from pipelines.errors import QueryError, SettingsError
from pipelines.jobs import model_key, parts_of
from pipelines.lake import Lake
from pipelines.models import load
from pipelines.query import arrow, connect, damage_told
from pipelines.settings import check_precision

if TYPE_CHECKING:
    import torch

    from clsp.embedder import Embedder

FLAT_ROWS = 65_536  # 64 MiB of embeddings in half precision
# How far a cosine in half precision may be off: the query and the sum are each rounded to 11 bits
# (2**-11 of at most 1 each), the terms are added in single precision. Twice that, to be safe.
HALF_ERROR = 2**-9
ASKED = ("runs", "speech")  # by every search: to open a table takes milliseconds
ORDER = [("similarity", "descending"), ("uri", "ascending"), ("start_s", "ascending")]
GROUP = 64  # scores, of which the largest is looked at
CANDIDATES = 256  # at least; the best of them are then looked for in `speech`


def lake_model(lake: Lake, name: str | None = None, precision: str | None = None) -> "Embedder":
    """The model that the lake's recordings were embedded with; `name` where it was a folder that is
    somewhere else now. Where there are several, the one of most recordings, of those embedded in
    `precision`.

    Raises QueryError when the lake holds no embedding of that exact model, or in that precision, or
    the model's folder is not where it was; what `clsp.load` raises.
    """
    with connect(lake, of=ASKED) as db:
        keys = _keys(lake, db, precision)
        name = name or _place(db, keys[0])
    model = load(name)  # for its text alone: always in float32
    _key_of(model, keys)
    return model


def _place(db: duckdb.DuckDBPyConnection, key: str) -> str:
    """What to load the model of a key by: its name, or the folder that a run had it from."""
    from clsp.checkpoint import NAMES

    name, revision, _ = parts_of(key)
    told = "SELECT DISTINCT options_json->>'model' FROM runs WHERE model_key = ? ORDER BY 1"
    places = [place for (place,) in db.execute(told, [key]).fetchall() if place]
    if here := [place for place in places if Path(place).is_dir()]:
        return here[0]
    if name in NAMES:
        return name
    raise QueryError(
        f"the lake was embedded with the model {name}@{revision[:16]}, from {places}, where no "
        "folder is now: say where it is with --model"
    )


def search(
    lake: Lake, model: "Embedder", text: str, k: int = 10, precision: str | None = None
) -> pa.Table:
    """The k segments most like `text`, best first: similarity (cosine), then speech's columns.
    Where the model embedded recordings in several precisions, those of `precision`, else of most.

    Raises SettingsError for k < 1, an empty text or a precision that there is not, QueryError where
    the lake holds no embedding of this model, or in that precision.
    """
    import torch

    if k < 1 or not text.strip():
        raise SettingsError(f"k={k}, text={text!r}: expected k of at least 1 and some text")
    with torch.inference_mode():
        query = model.embed_text([text])[0].float().cpu().numpy()
    # To find rows in a copy is too little for more than one thread, which is as soon done with it
    # and takes a tenth less of CPU time (measured); to join them is not.
    with connect(lake, of=ASKED, threads_of_copy=1) as db:
        key = _key_of(model, _keys(lake, db, precision))
        most = max(CANDIDATES, 4 * k)
        while True:
            with _one_thread():
                hits = _nearest(lake, db, key, query, most)
            found = _rows(db, key, _best(hits, k))
            if found.num_rows < k:  # some are of recordings that are gone, or cut otherwise now
                found = _rows(db, key, _best(_rows(db, key, hits, "segment_id"), k))
            if found.num_rows >= k or hits.num_rows < most:
                return found.sort_by(ORDER).slice(0, k)
            most *= 32


def _best(scored: pa.Table, k: int) -> pa.Table:
    """The k most similar, and those as similar as the last of them."""
    if scored.num_rows <= k:
        return scored
    similarity = scored["similarity"].to_numpy()
    return scored.filter(pa.array(similarity >= np.partition(similarity, -k)[-k]))


def _rows(db: duckdb.DuckDBPyConnection, key: str, hits: pa.Table, columns: str = "*") -> pa.Table:
    """The rows of `speech` that a model's hits have: similarity, and these columns. Joined here,
    for so few: a join of DuckDB's would take as long as to read them."""
    names, scores = (hits[name].to_pylist() for name in ("segment_id", "similarity"))
    similarity = dict(zip(names, scores, strict=True))
    found = arrow(
        db, f"SELECT {columns} FROM ({views.speech_of(db, names)}) WHERE model_key = ?", key
    )
    told = [similarity.get(name) for name in found["segment_id"].to_pylist()]
    found = found.add_column(0, "similarity", pa.array(told, pa.float32()))
    return found.filter(pc.is_valid(found["similarity"]))


def _nearest(
    lake: Lake, db: duckdb.DuckDBPyConnection, key: str, query: np.ndarray, most: int
) -> pa.Table:
    """The segments whose embeddings by this model are most like the query (dim,), of committed
    chunks: segment_id and similarity, at most so many. Whether `speech` has them is not asked."""
    flat = vectors.stored(lake, key)
    late = list(vectors.since(db, flat.record.seq if flat else 0))
    if flat:
        best = _of_all(flat, query, most)
        paths = lake.files_of("embeddings", late) if late else []
    else:
        names, scores = pa.array([], pa.string()), pa.array([], pa.float32())
        best = pa.table({"segment_id": names, "similarity": scores})
        paths = lake.stored("embeddings")[0]
    least = _least(best, most)
    with damage_told(lake, paths):
        for batch in vectors.rows_of(paths, key, late):
            better, scores = _better(batch["embedding"], query, least)
            if not len(better):
                continue
            fresh = {"segment_id": batch["segment_id"].take(better), "similarity": scores}
            best = pa.concat_tables([best, pa.table(fresh)])
            if best.num_rows > 2 * most:
                best = _first(best, most)
                least = _least(best, most)
    return _first(best, most)


def _least(best: pa.Table, most: int) -> float:
    """What a row must be over to be among the best, which are sorted."""
    return best["similarity"][-1].as_py() if best.num_rows >= most else -np.inf


def _of_all(flat: vectors.Vectors, query: np.ndarray, most: int) -> pa.Table:
    """The best rows of a file, best first: all in half precision, then again in single those that
    may be. Of the k best in half precision none is worse than their last by more than its error, so
    none of the k best in truth is worse than that by more than twice the error."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nor written to
        rows = torch.from_numpy(flat.embeddings())
    wanted = torch.from_numpy(query)
    close = torch.cat([part @ wanted.half() for part in rows.split(FLAT_ROWS)])
    least = _about_kth(close, most).float() - 2 * HALF_ERROR
    [near] = torch.nonzero(close >= least, as_tuple=True)
    scores = rows[near].float() @ wanted
    order = torch.argsort(scores, descending=True, stable=True)[:most]
    return pa.table(
        {"segment_id": flat.segment_ids(near[order].numpy()), "similarity": scores[order].numpy()}
    )


def _about_kth(scores: "torch.Tensor", k: int) -> "torch.Tensor":
    """Little less than the k-th largest, and never more: the k largest of groups are k of them. To
    sort all of a million takes ten times as long."""
    groups = len(scores) // GROUP
    if groups > 4 * k:
        scores = scores[: groups * GROUP].view(GROUP, groups).amax(0)
    return scores.topk(min(k, len(scores))).values[-1]


def _first(scored: pa.Table, most: int) -> pa.Table:
    order = np.argsort(-scored["similarity"].to_numpy(), kind="stable")[:most]
    return scored.take(order)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Batches as small as ours are not worth a second thread of torch's: it waits by spinning."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _better(embeddings: pa.Array, query: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Which of the packed embeddings are nearer to the query than `least`, and their cosines with
    it in single precision. Only those that may be, by half precision, are looked at in single:
    that takes a quarter of the time."""
    import torch

    from pipelines.packing import halves

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nor written to
        rows = torch.from_numpy(halves(embeddings, len(query)))
    wanted = torch.from_numpy(query)
    [near] = torch.nonzero(rows @ wanted.half() > least - HALF_ERROR, as_tuple=True)
    scores = rows[near].float() @ wanted
    better = scores > least
    return near[better].numpy(), scores[better].numpy()


def _keys(lake: Lake, db: duckdb.DuckDBPyConnection, precision: str | None) -> list[str]:
    """Model keys of the lake's recordings, that of most of them first."""
    check_precision(precision)
    every = "SELECT DISTINCT model_key FROM {}"
    copied = views.is_ready(db)  # then it has rows; and to count recordings is much more work
    keys = _column(db, every.format("stored.ledger WHERE kind = 'chunk'")) if copied else []
    if len(keys) > 1:
        keys = _column(db, every.format("speech"))
    if len(keys) != 1:
        counted = """SELECT model_key FROM recordings WHERE state = 'tagged'
                     GROUP BY 1 ORDER BY count(*) DESC, 1"""
        with connect(lake, of=["recordings"]) if copied else nullcontext(db) as whole:
            keys = _column(whole, counted)
    if not keys:
        raise QueryError(
            f"the lake {lake.root} holds no tagged recording yet: run `clsp tag` first"
        )
    if chosen := [key for key in keys if precision in (None, parts_of(key)[2])]:
        return chosen
    raise QueryError(
        f"the lake was embedded with {', '.join(keys)}, and nothing in {precision}. Leave "
        "--precision out, or tag again with it"
    )


def _column(db: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    return [value for (value,) in db.execute(sql).fetchall()]


def _key_of(model: "Embedder", keys: list[str]) -> str:
    """The first of these keys that is of this model, in whatever precision, whatever its folder was
    called: a revision is a hash of its files."""
    name, revision = model.checkpoint.name, model.checkpoint.revision
    for key in keys:
        called, _, precision = parts_of(key)
        if key == model_key(called, revision, precision):
            return key
    raise QueryError(
        f"the lake was embedded with {', '.join(keys)}; the model here is {name}@{revision[:16]}. "
        "Name the same model, or tag again with this one"
    )
