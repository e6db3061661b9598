"""Reprocessing: just what is not as it shall be, from what the lake holds where that is enough."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from pipelines import relabel, tagging, targets
from pipelines.errors import LakeError, QueryError, SettingsError
from pipelines.goal import Goal
from pipelines.jobs import parts_of
from pipelines.lake import Lake
from pipelines.planning import plan
from pipelines.query import run
from pipelines.reprocess import ReprocessSettings, steps
from pipelines.segments import SegmentPolicy
from pipelines.settings import TagSettings
from pipelines.tagging import carry_out, tag
from tests.faults.runs import harm, tone
from tests.flows.commands import clsp
from tests.pipeline.reprocessing import done, keys, rows, told

LABELS = "SELECT segment_id, mood, mood_p, mood_margin, mood_best, gender, gender_p, style_plain"


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


def test_labels_that_nobody_asked_to_change_are_not_taken_from_an_edited_file(archive, tmp_path):
    lake, labels = tmp_path / "lake", tmp_path / "mine.yaml"
    text = "attributes:\n  mood: {labels: {calm: A calm voice., tense: A tense voice.}}\n"
    labels.write_text(text)
    tag(TagSettings(source=str(archive), lake=str(lake), taxonomy=str(labels)))
    labels.write_text(text.replace("A calm", "A very calm"))
    asked = ReprocessSettings(lake=str(lake), precision="bfloat16")
    with pytest.raises(SettingsError, match=r"labels of the key .*mine\.yaml held.*--taxonomy"):
        steps(asked)[0].plan()
    assert steps(replace(asked, taxonomy=str(labels)))
    labels.write_text(text)
    assert [step.what for step in steps(asked)] == ["re-embed"]
    (archive / "more.wav").write_bytes(next(archive.glob("*.wav")).read_bytes() + b"more")
    targets.declare(Lake(lake), taxonomy=str(labels))
    assert tag(TagSettings(source=str(archive), lake=str(lake))).tagged == 1  # with the same
    targets.withdraw(Lake(lake))
    with pytest.raises(SettingsError, match=r"what the lake declared held.*--taxonomy"):
        steps(asked)[0].plan()


def test_a_cut_by_rules_of_an_earlier_version_is_made_anew():
    goal = Goal(None, None, None, None, None, None)
    row = {"model_key": "tiny@1", "taxonomy_key": "t", "state": "tagged"}
    lacking, policy = goal.lacking({**row, "segments_policy": "vad:15@silero5-1+split"})
    assert (lacking, policy) == ("re-embed", SegmentPolicy.parse("vad:15", "split"))
    lacking, policy = goal.lacking({**row, "segments_policy": "whole+left"})
    assert (lacking, policy.key) == (None, "whole+left")


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


# ---- what was before --------------------------------------------------------------------------


def test_attributes_may_be_called_as_macros_call_what_they_are_given(lake, tmp_path):
    labels, names = tmp_path / "odd.yaml", ("key", "days", "attribute_name")
    two = "{labels: {calm: A calm voice., tense: A tense voice.}}"
    labels.write_text("attributes: {" + ", ".join(f"{name}: {two}" for name in names) + "}")
    done(lake, taxonomy=str(labels))
    [now] = rows(lake, "SELECT DISTINCT taxonomy_key FROM speech")
    sql = f"SELECT count(*) AS n FROM speech_by('{now['taxonomy_key']}')"
    assert rows(lake, sql) == rows(lake, "SELECT count(*) AS n FROM speech")
    for name in names:
        assert rows(lake, f"SELECT label_drift('{name}', 7) AS moved") == [{"moved": None}]


def test_an_attribute_named_as_another_ones_score_is_told_of(lake, tmp_path):
    labels, sql = (
        tmp_path / "odd.yaml",
        "SELECT segment_id, gender, gender_p FROM speech ORDER BY 1",
    )
    before = rows(lake, sql)
    labels.write_text("attributes: {gender_p: {labels: {a: A calm voice., b: A tense voice.}}}")
    with pytest.raises(LakeError, match=r"labels: .*Rename it; nothing was written"):
        done(lake, taxonomy=str(labels))
    assert rows(lake, sql) == before


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
    with pytest.raises(QueryError, match=f"by the taxonomy none: expected one of .*{new}"):
        rows(lake, query.format("speech_by('none')"))
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
