"""Damaged manifests and tables: every line is an item or skipped, and no clip is invented."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.datasets import Item, Skipped, lhotse, read
from tests.unit.dataset_files import cut, manifest, touch


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
