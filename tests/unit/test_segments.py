"""Cutting: every sample in a segment, none twice without overlap, whatever the blocks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipelines.audio import Recording, open_recording
from pipelines.audio_info import CHANNELS, AudioInfo
from pipelines.errors import FailureKind, RecordingError, SettingsError
from pipelines.segments import (
    DEFAULT_WINDOW_S,
    MAX_WHOLE_S,
    MIN_DURATION_S,
    MIN_TAIL_S,
    Segment,
    SegmentPolicy,
    cut,
)

RATE = 100  # Hz: few samples, so that Hypothesis can try many lengths


def recording(samples: int, pieces: int = 37, rate: int = RATE) -> Recording:
    """A recording of 0, 1, 2, ... that a decoder would give `pieces` samples at a time."""
    values = np.arange(samples, dtype=np.float32)[:, None]
    info = AudioInfo("wav", "float", rate, 1, None)
    split = (values[at : at + pieces] for at in range(0, samples, pieces))
    return Recording(Path("counted.wav"), info, split)


lengths_s = st.floats(1, 60).map(lambda s: round(s, 2))
policies = lengths_s.flatmap(
    lambda length: st.floats(0.1, 1).map(
        lambda share: SegmentPolicy(length, max(0.1, round(length * share, 2)))
    )
)
samples_n = st.integers(round(MIN_DURATION_S * RATE), 9000)


@given(policies, samples_n)
def test_every_sample_is_in_a_window_at_its_place(policy: SegmentPolicy, samples: int) -> None:
    covered = 0
    for segment in cut(policy, recording(samples)):
        expected = np.arange(segment.start_sample, segment.end_sample)
        np.testing.assert_array_equal(segment.samples, expected)
        assert segment.start_sample <= covered  # no gap
        assert segment.end_sample > covered  # not within the window before
        covered = segment.end_sample
    assert covered == samples


@given(lengths_s, samples_n)
def test_windows_end_to_end_put_together_are_the_recording(length_s: float, samples: int) -> None:
    segments = list(cut(SegmentPolicy(length_s, length_s), recording(samples)))
    together = np.concatenate([segment.samples for segment in segments])
    np.testing.assert_array_equal(together, np.arange(samples))
    assert [s.start_sample for s in segments[1:]] == [s.end_sample for s in segments[:-1]]


@given(policies, samples_n)
def test_windows_are_as_long_as_asked_but_the_last(policy: SegmentPolicy, samples: int) -> None:
    segments = list(cut(policy, recording(samples)))
    length, hop = round(policy.length_s * RATE), round(policy.hop_s * RATE)
    assert [s.start_sample for s in segments] == [i * hop for i in range(len(segments))]
    *before, last = (segment.end_sample - segment.start_sample for segment in segments)
    assert all(n == length for n in before)
    assert last < length + MIN_TAIL_S * RATE
    assert last >= min(samples, MIN_TAIL_S * RATE)


@given(policies, samples_n, st.integers(1, 500), st.integers(1, 500))
def test_segments_do_not_depend_on_the_blocks(
    policy: SegmentPolicy, samples: int, one: int, other: int
) -> None:
    def spans(pieces: int) -> list[tuple[int, int]]:
        source = recording(samples, pieces)
        blocks = source.channel_blocks("mix", pieces)
        source.channel_blocks = lambda channels: blocks  # type: ignore[method-assign,assignment]
        return [(s.start_sample, s.end_sample) for s in cut(policy, source)]

    assert spans(one) == spans(other)


@pytest.mark.parametrize(
    ("text", "seconds", "expected"),
    [
        ("windows:10", 30, [(0, 10), (10, 20), (20, 30)]),
        ("windows:10", 30.99, [(0, 10), (10, 20), (20, 30.99)]),
        ("windows:10", 31, [(0, 10), (10, 20), (20, 30), (30, 31)]),
        ("windows:10", 0.25, [(0, 0.25)]),
        ("windows:10/5", 20, [(0, 10), (5, 15), (10, 20)]),
        ("windows:10/5", 20.5, [(0, 10), (5, 15), (10, 20.5)]),
        ("windows:10/5", 21, [(0, 10), (5, 15), (10, 20), (15, 21)]),
        ("windows", 45, [(0, 30), (30, 45)]),
        ("whole", 60, [(0, 60)]),
        ("whole", 0.25, [(0, 0.25)]),
    ],
)
def test_examples(text: str, seconds: float, expected: list[tuple[float, float]]) -> None:
    segments = cut(SegmentPolicy.parse(text), recording(round(seconds * RATE)))
    assert [(segment.start_s, segment.end_s) for segment in segments] == expected


def test_offsets_are_exact_to_the_sample_at_odd_rates() -> None:
    segments = list(cut(SegmentPolicy.parse("windows:1.5"), recording(50_000, rate=11_025)))
    assert [segment.start_sample for segment in segments] == [0, 16_538, 33_076]
    assert segments[-1].end_s == 50_000 / 11_025


def test_too_short_is_refused_by_every_policy() -> None:
    for text in ("whole", "windows", "windows:1"):
        with pytest.raises(RecordingError, match=r"0\.240 s long") as caught:
            list(cut(SegmentPolicy.parse(text), recording(24)))
        assert caught.value.kind is FailureKind.TOO_SHORT


def test_a_whole_that_is_too_long_is_refused_without_reading_on() -> None:
    read = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal read
        while True:
            read += 1000
            yield np.zeros((1000, 1), np.float32)

    source = Recording(Path("endless.wav"), AudioInfo("wav", "float", RATE, 1, None), endless())
    blocks = source.channel_blocks
    source.channel_blocks = lambda channels: blocks(channels, 1000)  # type: ignore
    with pytest.raises(RecordingError, match="--segments windows") as caught:
        list(cut(SegmentPolicy(), source))
    assert caught.value.kind is FailureKind.TOO_LONG
    assert read <= MAX_WHOLE_S * RATE + 1000


def test_ten_minutes_are_read_one_window_at_a_time(tmp_path: Path) -> None:
    rate, path = 8000, tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for minute in range(10):
            file.write(np.full(60 * rate, minute / 10))
    given_out, most_ahead, block_size = 0, 0, 0
    with open_recording(path) as source:
        blocks = source.channel_blocks

        def noting(channels: str) -> Iterator[np.ndarray]:
            nonlocal given_out, block_size
            for block in blocks(channels, 1 << 14):
                given_out += len(block)
                block_size = max(block_size, len(block))
                yield block

        source.channel_blocks = noting  # type: ignore
        segments = 0
        for segment in cut(SegmentPolicy.parse("windows:10"), source):
            most_ahead = max(most_ahead, given_out - segment.start_sample)
            assert segment.samples.base is None  # does not keep a block alive
            segments += 1
    assert segments == 60
    assert most_ahead <= (10 + MIN_TAIL_S) * rate + block_size


def test_a_span_can_be_kept_without_its_samples() -> None:
    segment = Segment(100, 350, np.zeros(250, np.float32), RATE).without_samples()
    assert (segment.start_s, segment.end_s, len(segment.samples)) == (1.0, 3.5, 0)


# ---- channels -----------------------------------------------------------------------------------


def of_channels(columns: list[np.ndarray], pieces: int = 37) -> Recording:
    values = np.stack(columns, axis=1).astype(np.float32)
    info = AudioInfo("wav", "float", RATE, len(columns), None)
    split = (values[at : at + pieces] for at in range(0, len(values), pieces))
    return Recording(Path("channels.wav"), info, split)


def described(segments: Iterator[Segment]) -> list[tuple[int, int, list[float]]]:
    return [(s.start_sample, s.end_sample, s.samples.tolist()) for s in segments]


@given(policies, samples_n, st.integers(1, 4), st.integers(1, 500))
def test_each_channel_is_cut_as_if_it_were_alone(
    policy: SegmentPolicy, samples: int, count: int, pieces: int
) -> None:
    columns = [np.arange(samples) * (n + 1) - n for n in range(count)]
    together = list(cut(replace(policy, channels="split"), of_channels(columns, pieces)))
    assert {segment.channel for segment in together} == set(range(count))
    for n, column in enumerate(columns):
        alone = described(cut(policy, of_channels([column])))
        assert described(s for s in together if s.channel == n) == alone
    for n, name in enumerate(("left", "right")[:count]):
        one = list(cut(replace(policy, channels=name), of_channels(columns, pieces)))
        assert {s.channel for s in one} == {n}
        assert described(iter(one)) == described(s for s in together if s.channel == n)


@given(policies, samples_n)
def test_a_mix_has_no_channel(policy: SegmentPolicy, samples: int) -> None:
    rising, falling = np.arange(samples), -np.arange(samples) / 2
    for segment in cut(policy, of_channels([rising, falling])):
        assert segment.channel is None
        span = slice(segment.start_sample, segment.end_sample)
        np.testing.assert_allclose(segment.samples, rising[span] / 4, rtol=1e-6)


# ---- silence and early ends ---------------------------------------------------------------------


def tone(peak: float, samples: int = 1000, offset: float = 0.0) -> np.ndarray:
    return offset + peak * np.sin(np.arange(samples))


@pytest.mark.parametrize(
    ("columns", "channels", "level"),
    [
        ([np.zeros(1000)], "mix", "-120 dBFS"),
        ([np.full(1000, -1 / 128)], "mix", "-120 dBFS"),  # 8-bit silence, one step off
        ([tone(0.9e-4)], "mix", "-81 dBFS"),
        ([tone(0.9e-4, offset=0.01)], "mix", "-81 dBFS"),
        ([np.zeros(1000), tone(0.5)], "left", "its left channel is silent"),
        ([tone(0.5), np.zeros(1000)], "right", "its right channel is silent"),
        ([tone(0.5), -tone(0.5)], "mix", "--channels split"),  # they cancel out
        ([np.zeros(9000)], "split", "-120 dBFS"),  # over several windows
    ],
)
def test_silence_is_refused_with_its_level(
    columns: list[np.ndarray], channels: str, level: str
) -> None:
    with pytest.raises(RecordingError) as caught:
        list(cut(SegmentPolicy(10, 10, channels), of_channels(columns)))
    assert caught.value.kind is FailureKind.SILENT
    assert level in caught.value.message


@pytest.mark.parametrize(
    ("columns", "channels"),
    [
        ([tone(1.1e-4)], "mix"),
        ([np.zeros(1000), tone(0.5)], "split"),  # one speaks
        ([np.concatenate([np.zeros(8000), tone(0.01)])], "mix"),  # at last
    ],
)
def test_what_can_be_heard_anywhere_is_not_silent(columns: list[np.ndarray], channels: str) -> None:
    segments = list(cut(SegmentPolicy(10, 10, channels), of_channels(columns)))
    assert sum(len(s.samples) for s in segments) == sum(map(len, columns)) or channels == "mix"


@pytest.mark.parametrize("samples", [25, 1000, 1049, 2050, 3100])
def test_a_recording_that_ends_early_gives_what_there_is_of_it(samples: int) -> None:
    whole, early = recording(samples), recording(samples)
    early._declared = samples + 100
    policy = SegmentPolicy(10, 10)
    assert described(cut(policy, early)) == described(cut(policy, whole))
    assert whole.truncated is None
    assert early.truncated is not None and early.truncated.kind is FailureKind.TRUNCATED
    text = f"ends after {samples / RATE:.2f} s, its header says {samples / RATE + 1:.2f} s"
    assert text in early.truncated.message


@pytest.mark.parametrize("values", [np.ones(24), np.zeros(1000)])
def test_too_little_of_a_recording_is_truncated_not_too_short_or_silent(values: np.ndarray) -> None:
    early = of_channels([values])
    early._declared = 2000
    with pytest.raises(RecordingError) as caught:
        list(cut(SegmentPolicy(10, 10), early))
    assert caught.value.kind is FailureKind.TRUNCATED


# ---- policies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("whole", "whole"),
        ("windows", f"windows:{DEFAULT_WINDOW_S:g}/{DEFAULT_WINDOW_S:g}"),
        ("windows:10", "windows:10/10"),
        ("windows:10.0/5.00", "windows:10/5"),
        ("windows:7.5/2.5", "windows:7.5/2.5"),
        ("windows:060/60", "windows:60/60"),
    ],
)
def test_a_policy_has_one_key(text: str, key: str) -> None:
    assert SegmentPolicy.parse(text).key == key


@given(policies | st.just(SegmentPolicy()), st.sampled_from(CHANNELS))
def test_a_key_parses_back(policy: SegmentPolicy, channels: str) -> None:
    policy = replace(policy, channels=channels)
    assert SegmentPolicy.parse(*policy.key.split("+")) == policy


def test_the_key_of_a_mix_is_that_of_lakes_from_before_there_was_a_choice() -> None:
    assert SegmentPolicy.parse("windows", "mix").key == "windows:30/30"
    assert SegmentPolicy.parse("windows", "split").key == "windows:30/30+split"
    assert SegmentPolicy.parse("whole", "left").key == "whole+left"
    with pytest.raises(SettingsError, match=r"'both': expected one of \['mix', 'split'"):
        SegmentPolicy.parse("whole", "both")


NO_POLICIES = [
    *("", "Whole", "whole ", "window", "windows:", "windows:0", "windows:0.5", "windows:61"),
    *("windows:10/11", "windows:10/0", "windows:10/", "windows:-5", "windows:nan", "windows:1e1"),
    "windows:10/5/2",
]


@pytest.mark.parametrize("text", NO_POLICIES)
def test_what_is_no_policy_is_refused_with_the_list_of_what_is(text: str) -> None:
    with pytest.raises(SettingsError, match=r"`whole`, `windows`, `windows:LENGTH`"):
        SegmentPolicy.parse(text)
