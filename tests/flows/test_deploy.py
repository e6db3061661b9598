"""`clsp deploy`: what it would register, and what it refuses, without a server."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from flows import deploy
from flows.cli import app
from flows.events import ServerNotReached, emit, lake_key, resource
from pipelines.errors import SettingsError
from tests.flows.commands import clsp, clsp_json
from tests.flows.server import free_port
from tests.places import ROOT


def test_a_dry_run_says_all_that_would_be_registered(tmp_path):
    planned = clsp_json(
        "deploy", "--lake", tmp_path, "--source", "s3://calls", "--cron", "15 * * * *",
        "--timezone", "Europe/Berlin", "--set", "tag_archive.batch_s=120", "--dry-run",
    )  # fmt: skip
    made = {deployment["flow_name"]: deployment for deployment in planned["deployments"]}
    assert set(made) == {"tag_archive", "reprocess", "maintain", "evaluate_model"}
    assert made["tag_archive"]["parameters"] == {
        "lake": str(tmp_path),
        "batch_s": 120,
        "source": "s3://calls",
    }
    berlin = {"cron": "15 * * * *", "timezone": "Europe/Berlin"}
    assert made["tag_archive"]["schedules"] == [berlin]
    assert all(made[name]["schedules"] for name in ("reprocess", "maintain"))
    assert {deployment["name"] for deployment in made.values()} == {lake_key(str(tmp_path))}
    assert planned["shared_concurrency_limit"] == {"name": resource(str(tmp_path)), "limit": 1}

    table = clsp("deploy", "--lake", tmp_path, "--dry-run")
    assert f"reprocess/{lake_key(str(tmp_path))}" in table
    assert "clsp.watch.fired clsp.action=reprocess" in table


def test_every_trigger_is_for_this_lake_alone(tmp_path):
    planned = deploy.plan(str(tmp_path / "a"), None, {})
    triggers = [each for made in planned["deployments"] for each in made["triggers"]]
    assert len(triggers) == 3
    assert {each["match"]["prefect.resource.id"] for each in triggers} == {
        resource(str(tmp_path / "a"))
    }
    assert resource(str(tmp_path / "a")) != resource(str(tmp_path / "b"))


def test_the_checked_in_file_is_what_deploy_makes():
    file = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())
    given = ["--lake", "/lake", "--source", "/archive", "--cron", "0 * * * *"]
    assert file == clsp_json("deploy", *given, "--dry-run")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--cron", "hourly", "--source", "a"], "five fields"),
        (["--reprocess-cron", "0 3 * *"], "five fields"),
        (["--timezone", "Mars/Olympus"], "Europe/Berlin"),
        (["--cron", "0 * * * *"], "--source"),
        (["--set", "tag_archive.batch=9"], "batch_s"),
        (["--set", "tag_archive.batch_s=long"], "batch_s"),
        (["--set", "tag_archive.batch_s=-1"], "more than 0"),
        (["--set", "tag_archive.segments=halves"], "segments"),
        (["--set", "tag_archive.precision=half"], "bfloat16"),
        (["--set", "reprocess.precision=int8", "--set", "reprocess.device=cuda"], "expected `cpu`"),
        (["--set", "tag_archive.include=[1, 2]"], "include"),
        (["--set", "maintain.keep_days=soon"], "keep_days"),
        (["--set", "maintain.keep_days=0"], "an hour"),
        (["--set", "evaluate_model.task=guess"], "zero-shot"),
        (["--set", "evaluate_model.preset=foo"], "tiny-heldout"),
        (["--set", "evaluate_model.precision=fp16"], "bfloat16"),
        (["--set", "reprocess.executor=rai"], "'process'"),
        (["--set", "reprocess.worker_gpus=2"], "at most 1"),
        (["--set", "tag_archive.device=gpu"], "`cuda`"),
        (["--set", "tag_archive.lake=x"], "--lake"),
        (["--source", ""], "source ''"),
        (["--work-pool", ""], "work_pool ''"),
        (["--set", "tagging.batch_s=9"], "evaluate_model"),
    ],
)
def test_what_a_run_would_refuse_at_night_is_refused_now(tmp_path, given, said):
    result = CliRunner().invoke(app, ["deploy", "--lake", str(tmp_path), "--dry-run", *given])
    assert isinstance(result.exception, SettingsError)
    assert said in str(result.exception)


@pytest.mark.parametrize("text", ["batch_s=9", "tag_archive.batch_s", "tag_archive.a={"])
def test_what_cannot_be_read_is_a_wrong_command_line(tmp_path, text):
    result = CliRunner().invoke(app, ["deploy", "--lake", str(tmp_path), "--set", text])
    assert result.exit_code == 2


@pytest.fixture
def no_server(monkeypatch):
    """None is configured, and none may be started."""
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_API_URL, temporary_settings

    def start(*_, **__):
        raise AssertionError("a server of Prefect's own was started")

    monkeypatch.setattr(SubprocessASGIServer, "start", start)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield


def test_without_a_server_nothing_is_registered_sent_or_started(no_server, tmp_path):
    assert emit("clsp.target.changed", str(tmp_path), {}) is False
    for command in (["deploy"], ["announce", "."]):
        result = CliRunner().invoke(app, [*command, "--lake", str(tmp_path)])
        assert isinstance(result.exception, SettingsError)
        assert "PREFECT_API_URL" in str(result.exception)


def test_a_server_that_does_not_answer_is_said_to_be_so(tmp_path):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    nobody = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: nobody}):
        with pytest.raises(ServerNotReached, match="was not sent"):
            emit("clsp.target.changed", str(tmp_path), {})
        with pytest.raises(ServerNotReached, match="not all is registered"):
            deploy.register(deploy.plan(str(tmp_path), None, {}))


names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60
).filter(lambda name: name not in (".", ".."))


@given(names)
def test_a_lakes_name_on_the_server_is_plain_and_its_own(name):
    key = lake_key(f"/data/{name}")
    assert key == lake_key(f"/data/{name}/")
    assert key.replace("-", "").isalnum() and key.isascii()
    assert key != lake_key(f"/other/{name}")


def test_the_same_lake_has_one_name_wherever_it_is_named_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lake_key("lake") == lake_key(str(tmp_path / "lake")) == lake_key("./lake/")
    assert lake_key("s3://calls/lake") == lake_key("s3://calls/lake/")
