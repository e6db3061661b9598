"""Manifests of lhotse: captions, labels and times of each cut, and nothing is lost unsaid."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.datasets import Item, lhotse, read
from tests.unit.dataset_files import cut, manifest, touch


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
