"""Reprocessing: just what is not as it shall be, from what the lake holds where that is enough."""

import json
import shutil
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from clsp.checkpoint import ASSETS
from flows.cli import app
from pipelines import relabel, schemas, tagging, targets
from pipelines.errors import (
    ArchiveNotFound,
    LakeError,
    QueryError,
    SettingsError,
    TaxonomyError,
)
from pipelines.goal import Goal
from pipelines.jobs import parts_of
from pipelines.lake import Lake
from pipelines.planning import plan
from pipelines.query import run
from pipelines.reprocess import ReprocessSettings, has_goal, require_goal, seconds_of, steps
from pipelines.settings import TagSettings
from pipelines.tagging import carry_out, tag
from tests.faults.runs import harm, tone
from tests.flows.commands import clsp, clsp_json

MOOD = """
attributes:
  mood: {labels: {calm: A calm voice., tense: A tense voice.}}
  gender: {labels: {man: A man speaks., woman: A woman speaks.}}
styles: {plain: A plain voice.}
"""
LABELS = "SELECT segment_id, mood, mood_p, mood_margin, mood_best, gender, gender_p, style_plain"


@pytest.fixture
def archive(tmp_path) -> Path:
    for number in range(4):
        tone(tmp_path / f"archive/{number}.wav", 150 + 20 * number)
    shutil.copy(tmp_path / "archive/0.wav", tmp_path / "archive/copy.wav")
    (tmp_path / "archive/broken.wav").write_text("no audio")
    return tmp_path / "archive"


@pytest.fixture
def lake(archive, tmp_path) -> Path:
    tag(TagSettings(str(archive), str(tmp_path / "lake"), chunk_files=2))
    return tmp_path / "lake"


@pytest.fixture
def mood(tmp_path) -> str:
    (tmp_path / "mood.yaml").write_text(MOOD)
    return str(tmp_path / "mood.yaml")


@pytest.fixture
def other(tmp_path) -> str:
    """The same weights under another name: another model, as far as a lake knows."""
    shutil.copytree(ASSETS / "tiny", tmp_path / "other")
    return str(tmp_path / "other")


def rows(lake: Path, sql: str) -> list[dict]:
    return run(Lake(lake), sql).to_pylist()


def keys(lake: Path, column: str) -> list[str]:
    return [r["k"] for r in rows(lake, f"SELECT DISTINCT {column} AS k FROM speech ORDER BY 1")]


def done(lake: Path, **given) -> list[tagging.RunReport]:
    return [carry_out(step.plan()) for step in steps(ReprocessSettings(str(lake), **given))]


def told(lake: Path, **given) -> list[tuple[str, int, int]]:
    found = steps(ReprocessSettings(str(lake), **given))
    return [(step.what, step.recordings, step.segments) for step in found]


# ---- labels -----------------------------------------------------------------------------------


def test_new_labels_need_no_audio_and_are_those_of_a_lake_made_with_them(
    archive, lake, mood, tmp_path
):
    tag(TagSettings(str(archive), str(tmp_path / "fresh"), taxonomy=mood, chunk_files=2))
    shutil.rmtree(archive)
    assert told(lake, taxonomy=mood) == [("relabel", 5, 5)]
    [report] = done(lake, taxonomy=mood)
    assert (report.relabelled, report.segments, report.listed, report.tagged) == (5, 4, 5, 0)
    query = f"{LABELS} FROM speech ORDER BY uri"
    assert run(Lake(lake), query) == run(Lake(tmp_path / "fresh"), query)
    assert told(lake, taxonomy=mood) == []
    assert rows(lake, "SELECT count(*) AS n FROM labels")[0]["n"] == 8  # the old ones beside them
    assert rows(lake, "SELECT uri FROM failures") == [{"uri": "broken.wav"}]
    assert harm(lake) == []


def test_where_chooses_recordings_and_cannot_do_more(lake, mood, tmp_path):
    [step] = steps(ReprocessSettings(str(lake), taxonomy=mood, where="uri < '1' OR uri = '3.wav'"))
    assert (step.what, step.recordings) == ("relabel", 2)
    carry_out(step.plan())
    current = {r["uri"]: r["mood_p"] for r in rows(lake, "SELECT uri, mood_p FROM speech")}
    assert {uri for uri, p in current.items() if p is not None} == {"0.wav", "3.wav"}
    assert told(lake, taxonomy=mood, where="mood_p IS NULL") == [("relabel", 3, 3)]
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    before = sorted(path for path in lake.rglob("*"))
    for bad in (
        "no_such_column = 1",
        f"uri IN (SELECT a FROM read_csv('{secret}'))",
        "true); COPY (SELECT 1) TO 'x'; --",
        "true) UNION SELECT 1, 2; DROP VIEW speech; --",
        "",
    ):
        with pytest.raises(QueryError):
            steps(ReprocessSettings(str(lake), taxonomy=mood, where=bad))
    assert sorted(path for path in lake.rglob("*")) == before
    assert told(lake, taxonomy=mood, where="true -- a remark") == [("relabel", 3, 3)]


def test_labels_of_several_archives_models_and_cuts_come_of_their_own(
    archive, lake, mood, other, tmp_path
):
    tone(tmp_path / "calls/a.wav", 300, 2.5)
    calls = TagSettings(str(tmp_path / "calls"), str(lake), model=other, segments="windows:1")
    tag(calls)
    found = sorted(told(lake, taxonomy=mood))
    assert found == [("relabel", 1, 2), ("relabel", 5, 5)]
    done(lake, taxonomy=mood)
    assert len(keys(lake, "model_key")) == 2 and len(keys(lake, "taxonomy_key")) == 1
    assert rows(lake, "SELECT count(mood_p) AS n FROM speech")[0]["n"] == 7
    assert plan(TagSettings(**{**vars(calls), "taxonomy": mood})).unchanged == 1
    assert harm(lake) == []


def test_a_model_that_is_not_there_any_more_is_named(archive, lake, mood, other, tmp_path):
    tag(TagSettings(str(archive), str(lake), model=other))
    shutil.rmtree(other)
    [step] = steps(ReprocessSettings(str(lake), taxonomy=mood))
    with pytest.raises(SettingsError, match=r"embedded with other@.*name it with --model"):
        step.plan()


# ---- audio ------------------------------------------------------------------------------------


def test_another_model_or_cut_reads_the_files_again_those_that_are_there(
    archive, lake, other, tmp_path
):
    (archive / "3.wav").unlink()
    assert told(lake, model=other) == [("re-embed", 5, 5)]
    assert told(lake, model=other, only="relabel") == []
    [report] = done(lake, model=other)
    assert (report.tagged, report.gone, report.failed) == (4, 1, 0)
    assert all(key.startswith("other@") for key in keys(lake, "model_key"))
    assert told(lake, model=other) == []
    [report] = done(lake, segments="whole")
    policies = rows(lake, "SELECT DISTINCT segments_policy FROM recordings WHERE state = 'tagged'")
    assert (report.tagged, policies) == (4, [{"segments_policy": "whole"}])
    assert told(lake, segments="whole") == []
    assert rows(lake, "SELECT uri, attempts FROM failures") == [
        {"uri": "broken.wav", "attempts": 1}  # nothing was asked of it
    ]
    assert harm(lake) == []


def test_what_nothing_is_said_of_stays_as_it_is_with_each_recording(archive, lake, other):
    """Channels where only the cut is another, and the model of each, not of the latest run."""
    done(lake, model=other, where="uri < '2.wav'")
    done(lake, channels="split", where="uri = '3.wav'")
    found = "SELECT uri, model_key[:5] AS model, segments_policy AS cut FROM recordings"
    found += " WHERE state = 'tagged' ORDER BY uri"
    now = [("0.wav", "other"), ("1.wav", "other"), ("2.wav", "tiny@"), ("3.wav", "tiny@")]
    now += [("copy.wav", "tiny@")]
    split = {"3.wav": "+split"}
    for cut in ("windows:30/30", "whole"):
        if cut == "whole":
            done(lake, segments="whole")
        assert [tuple(row.values()) for row in rows(lake, found)] == [
            (uri, model, cut + split.get(uri, "")) for uri, model in now
        ]
    assert told(lake, segments="whole") == []
    assert harm(lake) == []


def test_another_precision_is_another_model_key_and_leaves_each_its_model(
    archive, lake, mood, other
):
    def now() -> list[str]:
        return [
            f"{name}+{precision}" for name, _, precision in map(parts_of, keys(lake, "model_key"))
        ]

    done(lake, model=other, where="uri < '2.wav'")
    assert told(lake, precision="float32") == []
    assert sorted(told(lake, precision="bfloat16")) == [("re-embed", 2, 2), ("re-embed", 3, 3)]
    assert [report.tagged for report in done(lake, precision="bfloat16")] == [2, 3]
    assert now() == ["other+bfloat16", "tiny+bfloat16"]
    assert told(lake, precision="bfloat16") == []
    done(lake, model="tiny")  # nothing is said of the precision
    assert now() == ["tiny+bfloat16"]
    done(lake, segments="whole", where="uri = '3.wav'")
    done(lake, taxonomy=mood)
    assert now() == ["tiny+bfloat16"]
    assert rows(lake, "SELECT count(mood_p) AS n FROM speech")[0]["n"] == 5
    [first, second] = done(lake, precision="float32", taxonomy=mood)  # by the cut
    assert first.tagged + second.tagged == 5
    assert now() == ["tiny+float32"]
    assert harm(lake) == []


def test_a_cut_by_rules_of_an_earlier_version_is_made_anew():
    goal = Goal(None, None, None, None, None, None)
    row = {"model_key": "tiny@1", "taxonomy_key": "t", "state": "tagged"}
    for key, what in (("vad:15@silero5-1+split", "re-embed"), ("whole+left", None)):
        lacking, policy = goal.lacking({**row, "segments_policy": key})
        assert lacking == what
        assert policy.key.partition("@")[0] == key.partition("@")[0].partition("+")[0] or not what
        assert policy.channels == key.partition("+")[2]


def states(lake: Path) -> dict[str, tuple[str, str | None, str]]:
    found = rows(lake, "SELECT uri, state, error_kind, segments_policy FROM recordings")
    return {row.pop("uri"): tuple(row.values()) for row in found}


def test_there_and_back_loses_no_recording(archive, lake):
    """Where another cut is what made it fail, the first one brings it back; it is asked once."""
    tone(archive / "long.wav", 300, 61)
    tag(TagSettings(str(archive), str(lake)))
    before = states(lake)
    assert before["broken.wav"] == ("failed", "unsupported", "windows:30/30")

    [report] = done(lake, segments="whole")
    assert (report.tagged, report.failures) == (5, {"too_long": 1})
    assert told(lake, segments="whole") == [] == told(lake, model="tiny")
    assert told(lake, segments="windows", where="true") == [("re-embed", 5, 5)]  # of `speech`
    [report] = done(lake, segments="windows")
    assert (report.tagged, report.failed) == (6, 0)

    [report] = done(lake, channels="right")
    assert (report.tagged, report.failures) == (0, {"unsupported": 7})  # broken.wav, too
    done(lake, channels="mix")
    assert states(lake) == before
    assert told(lake, segments="windows", channels="mix") == []
    [report] = done(lake, segments="vad")
    assert "no_speech" in report.failures
    done(lake, segments="windows")
    assert states(lake) == before
    assert harm(lake) == []


def test_a_failure_of_the_cut_is_tagged_with_the_model_of_the_latest_run(archive, lake, other):
    """It has no embeddings of a model of its own, and what it was tried with may be no more."""
    tone(archive / "long.wav", 300, 61)
    tag(TagSettings(str(archive), str(lake), model=other, segments="whole"))
    tag(TagSettings(str(archive), str(lake), segments="whole"))
    shutil.rmtree(other)
    [report] = done(lake, segments="windows:10")
    assert (report.tagged, report.failed) == (6, 0)
    assert all(key.startswith("tiny@") for key in keys(lake, "model_key"))


def test_what_another_run_found_since_the_plan_is_left_as_it_is(archive, lake, mood, caplog):
    [step] = steps(ReprocessSettings(str(lake), taxonomy=mood))
    planned = step.plan()
    (archive / "2.wav").unlink()
    tone(archive / "1.wav", 500)
    (archive / "3.wav").write_text("no audio any more")
    tag(TagSettings(str(archive), str(lake)))
    found = "SELECT uri, state, version, processed_at FROM recordings WHERE uri[1] IN ('1','2','3')"
    before = rows(lake, f"{found} ORDER BY uri")
    assert [row["state"] for row in before] == ["tagged", "gone", "failed"]
    carry_out(planned)  # the books balance
    assert rows(lake, f"{found} ORDER BY uri") == before
    assert "3 recordings of" in caplog.text and "left as another run found them" in caplog.text
    moods = rows(lake, "SELECT uri FROM speech WHERE mood_p IS NOT NULL ORDER BY uri")
    assert [row["uri"] for row in moods] == ["0.wav", "copy.wav"]
    assert told(lake, taxonomy=mood) == [("relabel", 1, 1)]
    assert harm(lake) == []


def test_metadata_that_another_run_found_since_the_plan_stay(archive, mood, tmp_path):
    lake, listed = tmp_path / "lake", tmp_path / "list.jsonl"
    listed.write_text(f'{{"path": "{archive}/0.wav", "said": "then"}}\n')
    tag(TagSettings(str(listed), str(lake)))
    [step] = steps(ReprocessSettings(str(lake), taxonomy=mood))
    listed.write_text(f'{{"path": "{archive}/0.wav", "said": "now"}}\n')
    assert tag(TagSettings(str(listed), str(lake))).relabelled == 1
    carry_out(step.plan())
    [row] = rows(lake, "SELECT metadata->>'said' AS said, mood_p FROM speech")
    assert row["said"] == "now" and row["mood_p"] is not None


def test_a_run_that_was_cut_off_is_continued(archive, lake, other, mood):
    [step] = steps(ReprocessSettings(str(lake), model=other, taxonomy=mood, chunk_files=2))
    planned = step.plan()
    results = tagging.results(planned)
    tagging.commit(Lake(lake), planned, next(results))
    results.close()
    assert told(lake, model=other, taxonomy=mood) == [("re-embed", 3, 3)]
    done(lake, model=other, taxonomy=mood)
    assert told(lake, model=other, taxonomy=mood) == []
    assert rows(lake, "SELECT count(mood_p) AS n FROM speech")[0]["n"] == 5
    assert harm(lake) == []


def test_labels_are_readable_while_new_ones_are_made(lake, mood, monkeypatch):
    monkeypatch.setattr(relabel, "SEGMENTS_PER_CHUNK", 1)
    monkeypatch.setattr(relabel, "SEGMENTS_PER_BATCH", 1)
    before = rows(lake, "SELECT uri, gender_p FROM speech ORDER BY uri")
    [step] = steps(ReprocessSettings(str(lake), taxonomy=mood))
    planned = step.plan()
    for result in tagging.results(planned):
        tagging.commit(Lake(lake), planned, result)
        if "labels" in result.tables:
            assert rows(lake, "SELECT uri, gender_p FROM speech ORDER BY uri") == before
    assert rows(lake, "SELECT count(mood_p) AS n FROM speech")[0]["n"] == 5


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


# ---- what was before --------------------------------------------------------------------------


def test_earlier_labels_are_there_by_key_and_by_time(archive, lake, mood):
    query = "SELECT uri, gender, gender_p, taxonomy_key FROM {} ORDER BY uri"
    before, now = rows(lake, query.format("speech")), datetime.now(UTC)
    done(lake, taxonomy=mood)
    tone(archive / "new.wav", 400)
    tag(TagSettings(str(archive), str(lake), taxonomy=mood))
    after = rows(lake, query.format("speech"))
    assert len(after) == 6 and after != before
    [old], [new] = ({row["taxonomy_key"] for row in each} for each in (before, after))
    assert rows(lake, query.format(f"speech_by('{old}')")) == before
    assert rows(lake, query.format(f"speech_by('{new}')")) == after
    assert rows(lake, query.format("speech_by('none')")) == []
    assert run(Lake(lake), query.format("speech"), at=now).to_pylist() == before
    targets.declare(Lake(lake), taxonomy=mood)
    assert run(Lake(lake), "FROM targets", at=now).num_rows == 0 < len(rows(lake, "FROM targets"))
    then = ["sql", query.format("speech"), "--lake", lake, "--format", "json", "--at"]
    assert json.loads(clsp(*then, now.isoformat())) == before
    assert json.loads(clsp(*then, now.replace(tzinfo=None).isoformat())) == before  # UTC
    assert json.loads(clsp(*then, "1999-01-01")) == []
    elsewhere = now.astimezone(timezone(timedelta(hours=9))).isoformat()
    assert json.loads(clsp(*then, elsewhere)) == before
    assert CliRunner().invoke(app, [str(word) for word in (*then, "noon")]).exit_code == 2
