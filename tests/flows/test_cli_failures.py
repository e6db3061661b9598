"""`clsp failures` and `clsp retry`, as a person or a script would call them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from flows.cli import app
from flows.cli_failures import Kind
from pipelines import segments, worker
from pipelines.audio_info import error
from pipelines.errors import CURABLE, ArchiveNotFound, FailureKind, SettingsError
from pipelines.lake import Lake
from pipelines.query import run
from tests.flows.commands import clsp, clsp_json


@pytest.fixture
def archive(tmp_path) -> Path:
    """Two good files, one that is no audio."""
    root = tmp_path / "archive"
    root.mkdir()
    for number in range(2):
        samples = 0.1 * np.sin(np.arange(8_000) * (0.1 + 0.05 * number))
        soundfile.write(root / f"{number}.wav", samples, 16_000)
    (root / "words.wav").write_text("no audio")
    return root


@pytest.fixture
def ill(monkeypatch) -> set[str]:
    """Names of files that cannot be read for now: take one out, and it can."""
    names = {"1.wav"}
    real = worker.open_recording

    def open_recording(path, limits):
        if path.name in names:
            raise error(path, FailureKind.UNREADABLE, "the disk gives an error")
        return real(path, limits)

    monkeypatch.setattr(worker, "open_recording", open_recording)
    return names


def test_the_kinds_are_those_of_the_pipeline():
    assert {str(kind) for kind in Kind} == {str(kind) for kind in FailureKind}
    assert set(CURABLE) < set(FailureKind)


def test_failures_are_counted_then_listed(archive, ill, tmp_path):
    lake = tmp_path / "lake"
    clsp("tag", archive, "--lake", lake)
    found = clsp_json("failures", "--lake", lake)
    assert [(row["error_kind"], row["files"]) for row in found["counts"]] == [
        ("unreadable", 1), ("unsupported", 1),
    ]  # fmt: skip
    assert [(row["uri"], row["attempts"]) for row in found["rows"]] == [
        ("1.wav", 1), ("words.wav", 1),
    ]  # fmt: skip
    [row] = clsp_json("failures", "--lake", lake, "--kind", "unreadable", "--archive", archive)[
        "rows"
    ]
    assert row["uri"] == "1.wav" and "the disk gives an error" in row["error_message"]
    assert row["processed_at"]
    printed = clsp("failures", "--lake", lake, "--limit", 1)
    assert "unsupported" in printed and "the latest 1 of 2" in printed
    assert CliRunner().invoke(app, ["failures", "--lake", str(lake), "--kind", "x"]).exit_code == 2


def test_an_archive_that_the_lake_does_not_know_is_refused(archive, ill, tmp_path):
    """No failures in it would read like good news."""
    lake = tmp_path / "lake"
    clsp("tag", archive, "--lake", lake)
    for given in (["failures", "--archive", "/typo"], ["retry", "--archive", "/typo"],
                  ["retry", "/typo"], ["retry", ""]):  # fmt: skip
        result = CliRunner().invoke(app, [*given, "--lake", str(lake)])
        assert isinstance(result.exception, SettingsError), given
        assert str(archive) in str(result.exception) and given[-1] in str(result.exception)
    clsp("failures", "--lake", lake, "--archive", f"{archive}/")


def test_retry_processes_those_files_alone_and_counts(archive, ill, tmp_path):
    lake = tmp_path / "lake"
    clsp("tag", archive, "--lake", lake, "--segments", "whole")
    soundfile.write(archive / "new.wav", np.full(8_000, 0.1), 16_000)  # not asked for
    [report] = clsp_json("retry", "--lake", lake)
    assert (report["listed"], report["tagged"], report["failures"]) == (1, 0, {"unreadable": 1})
    assert report["segments_policy"].startswith("whole")
    failed = clsp_json("failures", "--lake", lake)["rows"]
    assert {row["uri"]: row["attempts"] for row in failed} == {"1.wav": 2, "words.wav": 1}

    ill.clear()
    assert "1 tagged" in clsp("retry", "--lake", lake, "--archive", archive)
    nothing = " ".join(clsp("retry", "--lake", lake).split())
    assert "Nothing to retry: no failure of the kinds unreachable" in nothing
    assert "of others there are 1: `clsp failures` tells them" in nothing
    [report] = clsp_json("retry", archive, "--lake", lake, "--kind", "unsupported")
    assert report["failures"] == {"unsupported": 1}
    uris = run(Lake(lake), "SELECT uri FROM recordings ORDER BY uri")["uri"].to_pylist()
    assert uris == ["0.wav", "1.wav", "words.wav"]
    strict = ["retry", "--lake", str(lake), "--kind", "unsupported", "--strict"]
    assert CliRunner().invoke(app, strict).exit_code == 1


def test_what_is_to_be_tried_and_has_vanished_is_gone(archive, ill, tmp_path):
    lake = tmp_path / "lake"
    clsp("tag", archive, "--lake", lake)
    (archive / "1.wav").unlink()
    (archive / "0.wav").unlink()  # not asked for: the next `clsp tag` sees to it
    [report] = clsp_json("retry", "--lake", lake)
    assert (report["listed"], report["gone"]) == (0, 1)
    states = run(Lake(lake), "SELECT uri, state FROM recordings ORDER BY uri").to_pylist()
    assert [row["state"] for row in states] == ["tagged", "gone", "failed"]


def test_retry_refuses_another_taxonomy_than_the_latest_runs(archive, ill, tmp_path):
    lake, taxonomy = tmp_path / "lake", tmp_path / "mine.yaml"
    text = "attributes:\n  mood: {labels: {calm: A calm voice., tense: A tense voice.}}\n"
    taxonomy.write_text(text)
    clsp("tag", archive, "--lake", lake, "--taxonomy", taxonomy)
    taxonomy.write_text(text.replace("A calm", "A very calm"))
    result = CliRunner().invoke(app, ["retry", "--lake", str(lake)])
    assert isinstance(result.exception, SettingsError)
    assert "the taxonomy of" in str(result.exception)
    given = ["retry", "x", "--archive", "y", "--lake", str(lake)]
    assert CliRunner().invoke(app, given).exit_code == 2


def test_retry_keeps_labels_and_model_whatever_is_declared_since(archive, ill, tmp_path):
    lake, taxonomy = tmp_path / "lake", tmp_path / "mine.yaml"
    taxonomy.write_text("attributes:\n  mood: {labels: {calm: A calm voice., tense: Tense.}}\n")
    clsp("tag", archive, "--lake", lake)
    clsp("target", "--lake", lake, "--taxonomy", taxonomy, "--model", "tiny")
    ill.clear()
    assert "1 tagged" in clsp("retry", "--lake", lake)
    keys = run(Lake(lake), "SELECT DISTINCT taxonomy_key FROM recordings")["taxonomy_key"]
    assert len(keys) == 1


def test_retry_does_the_rest_where_an_archive_is_not_there(archive, ill, tmp_path):
    lake, other = tmp_path / "lake", tmp_path / "other"
    shutil.copytree(archive, other)
    for each in (archive, other):
        clsp("tag", each, "--lake", lake)
    ill.clear()
    archive.rename(tmp_path / "moved")  # the first of the two
    result = CliRunner().invoke(app, ["retry", "--lake", str(lake), "--json"])
    assert isinstance(result.exception, ArchiveNotFound)
    [report] = json.loads(result.stdout)
    assert (report["archive"], report["tagged"]) == (str(other), 1)
    result = CliRunner().invoke(app, ["retry", "--lake", str(lake)])
    assert isinstance(result.exception, ArchiveNotFound) and "Nothing" not in result.output


def test_retry_cuts_as_the_latest_run_did_whatever_is_declared(archive, ill, tmp_path):
    lake = tmp_path / "lake"
    clsp("tag", archive, "--lake", lake)
    clsp("target", "--lake", lake, "--segments", "whole", "--channels", "split")
    ill.clear()
    [report] = clsp_json("retry", "--lake", lake)
    assert (report["tagged"], report["segments_policy"]) == (1, "windows:30/30")
    found = "SELECT DISTINCT segments_policy, model_key FROM recordings WHERE state = 'tagged'"
    [row] = run(Lake(lake), found).to_pylist()  # like those that did not fail
    clsp("target", "--lake", lake, "--precision", "bfloat16")
    [report] = clsp_json("retry", "--lake", lake, "--kind", "unsupported")
    assert report["failed"] == 1 and report["model_key"] == row["model_key"]


def test_retry_refuses_a_cut_by_rules_that_have_changed(archive, ill, tmp_path, monkeypatch):
    lake = tmp_path / "lake"
    clsp("tag", archive, "--lake", lake, "--segments", "vad")
    monkeypatch.setattr(segments, "VOICE_KEY", "of-another-version")
    result = CliRunner().invoke(app, ["retry", "--lake", str(lake)])
    assert isinstance(result.exception, SettingsError)
    assert "the cut of" in str(result.exception)
