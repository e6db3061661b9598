"""`clsp watch` as a person or a script would call it, and the event that a server gets."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows import watching
from flows.cli import app
from pipelines import watches
from pipelines.lake import Lake
from tests.faults.test_crashes import chunk
from tests.flows.commands import clsp, clsp_json
from tests.flows.server import prefect_server, wait_for
from tests.places import ROOT

CHUNKS = "SELECT count(*) FROM runs WHERE kind = 'chunk'"


@pytest.fixture
def lake(tmp_path) -> Path:
    where = Lake(tmp_path / "lake", create=True)
    where.commit(*chunk(0))
    return where.root


def exits(code: int, *given: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in given])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def refused(*given: object) -> str:
    """Why; the console script turns it into exit code 3."""
    return str(CliRunner().invoke(app, [str(each) for each in given]).exception)


def test_a_watch_is_set_listed_checked_and_removed(lake):
    assert "No watch is set" in clsp("watch", "check", "--lake", lake)
    added = clsp("watch", "add", "chunks", "--lake", lake, "--sql", CHUNKS, "--above", 1)
    assert "watch chunks fires above 1; now: 1" in added
    [listed] = clsp_json("watch", "list", "--lake", lake)
    assert (listed["name"], listed["above"], listed["value"]) == ("chunks", 1.0, None)
    assert "watch chunks is quiet: 1, fires above 1" in clsp("watch", "check", "--lake", lake)
    Lake(lake).commit(*chunk(1))
    assert "watch chunks fires: 2" in exits(1, "watch", "check", "chunks", "--lake", lake)
    [told] = json.loads(exits(1, "watch", "check", "--lake", lake, "--json"))
    assert (told["value"], told["fires"], told["announced"]) == (2.0, True, False)
    [listed] = clsp_json("watch", "list", "--lake", lake)
    assert (listed["value"], listed["fires"]) == (2.0, True)
    assert "chunks" in clsp("watch", "list", "--lake", lake)
    assert "is removed" in clsp("watch", "remove", "chunks", "--lake", lake)
    assert clsp_json("watch", "list", "--lake", lake) == []
    held = clsp("sql", "--lake", lake, "SELECT value FROM watch_checks ORDER BY ALL",
                "--format", "csv")  # fmt: skip
    assert held.split() == ["value", "1.0", "2.0", "2.0"]


def test_a_preset_is_set_by_name(sample_lake, tmp_path):
    lake = shutil.copytree(sample_lake, tmp_path / "sample")
    rate = clsp_json(
        "watch", "add", "fails", "--lake", lake, "--preset", "failure-rate", "--above", 0.1,
        "--then", "reprocess",
    )  # fmt: skip
    assert (rate["value"], rate["fires"], rate["action"]) == (0.15, True, "reprocess")
    given = ("--preset", "label-drift", "--attribute", "gender", "--days", 3, "--above", 0.25)
    assert "now: no answer" in clsp("watch", "add", "drift", "--lake", lake, *given)
    again = CliRunner().invoke(
        app, ["watch", "add", "drift", "--lake", str(lake), *map(str, given)]
    )
    assert "is there already" in str(again.exception)
    clsp("watch", "add", "drift", "--lake", lake, *given, "--replace")
    wrong = ("--preset", "unsure-share", "--attribute", "gendre", "--above", 0.5)
    why = refused("watch", "add", "w", "--lake", lake, *wrong)
    assert "no attribute 'gendre'" in why


@pytest.mark.parametrize(
    "given",
    [
        ("--above", 1),
        ("--sql", CHUNKS),
        ("--sql", CHUNKS, "--above", 1, "--below", 2),
        ("--sql", CHUNKS, "--preset", "failure-rate", "--above", 1),
        ("--sql", CHUNKS, "--above", 1, "--days", 3),
        ("--sql", CHUNKS, "--above", 1, "--then", "panic"),
    ],
)
def test_a_command_line_that_makes_no_sense_exits_2(lake, given):
    exits(2, "watch", "add", "w", "--lake", lake, *given)
    assert watches.watches(Lake(lake)) == []


def test_after_a_run_there_is_a_line_for_each_that_fires(lake, capsys):
    assert watching.after_run(str(lake)) == []
    watches.add(Lake(lake), "many", CHUNKS, above=0)
    watches.add(Lake(lake), "few", CHUNKS, below=0)
    assert [found.fires for found in watching.after_run(str(lake))] == [False, True]
    said = capsys.readouterr().err
    assert "watch many fires: 1 is above 0" in said and "few" not in said


def test_where_there_is_no_lake_yet_no_watch_is_missed(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "Nothing to do: no file in" in clsp(
        "tag", tmp_path / "empty", "--lake", tmp_path / "new"
    )
    assert watching.after_run(str(tmp_path / "new")) == []
    assert capsys.readouterr().err == ""


def test_watches_that_cannot_be_asked_fail_no_run(lake, capsys, monkeypatch):
    monkeypatch.setattr("pipelines.lake.LOCK_WAIT_S", 0.1)
    watches.add(Lake(lake), "many", CHUNKS, above=5)
    with Lake(lake).locked():
        assert watching.after_run(str(lake)) == []
    assert "watches could not be checked" in capsys.readouterr().err


def test_a_server_is_told_once_and_one_that_is_down_later(lake, tmp_path):
    """A real server; before it is there, and after."""
    clsp("watch", "add", "many", "--lake", lake, "--sql", CHUNKS, "--above", 0,
         "--then", "reprocess")  # fmt: skip

    def check(url: str) -> tuple[list[dict[str, object]], str]:
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", "watch", "check", "--lake", lake, "--json"],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env=os.environ | {"PREFECT_API_URL": url, "PREFECT_HOME": str(tmp_path / "client"),
                              "PREFECT_CLIENT_MAX_RETRIES": "0"},
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        return json.loads(done.stdout), done.stderr

    [found], said = check("http://127.0.0.1:9/api")
    assert found["fires"] and not found["announced"]
    assert "clsp.watch.fired was not sent" in said
    with prefect_server(tmp_path / "server") as url:
        assert [check(url)[0][0]["announced"] for _ in range(2)] == [True, False]

        def events() -> list[dict[str, object]]:
            asked = {"filter": {"event": {"name": ["clsp.watch.fired"]}}}
            request = urllib.request.Request(
                f"{url}/events/filter",
                json.dumps(asked).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)["events"]

        [event] = wait_for(events, "the event")
    assert {name: event["payload"][name] for name in ("watch", "value", "action")} == {
        "watch": "many",
        "value": 1.0,
        "action": "reprocess",
    }
    assert event["resource"]["clsp.action"] == "reprocess"
