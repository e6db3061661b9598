"""The copy of `speech`: it answers as the join does, and is not read where it is out of date."""

import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines import maintain, query, ready, schemas, search, tagging, views
from pipelines.errors import LakeBusy, LakeError
from pipelines.lake import Lake
from pipelines.query import arrow, connect
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from pipelines.verify import verify
from tests.faults.runs import MOOD, SETTINGS, change_archive, make_archive, rows
from tests.faults.test_crashes import chunk

VIEWS = {view: f"FROM {view}" for view in query.VIEWS}


def is_ready(lake):
    with connect(lake) as db:
        return views.is_ready(db)


def of_join(lake: Lake, tmp: Path) -> dict[str, Counter]:
    """Every view of the same lake without the copy."""
    other = Path(shutil.copytree(lake.root, tmp, ignore=shutil.ignore_patterns(schemas.READY)))
    found = rows(other, VIEWS)
    shutil.rmtree(other)
    return found


@pytest.fixture
def small(tmp_path):
    lake = Lake(tmp_path / "lake", create=True)
    for number in range(3):
        lake.commit(*chunk(number, size=3))
    return lake


def test_it_answers_as_the_join_does_on_real_audio(sample_lake, tmp_path):
    lake = Lake(shutil.copytree(sample_lake, tmp_path / "lake"))
    assert not is_ready(lake)
    assert ready.refresh(lake) and is_ready(lake)
    assert rows(lake.root, VIEWS) == of_join(lake, tmp_path / "other")
    with connect(lake) as db:
        [(plan,)] = [row[1:] for row in db.execute("EXPLAIN SELECT gender FROM speech").fetchall()]
        assert "JOIN" not in plan
        asked = "SELECT label FROM labels_long WHERE attribute = 'gender'"
        [(plan,)] = [row[1:] for row in db.execute(f"EXPLAIN {asked}").fetchall()]
        assert plan.count("PARQUET") == 1 and "JOIN" not in plan


def test_columns_and_their_types_are_the_joins(sample_lake, tmp_path):
    lake = Lake(shutil.copytree(sample_lake, tmp_path / "lake"))

    def described():
        with connect(lake) as db:
            return {v: db.execute(f"DESCRIBE {v}").fetchall() for v in query.VIEWS}

    before = described()
    ready.refresh(lake)
    assert described() == before


def test_what_is_committed_since_is_seen_at_once(tmp_path):
    archive, mood = tmp_path / "archive", tmp_path / "mood.yaml"
    make_archive(archive)
    mood.write_text(MOOD)
    lake = Lake(tmp_path / "lake", create=True)
    tag(TagSettings(str(archive), str(lake.root), **SETTINGS))
    ready.refresh(lake)
    first = rows(lake.root, VIEWS)
    change_archive(archive)  # changed, new, moved and removed files
    tag(TagSettings(str(archive), str(lake.root), **SETTINGS))
    assert not is_ready(lake)
    then = rows(lake.root, VIEWS)
    assert then["speech"] != first["speech"]
    assert then == of_join(lake, tmp_path / "other")
    assert ready.refresh(lake) and rows(lake.root, VIEWS) == then
    tag(TagSettings(str(archive), str(lake.root), taxonomy=str(mood), **SETTINGS))  # labels alone
    assert not is_ready(lake)
    then = rows(lake.root, VIEWS)
    assert ready.refresh(lake) and is_ready(lake) and rows(lake.root, VIEWS) == then


STEPS = ["commit", "commit", "again", "extend", "extend", "refresh", "maintain"]


@hypothesis_settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=8))
def test_whatever_happens_speech_is_the_join(tmp_path_factory, steps):
    where = tmp_path_factory.mktemp("steps")
    lake = Lake(where / "lake", create=True)
    lake.commit(*chunk(0, size=2))
    for number, step in enumerate(steps, 1):
        if step == "commit":
            lake.commit(*chunk(number, size=2))
        elif step == "again":  # new content under the first chunk's name
            tables, ledger = chunk(number, size=2)
            recordings = tables["recordings"]
            at = recordings.schema.get_field_index("uri")
            uris = pa.array(["chunk-0"] * len(recordings), pa.string())
            tables["recordings"] = recordings.set_column(at, recordings.schema.field(at), uris)
            lake.commit(tables, ledger)
        elif step == "refresh":
            assert ready.refresh(lake) or is_ready(lake)
        elif step == "extend":
            assert ready.extend(lake) == is_ready(lake)
        else:
            maintain.maintain(lake)
    with connect(lake) as db:
        shown = Counter(map(str, arrow(db, "FROM speech").to_pylist()))
        wanted = Counter(map(str, arrow(db, views.joined(db)).to_pylist()))
    assert shown == wanted
    assert [found for found in verify(lake) if found.count] == []


def test_a_run_that_only_adds_keeps_it_the_newest(tmp_path):
    archive = tmp_path / "archive"
    make_archive(archive)
    lake = Lake(tmp_path / "lake", create=True)
    settings = TagSettings(str(archive), str(lake.root), **SETTINGS)
    tag(settings)
    assert not (lake.root / schemas.READY).exists()  # who never maintains has no copy
    ready.refresh(lake)
    there = len(query.run(lake, "FROM speech"))
    some = next(path for path in sorted(archive.rglob("*.wav")))
    shutil.copy(some, archive / "one-more.wav")
    (archive / "no-audio.wav").write_bytes(b"nothing")
    done = tag(settings)
    assert (done.tagged, done.failed) == (1, 1)
    assert is_ready(lake) and len(query.run(lake, "FROM speech")) > there
    assert rows(lake.root, VIEWS) == of_join(lake, tmp_path / "other")
    assert not ready.refresh(lake)
    (archive / "one-more.wav").unlink()
    assert tag(settings).gone == 1
    assert not is_ready(lake)
    assert len(query.run(lake, "FROM speech")) == there


def test_a_run_does_not_wait_for_who_makes_it(small, caplog):
    ready.refresh(small)
    small.commit(*chunk(7))
    with small.locked(ready.LOCK), pytest.raises(LakeBusy):
        ready.extend(small)
    assert not is_ready(small)
    with small.locked(ready.LOCK):
        tagging._extend_copies(small)
    assert "left as it was" in caplog.text


def test_nothing_is_done_twice_and_nothing_where_there_is_nothing(small, tmp_path):
    assert ready.refresh(small)
    assert not ready.refresh(small)
    empty = Lake(tmp_path / "empty", create=True)
    assert not ready.refresh(empty) and not (empty.root / schemas.READY).exists()


def test_an_earlier_time_is_not_read_from_it(small):
    now = datetime.now(UTC)
    small.commit(*chunk(7))
    ready.refresh(small)
    with connect(small, at=now) as db:
        assert not views.is_ready(db)
        assert len(arrow(db, "FROM speech")) == 9


def test_a_copy_with_other_columns_is_not_read(small):
    """By a version of this package to come, or one of before."""
    ready.refresh(small)
    path = small.root / schemas.READY
    shutil.rmtree(path)
    with connect(small) as db:
        table = arrow(db, f"SELECT 3::BIGINT AS {schemas.AS_OF}, * EXCLUDE (codec) FROM speech")
    small.append(schemas.READY, table)
    assert small.ready() is not None and not is_ready(small)
    assert len(query.run(small, "SELECT codec FROM speech")) == 9


def test_it_may_be_removed_and_verify_tells_of_a_wrong_or_damaged_one(small, monkeypatch):
    ready.refresh(small)
    assert [found for found in verify(small, deep=True) if found.count] == []
    [path] = map(Path, small.ready().files)
    table = pq.read_table(path)
    at = table.schema.get_field_index("end_s")
    pq.write_table(table.set_column(at, "end_s", pa.array([9.0] * len(table))), path)
    monkeypatch.setattr("pipelines.verify._damage", lambda *given: None)  # of another size too
    [wrong] = [found for found in verify(small) if found.count]
    assert wrong.table == schemas.READY and wrong.harmful and "folder `speech`" in wrong.advice
    monkeypatch.undo()
    path.unlink()
    [lost] = [found for found in verify(small) if found.count]
    assert lost.table == schemas.READY and "folder `speech`" in lost.advice
    with pytest.raises(LakeError, match="folder `speech`"):
        maintain.maintain(small)
    shutil.rmtree(small.root / schemas.READY)
    assert len(query.run(small, "FROM speech")) == 9
    maintain.maintain(small)
    assert is_ready(small)


def test_a_join_that_does_not_fit_in_memory_goes_to_disk_and_leaves_nothing(small, monkeypatch):
    left = small.root / f"{ready.SPILL}of-one-that-was-killed"
    left.mkdir()
    spills: list[str] = []
    real = ready._write

    def look(lake: Lake, db: duckdb.DuckDBPyConnection, *given: object) -> None:
        settings = "SELECT current_setting('temp_directory'), current_setting('memory_limit')"
        spills.extend(map(str, db.execute(settings).fetchall()[0]))
        real(lake, db, *given)

    monkeypatch.setattr(ready, "_write", look)
    ready.refresh(small)
    assert spills[0].startswith(f"{small.root}/{ready.SPILL}") and spills[1] == "2.0 GiB"
    assert not list(small.root.glob(f"{ready.SPILL}*"))


def test_search_answers_alike(sample_lake, tiny, tmp_path):
    lake = Lake(shutil.copytree(sample_lake, tmp_path / "lake"))
    before = search.search(lake, tiny, "A woman whispering.", 5)
    ready.refresh(lake)
    assert search.search(lake, tiny, "A woman whispering.", 5).equals(before)


def test_of_segments_equally_near_the_first_by_name_are_found(
    sample_archive, tiny, tmp_path, monkeypatch
):
    for name in "dbeac":
        shutil.copytree(sample_archive, tmp_path / "archive" / name)
    lake = Lake(tmp_path / "lake", create=True)
    tag(TagSettings(str(tmp_path / "archive"), str(lake.root)))
    monkeypatch.setattr(search, "CANDIDATES", 1)
    looked = Mock(wraps=search._nearest)  # at the embeddings: four segments for each row wanted
    monkeypatch.setattr(search, "_nearest", looked)
    for k in (1, 3):
        hits = search.search(lake, tiny, "A woman whispering.", k)
        assert [uri[:2] for uri in hits["uri"].to_pylist()] == ["a/", "b/", "c/"][:k]
        assert len(set(hits["segment_id"].to_pylist())) == 1
        assert looked.call_count == 1  # a segment counts as often as it is there
        looked.reset_mock()
    ready.refresh(lake)
    assert search.search(lake, tiny, "A woman whispering.", 3).equals(hits)


def test_segments_of_one_prefix_are_told_apart(sample_lake, tiny, tmp_path, monkeypatch):
    """As some are in a large lake."""
    lake = Lake(shutil.copytree(sample_lake, tmp_path / "lake"))
    before = search.search(lake, tiny, "A woman whispering.", 3)
    monkeypatch.setattr(views, "prefix", lambda name: "7")
    ready.refresh(lake)
    with connect(lake) as db:
        some = arrow(db, views.speech_of(db, before["segment_id"].to_pylist()))
        assert len(some) == len(arrow(db, "FROM speech")) > 3
    assert search.search(lake, tiny, "A woman whispering.", 3).equals(before)


@pytest.mark.parametrize("name", ["0123456789abcdef" * 2, "f" * 32, "no digits", "", "0x12", "-1"])
def test_a_prefix_is_found_of_any_name(name):
    with query.database() as db:
        given = views.prefix(views.text(name))
        [(found,)] = db.execute(f"SELECT {given}").fetchall()
        [(told,)] = db.execute(
            f"SELECT {views.prefix('x')} FROM (SELECT ? AS x)", [name]
        ).fetchall()
    assert found == told and 0 <= found < 2**28
    if len(name) == 32:
        assert found == int(name[:7], 16)


def test_search_answers_alike_where_the_copy_has_several_files(tiny, tmp_path):
    """A row's number is then that of several rows."""
    archive = tmp_path / "archive"
    make_archive(archive)
    late = sorted(archive.rglob("*.wav"))[::2]
    for path in late:
        path.rename(tmp_path / path.name)
    lake = Lake(tmp_path / "lake", create=True)
    settings = TagSettings(str(archive), str(lake.root), **SETTINGS)
    tag(settings)
    ready.refresh(lake)
    for path in late:
        (tmp_path / path.name).rename(path)
    tag(settings)
    assert is_ready(lake) and len(lake.ready().files) > 1
    found = search.search(lake, tiny, "A woman whispering.", 1_000)
    shutil.rmtree(lake.root / schemas.READY)
    assert found.num_rows > 2 and found.equals(
        search.search(lake, tiny, "A woman whispering.", 1_000)
    )
