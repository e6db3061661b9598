"""What a lake declares that it shall be, and the commands that say, count and do it."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from flows.cli import app
from pipelines import schemas, targets
from pipelines.errors import ArchiveNotFound, LakeError, SettingsError, TaxonomyError
from pipelines.forecast import seconds_of
from pipelines.lake import Lake
from pipelines.planning import plan
from pipelines.reprocess import ReprocessSettings, has_goal, require_goal, steps
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from tests.faults.runs import harm, tone
from tests.flows.commands import clsp, clsp_json
from tests.pipeline.reprocessing import MOOD, done, keys, rows, told

# ---- targets ----------------------------------------------------------------------------------


def test_without_a_goal_nothing_is_done(lake):
    nowhere = ReprocessSettings(str(lake / "nowhere"))
    for ask in (require_goal, steps):
        with pytest.raises(LakeError, match="no lake at"):
            ask(nowhere)
    assert not has_goal(nowhere)  # as on schedule: nothing to do yet
    with pytest.raises(SettingsError, match=r"nothing says .*clsp target"):
        steps(ReprocessSettings(str(lake)))
    with pytest.raises(SettingsError, match="only 'some'"):
        ReprocessSettings(str(lake), only="some")


def test_what_a_lake_declares_is_what_tagging_and_reprocessing_bring_it_to(
    archive, lake, mood, tmp_path
):
    tables = Lake(lake)
    targets.declare(tables, taxonomy=mood)
    Path(mood).unlink()  # the lake has its text
    tone(archive / "new.wav", 400)
    report = tag(TagSettings(str(archive), str(lake)))
    assert (report.tagged, report.relabelled) == (1, 5)
    assert rows(lake, "SELECT count(mood_p) AS n FROM speech")[0]["n"] == 6
    assert told(lake) == []
    targets.withdraw(tables)
    assert targets.declared(tables) == targets.Target()
    assert plan(TagSettings(str(archive), str(lake))).relabel  # the built-in one


def test_declaring_the_same_again_writes_nothing_and_parts_add_up(lake, mood, other):
    tables = Lake(lake)
    first = targets.declare(tables, taxonomy=mood, segments="whole")
    assert targets.declare(tables, taxonomy=mood) == first
    both = targets.declare(tables, model=other)
    assert (both.segments, both.taxonomy, both.model) == ("whole", MOOD, other)
    found = rows(
        lake, "SELECT taxonomy_key, model, segments, channels FROM targets ORDER BY declared_at"
    )
    assert [row["model"] for row in found] == [None, other]
    assert told(lake) == [("re-embed", 5, 5)]
    wrong = {"segments": "some", "channels": "up", "taxonomy": "no.yaml", "precision": "half"}
    for name, bad in wrong.items():
        with pytest.raises((SettingsError, TaxonomyError)):
            targets.declare(tables, **{name: bad})
    assert targets.declared(tables) == both


def test_a_declared_precision_is_that_of_what_is_tagged(archive, lake):
    targets.declare(Lake(lake), precision="bfloat16")
    assert told(lake) == [("re-embed", 5, 5)]
    assert plan(TagSettings(str(archive), str(lake), precision="float32")).files == 0
    assert tag(TagSettings(str(archive), str(lake))).tagged == 5
    assert all("+bfloat16+" in key for key in keys(lake, "model_key"))
    assert told(lake) == []
    with pytest.raises(SettingsError, match="precision 'half': expected one of"):
        ReprocessSettings(str(lake), precision="half")
    targets.declare(Lake(lake), precision="int8")
    with pytest.raises(SettingsError, match="'int8' on device 'cuda'"):
        plan(TagSettings(str(archive), str(lake), device="cuda"))


def test_a_target_from_before_there_was_a_precision_is_read_and_added_to(lake):
    names = [name for name in schemas.TARGETS.names if name != "precision"]
    row = dict.fromkeys(names) | {"declared_at": datetime.now(UTC), "segments": "whole"}
    older = pa.schema([schemas.TARGETS.field(name) for name in names])
    tables = Lake(lake)
    tables.append("targets", pa.Table.from_pylist([row], older))
    assert targets.declared(tables) == targets.Target(segments="whole")
    targets.declare(tables, precision="int8")
    assert targets.declared(tables) == targets.Target(segments="whole", precision="int8")
    found = rows(lake, "SELECT segments, precision FROM targets ORDER BY declared_at")
    assert [tuple(each.values()) for each in found] == [("whole", None), ("whole", "int8")]
    assert harm(lake) == []


def test_the_latest_target_counts_whatever_the_clock_said_before(lake, monkeypatch):
    tables = Lake(lake)

    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + timedelta(minutes=10)

    with monkeypatch.context() as patched:
        patched.setattr(targets, "datetime", Ahead)
        targets.declare(tables, segments="whole")
    targets.declare(tables, segments="vad")
    assert targets.declared(tables).segments == "vad"
    targets.withdraw(tables)
    assert targets.declared(tables) == targets.Target()
    found = rows(lake, "SELECT segments FROM targets ORDER BY declared_at")
    assert [row["segments"] for row in found] == ["whole", "vad", None]


def test_what_is_given_wins_over_what_is_declared(archive, lake, mood, tmp_path):
    targets.declare(Lake(lake), segments="whole")
    settings = TagSettings(str(archive), str(lake), segments="windows:1")
    assert plan(settings).job.policy.key == "windows:1/1"
    assert plan(TagSettings(str(archive), str(lake))).job.policy.key == "whole"
    empty = TagSettings(str(archive), str(tmp_path / "none"))
    assert plan(empty, create=False).job.policy.key == "windows:30/30"


# ---- the commands -----------------------------------------------------------------------------


def test_the_commands_count_declare_and_do(archive, lake, mood):
    before = sorted(path for path in lake.rglob("*"))
    counted = clsp_json("reprocess", "--lake", lake, "--taxonomy", mood, "--dry-run")
    [step] = counted["steps"]
    assert (step["what"], step["recordings"], step["segments"]) == ("relabel", 5, 5)
    assert step["audio_s"] == pytest.approx(3.0) and step["size_bytes"] > 0
    assert counted["seconds"] == {"relabel": None, "re-embed": 0.0}
    assert sorted(path for path in lake.rglob("*")) == before

    declared = clsp_json("target", "--lake", lake, "--taxonomy", mood)
    assert declared["changed"] and declared["taxonomy"] == MOOD
    assert not clsp_json("target", "--lake", lake)["changed"]
    assert "mood, gender, style_plain" in clsp("target", "--lake", lake)
    given = ("reprocess", "--lake", lake, "--precision", "int8", "--dry-run")
    assert "Nothing to do" in clsp(*given, "--relabel")  # it takes audio
    [step] = clsp_json(*given)["steps"]
    assert (step["what"], step["recordings"]) == ("re-embed", 5)
    shutil.rmtree(archive)
    [report] = clsp_json("reprocess", "--lake", lake, "--relabel")
    assert report["relabelled"] == 5
    assert "Nothing to do" in clsp("reprocess", "--lake", lake)
    assert clsp_json("reprocess", "--lake", lake) == []
    seen = seconds_of(Lake(lake), steps(ReprocessSettings(str(lake), segments="whole")))
    assert seen["re-embed"] > 0 and seen["relabel"] == 0.0

    cleared = clsp("target", "--lake", lake, "--clear")
    assert "Nothing is declared any more" in cleared and "clsp reprocess" not in cleared
    assert "declared any more" not in clsp("target", "--lake", lake, "--clear")
    result = CliRunner().invoke(app, ["target", "--lake", str(lake), "--clear", "--model", "tiny"])
    assert result.exit_code == 2
    both = ["reprocess", "--lake", str(lake), "--relabel", "--re-embed"]
    assert CliRunner().invoke(app, both).exit_code == 2
    for more in ([], ["--flow"], ["--dry-run"]):  # nothing is declared any more
        result = CliRunner().invoke(app, ["reprocess", "--lake", str(lake), *more])
        assert isinstance(result.exception, SettingsError)


def test_an_archive_that_is_not_there_keeps_no_other_from_being_done(archive, lake, tmp_path):
    for name in ("b", "z"):
        tone(tmp_path / name / "x.wav", 300)
        tag(TagSettings(str(tmp_path / name), str(lake)))
    archive.rename(tmp_path / "moved")  # the first of them
    shutil.rmtree(tmp_path / "b")
    given = ["reprocess", "--lake", str(lake), "--segments", "windows:10", "--json"]
    result = CliRunner().invoke(app, given)
    assert isinstance(result.exception, ArchiveNotFound)
    assert all(str(path) in str(result.exception) for path in (archive, tmp_path / "b"))
    [report] = json.loads(result.stdout)
    assert (report["archive"], report["tagged"]) == (str(tmp_path / "z"), 1)
    result = CliRunner().invoke(app, given[:-1])
    assert isinstance(result.exception, ArchiveNotFound) and "Nothing to do" not in result.output
    (tmp_path / "moved").rename(archive)
    [report] = done(lake, segments="windows:10", where="uri <> 'x.wav'")
    assert report.tagged == 5
    assert harm(lake) == []
