"""`clsp evaluate zero-shot | retrieval | style` and the flow, on small data sets of real clips."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app, main
from flows.evaluation_report import figure_text
from pipelines.lake import Lake
from pipelines.query import run
from tests.flows.test_readme import README
from tests.places import SAMPLE_ARCHIVE

EMOTIONS = {"neutral": 1, "calm": 2, "happy": 3, "sad": 4, "angry": 5, "fear": 6, "disgust": 7}
VOICES = ["podcast/outro.flac", "voicemail/slow.opus", "calls/2026-03/call-0192.wav"]


def clsp(*args: object) -> str:
    result = CliRunner().invoke(app, ["evaluate", *(str(arg) for arg in args)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def clsp_json(*args: object) -> dict:
    return json.loads(clsp(*args, "--json"))


@pytest.fixture(scope="module")
def ravdess(tmp_path_factory) -> Path:
    """RAVDESS by name: three actors, seven emotions; one clip is damaged, one is sung."""
    root = tmp_path_factory.mktemp("RAVDESS")
    for actor, uri in enumerate(VOICES, start=1):
        folder = root / f"Actor_{actor:02}"
        folder.mkdir()
        for emotion in EMOTIONS.values():
            name = f"03-01-{emotion:02}-01-01-01-{actor:02}.wav"
            shutil.copy(SAMPLE_ARCHIVE / uri, folder / name)
    shutil.copy(SAMPLE_ARCHIVE / "damaged/click.wav", root / "Actor_01/03-01-08-01-01-01-01.wav")
    shutil.copy(SAMPLE_ARCHIVE / VOICES[0], root / "Actor_01/03-02-03-01-01-01-01.wav")
    return root


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("table") / "clips.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["wav", "gender", "speaker", "finegrained_caption", "style", "rating"])
        for i, uri in enumerate(VOICES):
            who = ("male", "female")[i % 2]
            rows.writerow([SAMPLE_ARCHIVE / uri, who, i, f"A {who} voice, {i}.", "soft", i * i])
    return path


def test_a_published_data_set_is_asked_the_published_questions(ravdess, tmp_path):
    result = clsp_json("zero-shot", ravdess, "--kind", "ravdess", "--bootstrap", 50)
    emotion, gender = result["questions"]
    assert (emotion["name"], gender["name"]) == ("emotion", "gender")
    assert emotion["prompts"]["sad"] == ["A speaker in a sad tone."]
    assert (emotion["n"], emotion["n_failed"]) == (21, 1)
    assert (emotion["clusters"], emotion["resampled_by"]) == (3, "speaker")
    assert emotion["published"] == {"WA": pytest.approx(0.468)}
    assert gender["published"] == {"WA": 1.0}
    assert [f["error_kind"] for f in result["failures"]] == ["too_short"]
    assert [s["reason"].split(";")[0] for s in result["skipped"]] == ["sung"]
    # Each voice says all seven: whatever is answered, one in seven is right.
    assert emotion["metrics"]["WA"]["value"] == pytest.approx(1 / 7)
    assert emotion["recall"]["surprised"]["value"] is None


def test_the_table_stands_our_figures_beside_the_published(ravdess):
    told = clsp("zero-shot", ravdess, "--preset", "ravdess-emotion", "--bootstrap", 20)
    assert "published" in told
    assert "0.468" in told
    assert "0.143 (" in told
    assert "arXiv 2601.03065" in told
    assert "21 of 22 clips judged" in told
    assert "too_short" in told
    assert "sung" in told
    assert "surprised" in told


def test_published_figures_stand_only_beside_the_same_task(ravdess, table):
    sung = clsp_json("zero-shot", ravdess, "--preset", "ravdess-emotion", "--reader", "songs=true")
    assert sung["questions"][0]["published"] == {} and sung["published_source"] == ""
    spoken = clsp_json("zero-shot", ravdess, "--preset", "ravdess-emotion", "--reader", "songs=no")
    assert spoken["questions"][0]["published"]
    given = [table, "--preset", "paraspeechcaps", "--kind", "table", "--column", "wav=file"]
    for others in ([], ["--all-texts"], ["--pool", 2]):
        found = clsp_json("retrieval", *given, *others, "--bootstrap", 0)
        assert all(bool(q["published"]) == (not others) for q in found["questions"])


def test_labels_that_no_prompt_is_for_are_told(table, tmp_path):
    rows = table.read_text().replace(",male,", ",Male,", 1).replace(",female,", ",,", 1)
    other = tmp_path / "clips.csv"
    other.write_text(rows)
    given = ["zero-shot", other, "--kind", "table", "--column", "wav=file"]
    told = clsp(*given, "--attribute", "gender", "--bootstrap", 0)
    assert "1 of 1 clips judged" in told
    assert "gender: not asked of clips labelled Male (1), without a label (1)" in told


def test_a_class_that_no_clip_has_is_told(table):
    given = ["zero-shot", table, "--kind", "table", "--column", "wav=file", "--label", "gender"]
    prompts = ["--prompt", "male=A man.", "--prompt", "woman=A woman."]
    told = clsp(*given, *prompts, "--bootstrap", 0)
    assert "no clip is labelled woman: the figures are of the other classes alone" in told


def test_where_no_clip_can_be_read_it_says_why_and_fails(table, tmp_path):
    header, *rows = table.read_text().splitlines()
    other = tmp_path / "clips.csv"
    broken = SAMPLE_ARCHIVE / "damaged/click.wav"
    other.write_text("\n".join([header, *(f"{broken},{row.split(',', 1)[1]}" for row in rows[:1])]))
    given = ["zero-shot", other, "--kind", "table", "--column", "wav=file", "--attribute", "gender"]
    result = CliRunner().invoke(app, ["evaluate", *map(str, given)])
    assert result.exit_code == 3
    assert "0 of 1 clips judged" in result.stdout and "too_short" in result.stdout


def test_any_table_can_be_asked_in_any_words(table):
    given = [table, "--kind", "table", "--column", "wav=file", "--bootstrap", 20]
    asked = clsp_json(
        "zero-shot", *given, "--label", "gender",
        "--prompt", "male=A man.", "--prompt", "female=A woman.", "--prompt", "female=A lady.",
    )  # fmt: skip
    [question] = asked["questions"]
    assert question["prompts"] == {"male": ["A man."], "female": ["A woman.", "A lady."]}
    [same] = clsp_json("zero-shot", *given, "--attribute", "gender")["questions"]
    assert (same["n"], same["n_failed"]) == (3, 0)
    assert "+float32+" in asked["model_key"]
    faster = clsp_json("zero-shot", *given, "--attribute", "gender", "--precision", "int8")
    assert "+int8+" in faster["model_key"] and faster["questions"][0]["n"] == 3
    found = clsp_json("retrieval", *given)
    assert {q["name"] for q in found["questions"]} == {"audio_to_text", "text_to_audio"}
    assert found["questions"][0]["metrics"]["R@5"]["value"] == 1.0
    assert "among 2, mean of 3 draws" in clsp("retrieval", *given, "--pool", 2, "--draws", 3)
    rated = clsp_json("style", *given, "--preset", "paraspeechcaps-intrinsic")["questions"][0]
    assert rated["published"] == {"Pearson r": 0.893}
    assert -1 <= rated["metrics"]["Pearson r"]["value"] <= 1


def test_the_same_seed_tells_the_same(table):
    given = ["retrieval", table, "--kind", "table", "--column", "wav=file", "--pool", 2]
    first, again = (clsp_json(*given, "--seed", 7)["questions"] for _ in range(2))
    assert first == again


def test_with_a_lake_the_figures_are_kept(table, tmp_path):
    lake = tmp_path / "lake"
    told = clsp(
        "zero-shot", table, "--kind", "table", "--column", "wav=file", "--attribute", "gender",
        "--lake", lake, "--bootstrap", 10,
    )  # fmt: skip
    assert "FROM evaluations WHERE run_id" in told
    rows = run(Lake(lake), "SELECT metric, value FROM evaluations WHERE class IS NULL").to_pylist()
    assert [row["metric"] for row in rows] == ["WA", "UAR", "AUC", "ECE"]
    assert json.loads(CliRunner().invoke(app, ["status", "--lake", str(lake), "--json"]).stdout)


@pytest.mark.filterwarnings("default")  # Prefect's own, in its server's process and ours
def test_the_flow_measures_keeps_and_leaves_an_artifact(table, tmp_path):
    from flows.evaluate import evaluate_model

    given = {
        "task": "zero-shot", "data": str(table), "kind": "table", "label": "gender",
        "prompts": {"male": ["A man."], "female": ["A woman."]},
        "reader": {"columns": {"wav": "file"}}, "resamples": 10,
    }  # fmt: skip
    result = evaluate_model(**given, lake=str(tmp_path / "lake"))
    [question] = result["questions"]
    stored = run(
        Lake(tmp_path / "lake"), "SELECT value, low, high FROM evaluations WHERE metric = 'UAR'"
    )
    assert stored.to_pylist() == [question["metrics"]["UAR"]]

    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        artifacts = {a.key: a for a in client.read_artifacts()}
    shown = json.loads(artifacts["evaluate-model"].data)
    assert [row["metric"] for row in shown[:4]] == ["WA", "UAR", "AUC", "ECE"]
    same = clsp_json(
        "zero-shot", table, "--kind", "table", "--column", "wav=file", "--label", "gender",
        "--prompt", "male=A man.", "--prompt", "female=A woman.", "--bootstrap", 10, "--flow",
    )  # fmt: skip
    assert same["questions"] == [question]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (["zero-shot"], 3, "no data"),
        (["zero-shot", "nowhere", "--kind", "ravdess"], 3, "nowhere"),
        (["zero-shot", ".", "--preset", "ravdess"], 3, "expected one of iemocap-emotion"),
        (["zero-shot", ".", "--kind", "table", "--prompt", "no equals sign"], 2, "CLASS=PROMPT"),
        (["zero-shot", ".", "--kind", "spreadsheet"], 2, "spreadsheet"),
        (["retrieval", ".", "--kind", "table", "--pool", "1"], 2, "pool"),
        (["retrieval", ".", "--kind", "lhotse", "--reader", "shards=true"], 3, "no option"),
        (["style", "nowhere.csv"], 3, "nowhere.csv"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_an_exit_code(
    given, code, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["clsp", "evaluate", *given])
    with pytest.raises(SystemExit) as exit_:
        main()
    told = capsys.readouterr().err
    assert exit_.value.code == code, told
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize("name", ["zero-shot", "retrieval", "style"])
def test_every_option_is_in_the_readme(name):
    import typer

    command = typer.main.get_command(app).commands["evaluate"].commands[name]
    assert f"clsp evaluate {name}" in README
    for option in (o for p in command.params for o in p.opts if o.startswith("--")):
        assert option == "--help" or f"`{option}`" in README, option


def test_figures_are_shown_with_their_interval_or_a_dash():
    assert figure_text({"value": 0.8552, "low": 0.56, "high": 0.978}) == "0.855 (0.56 to 0.98)"
    assert figure_text({"value": 0.5, "low": None, "high": None}) == "0.500"
    assert figure_text({"value": None, "low": None, "high": None}) == "-"
