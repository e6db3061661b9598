"""Every command, as a person or a script would call it."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import fields
from importlib.metadata import version
from inspect import signature
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import flows.cli
from clsp.errors import InputError
from flows.cli import app, main
from flows.tag import tag_archive
from pipelines import taxonomy
from pipelines.errors import ArchiveNotFound, LakeError, QueryError, SettingsError
from pipelines.lake import Lake
from pipelines.query import run
from pipelines.settings import TagSettings
from tests.flows.commands import clsp, clsp_json

CLIP = "podcast/outro.flac"


@pytest.fixture
def small(sample_archive, tmp_path) -> Path:
    """One good file and one that is not audio."""
    root = tmp_path / "small"
    root.mkdir()
    shutil.copy(sample_archive / CLIP, root)
    shutil.copy(sample_archive / "damaged/minutes.wav", root)
    return root


def test_the_version_is_that_of_the_package():
    assert clsp("--version") == f"clsp-pipelines {version('clsp-pipelines')}\n"


def test_tag_reports_what_it_did_and_does_nothing_the_second_time(small, tmp_path):
    lake = tmp_path / "lake"
    first = clsp("tag", small, "--lake", lake)
    assert "1 tagged" in first
    assert "1 failed (1 unsupported)" in first.replace("\n", " ")
    second = clsp("tag", small, "--lake", lake)
    assert "Nothing to do: all 2 files" in second
    assert clsp_json("tag", small, "--lake", lake)["unchanged"] == 2


def test_tag_exits_1_with_strict_when_a_file_failed(small, tmp_path):
    given = ["tag", str(small), "--lake", str(tmp_path / "lake"), "--strict", "--json"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["failures"] == {"unsupported": 1}


def test_files_that_failed_before_are_told_and_strict_is_about_this_run(small, tmp_path):
    given = ["tag", str(small), "--lake", str(tmp_path / "lake"), "--strict"]
    assert CliRunner().invoke(app, given).exit_code == 1
    again = CliRunner().invoke(app, given)
    assert again.exit_code == 0
    assert "all 2 files are unchanged" in again.stdout
    assert "(1 of them failed before: clsp failures)" in again.stdout
    shutil.copy(small / "outro.flac", small / "copy.flac")
    assert "2 unchanged (1 of them failed before: clsp failures)" in clsp(*given)
    assert clsp_json(*given)["failing"] == 1


def test_a_dry_run_says_how_many_could_not_be_listed(small, tmp_path):
    given = ("tag", small, "--lake", tmp_path / "lake", "--dry-run")
    assert "2 files listed  " in clsp(*given)
    (small / "gone.wav").symlink_to("nowhere")
    assert "2 files listed, 1 could not be listed" in clsp(*given)


def test_tag_takes_globs(sample_archive, tmp_path):
    report = clsp_json(
        "tag", sample_archive, "--lake", tmp_path / "lake",
        "--include", "voicemail/*", "--exclude", "*.ogg",
    )  # fmt: skip
    assert (report["listed"], report["tagged"], report["failed"]) == (2, 2, 0)


def test_sql_prints_every_format(sample_lake, tmp_path):
    query = "SELECT uri, gender, gender_p FROM speech ORDER BY uri"
    as_json = json.loads(clsp("sql", query, "--lake", sample_lake, "--format", "json"))
    assert len(as_json) == 17
    assert set(as_json[0]) == {"uri", "gender", "gender_p"}
    as_csv = list(
        csv.DictReader(io.StringIO(clsp("sql", query, "--lake", sample_lake, "--format", "csv")))
    )
    assert [row["uri"] for row in as_csv] == [row["uri"] for row in as_json]
    assert as_json[0]["uri"] in clsp("sql", query, "--lake", sample_lake)
    result = CliRunner().invoke(
        app, ["sql", query, "--lake", str(sample_lake), "--format", "parquet"]
    )
    assert pq.read_table(io.BytesIO(result.stdout_bytes)).to_pylist() == as_json


def test_search_gives_the_best_first(sample_lake):
    hits = clsp_json("search", "a woman whispering", "--lake", sample_lake, "-k", 3)
    assert len(hits) == 3
    scores = [hit["similarity"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert hits[0]["uri"] in clsp("search", "a woman whispering", "--lake", sample_lake, "-k", 1)


def test_classify_takes_labels_prompts_or_an_attribute(sample_archive):
    clip = sample_archive / CLIP
    [emotion] = [a for a in taxonomy.load().attributes if a.name == "emotion"]
    ways = [
        ("--labels", "happy,angry,sad"),
        ("--prompt", "happy=A cheerful voice.", "--prompt", "sad=A gloomy voice."),
        ("--attribute", "emotion"),
    ]
    for way in ways:
        [segment] = clsp_json("classify", clip, *way)["segments"]
        best = max(segment["probability"], key=segment["probability"].get)
        assert segment["best"] == best
        least = emotion.least_margin("tiny") if way[0] == "--attribute" else 0
        assert segment["label"] == (best if segment["margin"] >= least else None)
        assert sum(segment["probability"].values()) == pytest.approx(1, abs=1e-5)
        assert segment["margin"] >= 0
    assert "happy" in clsp("classify", clip, "--labels", "happy,angry")


def test_classify_agrees_with_the_lake(sample_archive, sample_lake):
    [segment] = clsp_json("classify", sample_archive / CLIP, "--attribute", "gender")["segments"]
    query = f"SELECT gender, gender_p FROM speech WHERE uri = '{CLIP}'"
    [stored] = json.loads(clsp("sql", query, "--lake", sample_lake, "--format", "json"))
    assert segment["label"] == stored["gender"]
    assert segment["probability"][stored["gender"]] == pytest.approx(stored["gender_p"], abs=1e-3)


def test_classify_tells_of_files_it_could_not_read(small):
    done = clsp_json("classify", small, "--attribute", "gender")
    assert [failure["error_kind"] for failure in done["failures"]] == ["unsupported"]
    assert len(done["segments"]) == 1


def test_classify_keeps_files_of_one_name_apart(sample_archive, tmp_path):
    for folder, uri in (("a", CLIP), ("b", "field-notes/bird count.flac")):
        (tmp_path / folder).mkdir()
        shutil.copy(sample_archive / uri, tmp_path / folder / "clip.flac")
    paths = [f"{tmp_path}/a/clip.flac", f"{tmp_path}/b"]
    done = clsp_json("classify", *paths, "--attribute", "gender")["segments"]
    assert {row["uri"]: row["label"] for row in done} == {
        f"{tmp_path}/a/clip.flac": "male",
        f"{tmp_path}/b/clip.flac": "female",
    }


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("--labels", "a,b", "--attribute", "gender"),
        ("--labels", "a,b", "--template", "no place for it"),
        ("--prompt", "no equals sign"),
        ("--attribute", "shoe_size"),
        ("--labels", "happy"),
        ("--labels", "happy,happy"),
        ("--prompt", "happy=A happy voice.", "--prompt", "happy=A cheerful voice."),
    ],
)
def test_classify_refuses_what_makes_no_sense(sample_archive, given):
    result = CliRunner().invoke(app, ["classify", str(sample_archive / CLIP), *given])
    assert result.exit_code == 2


def test_similarity_scores_each_description(sample_archive):
    done = clsp_json(
        "similarity", sample_archive / CLIP, "--text", "A male speaker.", "--text", "A whisper."
    )
    assert [row["text"] for row in done["segments"]] == ["A male speaker.", "A whisper."]
    assert all(-1 <= row["similarity"] <= 1 for row in done["segments"])


@pytest.mark.parametrize("text", ["", "  "])
def test_similarity_refuses_no_words(sample_archive, text):
    given = ["similarity", str(sample_archive / CLIP), "--text", "A whisper.", "--text", text]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 2 and "expected some words" in result.output


@pytest.mark.parametrize(
    "command", [("classify", "--labels", "a,b"), ("similarity", "--text", "a")]
)
def test_where_nothing_can_be_judged_it_is_said_why_and_is_an_error(
    small, tmp_path, command, caplog
):
    name, *given = command
    (tmp_path / "empty").mkdir()
    words = small / "minutes.wav"
    told = CliRunner().invoke(app, [name, str(words), *given])
    assert isinstance(told.exception, InputError) and "unsupported" in str(told.exception)
    assert "Could not be read" in told.stdout and "no rows" not in told.stdout
    told = CliRunner().invoke(app, [name, str(words), *given, "--json"])
    assert isinstance(told.exception, InputError)
    assert [row["uri"] for row in json.loads(told.stdout)["failures"]] == [str(words)]
    told = CliRunner().invoke(app, [name, str(tmp_path / "empty"), *given])
    assert isinstance(told.exception, ArchiveNotFound) and "empty" in str(told.exception)
    clsp(name, tmp_path / "empty", small / "outro.flac", *given)
    assert f"no file in '{tmp_path / 'empty'}'" in caplog.text


def test_names_that_are_no_utf8_are_shown_and_a_lake_has_none(small, tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/call \xff.flac")
    shutil.copy(small / "outro.flac", odd)
    told = clsp_json("classify", odd, "--labels", "a woman,a man")
    assert {row["uri"] for row in told["segments"]} == {f"{tmp_path}/call \\xff.flac"}
    lake = os.fsdecode(os.fsencode(tmp_path) + b"/lake \xff")
    refused = CliRunner().invoke(app, ["tag", str(small), "--lake", lake])
    assert isinstance(refused.exception, LakeError) and "cannot lie at" in str(refused.exception)


def test_an_option_that_means_nothing_to_the_executor_is_told_of(small, tmp_path, caplog):
    clsp("tag", small, "--lake", tmp_path / "lake", "--workers", "2")
    assert "workers: of no use to the local executor; expected with --executor ray" in caplog.text


def test_a_row_of_many_columns_is_shown_as_lines(sample_lake):
    shown = clsp("sql", "--lake", sample_lake, "SELECT * FROM speech ORDER BY uri LIMIT 2")
    first, second = shown.split("row 2")
    for block, start in ((first, 0), (second, 1)):
        told = dict(line.split(maxsplit=1) for line in block.splitlines()[1:] if " " in line)
        sql = f"SELECT uri, gender_best FROM speech ORDER BY uri LIMIT 1 OFFSET {start}"
        [row] = run(Lake(sample_lake), sql).to_pylist()
        assert {name: told[name].strip() for name in row} == row


@pytest.mark.parametrize(
    "given",
    [
        ("search", "a", "-k", "9223372036854775807"),
        ("runs", "--limit", "99999999999999999999"),
        ("failures", "--limit", "99999999999999999999"),
    ],
)
def test_more_rows_than_there_can_be_is_a_slip(sample_lake, given):
    told = CliRunner().invoke(app, [*given, "--lake", str(sample_lake)])
    assert told.exit_code == 2


def test_a_lake_in_an_object_store_and_sql_of_other_bytes_are_refused(small, tmp_path, sample_lake):
    told = CliRunner().invoke(app, ["tag", str(small), "--lake", "s3://bucket/lake"])
    assert isinstance(told.exception, LakeError) and "its lake may not" in str(told.exception)
    told = CliRunner().invoke(app, ["sql", "--lake", str(sample_lake), "SELECT '\udcff'"])
    assert isinstance(told.exception, QueryError) and "SQL in UTF-8" in str(told.exception)
    given = ["tag", str(small), "--lake", str(tmp_path / "lake"), "--batch-s", "inf"]
    told = CliRunner().invoke(app, given)
    assert isinstance(told.exception, SettingsError) and "finite" in str(told.exception)


def test_status_counts_what_the_lake_holds(sample_lake):
    held = clsp_json("status", "--lake", sample_lake)
    assert held["segments"] == 17
    assert [(a["tagged"], a["failed"]) for a in held["archives"]] == [(17, 3)]
    assert held["runs"][0]["files"] == 20
    assert "17 segments" in clsp("status", "--lake", sample_lake)


def test_doctor_looks_at_model_and_lake_and_exits_1_when_something_is_wrong(sample_lake, tmp_path):
    rows = clsp_json("doctor", "--lake", sample_lake)
    assert all(row["ok"] for row in rows)
    assert {"torch", "devices", "model tiny", f"lake {sample_lake}"} <= {r["what"] for r in rows}
    result = CliRunner().invoke(app, ["doctor", "--lake", str(tmp_path), "--json"])
    assert result.exit_code == 1
    assert [row["what"] for row in json.loads(result.stdout) if not row["ok"]] == [
        f"lake {tmp_path}"
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["tag", "nowhere", "--lake", "L"], "no archive at"),
        (["tag", ".", "--lake", "L", "--model", "huge"], "expected one of 'tiny'"),
        (["tag", ".", "--lake", "L", "--segments", "paragraphs"], "windows:LENGTH"),
        (["tag", ".", "--lake", "L", "--taxonomy", "none.yaml"], "none.yaml"),
        (["sql", "SELECT 1", "--lake", "L"], "no lake at"),
        (["search", "a voice", "--lake", "L"], "no lake at"),
        (["status", "--lake", "L"], "no lake at"),
        (["similarity", "nowhere.wav", "--text", "a voice"], "no archive at"),
        (["similarity", "", "--text", "a voice"], "no archive at ''"),
        (["tag", "", "--lake", "L"], "source '': expected a path"),
        (["tag", "x", "--lake", ""], "lake '': expected a path"),
        (["status", "--lake", ""], "lake '': expected a path"),
        (["doctor", "--lake", ""], "lake '': expected a path"),
        (["announce", "", "--lake", "L"], "source '': expected a path"),
        (["train", "--config", "x", "--out", ""], "out '': expected a path"),
        (["sql", "SELECT 1", "--lake", "L", "--at", ""], "at '': expected a value"),
        (["tag", ".", "--lake", "L", "--taxonomy", ""], "taxonomy '': expected a value"),
        (["tag", ".", "--lake", "L", "--model", ""], "model '': expected a value"),
        (["classify", "x", "--attribute", "gender", "--taxonomy", ""], "taxonomy '': expected a"),
        (["evaluate", "zero-shot", "x", "--kind", "table", "--taxonomy", ""], "taxonomy '': "),
        (["target", "--lake", "L", "--segments", ""], "segments '': expected a value"),
        (["reprocess", "--lake", "L", "--where", ""], "where '': expected a value"),
        (["tag", ".", "--lake", "L", "--device", "gpu"], "expected `auto`, `cpu`, `cuda`"),
        (["tag", ".", "--lake", "L", "--device", "mps"], "expected `auto`, `cpu`, `cuda`"),
        (["evaluate", "style", "x", "--lake", ""], "lake '': expected a path"),
        (["tag", "loop", "--lake", "L"], "no archive at 'loop'"),
        (["tag", "~nobody/x", "--lake", "L"], "no archive at '~nobody/x'"),
        (["tag", ".", "--lake", "loop"], "Too many levels of symbolic links"),
        (["status", "--lake", "loop"], "Too many levels of symbolic links"),
        (["reprocess", "--lake", "L"], "no lake at"),
        (["classify", ".", "--labels", "a,b"], "no file in '.'"),
    ],
)
def test_errors_are_one_sentence_and_exit_code_3(given, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    monkeypatch.setattr(sys, "argv", ["clsp", *given])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 3
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.startswith("clsp: ")
    assert "Traceback" not in captured.err


def test_help_needs_no_heavy_import():
    code = (
        "import sys, flows.cli as c\n"
        "from typer.testing import CliRunner\n"
        "assert 'search' in CliRunner().invoke(c.app, ['--help']).stdout\n"
        "heavy = {'torch', 'transformers', 'ray', 'prefect', 'duckdb', 'pyarrow'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_installed_script_runs(sample_archive, tmp_path):
    script = Path(sys.executable).with_name("clsp")
    done = subprocess.run(
        [script, "tag", sample_archive / "damaged", "--lake", tmp_path / "lake", "--strict"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "3 failed" in done.stdout and "1 truncated and tagged in part" in done.stdout
    assert not done.stderr.strip()


def test_the_command_the_flow_and_the_settings_have_the_same_defaults():
    """The command writes its own: reading them from the settings would import the tables."""
    wanted = {field.name: field.default for field in fields(TagSettings)}
    del wanted["source"], wanted["lake"]
    for name in ("include", "exclude"):  # not given, in the other two
        del wanted[name]
    for given in (signature(flows.cli.tag), signature(tag_archive.fn)):
        found = {name: given.parameters[name].default for name in wanted}
        assert found == wanted


def test_a_lake_of_a_model_folder_is_searched_by_where_the_folder_was(tmp_path, small, tiny):
    folder, lake = tmp_path / "my-model", tmp_path / "lake"
    tiny.save_pretrained(folder)
    clsp("tag", small, "--lake", lake, "--model", folder)
    assert clsp_json("search", "a voice", "--lake", lake, "-k", 1)
    folder.rename(tmp_path / "moved")
    error = CliRunner().invoke(app, ["search", "a voice", "--lake", str(lake)]).exception
    assert isinstance(error, QueryError) and "say where it is with --model" in str(error)
    assert clsp_json("search", "a voice", "--lake", lake, "--model", tmp_path / "moved")


def test_a_search_tells_archives_and_channels_apart_where_there_are_several(
    tmp_path, small, sample_archive
):
    lake, other = tmp_path / "lake", tmp_path / "other"
    clsp("tag", small, "--lake", lake)
    assert "archive" not in clsp("search", "a voice", "--lake", lake)
    other.mkdir()
    shutil.copy(sample_archive / "calls/2026-04/two lines.wav", other)
    clsp("tag", other, "--lake", lake, "--channels", "right")
    shown = clsp("search", "a voice", "--lake", lake, "-k", 50)
    assert str(other) in shown and "channel" in shown
