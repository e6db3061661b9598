"""The plain files of embeddings: always those of the tables up to a commit, whoever is killed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines import maintain, schemas, search, tagging, vectors
from pipelines.errors import LakeBusy, LakeError
from pipelines.lake import Lake
from pipelines.query import arrow, connect
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from pipelines.verify import verify
from tests.faults.runs import SETTINGS, make_archive
from tests.faults.test_crashes import chunk

KEY = "m"  # of `chunk`
TEXT = "A woman whispering."


def rows_of(there: vectors.Vectors) -> dict[str, bytes]:
    names = there.segment_ids(np.arange(there.record.rows)).to_pylist()
    found = dict(zip(names, map(bytes, there.embeddings()), strict=True))
    assert len(found) == len(names)
    return found


def of_tables(lake: Lake, seq: int) -> dict[str, bytes]:
    with connect(lake) as db:
        found = arrow(
            db,
            """SELECT segment_id, embedding FROM embeddings
               WHERE chunk_id IN (SELECT chunk_id FROM runs WHERE seq <= ?)""",
            seq,
        )
    return dict(zip(*(column.to_pylist() for column in found.columns), strict=True))


def wrong(lake: Lake) -> list[str]:
    with connect(lake) as db:
        return vectors.wrong(lake, db)


@pytest.fixture
def small(tmp_path) -> Lake:
    lake = Lake(tmp_path / "lake", create=True)
    for number in range(3):
        lake.commit(*chunk(number, size=3))
    return lake


STEPS = ("commit", "relabel", "refresh", "a run", "maintain", "cut off")


@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=8))
def test_whatever_happens_a_file_has_the_rows_up_to_its_commit(tmp_path_factory, steps):
    lake = Lake(tmp_path_factory.mktemp("steps") / "lake", create=True)
    lake.commit(*chunk(0, size=2))
    for number, step in enumerate(steps, 1):
        if step == "commit":
            lake.commit(*chunk(number, size=number % 3 + 1))
        elif step == "relabel":  # a chunk without embeddings
            tables, ledger = chunk(number)
            lake.commit({"labels": tables["labels"]}, ledger)
        elif step == "refresh":
            vectors.refresh(lake)
        elif step == "a run":
            vectors.refresh(lake, make=False)
        elif step == "maintain":
            maintain.maintain(lake)
        elif there := vectors.stored(lake, KEY):  # amid adding to it
            for part in (vectors.VALUES, vectors.IDS):
                with (there.folder / part).open("ab") as file:
                    file.write(b"half a row")
        there = vectors.stored(lake, KEY)
        if there:
            assert rows_of(there) == of_tables(lake, there.record.seq)
        assert (there is None) == (not {"refresh", "maintain"} & set(steps[:number]))
    assert wrong(lake) == []
    vectors.refresh(lake)
    assert rows_of(vectors.stored(lake, KEY)) == of_tables(lake, 1 << 60)


def test_a_run_adds_to_what_is_there_and_makes_none(tmp_path, tiny):
    archive = tmp_path / "archive"
    make_archive(archive)
    lake = Lake(tmp_path / "lake", create=True)
    settings = TagSettings(str(archive), str(lake.root), **SETTINGS)
    tag(settings)
    assert not (lake.root / vectors.FOLDER).exists()  # who never maintains has none
    maintain.maintain(lake)
    [folder] = (lake.root / vectors.FOLDER).iterdir()
    before = vectors._read(folder / vectors.RECORD)
    shutil.copy(next(iter(sorted(archive.rglob("*.wav")))), archive / "copy.wav")
    tag(settings)  # known content: no embeddings
    noise = np.random.default_rng(0).normal(0, 8_000, 32_000).astype("<i2")
    import soundfile

    soundfile.write(archive / "noise.wav", noise, 16_000)
    tag(settings)
    after = vectors._read(folder / vectors.RECORD)
    assert after.rows > before.rows and after.seq > before.seq
    hits = search.search(lake, tiny, TEXT, 50)
    shutil.rmtree(lake.root / vectors.FOLDER)
    assert search.search(lake, tiny, TEXT, 50).equals(hits)
    assert any(uri.endswith("noise.wav") for uri in hits["uri"].to_pylist())


def test_a_run_does_not_wait_for_who_makes_them(small, caplog):
    vectors.refresh(small)
    small.commit(*chunk(7))
    with small.locked(vectors.LOCK):
        with pytest.raises(LakeBusy):
            vectors.refresh(small, make=False, wait_s=0)
        tagging._extend_copies(small)
    assert "left as it was" in caplog.text
    assert vectors.stored(small, KEY).record.rows == 9


def test_nothing_is_written_where_nothing_is_new_or_there(small, tmp_path):
    vectors.refresh(small, make=False)
    assert not (small.root / vectors.FOLDER).exists()
    vectors.refresh(small)
    there = {path: path.stat().st_mtime_ns for path in (small.root / vectors.FOLDER).rglob("*")}
    vectors.refresh(small)
    assert {path: path.stat().st_mtime_ns for path in there} == there
    empty = Lake(tmp_path / "empty", create=True)
    vectors.refresh(empty)
    assert not (empty.root / vectors.FOLDER).exists()


def damaged(folder: Path, how: str) -> None:
    values = folder / vectors.VALUES
    if how == "too short":
        values.write_bytes(values.read_bytes()[:-1])
    elif how == "other numbers":
        values.write_bytes(bytes(2 * 512 * 9))
    elif how == "other names":
        names = (folder / vectors.IDS).read_bytes()
        (folder / vectors.IDS).write_bytes(names[:-32] + b"x".ljust(32, b"\0"))
    else:
        (folder / vectors.RECORD).write_text("{")


@pytest.mark.parametrize("how", ["too short", "other numbers", "other names", "no record"])
def test_verify_tells_of_a_damaged_one_and_it_may_be_removed(small, how):
    vectors.refresh(small)
    assert [found for found in verify(small) if found.count] == []
    there = vectors.stored(small, KEY)
    damaged(there.folder, how)
    [found] = [found for found in verify(small) if found.count]
    assert (found.table, found.harmful) == ("embeddings", True)
    assert "folder `vectors`" in found.advice
    if how in ("too short", "no record"):
        with pytest.raises(LakeError, match=r"remove the folder `vectors`.*clsp maintain"):
            vectors.stored(small, KEY).embeddings()
    shutil.rmtree(small.root / vectors.FOLDER)
    assert [found for found in verify(small) if found.count] == []
    maintain.maintain(small)
    assert rows_of(vectors.stored(small, KEY)) == of_tables(small, 1 << 60)


def test_a_segment_id_that_does_not_fit_is_refused_and_not_cut(small):
    tables, ledger = chunk(9)
    for name in ("segments", "embeddings", "labels"):
        at = tables[name].schema.get_field_index("segment_id")
        field = schemas.TABLES[name].field("segment_id")
        tables[name] = tables[name].set_column(at, field, [["x" * 33]])
    small.commit(tables, ledger)
    with pytest.raises(LakeError, match="more than 32 digits"):
        vectors.refresh(small)
