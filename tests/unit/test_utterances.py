"""Spans of speech from probabilities: complete, in order, of the lengths that were promised."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from silero_vad.utils_vad import get_speech_timestamps_from_probs

from pipelines import utterances
from pipelines.utterances import (
    ENTER,
    FRAME_S,
    LEAVE,
    MIN_PAUSE,
    MIN_SPAN,
    MIN_SPEECH,
    Utterances,
)

# Stretches of like probability: speech as it comes, with doubtful frames between.
stretches = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.34, 0.36, 0.49, 0.5, 0.8, 1.0]), st.integers(1, 150)),
    max_size=40,
)
longest = st.sampled_from([3.0, 5.0, 30.0, 60.0])


def probabilities(parts: list[tuple[float, int]]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(np.full(n, value) for value, n in parts)])


def spans(likely: np.ndarray, longest_s: float, portions: tuple[int, ...] = ()) -> list:
    found = Utterances(longest_s)
    given = [span for part in np.split(likely, list(portions)) for span in found.push(part)]
    return given + list(found.finish())


@given(stretches, longest)
def test_spans_are_in_order_and_as_long_as_promised(parts, longest_s) -> None:
    likely = probabilities(parts)
    found = spans(likely, longest_s)
    ends = [0, *(end for _, end in found)]
    assert all(start >= end for (start, _), end in zip(found, ends, strict=False))
    assert ends[-1] <= len(likely)
    if len(likely) < MIN_SPAN:
        assert found in ([], [(0, len(likely))])
    else:
        lengths = [end - start for start, end in found]
        assert all(MIN_SPAN <= n <= longest_s / FRAME_S for n in lengths)


@given(stretches, longest)
def test_what_is_long_enough_to_be_speech_is_in_a_span(parts, longest_s) -> None:
    likely = probabilities(parts)
    inside = np.zeros(len(likely), bool)
    for start, end in spans(likely, longest_s):
        inside[start:end] = True
    run = 0
    for frame, value in enumerate([*likely, 0.0]):
        if value >= ENTER:
            run += 1
            continue
        if run >= MIN_SPEECH:
            assert inside[frame - run : frame].all()
        run = 0


@given(stretches, longest, st.lists(st.integers(0, 3000), max_size=8))
def test_portions_do_not_matter(parts, longest_s, portions) -> None:
    likely = probabilities(parts)
    assert spans(likely, longest_s, tuple(sorted(portions))) == spans(likely, longest_s)


@given(stretches, st.sampled_from([3.0, 30.0]))
def test_no_later_span_takes_in_what_is_no_longer_needed(parts, longest_s) -> None:
    found = Utterances(longest_s)
    needed = 0
    for value in probabilities(parts):
        given = list(found.push(np.array([value])))
        assert all(start >= needed for start, _ in given)
        assert found.needed >= needed
        needed = found.needed
        assert found.seen - needed <= 2 * longest_s / FRAME_S + 3 * MIN_SPAN  # memory stays flat
    assert all(start >= needed for start, _ in found.finish())


@example([(0.5, 1), (0.0, 1), (0.36, 16), (0.5, 1)])
@given(stretches)
def test_where_speech_begins_and_ends_is_what_the_library_says(parts) -> None:
    """Without what is ours: pads, the least second, the longest."""
    likely = np.append(probabilities(parts), np.zeros(MIN_PAUSE + 1))  # theirs goes on to the end
    theirs = get_speech_timestamps_from_probs(
        likely.tolist(),
        threshold=ENTER,
        neg_threshold=LEAVE,
        min_speech_duration_ms=round(1000 * FRAME_S * MIN_SPEECH) - 1,  # theirs must be exceeded
        min_silence_duration_ms=round(1000 * FRAME_S * MIN_PAUSE),
        speech_pad_ms=0,
    )
    with patch.multiple(utterances, PAD=0, MIN_SPAN=1):
        assert spans(likely, 1e6) == [(t["start"] // 512, t["end"] // 512) for t in theirs]


def test_short_speech_takes_in_what_lies_around_it() -> None:
    likely = np.zeros(200)
    likely[100:110] = 1
    assert spans(likely, 30.0) == [(89, 89 + MIN_SPAN)]


def test_pauses_join_and_long_speech_is_cut_where_it_is_least_likely() -> None:
    likely = np.full(1500, 0.9)
    likely[700:710] = 0.1  # a pause of 0.3 s: in the second half of the first 30 s
    [first, second] = spans(likely, 30.0)
    assert 700 <= first[1] < 710
    assert second == (first[1], 1500)
    assert spans(likely, 60.0) == [(0, 1500)]


@pytest.mark.parametrize("frames", [0, 1, MIN_SPEECH - 1])
def test_a_click_is_no_speech(frames: int) -> None:
    likely = np.zeros(300)
    likely[50 : 50 + frames] = 1
    assert spans(likely, 30.0) == []


def test_no_number_is_no_speech() -> None:
    assert spans(np.full(500, np.nan), 30.0) == []
