"""Labelled speech to figures: real clips, the embedded model, and data sets that are not whole.

Nothing here depends on how good the model is: what is told is compared with what it answered.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from clsp.errors import InputError
from clsp.zero_shot import classifier, classify
from pipelines import clips as clips_module
from pipelines.adhoc import embed as embed_files
from pipelines.clips import embed
from pipelines.datasets.items import Dataset, Item, Skipped
from pipelines.datasets.presets import Question
from pipelines.errors import FailureKind, SettingsError
from pipelines.evaluation import evaluate_style, evaluate_zero_shot, merged
from pipelines.evaluation_retrieval import evaluate_retrieval
from pipelines.evaluation_run import EvaluationSettings, evaluate, record, rows
from pipelines.lake import Lake
from pipelines.query import run
from tests.places import SAMPLE_ARCHIVE

CLIPS = {
    "calls/2026-03/billing question.wav": ("slt", "female"),
    "calls/2026-03/call-0192.wav": ("rms", "male"),
    "podcast/outro.flac": ("rms", "male"),
    "field-notes/bird count.flac": ("f4", "female"),
    "voicemail/slow.opus": ("f4", "female"),
}
GENDER = Question(
    "gender", "gender", {"male": ("A male speaker.",), "female": ("A female speaker.", "A woman.")}
)


def item(uri: str, **known) -> Item:
    return Item(str(SAMPLE_ARCHIVE / uri), **known)


def spoken() -> tuple[Item, ...]:
    return tuple(
        item(
            uri,
            labels={"gender": gender},
            captions={"fine": (f"A {gender} speaker.", f"The voice {speaker}.")},
            ratings={"soft": 1.0 + i, "clear": 5.0 - i % 2},
            speaker=speaker,
        )
        for i, (uri, (speaker, gender)) in enumerate(CLIPS.items())
    )


DATASET = Dataset("spoken", spoken(), (Skipped("notes.txt", "not audio"),))
BROKEN = Dataset(
    "broken",
    (
        *spoken(),
        item("damaged/click.wav", labels={"gender": "male"}),
        item("damaged/minutes.wav", labels={"gender": "male"}),
        item("not/there.wav", labels={"gender": "female"}),
        item("podcast/episode-01.m4a", labels={"gender": "unknown"}),
        item("podcast/episode-02.mp3"),
    ),
)


# ---- clips --------------------------------------------------------------------------------------


def test_clips_are_embedded_as_everything_else_is():
    items = spoken()[2:]
    found = embed(items)
    files = embed_files([clip.uri for clip in items], segments="whole")
    order = files.spans["uri"].to_pylist()
    for clip, vector in zip(found.items, found.vectors, strict=True):
        np.testing.assert_array_equal(vector, files.vectors[order.index(clip.uri)])
    assert found.items == items
    assert found.failures == ()


def test_every_clip_is_a_vector_or_a_failure_with_its_reason():
    found = embed(BROKEN.items)
    assert len(found.items) + len(found.failures) == len(BROKEN.items)
    told = {Path(f["uri"]).name: f["error_kind"] for f in found.failures}
    assert told == {
        "click.wav": "too_short", "minutes.wav": "unsupported", "there.wav": "unreadable"
    }  # fmt: skip
    assert all(f["error_message"] for f in found.failures)


def test_a_file_that_several_items_name_is_embedded_once(tmp_path, monkeypatch):
    clip = spoken()[0]
    shutil.copy(clip.uri, tmp_path / "copy.wav")
    heard = []
    monkeypatch.setattr(
        "clsp.embedder.Embedder.embed_padded",
        lambda self, batch, *_: heard.append(len(batch)) or torch.zeros(len(batch), 512),
    )
    found = embed([clip, clip, Item(str(tmp_path / "copy.wav"))])
    assert heard == [1]
    assert found.vectors.shape[0] == 3


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Path:
    """Two real clips with a minute of quiet noise after them, 16 kHz."""
    parts = [soundfile.read(SAMPLE_ARCHIVE / "field-notes/bird count.flac", dtype="float32")[0]]
    parts += [
        soundfile.read(SAMPLE_ARCHIVE / "calls/2026-04/two lines.wav", dtype="float32")[0][:, 0]
    ]
    noise = np.random.default_rng(0).normal(0, 1e-3, 61 * 16000).astype(np.float32)
    path = tmp_path_factory.mktemp("long") / "long.wav"
    soundfile.write(path, np.concatenate([*parts, noise]), 16000, subtype="FLOAT")
    return path


def test_a_span_is_heard_as_if_it_were_a_file_of_its_own(long, tmp_path):
    samples, rate = soundfile.read(long, dtype="float32")
    spans = [(0.5, 1.5), (1.0, 2.25), (0.5, 1.5), (3.0, None), (None, 1.25)]
    found = embed([Item(str(long), start_s=a, end_s=b) for a, b in spans[:3]])
    for i, (start, end) in enumerate(spans[:3]):
        alone = tmp_path / f"{i}.wav"
        soundfile.write(alone, samples[int(start * rate) : int(end * rate)], rate, subtype="FLOAT")
        [vector] = embed([Item(str(alone))]).vectors
        np.testing.assert_allclose(found.vectors[i], vector, atol=2e-3)  # half floats
    assert found.audio_s == pytest.approx(1.0 + 1.25)  # the same span once
    early = embed([Item(str(long), end_s=1.25)])
    assert early.audio_s == pytest.approx(1.25)


def test_spans_that_cannot_be_had_are_failures(long):
    length = soundfile.info(long).duration
    spans = {
        (0.0, 61.5): FailureKind.TOO_LONG,
        (1.0, None): FailureKind.TOO_LONG,
        (length - 2, length + 5): FailureKind.TRUNCATED,
        (length + 1, length + 2): FailureKind.EMPTY,
        (2.0, 1.0): FailureKind.EMPTY,
        (1.0, 1.1): FailureKind.TOO_SHORT,
        (length - 1, length + 0.1): None,  # rounded
    }
    found = embed([Item(str(long), start_s=a, end_s=b) for a, b in spans])
    told = {(f["start_s"], f["end_s"]): f["error_kind"] for f in found.failures}
    assert told == {span: str(kind) for span, kind in spans.items() if kind}
    assert len(found.items) == 1
    gone = embed([Item("/not/there.wav", start_s=0.0, end_s=1.0)])
    assert gone.failures[0]["error_kind"] == "unreadable"


def test_a_clip_that_is_too_long_is_not_told_of_options_that_do_not_exist(long):
    [failure] = embed([Item(str(long))]).failures
    assert failure["error_kind"] == "too_long"
    assert "--segments" not in failure["error_message"]


def test_cuts_come_in_batches_that_fit_on_a_disk(long, monkeypatch):
    monkeypatch.setattr("pipelines.cuts.HELD_S", 0.5)
    batches = []
    process = clips_module._process
    monkeypatch.setattr(
        clips_module, "_process", lambda *args: batches.append(len(args[1])) or process(*args)
    )
    other = str(SAMPLE_ARCHIVE / "podcast/outro.flac")
    found = embed([Item(str(long), start_s=0, end_s=1), Item(other, start_s=0.0, end_s=1.0)])
    assert batches == [1, 1]
    assert len(found.items) == 2


# ---- zero-shot ----------------------------------------------------------------------------------


def test_figures_are_those_of_the_models_own_answers(tiny):
    result = evaluate_zero_shot(DATASET, [GENDER], resamples=50)
    [question] = result["questions"]
    done = embed(DATASET.items)
    scores = classify(torch.from_numpy(done.vectors), classifier(tiny, GENDER.prompts), tiny.scale)
    said = [list(GENDER.prompts)[i] for i in scores.best]
    truth = [clip.labels["gender"] for clip in DATASET.items]
    right = [a == b for a, b in zip(said, truth, strict=True)]
    assert question["metrics"]["WA"]["value"] == pytest.approx(np.mean(right))
    assert sum(map(sum, question["confusion"])) == 5
    assert question["confusion"][1][0] == sum(
        (t, s) == ("female", "male") for t, s in zip(truth, said, strict=True)
    )
    assert (question["n"], question["clusters"], question["resampled_by"]) == (5, 3, "speaker")
    assert question["prompts"]["female"] == ["A female speaker.", "A woman."]
    assert question["recall"]["male"]["n"] == 2
    assert result["skipped"] == [{"uri": "notes.txt", "reason": "not audio"}]


def test_failures_are_counted_and_labels_that_were_not_asked_for_told():
    result = evaluate_zero_shot(BROKEN, [GENDER], resamples=0)
    [question] = result["questions"]
    assert (result["n"], result["n_failed"], len(result["failures"])) == (8, 3, 3)
    assert (question["n"], question["n_failed"], question["not_asked"]) == (5, 3, {"unknown": 1})
    json.dumps(result, allow_nan=False)


def test_merged_classes_count_as_one_for_answers_and_truth():
    question = Question(
        "tone",
        "tone",
        {"happy": ("A happy voice.",), "excited": ("An excited voice.",), "sad": ("A sad voice.",)},
        merge={"excited": "happy"},
    )
    said = ["happy", "excited", "sad", "excited", "happy"]
    items = tuple(Item(c.uri, {"tone": t}) for c, t in zip(DATASET.items, said, strict=True))
    [found] = evaluate_zero_shot(Dataset("tones", items), [question], resamples=0)["questions"]
    assert found["classes"] == ["happy", "sad"]
    assert [found["recall"][name]["n"] for name in found["classes"]] == [4, 1]
    assert found["merge"] == {"excited": "happy"}


def test_margins_of_merged_classes_are_between_answers_that_differ():
    alike = {"happy": ("A male speaker.",), "excited": ("A male speaker!",), "sad": ("Rain.",)}
    items = tuple(Item(clip.uri, {"tone": "happy"}) for clip in DATASET.items)
    two = [Question("tone", "tone", alike, merge={"excited": "happy"}),
           Question("alone", "tone", {name: alike[name] for name in ("happy", "sad")})]  # fmt: skip
    merged_, alone = evaluate_zero_shot(Dataset("tones", items), two, resamples=0)["questions"]
    for ours, wanted in zip(merged_["selective"], alone["selective"], strict=True):
        assert ours["min_margin"] == pytest.approx(wanted["min_margin"], abs=0.1)


def test_merging_sums_probabilities_and_keeps_clips_apart():
    logits = np.array([[2.0, 1.0, 0.0], [400.0, 0.0, 0.0], [300.0, 0.0, 0.0]])
    probability, odds = merged(logits, np.array([0, 0, 1]), 2)
    plain = np.exp(logits[0]) / np.exp(logits[0]).sum()
    np.testing.assert_allclose(probability[0], [plain[0] + plain[1], plain[2]])
    np.testing.assert_allclose(probability.sum(1), 1)
    np.testing.assert_allclose(odds[0, 0], np.log(probability[0, 0] / probability[0, 1]))
    assert probability[1, 0] == probability[2, 0] == 1.0
    assert odds[1, 0] > odds[2, 0]


def test_a_label_that_no_clip_has_is_refused_and_those_there_are_named():
    other = Question("emotion", "emotion", {"happy": ("Happy.",), "sad": ("Sad.",)})
    with pytest.raises(SettingsError, match=r"gender: female.*: 1, such as notes\.txt: not audio"):
        evaluate_zero_shot(DATASET, [other])
    with pytest.raises(SettingsError, match="expected two"):
        evaluate_zero_shot(DATASET, [Question("x", "gender", {"male": ("A man.",)})])


# ---- retrieval and style ------------------------------------------------------------------------


def test_a_caption_that_clips_share_is_right_for_each():
    said = ["A voice."] * 3 + ["A siren wails far away."]
    items = [Item(c.uri, captions={"global": (t,)}) for c, t in zip(spoken(), said, strict=False)]
    shared = Dataset("shared", tuple(items))
    result = evaluate_retrieval(shared, "global", resamples=20)
    by_name = {q["name"]: q for q in result["questions"]}
    assert result["texts"] == 2
    assert (by_name["audio_to_text"]["n"], by_name["text_to_audio"]["n"]) == (4, 2)
    # Three of four clips are right: one of the first two places always is.
    assert by_name["text_to_audio"]["metrics"]["R@5"]["value"] == 1.0
    assert by_name["audio_to_text"]["metrics"]["median rank"]["value"] in (1.0, 1.5, 2.0)


def test_retrieval_takes_the_published_caption_or_all():
    last = evaluate_retrieval(DATASET, "fine", resamples=20)
    assert last["texts"] == 3  # one voice each
    assert evaluate_retrieval(DATASET, "fine", all_texts=True, resamples=0)["texts"] == 5
    metrics = last["questions"][0]["metrics"]
    assert list(metrics) == ["R@1", "R@5", "R@10", "mAP@10", "median rank"]
    assert metrics["R@1"]["low"] <= metrics["R@1"]["value"] <= metrics["R@1"]["high"]
    assert metrics["median rank"]["low"] is None
    with pytest.raises(SettingsError, match=r"'global'.*kinds \['fine'\].*notes\.txt: not audio"):
        evaluate_retrieval(DATASET, "global")


def test_where_there_is_nothing_to_choose_from_nothing_is_measured():
    same = [{"fine": (f"The voice {i}.", "A voice.")} for i in range(3)]
    clips = [Item(c.uri, captions=said) for c, said in zip(spoken(), same, strict=False)]
    with pytest.raises(SettingsError, match="fewer than two different"):
        evaluate_retrieval(Dataset("same", tuple(clips)), "fine")
    damaged = item("damaged/click.wav", captions={"fine": ("A click.",)})
    left = evaluate_retrieval(Dataset("one", (clips[0], damaged)), "fine", resamples=0)
    assert (left["n"], left["n_failed"]) == (2, 1)
    assert [question["metrics"] for question in left["questions"]] == [{}, {}]


def test_texts_of_a_clip_are_drawn_together_where_no_speaker_is_known():
    alone = tuple(Item(c.uri, captions=c.captions) for c in spoken()[:3])
    named = tuple(Item(c.uri, captions=c.captions, speaker=c.uri) for c in alone)
    told = [
        evaluate_retrieval(Dataset("x", items), "fine", all_texts=True, resamples=50)["questions"]
        for items in (alone, named)
    ]
    assert [q["metrics"] for q in told[0]] == [q["metrics"] for q in told[1]]


def test_pools_are_drawn_by_description_and_by_seed():
    first = evaluate_retrieval(DATASET, "fine", pool=2, draws=5, resamples=0, seed=1)
    again = evaluate_retrieval(DATASET, "fine", pool=2, draws=5, resamples=0, seed=1)
    assert first == again
    assert first["questions"][0]["metrics"]["R@5"]["value"] == 1.0
    with pytest.raises(InputError, match="a pool of 3: expected 2 to 2"):
        evaluate_retrieval(
            DATASET, "fine", pool=3, resamples=0, describe=lambda clip: clip.labels["gender"]
        )


def test_style_compares_cosines_with_ratings(tiny):
    result = evaluate_style(DATASET, resamples=50)
    [question] = result["questions"]  # five clips a style: too few for a figure of its own
    done = embed(DATASET.items)
    with torch.inference_mode():
        cosines = torch.from_numpy(done.vectors) @ tiny.embed_text(["soft", "clear"]).T
    rated = [[clip.ratings["soft"], clip.ratings["clear"]] for clip in DATASET.items]
    expected = np.corrcoef(cosines.numpy().ravel(), np.ravel(rated))[0, 1]
    assert question["n"] == 10
    assert question["metrics"]["Pearson r"]["value"] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(SettingsError, match="rating"):
        evaluate_style(Dataset("x", (item("podcast/outro.flac"),)))


def test_style_gives_each_style_its_figure_where_enough_clips_are_rated():
    few = spoken()
    many = tuple(
        Item(few[i % 5].uri, ratings={"soft": float(i), "clear": float(-i)}) for i in range(12)
    )
    found = evaluate_style(Dataset("many", many), resamples=10)["questions"]
    assert [q["name"] for q in found] == ["all styles", "soft", "clear"]
    assert found[1]["n"] == 12


# ---- settings and presets -----------------------------------------------------------------------


def write_table(folder: Path, header: str, *lines: str) -> Path:
    path = folder / "clips.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path) -> Path:
    lines = [
        f'"{SAMPLE_ARCHIVE / uri}",{speaker},{gender},{"test" if i else "train"}'
        for i, (uri, (speaker, gender)) in enumerate(CLIPS.items())
    ]
    return write_table(tmp_path, "file,speaker,gender,split", *lines)


def test_prompts_come_from_the_taxonomy_or_from_the_settings(table):
    asked = EvaluationSettings(
        "zero-shot", str(table), "table", attribute="gender", split="test", resamples=0
    )
    result = evaluate(asked)
    assert result["questions"][0]["n"] == 4
    words = {"male": ("A man.",), "female": ("A woman.", "A lady.")}
    own = EvaluationSettings("zero-shot", str(table), "table", label="gender", prompts=words)
    assert evaluate(own)["questions"][0]["prompts"]["female"] == ["A woman.", "A lady."]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"task": "guess"}, "zero-shot, retrieval, style"),
        ({"preset": "ravdess"}, "ravdess-emotion"),
        ({"kind": "spreadsheet"}, "ravdess, crema-d"),
        ({"prompts": {"a": ("A.",)}}, "name the label"),
        ({"label": "gender"}, "give prompts"),
        ({"prompts": {"a": ("A.",)}, "label": "x", "attribute": "gender"}, "one of the two"),
        ({"preset": "tiny-heldout", "attribute": "gender"}, "own prompts"),
        ({"draws": 0}, "draws 0"),
        ({"captions": "loud"}, "captions"),
    ],
)
def test_settings_that_make_no_sense_are_refused_at_once(given, said):
    with pytest.raises(SettingsError, match=said):
        EvaluationSettings(**{"task": "zero-shot", **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no data"),
        ({"data": "x"}, "of no kind"),
        ({"kind": "table"}, "no data"),
        ({"preset": "ravdess-gender", "kind": "iemocap", "data": "x"}, "of kind ravdess"),
    ],
)
def test_data_must_be_named(given, said):
    with pytest.raises(SettingsError, match=said):
        evaluate(EvaluationSettings("zero-shot", **given))


def test_a_table_without_published_prompts_wants_prompts(table):
    with pytest.raises(SettingsError, match="no published prompts"):
        evaluate(EvaluationSettings("zero-shot", str(table), "table"))
    with pytest.raises(SettingsError, match=r"the taxonomy has .*gender"):
        evaluate(EvaluationSettings("zero-shot", str(table), "table", attribute="shoe_size"))
    with pytest.raises(SettingsError, match=r"test.*train"):
        evaluate(EvaluationSettings("zero-shot", str(table), "table", split="dev"))


def test_the_heldout_voices_are_asked_what_training_asks(tmp_path):
    """A small folder that is whole, so that nothing is synthesised."""
    (tmp_path / "audio").mkdir()
    lines = []
    for i, (uri, (speaker, gender)) in enumerate(CLIPS.items()):
        name = f"audio/{i}{Path(uri).suffix}"
        shutil.copy(SAMPLE_ARCHIVE / uri, tmp_path / name)
        lines.append({
            "file": name, "split": "test", "speaker": speaker, "gender": gender,
            "rate": ("slow", "fast")[i % 2], "finegrained_caption": f"Voice {speaker}, {i}.",
        })  # fmt: skip
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {"data": str(tmp_path), "preset": "tiny-heldout", "resamples": 20}
    asked = evaluate(EvaluationSettings("zero-shot", **settings))
    by_name = {q["name"]: q for q in asked["questions"]}
    assert asked["dataset"] == "tiny-heldout"
    assert by_name["gender"]["n"] == 5
    assert by_name["gender"]["resampled_by"] == "speaker"
    assert by_name["four emotions"]["n"] == 0
    assert by_name["four emotions"]["metrics"]["WA"]["value"] is None
    found = evaluate(EvaluationSettings("retrieval", **settings, pool=4, draws=2))
    assert (found["pool"], found["draws"]) == (4, 2)
    with pytest.raises(InputError, match="a pool of 100"):
        evaluate(EvaluationSettings("retrieval", **settings))


# ---- the lake -----------------------------------------------------------------------------------


def test_figures_become_rows_of_the_lake(table, tmp_path):
    lake = Lake(tmp_path / "lake", create=True)
    settings = EvaluationSettings("zero-shot", str(table), "table", attribute="gender", resamples=9)
    result = evaluate(settings)
    record(lake, result)
    record(lake, evaluate(settings))
    stored = run(lake, "SELECT * FROM evaluations ORDER BY evaluated_at, metric, class").to_pylist()
    assert len(stored) == 2 * (4 + 2)
    first = [row for row in stored if row["run_id"] == result["run_id"]]
    told = {(row["metric"], row["class"]): row for row in first}
    wa = result["questions"][0]["metrics"]["WA"]
    assert {k: told["WA", None][k] for k in ("value", "low", "high")} == wa
    assert told["recall", "male"]["n"] == 2
    assert told["WA", None]["model_key"].startswith("tiny@")
    assert json.loads(told["WA", None]["prompts_json"])["male"]
    assert json.loads(told["WA", None]["options_json"])["attribute"] == "gender"
    assert run(lake, "SELECT kind FROM runs")["kind"].to_pylist() == ["evaluation"] * 2
    assert run(lake, "FROM speech").num_rows == 0


def test_undefined_figures_are_null_in_the_lake(tmp_path):
    one = write_table(tmp_path, "file,gender", f'"{SAMPLE_ARCHIVE}/podcast/outro.flac",male')
    result = evaluate(EvaluationSettings("zero-shot", str(one), "table", attribute="gender"))
    told = {row["metric"]: row for row in rows(result).to_pylist() if row["class"] is None}
    assert (told["AUC"]["value"], told["WA"]["low"]) == (None, None)
    assert told["WA"]["value"] in (0.0, 1.0)


def test_rows_that_were_cut_off_before_the_ledger_are_not_seen(table, tmp_path):
    lake = Lake(tmp_path / "lake", create=True)
    settings = EvaluationSettings("zero-shot", str(table), "table", attribute="gender", resamples=0)
    result = evaluate(settings)
    lake.append("evaluations", rows(result))
    record(lake, {**result, "run_id": "another"})
    ids = run(lake, "SELECT DISTINCT run_id FROM evaluations")["run_id"].to_pylist()
    assert ids == ["another"]


def test_a_lake_from_before_there_were_evaluations_has_none(sample_lake):
    assert not (sample_lake / "evaluations").exists()
    assert run(Lake(sample_lake), "SELECT metric, value, class FROM evaluations").num_rows == 0
