"""Tables of labelled speech: every kind says the same, and nothing is lost unsaid."""

import csv
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
from pipelines.datasets import Dataset, Item, Skipped, read
from tests.unit.dataset_files import by_name, manifest, touch

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


def test_the_published_example_captions_read(real_audio: Path) -> None:
    dataset = read("table", real_audio / "captions.json")
    assert len(dataset.items) == 6 and not dataset.skipped
    assert all(set(item.captions) == {"global", "fine"} for item in dataset.items)
    assert not any(item.labels for item in dataset.items)
