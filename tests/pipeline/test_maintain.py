"""Maintenance: queries answer as before, nobody who reads or writes meanwhile loses a row, and a
process that dies at any step has done no harm."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines import contents, faults, lake, layout, maintain, query, schemas, watches
from pipelines.errors import LakeBusy, LakeError, SettingsError
from pipelines.lake import LOCK, Lake
from pipelines.maintain import tend
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from pipelines.verify import verify
from tests.faults.runs import (
    ENVIRONMENT,
    MOOD,
    ROOT,
    SETTINGS,
    change_archive,
    difference,
    harm,
    make_archive,
    rows,
    until,
)
from tests.faults.test_crashes import LEDGER, chunk, counts
from tests.flows.commands import clsp, clsp_json

DAY_S = 86_400.0
EVERYTHING = {view: f"FROM {view}" for view in query.VIEWS}
CHUNKS = 6
FILLED = ("recordings", "segments", "embeddings", "labels", "evaluations", "watches", "runs")
MAINTAIN = """
import sys
from pipelines.lake import Lake
from pipelines.maintain import maintain
maintain(Lake(sys.argv[1]))
"""
COMMIT = """
import sys
from tests.faults.test_crashes import Lake, chunk
Lake(sys.argv[1]).commit(*chunk(50))
"""
EVALUATION = {
    "run_id": "r", "evaluated_at": datetime(2026, 1, 1, tzinfo=UTC), "task": "zero-shot",
    "dataset": "d", "question": "q", "metric": "WA", "value": 0.5, "n": 1, "n_failed": 0,
    "model_key": "m", "chunk_id": "evaluation",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def at_once():
    """Nobody waits here for a lock that a test of this process gives back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maintain, "LOCK_PING_S", 0.0)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A lake of six chunks, one that was cut off, an evaluation, a watch, and a file of nobody."""
    where = Lake(tmp_path_factory.mktemp("made") / "lake", create=True)
    for number in range(CHUNKS):
        where.commit(*chunk(number, size=3))
    evaluation = pa.Table.from_pylist([EVALUATION], schemas.EVALUATIONS)
    where.commit(
        {"evaluations": evaluation}, LEDGER | {"kind": "evaluation", "chunk_id": "evaluation"}
    )
    watches.add(where, "many", "SELECT count(*) FROM speech", above=100)
    watches.add(where, "few", "SELECT count(*) FROM speech", below=1)
    cut_off(where, 60)
    stray = where.root / "segments" / "part-00000-stray-c000.zstd.parquet"
    shutil.copy(where.stored("segments")[0][0], stray)
    os.utime(stray, (time.time() - 10 * DAY_S,) * 2)
    return where.root


@pytest.fixture(scope="module")
def answers(made) -> dict[str, Counter[str]]:
    """Of every view of that lake, how often each row stands there."""
    return rows(made, EVERYTHING)


@pytest.fixture
def small(made, tmp_path) -> Lake:
    return Lake(shutil.copytree(made, tmp_path / "lake"))


def cut_off(where: Lake, number: int) -> None:
    tables, _ = chunk(number)
    with where.locked():
        for name in ("recordings", "segments"):
            where.append(name, tables[name])


def elsewhere(code: str, where: Lake, points: str = "") -> subprocess.Popen[bytes]:
    environment = ENVIRONMENT | ({"CLSP_FAULTS": points} if points else {})
    return subprocess.Popen([sys.executable, "-c", code, where.root], cwd=ROOT, env=environment)


def aged(where: Lake, days: float) -> None:
    """As if all that happened to this lake had happened so much earlier."""
    for path in where.root.rglob("*"):
        if "checkpoint" in path.name:  # has times too, and stands for entries that are there
            path.unlink()
        elif path.is_file():
            then = path.stat().st_mtime - days * DAY_S
            if path.suffix == ".json":
                entries = [json.loads(line) for line in path.read_text().splitlines()]
                for entry in entries:
                    if "remove" in entry:
                        entry["remove"]["deletionTimestamp"] -= int(days * DAY_S * 1000)
                path.write_text("\n".join(map(json.dumps, entries)) + "\n")
            os.utime(path, (then, then))


def files(where: Lake, table: str) -> set[str]:
    return {path.name for path in (where.root / table).glob("*.parquet")}


def notes(where: Lake) -> list[tuple[str, int]]:
    return [(found.check, found.count) for found in verify(where) if found.count]


# ---- answers stay -------------------------------------------------------------------------------


def test_every_view_answers_as_before_row_for_row(sample_lake, tmp_path):
    where = Lake(shutil.copytree(sample_lake, tmp_path / "lake"))
    before = rows(where.root, EVERYTHING)
    done = maintain.maintain(where, deep=True)
    assert rows(where.root, EVERYTHING) == before
    assert not done.wrong and len(done.findings) > 20
    for table in done.tables:
        assert table.files_after == min(table.files_before, 1), table
    assert [table.merged for table in done.tables if table.table == "labels"] == [3]


def test_tagging_goes_on_as_in_a_lake_that_was_never_maintained(tmp_path):
    archive, mood = tmp_path / "archive", tmp_path / "mood.yaml"
    make_archive(archive)
    mood.write_text(MOOD)
    lakes = [tmp_path / "maintained", tmp_path / "left alone"]
    for where in lakes:
        tag(TagSettings(str(archive), str(where), **SETTINGS))
    maintain.maintain(Lake(lakes[0]))
    change_archive(archive)
    for where in lakes:
        tag(TagSettings(str(archive), str(where), taxonomy=str(mood), **SETTINGS))
    maintain.maintain(Lake(lakes[0]))
    assert difference(rows(lakes[0]), rows(lakes[1])) == ({}, {})
    assert harm(lakes[0]) == []
    ledger = rows(lakes[0], {"runs": "FROM runs"})
    again = tag(TagSettings(str(archive), str(lakes[0]), taxonomy=str(mood), **SETTINGS))
    assert again.unchanged == again.listed + again.unlisted > 0
    assert rows(lakes[0], {"runs": "FROM runs"}) == ledger


def test_what_is_done_twice_is_done_once(small, answers):
    first = {table.table: table for table in maintain.maintain(small).tables}
    for name in FILLED:
        assert first[name].files_before >= first[name].files_after == 1
        assert first[name].kept_files == first[name].merged + (
            first[name].dead_rows > 0  # the file that held them
        )
    assert {name: first[name].dead_rows for name in ("recordings", "segments", "labels")} == {
        "recordings": 1,
        "segments": 1,
        "labels": 0,
    }
    assert (first["segments"].deleted_files, first["labels"].deleted_files) == (1, 0)  # the stray
    there = {path: path.stat().st_mtime_ns for path in small.root.rglob("*")}
    second = maintain.maintain(small)
    assert {path: path.stat().st_mtime_ns for path in small.root.rglob("*")} == there
    assert not any(t.merged or t.dead_rows or t.deleted_files for t in second.tables)
    assert rows(small.root, EVERYTHING) == answers
    assert notes(small) == []


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(small):
    (small.root / LOCK).unlink(missing_ok=True)  # nor is a lock needed: a disk may be read-only
    there = {path: path.stat().st_mtime_ns for path in small.root.rglob("*") if path.is_file()}
    told = {table.table: table for table in maintain.maintain(small, dry_run=True).tables}
    assert {
        path: path.stat().st_mtime_ns for path in small.root.rglob("*") if path.is_file()
    } == there
    done = {table.table: table for table in maintain.maintain(small).tables}
    for name in FILLED:
        for what in ("files_before", "bytes_before", "dead_rows", "deleted_files", "deleted_bytes"):
            assert getattr(told[name], what) == getattr(done[name], what), (name, what)
        assert told[name].merged == done[name].merged + (done[name].dead_rows > 0)
        assert told[name].files_after == done[name].files_before


# ---- readers and writers ------------------------------------------------------------------------


def test_a_reader_goes_on_reading_what_it_listed(small):
    with query.connect(small) as db:
        before = db.execute("SELECT * FROM speech ORDER BY ALL").fetchall()
        assert elsewhere(MAINTAIN, small).wait() == 0
        assert len(small.stored("labels")[0]) == 1
        assert db.execute("SELECT * FROM speech ORDER BY ALL").fetchall() == before
    with query.connect(small) as db:
        assert db.execute("SELECT * FROM speech ORDER BY ALL").fetchall() == before


def test_a_commit_waits_for_the_table_and_loses_nothing(small, tmp_path, monkeypatch):
    hold = tmp_path / "hold"
    other = elsewhere(MAINTAIN, small, f"maintain.swept:2=pause@{hold}")
    until(hold.exists, other)
    with monkeypatch.context() as patch:
        patch.setattr(lake, "LOCK_WAIT_S", 0.1)
        with pytest.raises(LakeBusy):
            small.commit(*chunk(50))
    hold.unlink()
    small.commit(*chunk(50))
    assert other.wait() == 0
    assert counts(small)["chunk-50"] == 4
    assert harm(small.root) == []


def test_a_chunk_amid_its_commit_is_not_taken_for_dead(small, tmp_path, monkeypatch):
    hold = tmp_path / "hold"
    other = elsewhere(COMMIT, small, f"append.labels=pause@{hold}")
    until(hold.exists, other)  # with rows in three tables, and no ledger row
    with monkeypatch.context() as patch:
        patch.setattr(lake, "LOCK_WAIT_S", 0.1)
        for name in ("recordings", "segments"):
            with pytest.raises(LakeBusy):
                tend(small, name)
    hold.unlink()
    dead = {name: tend(small, name).dead_rows for name in ("recordings", "segments")}
    assert other.wait() == 0
    assert dead == {"recordings": 1, "segments": 1}  # of the chunk that was cut off
    assert counts(small)["chunk-50"] == 4
    assert harm(small.root) == []


@pytest.mark.parametrize("point", faults.MAINTENANCE)
def test_who_is_killed_has_done_no_harm_and_is_followed_up(small, answers, point):
    once = ("maintain.copied", "vectors.written")  # else of a table, and of the second
    time = 1 if point in once else 2
    killed = elsewhere(MAINTAIN, small, f"{point}:{time}=kill")
    assert killed.wait() == -signal.SIGKILL
    assert rows(small.root, EVERYTHING) == answers
    assert harm(small.root) == []
    done = maintain.maintain(small)  # at once: nobody holds the lock
    assert not any(found.count for found in done.findings)
    assert {table.files_after for table in done.tables} == {0, 1}
    assert rows(small.root, EVERYTHING) == answers


# ---- time ---------------------------------------------------------------------------------------


def test_replaced_files_stay_for_as_long_as_they_shall(small, answers):
    old = files(small, "labels")
    maintain.maintain(small)
    assert files(small, "labels") > old
    aged(small, 6)
    maintain.maintain(small)
    assert files(small, "labels") > old
    done = maintain.maintain(small, keep_days=5)
    assert files(small, "labels").isdisjoint(old)
    deleted = {table.table: table.deleted_files for table in done.tables}
    assert deleted["labels"] == CHUNKS and not done.wrong
    assert rows(small.root, EVERYTHING) == answers


def test_longer_than_delta_itself_remembers(small):
    """After a week Delta would take the age of a file for the time since it was replaced."""
    old = files(small, "labels")
    for path in small.root.rglob("*.parquet"):  # written long before
        os.utime(path, (time.time() - 40 * DAY_S,) * 2)
    maintain.maintain(small, keep_days=30)
    aged(small, 9)
    for _ in range(2):  # the first makes a checkpoint, in which Delta forgets
        maintain.maintain(small, keep_days=30)
    assert files(small, "labels") > old
    opened = small.delta("labels")
    opened.load_as_version(CHUNKS - 1)
    names = [str(small.root / "labels" / Path(uri).name) for uri in opened.file_uris()]
    assert sum(pq.read_metadata(name).num_rows for name in names) == 3 * CHUNKS
    aged(small, 22)
    maintain.maintain(small, keep_days=30)
    assert files(small, "labels").isdisjoint(old)


def test_a_lake_whose_log_was_shortened_is_whole(small, answers):
    maintain.maintain(small)
    entries = set((small.root / "labels" / "_delta_log").glob("*.json"))
    for path in small.root.rglob("*"):
        os.utime(path, (time.time() - 40 * DAY_S,) * 2)
    small.commit(*chunk(50))
    maintain.maintain(small)
    left = set((small.root / "labels" / "_delta_log").glob("*.json"))
    assert len(entries) > 5 and len(left & entries) == 1  # that of the checkpoint they start from
    assert counts(small)["chunk-50"] == 4
    after = rows(small.root, EVERYTHING)
    assert not difference(after, answers)[0]
    assert harm(small.root) == []


@pytest.mark.parametrize("keep_days", [0, -1, 0.01, float("nan"), float("inf")])
def test_files_that_somebody_may_read_are_not_to_be_deleted(small, keep_days):
    with pytest.raises(SettingsError, match="an hour"):
        maintain.maintain(small, keep_days=keep_days)


def test_a_damaged_lake_is_left_as_it_is(small):
    path = Path(small.stored("embeddings")[0][0])
    path.write_bytes(path.read_bytes()[:-10])
    there = {path: path.stat().st_mtime_ns for path in small.root.rglob("*")}
    with pytest.raises(LakeError, match=r"embeddings: .* bytes, the log says .*Nothing was done"):
        maintain.maintain(small)
    assert {path: path.stat().st_mtime_ns for path in small.root.rglob("*")} == there


def test_a_page_that_cannot_be_unpacked_stops_it(small):
    path = Path(small.stored("segments")[0][0])
    held = bytearray(path.read_bytes())
    held[4:200] = bytes(196)
    path.write_bytes(held)
    with pytest.raises(LakeError, match="segments"):
        maintain.maintain(small)
    assert str(path) in small.stored("segments")[0]


# ---- what a commit reads ------------------------------------------------------------------------


def test_rows_of_a_chunk_stay_together(small, monkeypatch):
    """So that DuckDB leaves out what a commit does not ask for, however large a file is."""
    monkeypatch.setattr(layout, "GROUP_ROWS", 6)
    maintain.maintain(small)
    for number in (50, 51):
        small.commit(*chunk(number, size=3))
    maintain.maintain(small)
    [path] = small.stored("labels")[0]
    ids = pq.read_table(path, columns=["chunk_id"])["chunk_id"].to_pylist()
    assert sum(a != b for a, b in itertools.pairwise(ids)) == CHUNKS + 2 - 1
    with duckdb.connect() as db:
        [(_, plan)] = db.execute(
            "EXPLAIN ANALYZE SELECT segment_id FROM read_parquet(?) "
            "WHERE list_contains(?, chunk_id)",
            [[path], ["chunk-2"]],
        ).fetchall()
    scanned, _, groups = plan.split("Row Groups Scanned: ")[1].split()[:3]
    assert int(scanned) <= 2 and int(groups) == 4


def test_a_commit_finds_what_is_there_in_put_together_files(small, monkeypatch):
    maintain.maintain(small)
    read: list[list[str]] = []
    real = contents._read
    monkeypatch.setattr(contents, "_read", lambda files, *a: read.append(files) or real(files, *a))
    small.commit(*chunk(70), since=CHUNKS + 1)  # after all others, by name and number
    assert {Path(path).parent.name for paths in read for path in paths} <= {"runs"}
    small.commit(*chunk(25), since=CHUNKS + 2)  # amid them by name
    assert any(read)
    with pytest.raises(LakeError, match="has rows of it already"):
        small.commit(*chunk(2))
    assert counts(small)["chunk-25"] == counts(small)["chunk-70"] == 4
    assert harm(small.root) == []


def copied(of: int, number: int) -> tuple[dict[str, pa.Table], dict[str, object]]:
    """A chunk with another's content under a name of its own."""
    tables, ledger = chunk(of)
    name = f"copy-{number}"
    for table, held in tables.items():
        for column in ("chunk_id", "uri") if table == "recordings" else ("chunk_id",):
            where = held.column_names.index(column)
            held = held.set_column(where, held.schema.field(column), pa.array([name] * len(held)))
        tables[table] = held
    return tables, ledger | {"chunk_id": name}


@hypothesis_settings(max_examples=8)
@given(st.lists(st.sampled_from(["commit", "copy", "cut", "maintain"]), min_size=3, max_size=9))
def test_keys_stay_unique_whatever_happens_in_whatever_order(tmp_path_factory, steps):
    where = Lake(tmp_path_factory.mktemp("steps"), create=True)
    where.commit(*chunk(0))
    committed, copies, dead = 1, 0, 0
    for number, step in enumerate(steps, 1):
        if step == "commit":
            where.commit(*chunk(number))
            committed += 1
        elif step == "copy":
            where.commit(*copied(0, number))
            copies += 1
        elif step == "cut":
            cut_off(where, 100 + number)
            dead += 1
        else:
            done = {table.table: table for table in maintain.maintain(where).tables}
            assert done["recordings"].dead_rows == dead
            assert done["recordings"].files_after == 1
            dead = 0
    views = ("recordings", "speech", "segments", "embeddings", "labels")
    [seen] = query.run(
        where, "SELECT " + ", ".join(f"(SELECT count(*) FROM {view}) AS {view}" for view in views)
    ).to_pylist()
    assert seen["recordings"] == seen["speech"] == committed + copies
    assert seen["segments"] == seen["embeddings"] == seen["labels"] == committed
    assert harm(where.root) == []


# ---- as people call it --------------------------------------------------------------------------


def test_the_command_says_what_was_done(small):
    shown = clsp("maintain", "--lake", small.root, "--dry-run")
    assert "to merge" in shown and "Nothing was changed" in shown
    shown = clsp("maintain", "--lake", small.root, "--keep-days", 3, "--deep")
    assert "nothing is wrong" in shown and "recordings" in shown
    done = clsp_json("maintain", "--lake", small.root)
    assert (done["keep_days"], done["dry_run"]) == (7.0, False)
    held = {table["table"]: table for table in done["tables"]}
    assert held["labels"]["files_after"] == 1 and held["labels"]["kept_files"] == CHUNKS


@pytest.mark.filterwarnings("default")  # Prefect's own, in its server's process and ours
def test_the_flow_maintains_and_leaves_an_artifact(small):
    from flows.maintain import maintain as flow

    before = rows(small.root, {k: v for k, v in EVERYTHING.items() if k != "watch_checks"})
    done = flow(lake=str(small.root), keep_days=3.0)
    assert {table["files_after"] for table in done["tables"]} == {0, 1}
    assert not any(found["count"] for found in done["findings"])
    assert rows(small.root, {name: EVERYTHING[name] for name in before}) == before
    assert query.run(small, "SELECT count(*) AS n FROM watch_checks")["n"].to_pylist() == [2]

    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        [artifact] = [a for a in client.read_artifacts() if a.key == "maintain"]
    assert "nothing is wrong" in artifact.description
    table = {row["table"]: row for row in json.loads(artifact.data)}
    assert table["segments"]["dead_rows"] == 1
