"""Ray on a cluster of several nodes, on this machine: nodes that come and go, workers that die,
runs that are stopped, what Prometheus reads."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines import ray_actors, tagging
from pipelines.errors import ClusterUnreachable, WorkerNotStarted
from pipelines.executors import executor
from pipelines.lake import Lake
from pipelines.packing import unpack
from pipelines.query import run
from pipelines.ray_executor import IN_FLIGHT
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from pipelines.worker import Worker
from tests.faults.runs import SETTINGS, Runs, difference, harm, rows, tone, until


@pytest.fixture(scope="module")
def cluster() -> Iterator:
    """A head that works on nothing. Its nodes belong to the tests; one at least, for most."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="ray-") as short:  # sockets lie below it
        made = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "include_dashboard": False,
                "temp_dir": short,
                "_system_config": {"metrics_report_interval_ms": 200},
            },
        )
        yield made
        made.shutdown()


@pytest.fixture
def node(cluster):
    """One node of one CPU: more threads would move the last bit of the numbers."""
    return next(iter(cluster.worker_nodes), None) or cluster.add_node(num_cpus=1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Iterator[Runs]:
    with Runs(tmp_path_factory.mktemp("runs")) as started:
        yield started


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    """Twelve files of one or two segments, and one that is no audio: five chunks."""
    root = tmp_path_factory.mktemp("tones")
    for number in range(12):
        tone(root / f"{number:02}.wav", 150 + 10 * number, 0.6 + number % 2)
    (root / "words.wav").write_text("no audio")
    return root


@pytest.fixture(scope="module")
def undisturbed(tones, runs, tmp_path_factory) -> dict:
    """The rows of a run that nothing happened to, in one process."""
    lake = tmp_path_factory.mktemp("undisturbed") / "lake"
    runs.finish(TagSettings(str(tones), str(lake), **SETTINGS))
    return rows(lake)


def on(cluster, archive: Path, lake: Path, **given) -> TagSettings:
    given = {"executor": "ray", "ray_address": cluster.address, "workers": 1, **given}
    return TagSettings(str(archive), str(lake), **given)


def chunks_in(lake: Path) -> int:
    return len(Lake(lake, absent_ok=True).log("runs"))


def test_a_node_that_dies_amid_its_work_costs_no_row_and_a_new_one_is_used(
    cluster, runs, tones, undisturbed, tmp_path
):
    for old in [*cluster.worker_nodes]:
        cluster.remove_node(old)
    lake, hold = tmp_path / "lake", tmp_path / "hold"
    doomed = cluster.add_node(num_cpus=1)
    given = on(cluster, tones, lake, workers=2, worker_cpus=1, **SETTINGS)
    started = runs.start(given, f"worker.embedded:2=pause@{hold}")
    # The one worker that has a place is amid its first chunk; the other waits.
    until(hold.exists, started)
    until(lambda: wanted_of_an_autoscaler(cluster) == [({"CPU": 1.0}, 1)], started)
    cluster.add_node(num_cpus=1)
    until(lambda: chunks_in(lake) >= 2, started)  # so it works there
    cluster.remove_node(doomed, allow_graceful=False)
    until(lambda: "a Ray worker was lost (its node is gone)" in started.said, started)
    hold.unlink()
    assert started.wait() == 0, started.said
    assert started.said.count("is tried again: its node is gone") == IN_FLIGHT
    assert difference(rows(lake), undisturbed) == ({}, {})
    assert harm(lake) == []


def wanted_of_an_autoscaler(cluster) -> list[tuple[dict, int]]:
    from ray.autoscaler.v2.sdk import get_cluster_status

    demands = get_cluster_status(cluster.address).resource_demands.ray_task_actor_demand
    return [(each.bundle, each.count) for demand in demands for each in demand.bundles_by_count]


def test_a_file_that_kills_its_worker_is_found_and_recorded_and_no_other(
    cluster, node, sample_archive, tmp_path, monkeypatch
):
    class Fragile(Worker):  # stands in for a decoder that crashes the process
        def process(self, chunk):
            if any(entry.uri == "podcast/episode-02.mp3" for entry in chunk.entries):
                os._exit(1)
            return super().process(chunk)

    monkeypatch.setattr(ray_actors, "Worker", Fragile)
    lake = tmp_path / "lake"
    two = ("podcast/episode-0[12].*",)
    done = tag(on(cluster, sample_archive, lake, chunk_files=2, include=two))
    assert (done.tagged, done.failures) == (1, {"worker_lost": 1})
    [lost] = run(Lake(lake), "FROM failures").to_pylist()
    assert (lost["uri"], lost["error_kind"]) == ("podcast/episode-02.mp3", "worker_lost")


def test_a_model_that_cannot_load_ends_the_run_at_once(
    cluster, node, sample_archive, tmp_path, monkeypatch
):
    class Mismatched(Worker):
        def __init__(self, job):
            raise ValueError("no such weights on this node")

    monkeypatch.setattr(ray_actors, "Worker", Mismatched)
    with pytest.raises(WorkerNotStarted, match="no such weights on this node"):
        tag(on(cluster, sample_archive, tmp_path / "lake"))


def test_actors_write_the_same_rows_and_know_what_the_lake_holds(
    cluster, node, sample_archive, sample_lake, tmp_path, tiny
):
    lake = tmp_path / "lake"
    done = tag(on(cluster, sample_archive, lake, chunk_files=8))
    assert (done.tagged, done.failed, done.warnings) == (17, 3, {"truncated": 1})
    sql = "SELECT * EXCLUDE (processed_at) FROM speech ORDER BY uri, start_s"
    ours, theirs = (run(Lake(where), sql).to_pylist() for where in (lake, sample_lake))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for column, value in a.items():
            close = pytest.approx(b[column], abs=1e-4) if isinstance(value, float) else b[column]
            assert value == close, (a["uri"], column)
    dim = tiny.config.joint_dim
    sql = "SELECT embedding FROM embeddings ORDER BY segment_id"
    ours, theirs = (unpack(run(Lake(w), sql)["embedding"], dim) for w in (lake, sample_lake))
    # One unit of half precision, where thread counts move the last bit.
    np.testing.assert_allclose(ours, theirs, atol=5e-4)

    (tmp_path / "again").mkdir()
    shutil.copy(sample_archive / "podcast/outro.flac", tmp_path / "again/moved.flac")
    again = tag(on(cluster, tmp_path / "again", lake))
    assert (again.tagged, again.known, again.segments) == (1, 1, 0)


def test_no_more_is_begun_than_the_driver_takes_and_prometheus_reads_what_is_done(
    cluster, node, tones, tmp_path
):
    import ray

    planned = tagging.plan(on(cluster, tones, tmp_path / "lake", chunk_files=1))
    begun, most = 0, 0

    def chunks():
        nonlocal begun
        for chunk in planned.chunks:
            begun += 1
            yield chunk

    with executor(planned.settings, planned.job) as work:
        for taken, _ in enumerate(work(chunks()), 1):
            most = max(most, begun - taken)  # in hand, while this one is committed
        [told] = [each for each in ray.nodes() if each["NodeID"] == node.node_id]
        page = f"http://{told['NodeManagerAddress']}:{told['MetricsExportPort']}/metrics"
        until(lambda: counted(page, "clsp_files_total", state="tagged") >= 12)
        assert counted(page, "clsp_failures_total", kind="unsupported") >= 1
        assert counted(page, "clsp_audio_seconds_total") >= 12 * 1.1 - 0.01
        assert counted(page, "clsp_batch_seconds_count") >= 12
        assert counted(page, "clsp_queue_depth") >= 0
    assert taken == len(planned.chunks) == 13
    assert most == IN_FLIGHT


def counted(page: str, name: str, **labels: str) -> float:
    """A metric, as the exporter of a node gives it, of all its workers together."""
    with urllib.request.urlopen(page) as answer:
        lines = answer.read().decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(f"ray_{name}{{")
        and all(f'{key}="{value}"' in line for key, value in labels.items())
    )


@pytest.mark.parametrize("signals", [1, 2], ids=["finishes", "drops"])
def test_a_run_that_is_stopped_ends_well_and_the_next_goes_on(
    cluster, node, runs, tones, undisturbed, tmp_path, signals
):
    """The second SIGTERM leaves no time for what is in hand."""
    lake, hold = tmp_path / "lake", tmp_path / "hold"
    started = runs.start(on(cluster, tones, lake, **SETTINGS), f"worker.chunk:2=pause@{hold}")
    until(lambda: hold.exists() and chunks_in(lake) == 1, started)  # and the next two are in hand
    for _ in range(signals):
        os.kill(started.pid, signal.SIGTERM)
        until(lambda: "no new chunk is begun" in started.said, started)
    if signals == 1:
        hold.unlink()
    assert started.wait() == 1
    hold.unlink(missing_ok=True)
    dropped = 0 if signals == 1 else IN_FLIGHT * SETTINGS["chunk_files"]
    done = (1 + IN_FLIGHT) * SETTINGS["chunk_files"] - dropped
    assert f"{done} are done and committed, {dropped} were dropped" in started.said
    kinds = run(Lake(lake), "SELECT kind FROM runs ORDER BY seq")["kind"].to_pylist()
    assert kinds == ["chunk"] * (done // SETTINGS["chunk_files"]) + ["stopped"]
    runs.finish(TagSettings(str(tones), str(lake), **SETTINGS))
    assert difference(rows(lake), undisturbed) == ({}, {})
    assert harm(lake) == []


def test_what_fits_nowhere_on_this_machine_is_not_waited_for(tones, tmp_path):
    import ray

    given = TagSettings(str(tones), str(tmp_path), executor="ray", worker_cpus=10_000)
    with pytest.raises(WorkerNotStarted, match=r"each asks for 10000 CPUs; .*--worker-cpus"):
        tag(given)
    assert not ray.is_initialized()


def test_without_a_home_to_keep_its_token_in_it_says_so(tones, tmp_path):
    given = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_TOKEN"}
    tagged = subprocess.run(
        [sys.executable, "-m", "flows.cli", "tag", str(tones), "--lake", str(tmp_path / "lake"),
         "--executor", "ray"],
        env=given | {"HOME": "/dev/null"}, capture_output=True, text=True,
    )  # fmt: skip
    assert tagged.returncode and "Traceback" not in tagged.stderr
    assert "Ray cannot be started here" in tagged.stderr and "RAY_AUTH_TOKEN" in tagged.stderr


def test_where_no_cluster_is_it_says_so_at_once(tones, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and does not listen
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
        for address in (nobody, f"ray://{nobody}"):
            given = {"executor": "ray", "ray_address": address}
            with pytest.raises(ClusterUnreachable, match=f"no Ray cluster answers at '{address}'"):
                tag(TagSettings(str(tones), str(tmp_path / "lake"), **given))
