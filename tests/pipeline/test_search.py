"""Search over many embeddings: exact, though most are looked at in half precision only."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from pipelines import schemas, search, taxonomy, vectors
from pipelines.maintain import tend
from pipelines.packing import unpack
from pipelines.query import arrow, connect
from tests.benchmarks.synthetic import make

SEGMENTS = 4_000
TEXT = "A woman whispering."


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return make(tmp_path_factory.mktemp("many") / "lake", SEGMENTS, taxonomy.load(), 1_500)


@pytest.fixture
def few_at_once(monkeypatch):
    monkeypatch.setattr(search, "CANDIDATES", 30)
    monkeypatch.setattr(search, "FLAT_ROWS", 1_000)
    monkeypatch.setattr(search, "GROUP", 8)
    monkeypatch.setattr(vectors, "BATCH_ROWS", 256)


@pytest.fixture(params=["tables", "part in a plain file", "all in a plain file"])
def lake(request, many, monkeypatch):
    """Of the same rows, whatever searches read."""
    shutil.rmtree(many.root / vectors.FOLDER, ignore_errors=True)
    if request.param != "tables":
        with monkeypatch.context() as patch:
            if request.param.startswith("part"):
                real = vectors.since
                patch.setattr(vectors, "since", lambda *given: dict(list(real(*given).items())[:2]))
            vectors.refresh(many)
        there = vectors.stored(many, key_of(many))
        assert there.record.rows == (3_000 if request.param.startswith("part") else SEGMENTS)
    yield many
    shutil.rmtree(many.root / vectors.FOLDER, ignore_errors=True)


def key_of(lake):
    with connect(lake) as db:
        return db.execute("SELECT DISTINCT model_key FROM recordings").fetchall()[0][0]


@pytest.fixture(scope="module")
def cosines(many, tiny):
    """Of every segment with TEXT, in double precision."""
    with connect(many) as db:
        table = arrow(db, "SELECT segment_id, embedding FROM embeddings")
    query = tiny.embed_text([TEXT])[0].detach().double().numpy()
    found = unpack(table["embedding"], len(query)).astype(np.float64) @ query
    return dict(zip(table["segment_id"].to_pylist(), found, strict=True))


@pytest.mark.parametrize("k", [1, 10, 200])
def test_the_best_of_many_are_those_of_comparing_all(lake, tiny, cosines, few_at_once, k):
    hits = search.search(lake, tiny, TEXT, k)
    assert hits["segment_id"].to_pylist() == sorted(cosines, key=cosines.__getitem__)[: -k - 1 : -1]
    wanted = [cosines[name] for name in hits["segment_id"].to_pylist()]
    np.testing.assert_allclose(hits["similarity"].to_numpy(), wanted, atol=1e-6)


def test_half_precision_is_never_off_by_more_than_is_allowed_for(tiny):
    draw = torch.Generator().manual_seed(1)
    for scale in (1.0, 30.0):  # many like terms, and a few large ones
        rows = torch.randn(5_000, 512, generator=draw) ** 3 * scale
        rows = torch.nn.functional.normalize(rows, dim=-1).half()
        query = torch.nn.functional.normalize(torch.randn(512, generator=draw) ** 3, dim=-1)
        exact = rows.double() @ query.double()
        assert ((rows @ query.half()).double() - exact).abs().max() < search.HALF_ERROR / 2
    alike = torch.nn.functional.normalize(torch.ones(1, 512), dim=-1)
    assert abs(float(alike.half() @ alike[0].half()) - 1) < search.HALF_ERROR / 2


@pytest.mark.parametrize("size", [1, 40, 1_000, 100_007])
@pytest.mark.parametrize("k", [1, 10, 256])
def test_what_the_kth_is_compared_by_is_never_more_and_little_less(size, k):
    scores = torch.randn(size, generator=torch.Generator().manual_seed(size)).half()
    least = search._about_kth(scores, k)
    assert least <= scores.topk(min(k, size)).values[-1]
    assert int((scores >= least).sum()) <= 1.4 * min(k, size) + 1


@pytest.mark.parametrize("plain", [False, True])
def test_when_the_nearest_are_gone_the_next_are_found(tmp_path, tiny, cosines, few_at_once, plain):
    """The first recordings were replaced: most of what is nearest is no row of `speech` now."""
    lake = make(tmp_path / "lake", SEGMENTS, taxonomy.load(), 1_500)
    if plain:
        vectors.refresh(lake)
    nearest = sorted(cosines, key=cosines.__getitem__)[: -SEGMENTS // 4 : -1]
    with connect(lake) as db:
        gone = arrow(
            db, f"SELECT DISTINCT uri FROM speech WHERE segment_id IN {tuple(nearest[:120])}"
        )["uri"].to_pylist()
        rows = arrow(db, f"SELECT * FROM recordings WHERE uri IN {tuple(gone)}")
        [(seq,)] = db.execute("SELECT max(seq) FROM runs").fetchall()
        ledger = arrow(db, "SELECT * FROM runs ORDER BY seq DESC LIMIT 1").to_pylist()[0]
        left = arrow(db, f"SELECT segment_id FROM speech WHERE uri NOT IN {tuple(gone)}")
    state = rows.schema.get_field_index("state")
    chunk = rows.schema.get_field_index("chunk_id")
    rows = rows.set_column(state, rows.schema.field(state), [["gone"] * rows.num_rows])
    rows = rows.set_column(chunk, rows.schema.field(chunk), [["gone-1"] * rows.num_rows])
    lake.commit({"recordings": rows.cast(schemas.RECORDINGS)}, ledger | {"chunk_id": "gone-1"}, seq)
    hits = search.search(lake, tiny, TEXT, 5)["segment_id"].to_pylist()
    there = set(left["segment_id"].to_pylist())
    assert (
        hits
        == [name for name in sorted(cosines, key=cosines.__getitem__)[::-1] if name in there][:5]
    )


def test_embeddings_are_stored_as_they_are(many):
    def packed(table):
        columns = [
            group.column(column)
            for path in many.stored(table)[0]
            for group in [pq.ParquetFile(path).metadata.row_group(0)]
            for column in range(group.num_columns)
        ]
        return {column.path_in_schema: column.compression for column in columns}

    assert set(packed("embeddings").values()) == {"UNCOMPRESSED"}
    tend(many, "embeddings")
    assert set(packed("embeddings").values()) == {"UNCOMPRESSED"}
    assert set(packed("labels").values()) == {"ZSTD"}
