"""On a real Prefect server with a real worker: schedules, triggers, one run at a time, kill -9."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.events import TARGET_CHANGED, WATCH_FIRED, emit, lake_key, resource
from pipelines.lake import Lake
from pipelines.query import run
from tests.flows.commands import clsp
from tests.flows.server import (
    end,
    expire_leases,
    kill,
    prefect,
    prefect_server,
    start_worker,
    wait_for,
)
from tests.places import ROOT

pytestmark = pytest.mark.filterwarnings("default")  # Prefect's own


@dataclass
class Server:
    """A server's address and home; in this process the tests' settings point at it."""

    url: str
    home: Path

    def client(self) -> Any:
        from prefect.client.orchestration import get_client

        return get_client(sync_client=True)

    def runs(self, flow: str, lake: Path, scheduled: bool = False) -> list[Any]:
        """Runs that somebody or something asked for, oldest first; or those on schedule."""
        from prefect.client.schemas.filters import (
            DeploymentFilter,
            DeploymentFilterName,
            FlowFilter,
            FlowFilterName,
        )

        with self.client() as client:
            found = client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
                deployment_filter=DeploymentFilter(
                    name=DeploymentFilterName(any_=[lake_key(str(lake))])
                ),
            )
        return sorted((r for r in found if r.auto_scheduled == scheduled), key=lambda r: r.created)

    def ended(self, run_id: Any) -> Any:
        """The run, once it is over."""
        with self.client() as client:

            def over() -> Any:
                found = client.read_flow_run(run_id)
                return found if found.state.is_final() else None

            return wait_for(over, f"the end of run {run_id}")

    def slots(self, lake: Path) -> int:
        with self.client() as client:
            return client.read_global_concurrency_limit_by_name(resource(str(lake))).active_slots

    def deployments(self, lake: Path) -> dict[str, Any]:
        with self.client() as client:
            return {
                flow: client.read_deployment_by_name(f"{flow}/{lake_key(str(lake))}")
                for flow in ("tag_archive", "reprocess", "maintain", "evaluate_model")
            }


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    home = tmp_path_factory.mktemp("prefect") / "server"
    with prefect_server(home) as url, temporary_settings({PREFECT_API_URL: url}):
        yield Server(url, home)


@pytest.fixture(scope="module")
def worker(server) -> Iterator[None]:
    process = start_worker(server.url, server.home.with_name("worker"))
    yield
    end(process)


@pytest.fixture
def archive(sample_archive, tmp_path) -> Path:
    """Three recordings, in a folder whose name Jinja and JSON would each take apart."""
    folder = tmp_path / '{{ 7 * 7 }} "new" & Gespräche <März>'
    folder.mkdir()
    for name in ("quiet.wav", "fast.ogg", "slow.opus"):
        (folder / name).write_bytes((sample_archive / "voicemail" / name).read_bytes())
    return folder


def uris(lake: Path) -> list[str]:
    return run(Lake(lake), "SELECT uri FROM speech ORDER BY uri")["uri"].to_pylist()


def test_an_announced_archive_is_tagged_into_its_own_lake(server, worker, archive, tmp_path):
    """By a Ray actor; and labelled anew, its audio gone by then: when its target changes, when a
    watch fires."""
    lake, other = tmp_path / "lake", tmp_path / "other"
    for each in (lake, other):
        clsp("deploy", "--lake", each, "--set", "tag_archive.segments=whole",
             "--set", "tag_archive.executor=ray", "--set", "tag_archive.workers=1")  # fmt: skip
    clsp("announce", archive, "--lake", lake)
    [found] = wait_for(lambda: server.runs("tag_archive", lake), "the run that the event starts")
    done = server.ended(found.id)
    assert done.state.is_completed(), done.state.message
    assert done.parameters["source"] == str(archive)
    assert uris(lake) == ["fast.ogg", "quiet.wav", "slow.opus"]
    assert server.slots(lake) == 0
    assert not server.runs("tag_archive", other) and not other.exists()

    shutil.rmtree(archive)
    taxonomy = tmp_path / "mood.yaml"
    taxonomy.write_text('attributes: {mood: {labels: {calm: "A calm voice.", upset: "A shout."}}}')
    count = "SELECT count(*) FROM speech"
    clsp(
        "watch", "add", "many", "--lake", lake, "--sql", count, "--above", 2, "--then", "reprocess"
    )
    clsp("target", "--lake", lake, "--taxonomy", taxonomy)
    [found] = wait_for(lambda: server.runs("reprocess", lake), "the run that the target starts")
    done = server.ended(found.id)
    assert done.state.is_completed(), done.state.message
    moods = run(Lake(lake), "SELECT count(mood_best) AS n FROM speech").to_pylist()
    assert moods == [{"n": 3}]

    def by_watch() -> list[Any]:
        return [each for each in server.runs("reprocess", lake) if each.id != found.id]

    [found_too] = wait_for(by_watch, "the run that the watch starts, checked after that run")
    assert server.ended(found_too.id).state.is_completed()


def test_a_schedule_starts_tagging(server, worker, archive, tmp_path):
    """Every minute, until it is taken back."""
    lake = tmp_path / "lake"
    clsp("deploy", "--lake", lake, "--source", archive, "--cron", "* * * * *")

    def done() -> list[Any]:
        found = server.runs("tag_archive", lake, scheduled=True)
        return [each for each in found if each.state.is_final()]

    first = wait_for(done, "the first run on schedule")[0]
    clsp("deploy", "--lake", lake)
    assert first.state.is_completed(), first.state.message
    assert uris(lake) == ["fast.ogg", "quiet.wav", "slow.opus"]


def test_what_is_registered_is_what_was_planned_once_or_again(server, tmp_path):
    lake = tmp_path / "lake"
    given = ["deploy", "--lake", lake, "--source", tmp_path, "--cron", "5 * * * *"]
    for _ in range(2):
        clsp(*given)
        made = server.deployments(lake)
        assert {d.work_pool_name for d in made.values()} == {"clsp"}
        assert {d.global_concurrency_limit.name for d in made.values()} == {resource(str(lake))}
        assert all(d.enforce_parameter_schema for d in made.values())
        assert made["tag_archive"].entrypoint == "flows.tag.tag_archive"
        assert made["tag_archive"].parameters == {"lake": str(lake), "source": str(tmp_path)}
        [schedule] = made["tag_archive"].schedules
        assert (schedule.schedule.cron, schedule.active) == ("5 * * * *", True)
        with server.client() as client:
            automations = [
                each
                for d in made.values()
                for each in client.read_resource_related_automations(f"prefect.deployment.{d.id}")
            ]
            limits = client.read_global_concurrency_limits(limit=100)
        assert len(automations) == 3
        assert not [limit.name for limit in limits if limit.name.startswith("deployment:")]
    clsp("deploy", "--lake", lake)
    assert server.deployments(lake)["tag_archive"].schedules == []


def test_a_deployment_shares_the_lakes_slot_before_anything_can_start_it(
    server, tmp_path, monkeypatch
):
    """A run that starts as soon as its schedule is there would else hold another slot: the next one
    took it for dead (measured)."""
    from prefect.deployments.runner import RunnerDeployment

    lake, slots = tmp_path / "lake", []
    apply = RunnerDeployment.apply

    def looked_at_first(made: Any) -> Any:
        with server.client() as client:
            found = client.read_deployment_by_name(f"{made.flow_name}/{made.name}")
        slots.append((found.global_concurrency_limit.name, found.schedules))
        return apply(made)

    monkeypatch.setattr(RunnerDeployment, "apply", looked_at_first)
    clsp("deploy", "--lake", lake, "--source", tmp_path, "--cron", "5 * * * *")
    assert slots == [(resource(str(lake)), [])] * 4


def test_events_of_a_lake_start_reprocessing_and_an_alert_does_not(server, tmp_path):
    lake = tmp_path / "lake"
    clsp("deploy", "--lake", lake, "--work-pool", "without-workers")
    assert emit(WATCH_FIRED, str(lake), {"watch": "unsure", "action": "alert", "value": 0.4})
    assert emit(TARGET_CHANGED, str(tmp_path / "other"), {})
    assert emit(WATCH_FIRED, str(lake), {"watch": "unsure", "action": "reprocess", "value": 0.4})
    wait_for(lambda: server.runs("reprocess", lake), "the run that the watch starts")
    prefect(
        server.url, tmp_path, "event", "emit", TARGET_CHANGED, "--resource-id", resource(str(lake))
    )
    wait_for(lambda: len(server.runs("reprocess", lake)) > 1, "the run that the target starts")
    assert len(server.runs("reprocess", lake)) == 2


@pytest.fixture
def faulty_worker(server, tmp_path) -> Iterator[Any]:
    """Starts workers of the pool `faulty`, and ends them."""
    started = []

    def start(faults: str) -> Any:
        started.append(start_worker(server.url, tmp_path / "worker", "faulty", faults))
        return started[-1]

    yield start
    for process in started:
        end(process)


def test_runs_wait_for_each_other_and_a_dead_one_is_found(
    server, faulty_worker, archive, sample_archive, tmp_path
):
    lake, at_commit, at_commit_too = (tmp_path / name for name in ("lake", "first", "second"))
    clsp("deploy", "--lake", lake, "--work-pool", "faulty")
    doomed = faulty_worker(f"commit.begin=pause@{at_commit}")
    clsp("announce", archive, "--lake", lake)
    wait_for(at_commit.exists, "the first run's work")
    clsp("announce", sample_archive / "podcast", "--lake", lake)

    def waiting() -> list[Any]:
        found = server.runs("tag_archive", lake)
        return [each for each in found if each.state.name == "AwaitingConcurrencySlot"]

    [second] = wait_for(waiting, "the second run to be told to wait")
    [first] = [each for each in server.runs("tag_archive", lake) if each.id != second.id]
    assert first.state.is_running() and server.slots(lake) == 1

    kill(doomed)
    with server.client() as client:
        assert client.read_flow_run(first.id).state.is_running()  # as far as the server knows
    expire_leases(server.home)
    faulty_worker(f"commit.begin=pause@{at_commit_too}")
    wait_for(at_commit_too.exists, "the second run's work")
    with server.client() as client:
        dead = client.read_flow_run(first.id).state
        assert dead.is_crashed() and "ended without a word" in dead.message
        assert client.read_flow_run(second.id).state.is_running()
    assert server.slots(lake) == 1  # the second run's: burying the first did not give it away
    at_commit_too.unlink()
    assert server.ended(second.id).state.is_completed()

    [again] = [each for each in server.runs("tag_archive", lake) if "again" in each.tags]
    assert again.parameters == first.parameters
    wait_for(at_commit_too.exists, "the first run's work, done again")
    at_commit_too.unlink()
    assert server.ended(again.id).state.is_completed()
    assert server.slots(lake) == 0
    assert set(uris(lake)) > {"fast.ogg", "quiet.wav", "slow.opus", "outro.flac"}


def test_a_deployment_without_the_lakes_limit_is_refused(server, worker, tmp_path):
    lake = tmp_path / "lake"
    clsp("deploy", "--lake", lake, "--set", f"evaluate_model.data={tmp_path}",
         "--set", "evaluate_model.task=zero-shot")  # fmt: skip
    deployment = server.deployments(lake)["evaluate_model"]
    with server.client() as client:
        client.request(
            "PATCH",
            "/deployments/{id}",
            path_params={"id": deployment.id},
            json={"global_concurrency_limit_id": None},
        )
        asked = client.create_flow_run_from_deployment(deployment.id)
    done = server.ended(asked.id)
    assert done.state.is_failed() and "must share the concurrency limit" in done.state.message


def test_prefects_own_deploy_reads_the_file_and_keeps_the_limit(server, tmp_path):
    clsp("deploy", "--lake", "/lake")
    prefect(server.url, tmp_path, "deploy", "--all", "--prefect-file",
            str(ROOT / "infra" / "prefect.yaml"))  # fmt: skip
    by_prefect = server.deployments(Path("/lake"))
    clsp("deploy", "--lake", "/lake", "--source", "/archive", "--cron", "0 * * * *")
    by_us = server.deployments(Path("/lake"))
    compared = ("entrypoint", "parameters", "tags", "work_pool_name", "parameter_openapi_schema")
    for flow, ours in by_us.items():
        theirs = by_prefect[flow]
        for name in compared:
            assert getattr(theirs, name) == getattr(ours, name), (flow, name)
        assert [s.schedule for s in theirs.schedules] == [s.schedule for s in ours.schedules]
        assert theirs.global_concurrency_limit.name == resource("/lake")
