"""RAVDESS, CREMA-D, IEMOCAP: published layouts give their labels, and presets ask for these."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsp.errors import InputError
from clsp.training.wording import PROMPTS
from pipelines.datasets import KINDS, Dataset, iemocap, ravdess, read
from pipelines.datasets.crema_d import age_class
from pipelines.datasets.presets import (
    PRESETS,
    PUBLISHED_RETRIEVAL,
    PUBLISHED_STYLE,
    Question,
    preset,
)
from tests.unit.dataset_files import by_name, touch


def reasons(dataset: Dataset) -> dict[str, str]:
    return {Path(skipped.uri).name: skipped.reason for skipped in dataset.skipped}


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


MOST_CODES = (3, 2, 8, 2, 2, 2, 24)  # of modality, channel, emotion, ..., actor; all from 1


@given(st.tuples(*(st.integers(0, most + 1) for most in MOST_CODES)))
def test_a_ravdess_name_is_one_whose_every_code_there_is(codes: tuple[int, ...]) -> None:
    there_is = all(1 <= code <= most for code, most in zip(codes, MOST_CODES, strict=True))
    stem = "-".join(f"{code:02}" for code in codes)
    assert (ravdess.parse(stem) is not None) == there_is


@given(st.one_of(st.text(), st.from_regex(r"[0-9-]{15,19}|[0-9-]{21,25}", fullmatch=True)))
def test_any_other_text_is_no_ravdess_name(stem: str) -> None:
    assert ravdess.parse(stem) is None


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
