"""Readers of labelled speech: kinds, options and roots, and which of them are refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsp.errors import InputError
from pipelines.datasets import KINDS, read
from tests.unit.dataset_files import touch


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
