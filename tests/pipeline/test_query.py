"""SQL and search over a lake, and what they must not do."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from pipelines.errors import LakeError, QueryError, SettingsError
from pipelines.lake import Lake
from pipelines.packing import halves, pack, unpack
from pipelines.planning import plan
from pipelines.query import VIEWS, run
from pipelines.search import lake_model, search
from pipelines.settings import TagSettings
from pipelines.verify import verify

NOTHING = {"evaluations", "targets", "watches", "watch_checks"}  # is in a lake just tagged


@pytest.fixture(scope="module")
def lake(sample_lake) -> Lake:
    return Lake(sample_lake)


def test_every_documented_view_answers_and_no_other_shows(lake):
    shown = run(lake, "SHOW TABLES")["name"].to_pylist()
    assert sorted(shown) == sorted(VIEWS)
    for view in VIEWS:
        rows = run(lake, f"SELECT count(*) AS n FROM {view}")["n"][0].as_py()
        assert rows > 0 or view in NOTHING, view


def test_long_views_hold_each_segment_once_for_each_attribute_and_style(lake):
    segments = run(lake, "FROM speech").num_rows
    by_attribute = run(lake, "SELECT attribute, count(*) AS n FROM labels_long GROUP BY 1")
    assert set(by_attribute["n"].to_pylist()) == {segments}
    assert "gender" in by_attribute["attribute"].to_pylist()
    assert run(lake, "FROM styles_long").num_rows % segments == 0


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY speech TO '/tmp/clsp-must-not-exist.csv'",
        "COPY speech TO '{root}/../clsp-must-not-exist.csv'",
        "COPY (SELECT 1) TO '{root}/runs/planted.parquet'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{root}/runs/planted.parquet'",
        "SELECT 1; COPY (SELECT 1) TO '{root}/runs/planted.parquet'",
        "CREATE TABLE speech2 AS FROM speech",
        "",
        "ATTACH '/tmp/clsp-must-not-exist.db' AS x",
        "SET enable_external_access = true",
        "SELECT nonsense FROM speech",
        "SELEC",
    ],
)
def test_sql_sees_the_lakes_own_files_and_errors_name_the_views(lake, sql):
    with pytest.raises(QueryError, match="The views are: speech"):
        run(lake, sql.replace("{root}", str(lake.root)))
    assert not (lake.root.parent / "clsp-must-not-exist.csv").exists()
    assert not (lake.root / "runs" / "planted.parquet").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "FROM speech LIMIT 1",
        "WITH s AS (FROM speech) SELECT count(*) FROM s;",
        "DESCRIBE speech",
        "SUMMARIZE recordings",
        "EXPLAIN ANALYZE SELECT * FROM speech",
        "-- a comment\nSELECT 1",
        "PIVOT labels_long ON label USING count(*) GROUP BY attribute",
    ],
)
def test_every_way_to_ask_is_a_query(lake, sql):
    assert run(lake, sql).num_rows > 0


def test_no_lake_says_how_to_make_one(tmp_path):
    with pytest.raises(LakeError, match="clsp tag SOURCE --lake DIR"):
        Lake(tmp_path)


def test_a_lake_that_may_not_be_written_to_is_told_before_the_work(
    sample_archive, tmp_path, monkeypatch
):
    writable = os.access
    refused = tmp_path / "lake"
    monkeypatch.setattr(
        os, "access", lambda path, mode: path != refused and writable(path, mode)
    )  # of root everything is taken
    with pytest.raises(LakeError, match=r"lake .*may not be written to.*--lake"):
        plan(TagSettings(str(sample_archive), str(refused)))


def test_search_finds_what_comparing_everything_finds(lake, tiny):
    text = "A female speaker."
    table = run(
        lake,
        """SELECT uri, embedding FROM speech JOIN embeddings USING (segment_id) ORDER BY uri""",
    )
    query = tiny.embed_text([text])[0].detach().numpy()
    cosines = unpack(table["embedding"], len(query)) @ query
    order = np.argsort(-cosines)[:5]
    hits = search(lake, lake_model(lake), text, k=5)
    assert hits["uri"].to_pylist() == [table["uri"][i].as_py() for i in order]
    np.testing.assert_allclose(hits["similarity"].to_numpy(), cosines[order], atol=1e-6)
    assert search(lake, tiny, text, k=1000).num_rows == table.num_rows


@pytest.mark.parametrize("table", ["recordings", "segments", "labels"])
def test_a_lake_without_one_of_its_tables_is_no_empty_lake(sample_lake, tmp_path, table):
    shutil.copytree(sample_lake, tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake" / table)
    lost = Lake(tmp_path / "lake")
    with pytest.raises(LakeError, match=f"no table `{table}`.*backup"):
        run(lost, "SELECT count(*) FROM speech")
    with pytest.raises(LakeError, match=f"no table `{table}`"):
        search(lost, lake_model(Lake(sample_lake)), "a woman")
    [found] = [one for one in verify(lost) if one.count and one.harmful]
    assert (found.table, found.check) == (table, "it is there, where the ledger counts its rows")


def test_search_refuses_nonsense_and_another_model(lake, tiny):
    with pytest.raises(SettingsError):
        search(lake, tiny, " ", k=3)
    with pytest.raises(SettingsError):
        search(lake, tiny, "a voice", k=0)


def test_search_with_another_model_than_the_lakes_is_refused(lake, tiny, tmp_path):
    tiny.save_pretrained(tmp_path / "other")
    config = tmp_path / "other" / "config.json"
    config.write_text(config.read_text() + "\n")  # other bytes: another revision
    with pytest.raises(QueryError, match="the lake was embedded with tiny@"):
        lake_model(lake, str(tmp_path / "other"))


def test_embeddings_survive_packing():
    vectors = np.random.default_rng(0).normal(size=(7, 12)).astype(np.float32)
    packed = pack(vectors)
    assert [len(v.as_py()) for v in packed] == [24] * 7
    np.testing.assert_array_equal(unpack(packed, 12), vectors.astype(np.float16))
    assert unpack(pack(np.empty((0, 12), np.float32)), 12).shape == (0, 12)


LEDGER = {
    "run_id": "r", "kind": "chunk", "archive": "a", "segments_policy": "s", "model_key": "m",
    "taxonomy_key": "t", "files": 1, "tagged": 1, "failed": 0, "unchanged": 0, "segments": 0,
    "audio_s": 0.0, "started_at": datetime.now(UTC),
}  # fmt: skip


@pytest.mark.parametrize("name", ["with space", "quo'te", "Gespräch", "a,b;c=d#e&f(g)h~i"])
def test_a_lake_may_lie_in_a_folder_of_any_usual_name(tmp_path, name):
    for chunk in ("one", "two"):
        Lake(tmp_path / name, create=True).commit({}, {**LEDGER, "chunk_id": chunk, "files": 0})
    table = run(Lake(tmp_path / name), "SELECT chunk_id, seq FROM runs ORDER BY seq")
    assert table.to_pylist() == [{"chunk_id": "one", "seq": 1}, {"chunk_id": "two", "seq": 2}]
    assert Lake(tmp_path / name).size_bytes() > 0


@pytest.mark.parametrize("name", ["br[acket", "sta*r", "what?", "per%20cent", "pi|pe", "tab\t"])
def test_a_folder_that_delta_or_duckdb_would_misread_is_refused_at_once(tmp_path, name):
    with pytest.raises(LakeError, match="Choose another folder"):
        Lake(tmp_path / name, create=True)
    assert not (tmp_path / name).exists()


def test_half_floats_are_read_where_they_lie_sliced_or_in_pieces():
    vectors = np.random.default_rng(0).normal(size=(7, 12)).astype(np.float16)
    packed = pack(vectors)
    np.testing.assert_array_equal(halves(packed, 12), vectors)
    np.testing.assert_array_equal(halves(packed.slice(2, 3), 12), vectors[2:5])
    pieces = pa.chunked_array([packed.slice(0, 3), packed.slice(3)])
    np.testing.assert_array_equal(halves(pieces, 12), vectors)
    with pytest.raises(LakeError, match=r"24.* bytes, expected 22"):
        halves(packed, 11)


def test_a_long_query_draws_nothing_on_standard_output():
    """A bar there would be amid the JSON. DuckDB draws it after 2 s, for scripts alone."""
    heavy = """
import duckdb
from pipelines.query import database
with duckdb.connect(":memory:") if {plain} else database() as db:
    db.execute("SET threads = 1")
    if {plain}:
        db.execute("SET progress_bar_time = 1")
    db.execute("CREATE TABLE t AS SELECT random() AS a FROM range(8000000)")
    db.sql("SELECT count(DISTINCT a) FROM t").fetchall()
"""

    def drawn(plain: bool) -> str:
        code = heavy.format(plain=plain)
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        return told.stdout + told.stderr

    assert "%" in drawn(plain=True)  # or there is nothing to test
    assert drawn(plain=False) == ""
