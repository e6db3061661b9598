"""Runs that are killed, that meet, or whose disk is full: nothing lost, nothing twice.

In full: python -m tests.faults.crash_matrix, python -m tests.faults.soak.
"""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines import faults, lake, query, schemas, tagging
from pipelines.errors import FailureKind, LakeBusy, LakeError
from pipelines.lake import Lake
from pipelines.settings import TagSettings
from tests.faults.crash_matrix import ELSEWHERE, Matrix, cluster
from tests.faults.runs import ROOT, ROWS, Runs, difference, harm, rows, tone, until

BUT_HISTORY = {name: sql for name, sql in ROWS.items() if name != "history"}
LEDGER = {
    "run_id": "r", "kind": "chunk", "archive": "a", "segments_policy": "s", "model_key": "m",
    "taxonomy_key": "t", "files": 1, "tagged": 1, "failed": 0, "unchanged": 0, "segments": 1,
    "audio_s": 1.0, "started_at": datetime(2026, 1, 1, tzinfo=UTC),
}  # fmt: skip


def chunk(number: int, size: int = 1) -> tuple[dict[str, pa.Table], dict[str, object]]:
    """What Lake.commit takes: a chunk of one recording with so many segments."""
    name = f"chunk-{number}"
    ids = [f"{name}-{i}" for i in range(size)]
    file = {
        "archive": "a", "uri": name, "content_hash": name, "state": "tagged",
        "segments_policy": "s", "model_key": "m", "taxonomy_key": "t",
        "processed_at": datetime.now(UTC), "run_id": "r",
    }  # fmt: skip
    each = {
        "recordings": [file],
        "segments": [{"segment_id": id_, "content_hash": name, "segments_policy": "s",
                      "start_s": 0.0, "end_s": 1.0} for id_ in ids],
        "embeddings": [{"segment_id": id_, "model_key": "m", "embedding": os.urandom(1024)}
                       for id_ in ids],
        "labels": [{"segment_id": id_, "model_key": "m", "taxonomy_key": "t"} for id_ in ids],
    }  # fmt: skip
    tables = {
        table: pa.Table.from_pylist([row | {"chunk_id": name} for row in rows_],
                                    schemas.TABLES[table])
        for table, rows_ in each.items()
    }  # fmt: skip
    return tables, LEDGER | {"chunk_id": name}


# What of each chunk of the ledger is there.
COMPLETE = """SELECT chunk_id, (SELECT count(*) FROM history h WHERE h.chunk_id = l.chunk_id)
    + (SELECT count(*) FROM segments s WHERE s.chunk_id = l.chunk_id)
    + (SELECT count(*) FROM embeddings e WHERE e.chunk_id = l.chunk_id)
    + (SELECT count(*) FROM labels b WHERE b.chunk_id = l.chunk_id) AS rows FROM runs l"""


def counts(where: Lake) -> dict[str, int]:
    with query.connect(where) as db:
        return dict(db.execute(COMPLETE).fetchall())


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    root = tmp_path_factory.mktemp("crashes")
    with Runs(root) as runs:
        yield Matrix(root, runs)


@pytest.fixture
def again(matrix, tmp_path) -> Path:
    """A copy of a lake whose archive has changed since."""
    return Path(shutil.copytree(matrix.base, tmp_path / "lake"))


# ---- killed -------------------------------------------------------------------------------------


def test_the_table_of_points_is_that_of_the_code(matrix):
    code = "".join(path.read_text() for path in (ROOT / "pipelines").glob("*.py"))
    named = set(re.findall(r'faults\.reach\("([^"]+)"\)', code))
    assert named | {p for p in faults.POINTS if p.startswith("append")} == faults.POINTS.keys()
    assert matrix.reached.keys() == faults.POINTS.keys() - ELSEWHERE


@pytest.mark.parametrize("point", ["worker.embedded", "appended.segments", "append.runs"])
def test_a_killed_run_is_completed_by_the_next(matrix, point):
    assert matrix.case(point, 1) == ({}, {}, "")


@pytest.mark.parametrize("text", ["nowhere=kill", "worker.chunk=stop", "run.done=pause", "*=kill"])
def test_a_fault_that_means_nothing_is_refused(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        faults.parse(text)


def test_an_actor_that_dies_costs_no_row(matrix, again, tmp_path):
    with tempfile.TemporaryDirectory() as short, cluster(Path(short)) as address:
        given = matrix.tagging(again, executor="ray", workers=1, ray_address=address)
        run = matrix.runs.start(given, f"worker.embedded:2=kill@{tmp_path / 'marker'}")
        assert run.wait() == 0, run.said
    assert (tmp_path / "marker").exists()
    assert difference(rows(again), matrix.wanted) == ({}, {})
    assert harm(again) == []


def test_a_worker_that_the_memory_monitor_stopped_was_out_of_memory(matrix):
    from ray.exceptions import ActorDiedError, OutOfMemoryError

    from pipelines.ray_executor import lost_to_ray

    planned = tagging.plan(matrix.tagging(matrix.base))
    for error, kind in (
        (OutOfMemoryError("Task was killed due to the node running low on memory."),
         FailureKind.OUT_OF_MEMORY),
        (ActorDiedError(), FailureKind.WORKER_LOST),
    ):  # fmt: skip
        found = lost_to_ray(planned.job, planned.chunks[0], error).tables["recordings"]
        assert found["error_kind"].to_pylist() == [kind]


# ---- two at once --------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["commit.begin:3", "append.labels:1"])
def test_two_runs_at_once_lose_and_double_nothing(matrix, again, tmp_path, point):
    """The first waits with a result in hand, or amid its commit; the second goes as far as it
    can."""
    hold = tmp_path / "hold"
    first = matrix.runs.start(matrix.tagging(again), f"{point}=pause@{hold}")
    until(hold.exists, first)
    here = tmp_path / "here"
    second = matrix.runs.start(matrix.tagging(again), f"*=log@{here}")
    if point == "commit.begin:3":
        assert second.wait() == 0, second.said
        hold.unlink()
    else:
        until(lambda: here.exists() and "commit.begin" in here.read_text(), second)
        hold.unlink()
        assert second.wait() == 0, second.said
    assert first.wait() == 0, first.said

    assert difference(rows(again, BUT_HISTORY), {n: matrix.wanted[n] for n in BUT_HISTORY}) == (
        {},
        {},
    )
    assert harm(again) == []
    books = """SELECT r.files, r.tagged + r.failed + r.unchanged + r.pending AS told,
                      r.tagged + r.failed AS done, sum(c.files)::BIGINT AS committed
               FROM runs r JOIN runs c ON c.run_id = r.run_id AND c.kind = 'chunk'
               WHERE r.kind = 'run' GROUP BY ALL"""
    books = query.run(Lake(again), books).to_pylist()
    assert len(books) == 3  # with the one that made the lake
    assert all(row["files"] == row["told"] and row["done"] == row["committed"] for row in books)


def test_what_another_run_found_meanwhile_is_not_taken_back(tmp_path):
    archive, where = tmp_path / "archive", tmp_path / "lake"
    for number, name in enumerate(("fails", "stays", "back")):
        tone(archive / f"{name}.wav", 200 + 20 * number)
    given = TagSettings(str(archive), str(where))
    tagging.tag(given)
    (tmp_path / "mood.yaml").write_text("attributes:\n  mood: {labels: {a: Calm., b: Tense.}}\n")
    (archive / "back.wav").rename(tmp_path / "back.wav")
    mood = str(tmp_path / "mood.yaml")
    planned = tagging.plan(TagSettings(str(archive), str(where), taxonomy=mood))
    assert (len(planned.relabel), len(planned.gone)) == (2, 1)

    (archive / "fails.wav").write_text("no audio")
    tone(archive / "back.wav", 300)
    tagging.tag(given)
    tables = Lake(where)
    done = [tagging.commit(tables, planned, result) for result in tagging.results(planned)]
    assert tagging.finish(tables, planned, done).gone == 0
    assert harm(where) == []
    tagging.tag(TagSettings(str(archive), str(where)))
    states = "SELECT uri, state FROM recordings"
    assert {r["uri"]: r["state"] for r in query.run(tables, states).to_pylist()} == {
        "fails.wav": "failed",
        "stays.wav": "tagged",
        "back.wav": "tagged",
    }


def test_who_waits_too_long_for_a_commit_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(lake, "LOCK_WAIT_S", 0.1)
    where = Lake(tmp_path, create=True)
    with where.locked(), pytest.raises(LakeBusy, match="another process has been writing"):
        where.commit(*chunk(1))
    where.commit(*chunk(1))
    assert counts(Lake(tmp_path)) == {"chunk-1": 4}


def test_a_chunk_is_written_once(tmp_path):
    where = Lake(tmp_path, create=True)
    where.commit(*chunk(1))
    with pytest.raises(LakeError, match="has rows of it already"):
        where.commit(*chunk(1))
    where.append("segments", chunk(2)[0]["segments"])  # cut off there
    with pytest.raises(LakeError, match="has rows of it already"):
        where.commit(*chunk(2))
    assert counts(where) == {"chunk-1": 4}


# ---- readers ------------------------------------------------------------------------------------


def test_a_chunk_that_lands_while_a_reader_looks_is_seen_whole_or_not_at_all(tmp_path, monkeypatch):
    where = Lake(tmp_path, create=True)
    where.commit(*chunk(0))
    stored, landed = Lake.stored, []

    def and_then(self, table):
        """Another chunk lands after each table that the reader lists."""
        found = stored(self, table)
        monkeypatch.setattr(Lake, "stored", stored)
        landed.append(table)
        where.commit(*chunk(len(landed)))
        monkeypatch.setattr(Lake, "stored", and_then)
        return found

    monkeypatch.setattr(Lake, "stored", and_then)
    with query.connect(where) as db:
        monkeypatch.setattr(Lake, "stored", stored)
        assert set(db.execute(COMPLETE).fetchall()) == {("chunk-0", 4)}
    assert set(landed) == set(schemas.TABLES)
    assert counts(where) == {f"chunk-{number}": 4 for number in range(len(landed) + 1)}


WRITER = """
import sys
from tests.faults.test_crashes import Lake, chunk
lake = Lake(sys.argv[1], create=True)
lake.commit(*chunk(0))
print("ready", flush=True)
for number in range(1, 25):
    lake.commit(*chunk(number))
"""


def test_readers_see_whole_chunks_while_others_write(tmp_path):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "ready\n"
    seen = set()
    while writer.poll() is None:
        found = counts(Lake(tmp_path))
        assert set(found.values()) == {4}
        seen.add(len(found))
    assert writer.wait() == 0
    assert len(seen) > 1
    assert counts(Lake(tmp_path)) == {f"chunk-{number}": 4 for number in range(25)}


# ---- disks --------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_the_next_run_goes_on(matrix, again):
    before = rows(again)
    run = matrix.runs.start(matrix.tagging(again), "append.embeddings=enospc")
    assert run.wait() == 1
    assert "LakeError: table" in run.said and "No space left on device" in run.said
    assert not difference(rows(again), before)[0]
    assert harm(again) == []
    matrix.runs.finish(matrix.tagging(again))
    assert difference(rows(again), matrix.wanted) == ({}, {})


def test_a_file_that_cannot_grow_is_as_good_as_a_full_disk(tmp_path):
    where = Lake(tmp_path, create=True)
    where.commit(*chunk(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(LakeError, match=r"embeddings: .*File too large"):
            where.commit(*chunk(2, size=1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert counts(where) == {"chunk-1": 4}
    where.commit(*chunk(3, size=1000))
    assert counts(where) == {"chunk-1": 4, "chunk-3": 3001}
    assert harm(tmp_path) == []


def test_a_disk_that_is_really_full(tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", tmp_path],
                      capture_output=True, check=False).returncode:  # fmt: skip
        pytest.skip("no file system may be mounted here")
    try:
        where = Lake(tmp_path / "lake", create=True)
        where.commit(*chunk(1))
        with pytest.raises(LakeError, match="No space left"):
            where.commit(*chunk(2, size=1000))
        assert counts(where) == {"chunk-1": 4}
        subprocess.run(["mount", "-o", "remount,size=8m", tmp_path], check=True)
        where.commit(*chunk(3, size=1000))
        assert counts(where) == {"chunk-1": 4, "chunk-3": 3001}
        assert harm(where.root) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


READ_ONLY = """
import os, sys
from tests.faults.test_crashes import Lake, LakeError, chunk, counts
if not os.geteuid():
    os.setuid(65534)
lake = Lake(sys.argv[1])
print(counts(lake))
try:
    lake.commit(*chunk(2))
except LakeError as error:
    print(error)
"""


def test_a_lake_that_may_only_be_read_is_read_and_says_so():
    with tempfile.TemporaryDirectory() as folder:  # where others may look, unlike tmp_path
        Path(folder).chmod(0o755)
        where = Lake(Path(folder) / "lake", create=True)
        where.commit(*chunk(1))
        folders = [where.root, *(path for path in where.root.rglob("*") if path.is_dir())]
        for path in folders:
            path.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, where.root],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for path in folders:
            path.chmod(0o755)
    assert "{'chunk-1': 4}" in done.stdout
    assert re.search("Permission denied.* check the folder's space and permissions", done.stdout)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: bytes(99)])
@pytest.mark.parametrize("table", ["runs", "segments"])
def test_a_damaged_end_of_a_log_is_told_with_what_to_do(tmp_path, table, damage):
    where = Lake(tmp_path, create=True)
    for number in (1, 2):
        where.commit(*chunk(number))
    newest = max((tmp_path / table / "_delta_log").glob("*.json"))
    newest.write_bytes(damage(newest.read_bytes()))
    for does in (lambda: counts(Lake(tmp_path)), lambda: where.commit(*chunk(3))):
        with pytest.raises(LakeError, match=f"{newest.name}, is damaged.*move that file out"):
            does()

    newest.rename(tmp_path / "aside")
    found = json.dumps(harm(tmp_path))
    if table == "runs":  # its chunk is as if it had not been committed: the next run does it
        assert found == "[]"
        where.commit(*chunk(3))
        assert counts(where) == {"chunk-1": 4, "chunk-3": 4}
    else:
        assert "a tagged recording has segments: ('chunk-2',)" in found


def test_sigkill_gives_the_lock_back(matrix, again):
    assert matrix.runs.tag(matrix.tagging(again), "append.segments=kill") == -signal.SIGKILL
    with Lake(again).locked():  # at once: nobody holds it
        assert (again / lake.LOCK).exists()
