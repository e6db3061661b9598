"""SIGTERM: what is in hand is finished and committed, nothing new is begun, the next run goes on.
On Ray: test_ray_cluster.py."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import ledger
from pipelines.lake import Lake
from pipelines.query import run as ask
from pipelines.settings import TagSettings
from pipelines.stopping import EXIT_STATUS, Stop, stoppable
from tests.faults.runs import ROWS, SETTINGS, Runs, difference, harm, make_archive, rows, until
from tests.places import ROOT

# Without numbers of the model: threads of child processes move the last bit.
TABLES = ROWS | {
    "embeddings": "SELECT segment_id, model_key FROM embeddings",
    "labels": "SELECT segment_id, model_key, taxonomy_key FROM labels",
    "speech": "SELECT uri, start_s, end_s FROM speech",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Iterator[Runs]:
    with Runs(tmp_path_factory.mktemp("runs")) as started:
        yield started


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("archive") / "a"
    make_archive(root)
    return root


@pytest.fixture(scope="module")
def undisturbed(archive, runs, tmp_path_factory) -> dict:
    lake = tmp_path_factory.mktemp("undisturbed") / "lake"
    runs.finish(TagSettings(str(archive), str(lake), **SETTINGS))
    return rows(lake, TABLES)


@pytest.mark.parametrize("executor", ["local", "process"])
def test_what_is_in_hand_is_finished_and_the_next_run_goes_on(
    archive, runs, undisturbed, tmp_path, executor
):
    lake, hold = tmp_path / "lake", tmp_path / "hold"
    given = TagSettings(str(archive), str(lake), executor=executor, **SETTINGS)
    started = runs.start(given, f"worker.chunk:2=pause@{hold}")
    until(hold.exists, started)
    os.kill(started.pid, signal.SIGTERM)
    hold.unlink()
    assert started.wait() == 1
    assert "no new chunk is begun; what is in hand has 20 s" in started.said
    assert "of 6 files that were begun 6 are done and committed, 0 were dropped" in started.said
    kinds = ask(Lake(lake), "SELECT kind FROM runs ORDER BY seq")["kind"].to_pylist()
    assert kinds == ["chunk", "chunk", "stopped"]
    assert [row["state"] for row in ledger.runs(Lake(lake))] == ["stopped"]
    runs.finish(replace(given, executor="local"))
    assert [row["state"] for row in ledger.runs(Lake(lake))] == ["finished", "stopped"]
    assert difference(rows(lake, TABLES), undisturbed) == ({}, {})
    assert harm(lake) == []


def test_a_process_that_is_too_busy_to_look_ends_all_the_same():
    code = (
        "import os, signal, time; from pipelines import stopping; stopping.LAST_S = 0.1\n"
        "with stopping.stoppable(grace_s=0.1):\n"
        "    os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == EXIT_STATUS == 143


def test_who_handles_sigterm_already_keeps_it():
    def theirs(*_):
        raise AssertionError

    before = signal.signal(signal.SIGTERM, theirs)
    try:
        with stoppable() as stop:
            assert signal.getsignal(signal.SIGTERM) is theirs
        assert not stop.asked
    finally:
        signal.signal(signal.SIGTERM, before)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray, where a test had it, leaves its own
    try:
        with stoppable() as stop:
            assert signal.getsignal(signal.SIGTERM) == stop.ask
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_nobody_is_stopped_before_the_time_is_over():
    stop = Stop(grace_s=600)
    stop.check()
    stop.until = float("inf")
    assert stop.asked
    stop.check()
