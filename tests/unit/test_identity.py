"""What makes a segment, a content, a model or a policy the same one: names that never meet."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.archive import content_hash
from pipelines.errors import SettingsError
from pipelines.jobs import model_key, segment_id
from pipelines.segments import SegmentPolicy

hashes = st.binary(min_size=16, max_size=16).map(bytes.hex)
samples = st.integers(0, 2**40)
segments = st.tuples(hashes, samples, samples, st.none() | st.integers(0, 63))


@given(st.lists(segments, min_size=2, max_size=2, unique=True))
def test_two_segments_have_two_names(pair):
    one, other = (segment_id(*segment) for segment in pair)
    assert one != other
    assert one == segment_id(*pair[0])
    assert len(one) == 32 and int(one, 16) >= 0


@given(hashes, st.lists(st.integers(0, 10**6), min_size=3, max_size=3))
def test_digits_do_not_run_together(content, numbers):
    """1:23 and 12:3 are two spans."""
    a, b, c = map(str, numbers)
    spans = {(int(a + b), int(c)), (int(a), int(b + c))}
    assert len({segment_id(content, *span) for span in spans}) == len(spans)


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_a_content_is_its_bytes_whatever_the_name(one, other):
    with tempfile.TemporaryDirectory() as folder:
        named = {Path(folder, "a.wav"): one, Path(folder, "b.flac"): one, Path(folder, "c"): other}
        found = []
        for path, data in named.items():
            path.write_bytes(data)
            found.append(content_hash(path))
    assert found[0] == found[1]
    assert (found[0] == found[2]) == (one == other)


texts = st.one_of(
    st.sampled_from(["whole", "windows", "vad"]),
    st.floats(3, 60).map(lambda s: f"vad:{s:.3f}"),
    st.floats(1, 60).map(lambda s: f"windows:{s:.3f}"),
    st.tuples(st.floats(1, 60), st.floats(0.1, 1)).map(
        lambda p: f"windows:{p[0]:.3f}/{max(0.1, p[0] * p[1] - 0.001):.3f}"
    ),
)
channels = st.sampled_from(["mix", "split", "left", "right"])


@given(st.tuples(texts, channels), st.tuples(texts, channels))
def test_policies_have_one_key_each(one, other):
    first, second = SegmentPolicy.parse(*one), SegmentPolicy.parse(*other)
    assert (first == second) == (first.key == second.key)
    written, _, kept = first.key.partition("+")
    assert SegmentPolicy.parse(written.partition("@")[0], kept or "mix") == first


@given(st.text(max_size=20))
def test_any_other_text_is_no_policy(text):
    try:
        SegmentPolicy.parse(text)
    except SettingsError as error:
        assert "Expected `whole`" in str(error)


def test_a_model_is_its_name_revision_and_precision():
    given = [("tiny", "a" * 40), ("tiny", "b" * 40), ("other", "a" * 40)]
    keys = {model_key(*one) for one in given} | {model_key(*given[0], precision="bfloat16")}
    assert len(keys) == 4


@pytest.mark.parametrize("text", ["vad:2.9", "vad:61", "vad:", "vad:10/5", "VAD", "vad:-3"])
def test_speech_of_other_lengths_is_refused(text):
    with pytest.raises(SettingsError, match="LONGEST"):
        SegmentPolicy.parse(text)
