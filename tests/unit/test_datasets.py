"""Readers of labelled speech: published layouts give their labels, and nothing is lost unsaid.

Trees have the published names and empty files: no reader opens audio.
"""

import csv
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clsp.errors import InputError
from clsp.training.wording import PROMPTS
from pipelines.datasets import KINDS, Dataset, Item, Skipped, iemocap, lhotse, ravdess, read
from pipelines.datasets.crema_d import age_class
from pipelines.datasets.presets import (
    PRESETS,
    PUBLISHED_RETRIEVAL,
    PUBLISHED_STYLE,
    Question,
    preset,
)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def by_name(dataset: Dataset) -> dict[str, Item]:
    return {Path(item.uri).stem: item for item in dataset.items}


def reasons(dataset: Dataset) -> dict[str, str]:
    return {Path(skipped.uri).name: skipped.reason for skipped in dataset.skipped}


# ---- the catalogue --------------------------------------------------------------------------


def test_an_unknown_kind_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ravdess, crema-d, iemocap, lhotse, table"):
        read("ravdes", tmp_path)


def test_an_unknown_option_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no option \['song'\]: it has songs"):
        read("ravdess", tmp_path, song=True)


@pytest.mark.parametrize(
    ("value", "clips"),
    [
        *((no, 1) for no in (False, "no", "No", "false", " FALSE ", "0", 0)),
        *((yes, 2) for yes in (True, "yes", "YES", "true", "1", 1)),
    ],
)
def test_no_in_any_writing_means_no(value: object, clips: int, tmp_path: Path) -> None:
    touch(tmp_path, "03-01-01-01-01-01-01.wav", "03-02-01-01-01-01-01.wav")
    assert len(read("ravdess", tmp_path, songs=value).items) == clips


@pytest.mark.parametrize(
    ("kind", "option", "value", "expected"),
    [
        ("ravdess", "songs", "maybe", "true or false"),
        ("ravdess", "songs", 2, "true or false"),
        ("ravdess", "songs", None, "true or false"),
        ("iemocap", "merge_excited", ["no"], "true or false"),
        ("lhotse", "audio_root", 7, "str or Path"),
        ("crema-d", "demographics", True, "str or Path"),
        ("table", "columns", "wav=file", "Mapping"),
        ("table", "columns", {"wav": 1}, "both text"),
    ],
)
def test_an_option_of_another_type_is_told_with_what_was_expected(
    kind: str, option: str, value: object, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"option {option} of {kind} .*expected .*{expected}"):
        read(kind, tmp_path, **{option: value})


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)))
def test_whatever_is_no_truth_value_is_refused(value: object) -> None:
    said = str(value).strip().lower()
    with pytest.raises(InputError) as told:  # the root is not there, at the latest
        read("ravdess", "/nowhere", songs=value)
    truth = said in ("true", "yes", "1", "false", "no", "0")
    assert ("no folder" if truth else "expected true or false") in str(told.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_root_that_is_not_there_says_what_was_expected(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected"):
        read(kind, tmp_path / "nowhere")


@pytest.mark.parametrize("kind", KINDS)
def test_a_remote_root_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match="remote"):
        read(kind, "s3://bucket/data")


@pytest.mark.parametrize("kind", ["ravdess", "iemocap", "lhotse"])
def test_a_folder_of_something_else_is_no_empty_data_set(kind: str, tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match="expected"):
        read(kind, tmp_path)


# ---- RAVDESS --------------------------------------------------------------------------------

codes = [ravdess.MODALITIES, ravdess.CHANNELS, ravdess.EMOTIONS, ravdess.INTENSITIES]


@given(
    named=st.tuples(*(st.sampled_from(sorted(code)) for code in codes)),
    statement=st.integers(1, 2),
    repetition=st.integers(1, 2),
    actor=st.integers(1, 24),
)
def test_every_ravdess_name_says_what_it_was_made_from(
    named: tuple[str, ...], statement: int, repetition: int, actor: int
) -> None:
    name = ravdess.parse("-".join([*named, f"0{statement}", f"0{repetition}", f"{actor:02}"]))
    said = tuple(code[key] for code, key in zip(codes, named, strict=True))
    assert name == ravdess.Name(*said, statement, repetition, actor)
    assert name.gender == ("female" if actor % 2 == 0 else "male")


@given(st.one_of(st.text(), st.from_regex(r"[0-9-]{15,25}", fullmatch=True)))
def test_any_other_text_is_no_ravdess_name(stem: str) -> None:
    if (name := ravdess.parse(stem)) is not None:
        assert len(stem) == 20 and stem.isascii() and 1 <= name.actor <= 24


def test_ravdess_emotions_are_the_prompts_classes() -> None:
    assert set(ravdess.EMOTIONS.values()) == set(PROMPTS["emotion"]) - {"excited"}


def test_ravdess_reads_the_published_tree_and_a_flat_folder_alike(tmp_path: Path) -> None:
    names = ["03-01-06-01-02-01-12.wav", "03-01-05-02-01-02-01.wav"]
    touch(tmp_path / "tree", *(f"Actor_{name[18:20]}/{name}" for name in names))
    touch(tmp_path / "flat", *names)
    tree, flat = (by_name(read("ravdess", tmp_path / where)) for where in ("tree", "flat"))
    fearful = tree["03-01-06-01-02-01-12"]
    assert fearful.labels == {"emotion": "fear", "gender": "female", "intensity": "normal"}
    assert fearful.speaker == "ravdess-12"
    assert {stem: item.labels for stem, item in tree.items()} == {
        stem: item.labels for stem, item in flat.items()
    }


def test_ravdess_passes_over_songs_video_copies_and_other_names_with_the_reason(
    tmp_path: Path,
) -> None:
    touch(
        tmp_path,
        "Actor_01/03-01-01-01-01-01-01.wav",
        "Actor_01/._03-01-01-01-01-01-01.wav",  # what macOS leaves: hidden, so not even skipped
        "Actor_02/03-02-03-01-01-01-02.wav",
        "Actor_03/01-01-03-01-01-01-03.wav",
        "Actor_25/03-01-03-01-01-01-25.wav",
        "audio_speech_actors_01-24/Actor_01/03-01-01-01-01-01-01.wav",
    )
    dataset = read("ravdess", tmp_path)
    assert [Path(item.uri).parent.name for item in dataset.items] == ["Actor_01"]
    said = reasons(dataset)
    assert len(dataset.skipped) == len(said) == 4
    assert "sung" in said["03-02-03-01-01-01-02.wav"]
    assert "audio and video" in said["01-01-03-01-01-01-03.wav"]
    assert "not a RAVDESS name" in said["03-01-03-01-01-01-25.wav"]
    assert "second copy" in said["03-01-01-01-01-01-01.wav"]
    assert "03-02-03-01-01-01-02" in by_name(read("ravdess", tmp_path, songs=True))


# ---- CREMA-D --------------------------------------------------------------------------------

CREMA_D = ("1001_DFA_ANG_XX.wav", "1002_IEO_HAP_HI.wav", "1040_ITH_SAD_X.wav")
ACTORS = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'


def crema_d(root: Path) -> Path:
    touch(root, *(f"AudioWAV/{name}" for name in CREMA_D))
    rows = '1002,21,"Female","Caucasian","Not Hispanic"\n1040,?,"","Caucasian",""\n'
    (root / "VideoDemographics.csv").write_text(ACTORS + rows)
    return root


@pytest.mark.parametrize("below", ["", "AudioWAV"])
def test_crema_d_takes_emotion_from_names_and_the_rest_from_the_table(
    below: str, tmp_path: Path
) -> None:
    dataset = read("crema-d", crema_d(tmp_path) / below)
    assert {stem: item.labels for stem, item in by_name(dataset).items()} == {
        "1001_DFA_ANG_XX": {"emotion": "angry", "gender": "male", "age": "middle"},
        "1002_IEO_HAP_HI": {
            "emotion": "happy",
            "gender": "female",
            "age": "adult",
            "intensity": "high",
        },
        "1040_ITH_SAD_X": {"emotion": "sad"},
    }
    assert dataset.items[0].speaker == "crema-d-1001"
    assert dataset.skipped == ()


def test_ages_fall_into_the_published_bins() -> None:
    years = (19, 20, 39, 40, 59, 60, 74)
    expected = ["child", "adult", "adult", "middle", "middle", "elder", "elder"]
    assert [age_class(year) for year in years] == expected
    assert set(expected) == set(PROMPTS["age"])


def test_crema_d_without_its_table_says_where_to_get_it(tmp_path: Path) -> None:
    touch(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav")
    with pytest.raises(InputError, match=r"VideoDemographics\.csv.*github\.com.*demographics="):
        read("crema-d", tmp_path / "AudioWAV")
    table = tmp_path / "elsewhere.csv"
    table.write_text(ACTORS)
    [item] = read("crema-d", tmp_path, demographics=table).items
    assert item.labels["gender"] == "male"


def test_crema_d_refuses_another_table(tmp_path: Path) -> None:
    crema_d(tmp_path)
    (tmp_path / "VideoDemographics.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="ActorID"):
        read("crema-d", tmp_path)


def test_an_actor_whom_the_table_lacks_keeps_emotion_and_is_named(tmp_path: Path) -> None:
    crema_d(tmp_path)
    (tmp_path / "VideoDemographics.csv").write_text(ACTORS)
    dataset = read("crema-d", tmp_path)
    assert by_name(dataset)["1002_IEO_HAP_HI"].labels == {"emotion": "happy", "intensity": "high"}
    assert [skipped.reason for skipped in dataset.skipped] == [
        f"no row for actor {actor}: 1 clips without gender and age" for actor in (1002, 1040)
    ]


# ---- IEMOCAP --------------------------------------------------------------------------------

EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
A-F1:\tval 3; act 2; dom  2;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M001\texc\t[2.5000, 2.5000, 2.5000]
[12.0000 - 13.5000]\tSes01F_impro01_F001\thap\t[4.0000, 3.0000, 2.5000]
[14.8872 - 18.0175]\tSes01F_impro01_F002\txxx\t[2.5000, 2.5000, 2.5000]
[19.2900 - 20.7875]\tSes01F_impro01_M003\tfru\t[2.5000, 2.5000, 2.5000]
[21.3257 - 24.7400]\tSes01F_impro01_F003\tang\t[2.5000, 2.5000, 2.5000]
[25.0000 - 26.0000] Ses01F_impro01_F004 sad
"""
TURNS = ("F000", "M001", "F001", "F002", "M003")  # F003's audio is missing


@pytest.fixture
def iemocap_root(tmp_path: Path) -> Path:
    dialog = "Ses01F_impro01"
    session = tmp_path / "Session1"
    touch(session, *(f"sentences/wav/{dialog}/{dialog}_{turn}.wav" for turn in TURNS))
    touch(session, f"dialog/wav/{dialog}.wav", "dialog/EmoEvaluation/Categorical/Ses01_e2_cat.txt")
    touch(session, f"dialog/EmoEvaluation/._{dialog}.txt")
    (session / f"dialog/EmoEvaluation/{dialog}.txt").write_text(EVALUATION)
    return tmp_path


def test_iemocap_gives_the_published_four_classes(iemocap_root: Path) -> None:
    dataset = read("iemocap", iemocap_root)
    assert {stem[-4:]: dict(item.labels) for stem, item in by_name(dataset).items()} == {
        "F000": {"emotion": "neutral", "gender": "female"},
        "M001": {"emotion": "happy", "gender": "male"},  # excited
        "F001": {"emotion": "happy", "gender": "female"},
    }
    # Who speaks, not who wore the markers.
    assert by_name(dataset)["Ses01F_impro01_M001"].speaker == "iemocap-Ses01M"
    said = [skipped.reason for skipped in dataset.skipped]
    assert len(said) == 4
    assert "did not agree" in said[0] and "frustrated" in said[1]
    assert said[2] == "no such file" and "not a line" in said[3]
    assert dataset.skipped[3].uri.endswith("Ses01F_impro01.txt:12")


def test_iemocap_keeps_excited_apart_and_other_emotions_when_asked(iemocap_root: Path) -> None:
    kept = by_name(iemocap.read(iemocap_root, merge_excited=False, other_emotions=True))
    emotions = {stem[-4:]: item.labels["emotion"] for stem, item in kept.items()}
    assert emotions["M001"] == "excited" and emotions["M003"] == "frustrated"
    assert "F002" not in emotions


def test_iemocap_turns_can_be_cut_out_of_the_dialogs(iemocap_root: Path) -> None:
    items = read("iemocap", iemocap_root, from_dialogs=True).items
    assert {Path(item.uri).name for item in items} == {"Ses01F_impro01.wav"}
    assert [(item.start_s, item.end_s) for item in items] == [
        (6.2901, 8.2357),
        (10.01, 11.3925),
        (12.0, 13.5),
        (21.3257, 24.74),
    ]


# ---- lhotse manifests -----------------------------------------------------------------------


def cut(source: str = "download/ears/p001.wav", **changes: Any) -> dict[str, Any]:
    """One line of FCaps, as the authors' recipe writes it."""
    return {
        "id": "test-ears-p001",
        "start": 0.0,
        "duration": 4.0,
        "channel": 0,
        "supervisions": [
            {
                "id": "test-ears-p001",
                "recording_id": "test-ears-p001",
                "start": 0.0,
                "duration": 4.0,
                "channel": 0,
                "text": "so it goes",
                "speaker": "p001",
                "gender": "female",
                "custom": {
                    "global_captions": ["A woman speaks.", "A female voice."],
                    "finegrained_captions": ["She begins slowly.", "She ends fast."],
                    "pitch": "medium-pitched",
                    "situational_tags": ["happy"],
                },
            }
        ],
        "recording": {
            "id": "test-ears-p001",
            "sources": [{"type": "file", "channels": [0], "source": source}],
            "sampling_rate": 16000,
            "num_samples": 64000,
            "duration": 4.0,
            "channel_ids": [0],
            "transforms": [{"name": "Resample", "kwargs": {"source_sampling_rate": 48000}}],
        },
        "type": "MonoCut",
        **changes,
    }


def manifest(path: Path, *cuts: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.writelines(json.dumps(each) + "\n" for each in cuts)
    return path


@pytest.mark.parametrize("name", ["fcaps-test.jsonl", "fcaps-test.jsonl.gz"])
def test_a_cut_gives_its_captions_in_order_and_its_labels(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "download/ears/p001.wav")
    dataset = read("lhotse", manifest(tmp_path / "data" / name, cut()), audio_root=tmp_path)
    assert dataset.name == "fcaps-test"
    assert dataset.items == (
        Item(
            uri=str(tmp_path / "download/ears/p001.wav"),
            labels={"gender": "female", "pitch": "medium-pitched"},
            captions={
                "global": ("A woman speaks.", "A female voice."),
                "fine": ("She begins slowly.", "She ends fast."),
            },
            speaker="p001",
            split="test",
        ),
    )


def test_older_names_of_captions_and_the_cut_s_own_custom_are_read(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    older = cut("a.wav", supervisions=[{"custom": {"short_captions": ["S."]}}])
    of_cut = cut("b.wav", supervisions=[], custom={"long_captions": ["L."]})
    first, second = read("lhotse", manifest(tmp_path / "cuts.jsonl", older, of_cut)).items
    assert (first.captions, second.captions) == ({"global": ("S.",)}, {"fine": ("L.",)})
    assert first.split is None


def test_a_cut_of_a_longer_recording_keeps_its_times(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    path = manifest(tmp_path / "c.jsonl", cut("a.wav", start=2.2, duration=1.1), cut("a.wav"))
    whole, part = read("lhotse", path).items
    assert (whole.start_s, whole.end_s) == (None, None)
    assert (part.start_s, part.end_s) == (2.2, 3.3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "MixedCut"}, "MixedCut"),
        ({"recording": None}, "recording is None"),
        ({"duration": "long"}, "expected a number"),
        ({"duration": -1}, "expected 0 <= start < end"),
        ({"duration": 10**400}, "expected a number"),
        ({"start": 1e308, "duration": 1e308}, "expected 0 <= start < end"),
        ({"supervisions": [{"custom": {"global_captions": [7]}}]}, "expected text"),
        ({"supervisions": [{"text": "no captions"}]}, "no captions and no labels"),
        ({"recording": {"sources": [{"type": "url", "source": "https://a/b"}]}}, "'url'"),
        ({"recording": {"sources": []}}, "expected a list of one"),
        (
            {"recording": {**cut()["recording"], "transforms": [{"name": "Speed"}]}},
            "changed ('Speed')",
        ),
    ],
)
def test_a_cut_that_cannot_be_used_is_skipped_by_its_line(
    change: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    touch(tmp_path, "download/ears/p001.wav")
    path = manifest(tmp_path / "cuts.jsonl", cut(), cut(**change))
    dataset = read("lhotse", path)
    assert len(dataset.items) == 1
    [skipped] = dataset.skipped
    assert skipped.uri == f"{path}:2"
    assert reason in skipped.reason


def test_missing_audio_says_where_it_was_looked_for(tmp_path: Path) -> None:
    [skipped] = read("lhotse", manifest(tmp_path / "data/cuts.jsonl", cut())).skipped
    assert skipped.uri == str(tmp_path / "data/download/ears/p001.wav")
    assert "audio_root" in skipped.reason


def test_a_folder_of_manifests_is_read_whole(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    manifest(tmp_path / "x-dev.jsonl", cut("b.wav"))
    manifest(tmp_path / "x-train_base.jsonl.gz", cut("a.wav"))
    splits = {Path(item.uri).name: item.split for item in read("lhotse", tmp_path).items}
    assert splits == {"a.wav": "train", "b.wav": "dev"}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("cuts_train.jsonl", "train"),
        ("cuts_validation.jsonl", "validation"),
        ("val-cuts.jsonl.gz", "val"),
        ("Valid.jsonl", "valid"),
        ("cuts.eval2.jsonl", "eval"),
        ("paraspeechcaps_cuts_holdout.jsonl.gz", "holdout"),
        ("fcaps-test.jsonl", "test"),
        ("x-train_base.jsonl", "train"),
        ("latest_contest.jsonl", None),
        ("validated-intervals.jsonl", None),
        ("devices_evaluator_trained.jsonl", None),
        ("entraînétest.jsonl", None),
        ("cuts_évalué.jsonl", None),
    ],
)
def test_a_split_is_a_whole_word_of_the_manifest_s_name(
    name: str, split: str | None, tmp_path: Path
) -> None:
    touch(tmp_path, "a.wav")
    [item] = read("lhotse", manifest(tmp_path / name, cut("a.wav"))).items
    assert item.split == split


around = st.text("xéß_-. 1", max_size=4)


@given(st.sampled_from(lhotse.SPLITS), around, around)
def test_a_split_s_name_within_a_word_is_none(word: str, before: str, after: str) -> None:
    found = lhotse.SPLIT.search(f"{before}{word}{after}")
    alone = not before[-1:].isalpha() and not after[:1].isalpha()
    assert (found and found[1]) == (word if alone else None)


def test_of_a_manifest_and_its_packed_copy_one_is_read_and_the_other_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    manifest(tmp_path / "x.jsonl", cut("a.wav", id="1"))
    manifest(tmp_path / "x.jsonl.gz", cut("a.wav", id="1"), cut("b.wav", id="2"))
    dataset = read("lhotse", tmp_path)
    assert [Path(item.uri).name for item in dataset.items] == ["a.wav"]
    [skipped] = dataset.skipped
    assert skipped.uri == str(tmp_path / "x.jsonl.gz")
    assert "x.jsonl beside it is read" in skipped.reason


def test_a_cut_that_comes_twice_is_told_and_read_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    cuts = [
        cut("a.wav", id="1"),
        cut("b.wav", id="1"),  # other audio
        cut("a.wav", id="1", start=1.0, duration=2.0),  # another part of it
        cut("a.wav", id="2"),
        cut("a.wav", id=None),
        cut("a.wav", id=None),  # nobody knows whether it is the same
    ]
    manifest(tmp_path / "x.jsonl", *cuts)
    manifest(tmp_path / "y.jsonl", cut("a.wav", id="3"), cut("a.wav", id="1"))
    manifest(tmp_path / "y-test.jsonl", cut("a.wav", id="1"))  # of a split: read, too
    dataset = read("lhotse", tmp_path)
    assert len(dataset.items) == len(cuts) + 2
    [skipped] = dataset.skipped
    assert skipped.uri == f"{tmp_path / 'y.jsonl'}:2"
    assert f"'1' of the same audio is in {tmp_path / 'x.jsonl'}:1" in skipped.reason


def stereo(channel: Any, **changes: Any) -> dict[str, Any]:
    source = {"type": "file", "channels": [0, 1], "source": "a.wav"}
    recording = {**cut()["recording"], "sources": [source], "channel_ids": [0, 1]}
    return cut(recording=recording, channel=channel, **changes)


@pytest.mark.parametrize("channel", [0, 1, [1], 2, "0", {}])
def test_a_cut_of_one_channel_of_several_is_not_taken_for_their_mean(
    channel: Any, tmp_path: Path
) -> None:
    touch(tmp_path, "a.wav")
    both = stereo([0, 1], id="both", type="MultiCut")
    dataset = read("lhotse", manifest(tmp_path / "c.jsonl", both, stereo(channel)))
    assert len(dataset.items) == 1
    [skipped] = dataset.skipped
    assert "recording with channels [0, 1]: all are averaged here" in skipped.reason


@pytest.mark.parametrize(
    ("value", "label"),
    [(3, "3"), (187.25, "187.25"), (0, "0"), (True, "true"), (float("nan"), None), ("", None)],
)
def test_a_number_is_a_label_like_any_other(value: Any, label: str | None, tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    custom = {"long_captions": ["L."], "pitch": value}
    path = manifest(tmp_path / "c.jsonl", cut("a.wav", supervisions=[{"custom": custom}]))
    [item] = read("lhotse", path).items
    assert (item.labels.get("pitch"), item.captions) == (label, {"fine": ("L.",)})


def test_a_label_that_is_no_class_is_left_out_and_told_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    given = [{"mean": 187}, "high", ["low", "high"], [1], *[{"mean": 1}] * 7]
    cuts = [
        cut("a.wav", id=number, supervisions=[{"speaker": 7, "custom": {"long_captions": ["L."],
                                                                        "pitch": pitch}}])
        for number, pitch in enumerate(given)
    ]  # fmt: skip
    dataset = read("lhotse", path := manifest(tmp_path / "c.jsonl", *cuts))
    assert len(dataset.items) == len(cuts)
    assert {(item.speaker, item.captions["fine"]) for item in dataset.items} == {("7", ("L.",))}
    assert [item.labels for item in dataset.items if item.labels] == [{"pitch": "high"}]
    [skipped] = dataset.skipped
    assert skipped.uri == f"{path}:1"
    assert "pitch is {'mean': 187}: expected one class" in skipped.reason
    assert skipped.reason.endswith("The rest of the line is used; 9 more such: 3, 4, 5, 6, 7, ...")


def test_a_manifest_cut_short_keeps_what_came_before_and_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    path = manifest(tmp_path / "cuts.jsonl.gz", *[cut("a.wav", id=str(n)) for n in range(999)])
    path.write_bytes(path.read_bytes()[:-400])
    dataset = read("lhotse", path)
    assert 0 < len(dataset.items) < 999
    assert "breaks off" in dataset.skipped[-1].reason
    path.write_bytes(b"this was never gzip")
    [skipped] = read("lhotse", path).skipped
    assert skipped.uri == f"{path}:1"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@st.composite
def damaged_cuts(draw: st.DrawFn) -> bytes:
    """A good cut with one value, anywhere in it, put to something else."""
    line: Any = cut("a.wav", custom={"accent": "American"})
    at = line
    for _ in range(draw(st.integers(0, 5))):
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not at[key]:
            break
        at = at[key]
    keys = list(at) if isinstance(at, dict) else list(range(len(at)))
    at[draw(st.sampled_from(keys))] = draw(json_values)
    return json.dumps(line).encode()


lines = st.lists(
    st.binary(max_size=40).map(lambda line: line.replace(b"\n", b""))
    | json_values.map(lambda value: json.dumps(value).encode())
    | damaged_cuts(),
    max_size=5,
)


@settings(deadline=None)
@given(lines=lines, gz=st.booleans())
def test_whatever_the_lines_every_one_is_an_item_or_skipped(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], gz: bool
) -> None:
    folder = touch(tmp_path_factory.mktemp("lines"), "a.wav")
    path = folder / ("cuts.jsonl.gz" if gz else "cuts.jsonl")
    data = b"\n".join(lines)
    path.write_bytes(gzip.compress(data) if gz else data)
    found = list(lhotse.stream(path))
    of_a_part = [
        each
        for each in found
        if isinstance(each, Skipped) and "The rest of the line is used" in each.reason
    ]
    assert len(found) - len(of_a_part) == sum(bool(line.strip()) for line in lines)
    for each in found:
        assert isinstance(each, Item | Skipped)
        repr(each).encode()  # and fit for a table
        if isinstance(each, Item):
            assert Path(each.uri) == folder / "a.wav"
            json.dumps([each.labels, dict(each.captions)], ensure_ascii=False).encode()


@pytest.mark.parametrize("line", [b"[" * 100_000, b"9" * 5000, b'"\\ud800"', b"\xff\xfe", b"NaN"])
def test_lines_that_break_parsers_are_skipped(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cuts.jsonl"
    path.write_bytes(line)
    assert len(read("lhotse", path).skipped) == 1


# ---- tables ---------------------------------------------------------------------------------

ROWS: list[dict[str, Any]] = [
    {"file": "b.wav", "emotion": "sad", "speaker": "s2", "start_s": 1, "end_s": 2.5},
    {"file": "a.wav", "emotion": "happy", "gender": "male", "split": "test", "caption": "Glad."},
    {"file": "gone.wav", "emotion": "sad"},
]


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    kind = path.name.partition(".")[2]
    if kind in ("csv", "tsv"):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "parquet":
        columns = {name: [row.get(name) for row in rows] for name in names}
        pq.write_table(pa.table(columns), path)
    elif kind == "json":
        path.write_text(json.dumps(rows))
    else:
        manifest(path, *rows)
    return path


KINDS_OF_TABLE = ["csv", "tsv", "parquet", "jsonl", "jsonl.gz", "json"]


@pytest.mark.parametrize("kind", KINDS_OF_TABLE)
def test_every_kind_of_table_says_the_same(kind: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    dataset = read("table", write_table(tmp_path / f"labels.{kind}", ROWS))
    assert dataset == Dataset(
        "labels",
        (
            Item(
                str(tmp_path / "a.wav"),
                labels={"emotion": "happy", "gender": "male"},
                captions={"global": ("Glad.",)},
                split="test",
            ),
            Item(
                str(tmp_path / "b.wav"),
                labels={"emotion": "sad"},
                speaker="s2",
                start_s=1.0,
                end_s=2.5,
            ),
        ),
        (Skipped(str(tmp_path / "gone.wav"), "no such file"),),
    )


def test_columns_can_be_called_anything(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    path = write_table(tmp_path / "t.csv", [{"wav": "a.wav", "feeling": "sad", "notes": "x"}])
    with pytest.raises(InputError, match="Say which column has the files"):
        read("table", path)
    columns = {"wav": "file", "feeling": "emotion", "notes": "ignore"}
    [item] = read("table", path, columns=columns).items
    assert item.labels == {"emotion": "sad"}
    with pytest.raises(InputError, match=r"no column \['wave'\]"):
        read("table", path, columns={"wave": "file"})
    with pytest.raises(InputError, match="several columns"):
        read("table", path, columns={"wav": "file", "notes": "feeling"})


def test_ratings_of_one_clip_come_together_and_are_averaged(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    rated = [("soft", 4), ("loud", 1), ("soft", 5), ("soft", "much"), ("soft", None), (None, 3)]
    rows = [{"file": "a.wav", "style": style, "rating": rating} for style, rating in rated]
    path = write_table(tmp_path / "ratings.jsonl", rows)
    dataset = read("table", path)
    [item] = dataset.items
    assert item.ratings == {"soft": 4.5, "loud": 1.0}
    assert [skipped.uri for skipped in dataset.skipped] == [f"{path}:{n}" for n in (4, 5, 6)]


def test_of_a_row_that_contradicts_an_earlier_one_only_that_label_is_left_out(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a.wav")
    rows = [
        {"file": "a.wav", "emotion": "sad", "caption": "First.", "split": "test"},
        {"file": "a.wav", "emotion": "happy", "caption": "Second.", "gender": "male"},
        {"file": "a.wav", "emotion": "sad", "caption": ["First.", "Third."], "split": "dev"},
    ]
    dataset = read("table", path := write_table(tmp_path / "t.jsonl", rows))
    [item] = dataset.items
    assert item.labels == {"emotion": "sad", "gender": "male"}
    assert item.captions == {"global": ("First.", "Second.", "Third.")}
    assert item.split == "test"
    emotion, split = dataset.skipped
    assert emotion.uri == f"{path}:2"
    assert "label emotion is 'happy'" in emotion.reason and "'sad'" in emotion.reason
    assert split.uri == f"{path}:3" and "split is 'dev'" in split.reason


def test_a_column_that_differs_in_each_row_costs_no_rating(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    rows = [
        {"file": file, "style": "warm", "rating": rating, "rater": f"r{rater}"}
        for file, ratings in {"a.wav": (1, 5, 3), "b.wav": (1, 5, 4.5)}.items()
        for rater, rating in enumerate(ratings)
    ]
    dataset = read("table", path := write_table(tmp_path / "ratings.csv", rows))
    assert [item.ratings for item in dataset.items] == [{"warm": 3.0}, {"warm": 3.5}]
    [skipped] = dataset.skipped  # once for the column
    assert skipped.uri == f"{path}:3" and "3 more such: 4, 6, 7" in skipped.reason
    assert read("table", path, columns={"rater": "ignore"}).skipped == ()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.floats(1, 5), st.sampled_from(["x", "y", "", "z"])),
        min_size=1,
        max_size=9,
    )
)
def test_no_rating_is_lost_whatever_else_the_rows_say(
    tmp_path_factory: pytest.TempPathFactory, given: list[tuple[str, float, str]]
) -> None:
    folder = touch(tmp_path_factory.mktemp("rated"), "a.wav", "b.wav")
    rows = [
        {"file": f"{clip}.wav", "style": "s", "rating": rating, "rater": rater, "split": rater}
        for clip, rating, rater in given
    ]
    for clip, item in by_name(read("table", write_table(folder / "t.jsonl", rows))).items():
        rated = [rating for name, rating, _ in given if name == clip]
        assert item.ratings["s"] == pytest.approx(sum(rated) / len(rated))


def test_lines_of_a_table_that_are_no_rows_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    path = tmp_path / "t.csv"
    path.write_text("file,emotion\na.wav,sad\na.wav\n,happy\n\na.wav,sad,extra\n")
    dataset = read("table", path)
    assert len(dataset.items) == 1
    said = {skipped.uri.rpartition(":")[2]: skipped.reason for skipped in dataset.skipped}
    assert said == {
        "3": "1 cells: expected 2, as in the header",
        "4": "no file is named",
        "6": "3 cells: expected 2, as in the header",
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"file,emotion\n\xff\xfe,sad\n"),
        ("t.csv", b"file,file\na,b\n"),
        ("t.csv", b""),
        ("t.json", b"{}"),
        ("t.json", b"[" * 100_000),
        ("t.parquet", b"PAR1"),
        ("t.xlsx", b"PK"),
    ],
)
def test_a_file_that_is_no_table_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"expected|nothing to read"):
        read("table", tmp_path / name)


def test_a_column_of_lists_says_how_to_leave_it_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    path = write_table(tmp_path / "t.parquet", [{"file": "a.wav", "tags": ["x", "y"]}])
    [skipped] = read("table", path).skipped
    assert "--column tags=ignore" in skipped.reason
    assert read("table", path, columns={"tags": "ignore"}).items == (Item(str(tmp_path / "a.wav")),)


def test_urls_are_taken_as_they_are_and_numbers_are_classes_too(tmp_path: Path) -> None:
    rows = [{"uri": "s3://bucket/a.wav", "stars": 5, "loud": True, "age": None}]
    [item] = read("table", write_table(tmp_path / "t.jsonl", rows)).items
    assert item.uri == "s3://bucket/a.wav"
    assert item.labels == {"stars": "5", "loud": "true"}


def test_embedded_audio_in_parquet_is_not_read_and_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    audio = {"bytes": b"RIFF", "path": "x"}
    rows = [{"file": "a.wav", "audio": audio, "caption": ["One.", "Two."]}]
    path = write_table(tmp_path / "t.parquet", rows)
    dataset = read("table", path)
    expected = (Item(str(tmp_path / "a.wav"), captions={"global": ("One.", "Two.")}),)
    assert dataset.items == expected
    [skipped] = dataset.skipped
    assert "column 'audio' of type struct<bytes: binary" in skipped.reason
    assert read("table", path, columns={"audio": "ignore"}) == Dataset("t", expected)
    path = write_table(tmp_path / "t.parquet", [{"audio": audio, "where": "a.wav"}])
    with pytest.raises(InputError, match=r"'audio', of type struct<.*expected one of .*as text"):
        read("table", path)


TEXT_LISTS = {
    "list": pa.list_(pa.string()),
    "large_list": pa.large_list(pa.large_string()),
    "fixed_size_list": pa.list_(pa.string(), 2),
    "list_view": pa.list_view(pa.string_view()),
    "large_list_view": pa.large_list_view(pa.string()),
    "list of dictionary": pa.list_(pa.dictionary(pa.int32(), pa.string())),
}


@pytest.mark.parametrize("name", TEXT_LISTS)
def test_captions_are_read_from_lists_of_any_kind(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    captions = pa.array([["One.", "Two."], ["Three.", "Four."]], TEXT_LISTS[name])
    table = pa.table({"file": ["a.wav", "b.wav"], "long_captions": captions})
    pq.write_table(table, path := tmp_path / "t.parquet")
    dataset = read("table", path)
    assert [item.captions["fine"] for item in dataset.items] == [
        ("One.", "Two."),
        ("Three.", "Four."),
    ]
    assert dataset.skipped == ()


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (pa.struct({"text": pa.string()}), {"text": "Low."}),
        (pa.list_(pa.float32(), 2), [0.5, 0.25]),
        (pa.list_(pa.list_(pa.string())), [["Low."]]),
        (pa.map_(pa.string(), pa.string()), [("en", "Low.")]),
        (pa.binary(), b"Low."),
        (pa.binary(4), b"Low."),
        (pa.large_binary(), b"Low."),
        (pa.binary_view(), b"Low."),
    ],
)
@pytest.mark.parametrize("column", ["caption", "emotion", "file"])
def test_a_column_of_a_type_that_cannot_be_read_is_told(
    column: str, type_: pa.DataType, value: Any, tmp_path: Path
) -> None:
    touch(tmp_path, "a.wav")
    known = {} if column == "file" else {"file": ["a.wav"]}
    table = pa.table({**known, "gender": ["male"], column: pa.array([value], type_)})
    pq.write_table(table, path := tmp_path / "t.parquet")
    kind = str(type_).partition("<")[0]
    if column == "file":
        with pytest.raises(InputError, match=rf"'file', of type {re.escape(kind)}"):
            read("table", path)
        return
    dataset = read("table", path)
    assert [item.labels for item in dataset.items] == [{"gender": "male"}]
    [skipped] = dataset.skipped
    assert f"column {column!r} of type {kind}" in skipped.reason


@settings(deadline=None)
@given(lines=st.lists(json_values | st.dictionaries(st.sampled_from(
    ["file", "caption", "style", "rating", "start_s", "end_s", "speaker", "emotion"]), json_values),
    max_size=5))  # fmt: skip
def test_whatever_the_rows_no_clip_is_invented(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Any]
) -> None:
    folder = touch(tmp_path_factory.mktemp("rows"), "a.wav")
    path = manifest(folder / "t.jsonl", {"file": "a.wav", "emotion": "sad"}, *lines)
    dataset = read("table", path)
    assert len(dataset.items) + len(dataset.skipped) <= len(lines) + 1
    assert all(Path(item.uri).name == "a.wav" for item in dataset.items)
    repr(dataset).encode()


def test_the_published_example_captions_read(real_audio: Path) -> None:
    dataset = read("table", real_audio / "captions.json")
    assert len(dataset.items) == 6 and not dataset.skipped
    assert all(set(item.captions) == {"global", "fine"} for item in dataset.items)
    assert not any(item.labels for item in dataset.items)


# ---- presets --------------------------------------------------------------------------------


def test_the_presets_ask_with_the_published_prompts_to_the_letter() -> None:
    def asked(name: str) -> list[str]:
        [question] = preset(name).questions
        return [prompt for wordings in question.prompts.values() for prompt in wordings]

    assert asked("iemocap-emotion") == [
        "A speaker in a happy tone.",
        "A speaker in a excited tone.",  # sic
        "A speaker in a angry tone.",
        "A speaker in a sad tone.",
        "A speaker in a neutral tone.",
    ]
    assert len(asked("ravdess-emotion")) == 8
    assert len(asked("crema-d-emotion")) == 6
    assert asked("ravdess-gender") == ["A male speaker.", "A female speaker."]
    assert asked("crema-d-age") == [
        "A child or young teenager speaker.",
        "An adult speaker.",
        "A middle-aged speaker.",
        "An older or elder speaker.",
    ]


def test_happy_and_excited_count_as_one_class() -> None:
    [question] = preset("iemocap-emotion").questions
    assert question.classes == ("happy", "angry", "sad", "neutral")
    assert question.counts_as("excited") == "happy"
    assert question.counts_as("sad") == "sad"


def test_every_preset_s_figures_and_kind_are_of_something_asked() -> None:
    for name, one in PRESETS.items():
        assert one.name == name and one.kind in KINDS and "2601.03065" in one.source
        assert set(one.published) == {question.name for question in one.questions}
        for question in one.questions:
            assert set(question.merge) <= set(question.prompts)
    assert PRESETS["iemocap-emotion"].published == {"emotion": {"wa": 57.2, "uar": 56.1}}
    assert PUBLISHED_RETRIEVAL["fine"]["text_to_audio"] == {"R@1": 67.2}
    assert PUBLISHED_STYLE == {"intrinsic": 0.893, "situational": 0.903}


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no preset 'emotion'.*iemocap-emotion"):
        preset("emotion")


def test_the_labels_of_every_reader_are_classes_of_its_presets(
    tmp_path: Path, iemocap_root: Path
) -> None:
    touch(tmp_path / "r", *(f"03-01-0{code}-01-01-01-0{code}.wav" for code in range(1, 9)))
    found = {
        "ravdess": read("ravdess", tmp_path / "r"),
        "crema-d": read("crema-d", crema_d(tmp_path / "c")),
        "iemocap": iemocap.read(iemocap_root, merge_excited=False),
    }

    def labels(question: Question, dataset: Dataset) -> set[str]:
        said = {
            item.labels[question.label] for item in dataset.items if question.label in item.labels
        }
        return {question.counts_as(label) for label in said}

    for one in PRESETS.values():
        for question in one.questions:
            assert labels(question, found[one.kind]) <= set(question.classes)
            assert labels(question, found[one.kind])
