"""`clsp evaluate perturbation` and `wording` on real files with the real model."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from clsp.errors import InputError
from clsp.robustness import PROBES
from flows.cli_robustness import evaluate_app
from pipelines.errors import ArchiveNotFound
from pipelines.robustness import perturbation, wording

CLIPS = ("podcast/outro.flac", "voicemail/fast.ogg", "field-notes/bird count.flac")


@pytest.fixture(scope="module")
def folder(sample_archive, tmp_path_factory):
    """Three clips, one of them twice, one too short, and what is not audio."""
    root = tmp_path_factory.mktemp("clips")
    for clip in (*CLIPS, "damaged/click.wav", "damaged/minutes.wav"):
        shutil.copy(sample_archive / clip, root)
    shutil.copy(sample_archive / CLIPS[0], root / "outro again.flac")
    return root


def run(*args: object) -> str:
    result = CliRunner().invoke(evaluate_app, [str(arg) for arg in args])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


@pytest.fixture(scope="module")
def measured(folder) -> dict:
    return json.loads(run("perturbation", folder, "--json"))


def test_every_change_is_measured_on_every_clip_that_can_be_heard(measured):
    assert measured["clips"] == 3
    rows = {row["name"]: row for row in measured["rows"]}
    for probe in PROBES:
        row = rows[probe.name]
        assert row["n"] == 3
        assert row["share"]["low"] <= row["share"]["value"] <= row["share"]["high"]
        assert 0 <= row["auc"]["value"] <= 1
        assert len(row["prompts"]) == 2
    halves = measured["rows"][-1]
    assert (halves["n"], halves["chance"]) == (6, 0.2)


def test_what_could_not_be_heard_is_told_with_its_reason(measured):
    told = {row["uri"].rpartition("/")[2]: row for row in measured["failures"]}
    assert told["minutes.wav"]["error_kind"] == "unsupported"
    assert told["click.wav"]["error_kind"] == "too_short"
    copies = told.keys() & {"outro.flac", "outro again.flac"}
    assert len(copies) == 1
    assert "the same samples" in told[copies.pop()]["error_message"]


def test_the_same_seed_gives_the_same_numbers(folder, measured):
    clip = folder / "fast.ogg"
    assert perturbation([str(clip)], seed=3).rows == perturbation([str(clip)], seed=3).rows


def test_the_table_names_every_change(folder):
    shown = run("perturbation", folder / "fast.ogg", "--limit", 1)
    assert all(probe.name in shown for probe in PROBES)
    assert "1 clips" in shown


def test_limit_draws_that_many_by_the_seed(folder):
    assert perturbation([str(folder)], limit=1).clips == 1
    with pytest.raises(InputError, match="limit 0"):
        perturbation([str(folder)], limit=0)


def test_a_folder_without_speech_says_so(sample_archive, tmp_path):
    shutil.copy(sample_archive / "damaged/minutes.wav", tmp_path)
    with pytest.raises(InputError, match="1 files"):
        perturbation([str(tmp_path)])
    with pytest.raises(ArchiveNotFound):
        perturbation([str(tmp_path / "nothing")])


def test_real_clips_can_be_perturbed(real_audio):
    done = perturbation([str(real_audio)], limit=2)
    assert done.clips == 2
    assert {row.n for row in done.rows} == {2, 4}


@pytest.fixture(scope="module")
def labelled(sample_archive, tmp_path_factory):
    """Synthetic voices of the sample archive with labels that we know."""
    root = tmp_path_factory.mktemp("labelled")
    rows = []
    for clip, speaker, labels in (
        ("podcast/outro.flac", "slt", {"gender": "female", "level": "normal"}),
        ("voicemail/quiet.wav", "rms", {"gender": "male", "level": "quiet"}),
        ("voicemail/fast.ogg", "rms", {"gender": "male", "rate": "fast"}),
    ):
        shutil.copy(sample_archive / clip, root)
        rows.append({"file": clip.rpartition("/")[2], "speaker": speaker, **labels})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (root / "manifest.jsonl").write_text(text, encoding="utf-8")
    return root


def test_wording_asks_what_the_labels_allow(labelled):
    done = json.loads(run("wording", "--data", labelled, "--json"))
    assert [(q["question"], q["clips"]) for q in done["questions"]] == [("gender", 3), ("level", 2)]
    for question in done["questions"]:
        assert len(question["sets"]) >= 10
        assert 0 <= question["worst"]["value"] <= question["mean"]["value"] <= 1
        assert question["canonical"]["value"] is not None
    assert "gender" in run("wording", "--data", labelled)


@pytest.mark.parametrize("line", ["", "not json", '{"speaker": "a"}', "[1]"])
def test_a_manifest_that_cannot_be_used_is_an_error_of_ours(tmp_path, line):
    (tmp_path / "manifest.jsonl").write_text(line)
    with pytest.raises(InputError, match=r"manifest\.jsonl"):
        wording(data=str(tmp_path))


def test_a_folder_without_manifest_is_an_error_of_ours(tmp_path):
    with pytest.raises(InputError, match="missing"):
        wording(data=str(tmp_path))
