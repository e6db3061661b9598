"""Workers in child processes: the same rows, and what kills one costs one file."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines import executors, faults
from pipelines.children import MOST_STARTS, children
from pipelines.errors import LakeError, WorkerLost, WorkerNotStarted
from pipelines.jobs import Job
from pipelines.lake import Lake
from pipelines.packing import unpack
from pipelines.query import run
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from pipelines.verify import verify
from pipelines.worker import Worker
from tests.faults.runs import until
from tests.places import ROOT


class Fragile(Worker):
    """Stands in for a decoder that crashes the process on one file."""

    def process(self, chunk, on_file):
        if any(entry.uri == "podcast/episode-02.mp3" for entry in chunk.entries):
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().process(chunk, on_file)


class Stillborn(Worker):
    def __init__(self, job: Job) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Mismatched(Worker):
    def __init__(self, job: Job) -> None:
        raise ValueError("no such weights here")


class Faulty(Worker):
    def process(self, chunk, on_file):
        raise ZeroDivisionError("a fault of ours")


def settings(archive: Path, tmp_path: Path, **given) -> TagSettings:
    return TagSettings(str(archive), str(tmp_path / "lake"), executor="process", **given)


@pytest.fixture
def made_with(monkeypatch):
    """Another class than Worker in the children."""

    def use(make: type[Worker]) -> None:
        def with_it(job, count, on_file):
            return children(job, count, on_file, make)

        monkeypatch.setattr(executors, "children", with_it)

    return use


def test_children_write_the_same_rows(sample_archive, sample_lake, tmp_path, tiny):
    seconds: list[float] = []
    done = tag(settings(sample_archive, tmp_path, workers=2, chunk_files=4), on_file=seconds.append)
    assert (done.tagged, done.failed, done.warnings) == (17, 3, {"truncated": 1})
    assert len(seconds) == 20
    sql = """SELECT uri, start_s, end_s, gender, emotion, embedding FROM speech
             JOIN embeddings USING (segment_id) ORDER BY uri, start_s"""
    ours, theirs = run(Lake(tmp_path / "lake"), sql), run(Lake(sample_lake), sql)
    assert ours.drop_columns(["embedding"]) == theirs.drop_columns(["embedding"])
    dim = tiny.config.joint_dim
    np.testing.assert_allclose(
        unpack(ours["embedding"], dim), unpack(theirs["embedding"], dim), atol=5e-4
    )


def test_a_file_that_kills_its_worker_is_found_and_recorded(sample_archive, tmp_path, made_with):
    made_with(Fragile)
    two = ("podcast/episode-0[12].*",)
    done = tag(settings(sample_archive, tmp_path, include=two))
    assert (done.tagged, done.failures) == (1, {"worker_lost": 1})
    [failure] = run(Lake(tmp_path / "lake"), "FROM failures").to_pylist()
    assert failure["uri"] == "podcast/episode-02.mp3"
    assert "SIGSEGV" in failure["error_message"]
    assert [finding for finding in verify(Lake(tmp_path / "lake")) if finding.count] == []


def test_a_child_killed_once_costs_no_file(sample_archive, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    monkeypatch.setenv(faults.VARIABLE, f"worker.embedded:1=kill@{marker}")
    done = tag(settings(sample_archive, tmp_path, include=("voicemail/*",)))
    assert marker.exists()
    assert (done.tagged, done.failed) == (done.listed, 0)


def test_a_worker_that_cannot_start_ends_the_run(sample_archive, tmp_path, made_with):
    made_with(Mismatched)
    with pytest.raises(WorkerNotStarted, match="no such weights here"):
        tag(settings(sample_archive, tmp_path))
    made_with(Stillborn)
    with pytest.raises(WorkerLost, match=f"{MOST_STARTS} times before it was ready .SIGKILL"):
        tag(settings(sample_archive, tmp_path))


def test_a_fault_of_ours_ends_the_run_and_is_no_files_failure(sample_archive, tmp_path, made_with):
    made_with(Faulty)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a fault of ours"):
        tag(settings(sample_archive, tmp_path))
    with pytest.raises(LakeError, match="no lake"):
        Lake(tmp_path / "lake")


def test_children_do_not_outlive_their_driver(sample_archive, tmp_path):
    """Killed, so that it cannot tell them."""
    archive, hold, log = tmp_path / "archive", tmp_path / "hold", tmp_path / "log"
    shutil.copytree(sample_archive / "voicemail", archive)
    command = ["-m", "flows.cli", "tag", str(archive), "--lake", str(tmp_path / "lake")]
    driver = subprocess.Popen(
        [sys.executable, *command, "--executor", "process"],
        cwd=ROOT,
        env=os.environ | {faults.VARIABLE: f"*=log@{log}; worker.chunk=pause@{hold}"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    until(hold.exists, driver)
    [child] = [pid for pid in below(driver.pid) if b"spawn_main" in command_of(pid)]
    driver.kill()
    driver.wait()
    hold.unlink()
    until(lambda: not command_of(child))


def below(parent: int) -> list[int]:
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/stat")
        if path.read_text().rpartition(")")[2].split()[1] == str(parent)
    ]


def command_of(pid: int) -> bytes:
    """Of a process that is there, and not dead and uncollected."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
