"""`clsp runs` and `clsp status`: what the ledger says of runs, also of one that goes on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

import flows.cli
from flows.cli import app
from flows.tag import tag_archive
from pipelines import ledger, tagging
from pipelines.errors import LakeError, QueryError, Stopped
from pipelines.lake import Lake
from pipelines.settings import TagSettings
from tests.faults.runs import harm
from tests.flows.commands import clsp, clsp_json


def test_a_finished_run_with_its_speed_and_its_chunks(sample_lake):
    [run] = clsp_json("runs", "--lake", sample_lake)
    assert (run["state"], run["files"], run["planned_files"]) == ("finished", 20, 20)
    assert (run["tagged"], run["failed"], run["gone"], run["chunks"]) == (17, 3, 0, 3)
    assert run["audio_s_per_s"] == pytest.approx(run["audio_s"] / run["seconds"])
    assert run["left_s"] is None
    assert run["run_id"] in clsp("runs", "--lake", sample_lake)

    one = clsp_json("runs", "--lake", sample_lake, "--run", run["run_id"])
    assert one["run"]["last_commit"] == run["last_commit"]
    assert sum(chunk["files"] for chunk in one["chunks"]) == 20
    assert {row["error_kind"]: row["files"] for row in one["failures"]} == {
        "too_short": 1,
        "unsupported": 1,
        "empty": 1,
    }
    shown = clsp("runs", "--lake", sample_lake, "--run", run["run_id"])
    assert all(text in shown for text in ("too_short", one["chunks"][2]["chunk_id"]))
    told = clsp_json("status", "--lake", sample_lake)
    assert told["runs"][0]["audio_s_per_s"] > 0 and told["running"] == []


def test_a_run_that_is_not_there(sample_lake):
    result = CliRunner().invoke(app, ["runs", "--lake", str(sample_lake), "--run", "nope"])
    assert isinstance(result.exception, QueryError)
    assert "no run 'nope' has committed anything: see `clsp runs`" in str(result.exception)


def test_how_far_a_run_is_and_how_long_it_will_take(sample_archive, tmp_path):
    given = TagSettings(
        str(sample_archive), str(tmp_path / "lake"), chunk_files=2, include=("voicemail/*",)
    )
    planned = tagging.plan(given)
    lake = Lake(given.lake, create=True)
    results = tagging.results(planned)
    reports = [tagging.commit(lake, planned, next(results))]
    files = planned.files
    assert files > 2

    [run] = clsp_json("runs", "--lake", lake.root)
    assert (run["state"], run["files"], run["planned_files"]) == ("running", 2, files)
    assert run["left_s"] >= 0
    assert f"2 of {files} files" in clsp("runs", "--lake", lake.root)
    assert f"2 of {files} files" in clsp("status", "--lake", lake.root)
    [now] = clsp_json("status", "--lake", lake.root)["running"]
    assert now["run_id"] == planned.job.run_id

    # At the commit itself, what is left takes as long per file as what is done did.
    [row] = ledger.runs(lake, now=datetime.fromisoformat(run["last_commit"]))
    assert row["left_s"] == pytest.approx(run["seconds"] / 2 * (files - 2), rel=1e-3)
    late = datetime.now(UTC) + timedelta(seconds=2 * ledger.SILENT_S)
    [row] = ledger.runs(lake, now=late)
    assert (row["state"], row["left_s"]) == ("stopped", None)

    reports += [tagging.commit(lake, planned, result) for result in results]
    tagging.finish(lake, planned, reports)
    [run] = clsp_json("runs", "--lake", lake.root)
    assert (run["state"], run["files"]) == ("finished", files)
    assert clsp_json("status", "--lake", lake.root)["running"] == []


def through_prefect(given: TagSettings) -> None:
    tag_archive(given.source, given.lake, chunk_files=given.chunk_files, include=[*given.include])


@pytest.mark.parametrize("through", [tagging.tag, through_prefect])
@pytest.mark.parametrize("ended_by", [KeyboardInterrupt(), LakeError("the disk is full")])
def test_a_run_that_ended_early_is_stopped_at_once(
    sample_archive, tmp_path, monkeypatch, through, ended_by
):
    commit = tagging.commit

    def second_time(lake, planned, result):
        if lake.log("runs"):
            raise ended_by
        return commit(lake, planned, result)

    given = TagSettings(
        str(sample_archive), str(tmp_path / "lake"), chunk_files=2, include=("voicemail/*",)
    )
    monkeypatch.setattr(tagging, "commit", second_time)
    with pytest.raises(type(ended_by)):
        through(given)
    [run] = ledger.runs(Lake(given.lake))
    assert (run["state"], run["files"], run["left_s"]) == ("stopped", 2, None)
    assert clsp_json("status", "--lake", given.lake)["running"] == []
    monkeypatch.setattr(tagging, "commit", commit)
    tagging.tag(given)
    assert [run["state"] for run in ledger.runs(Lake(given.lake))] == ["finished", "stopped"]
    assert harm(Path(given.lake)) == []


def test_a_run_that_ended_before_its_first_chunk_is_none(sample_archive, tmp_path, monkeypatch):
    def fails(*_):
        raise LakeError("the disk is full")

    monkeypatch.setattr(tagging, "commit", fails)
    lake = tmp_path / "lake"
    with pytest.raises(LakeError, match="the disk is full"):
        tagging.tag(TagSettings(str(sample_archive), str(lake), include=("voicemail/*",)))
    assert not Lake(lake, absent_ok=True).exists("runs")


def test_ledgers_from_before_runs_told_their_plan(sample_lake, monkeypatch):
    monkeypatch.setattr(ledger, "RUNS", ledger.RUNS.replace("max(planned_files)", "NULL::BIGINT"))
    monkeypatch.setattr(ledger, "RUNS", ledger.RUNS.replace("bool_or(kind = 'run')", "false"))
    [ended] = ledger.runs(Lake(sample_lake))
    [row] = ledger.runs(Lake(sample_lake), now=ended["last_commit"])
    assert (row["state"], row["planned_files"], row["left_s"]) == ("running", None, None)


def test_who_was_stopped_by_sigterm_exits_as_a_shell_says_it(monkeypatch, capsys):
    def stopped():
        raise Stopped("stopped by SIGTERM: of 4 files that were begun ...")

    monkeypatch.setattr(flows.cli, "app", stopped)
    with pytest.raises(SystemExit) as ended:
        flows.cli.main()
    assert ended.value.code == 143
    assert "clsp: stopped by SIGTERM" in capsys.readouterr().err
