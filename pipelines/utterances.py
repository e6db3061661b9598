"""Where people speak: from how likely speech is in each frame to spans of 1 s up to a longest.

Counts frames of 32 ms. Does not know audio, nor where the probabilities come from. They may come
in any portions; the spans are the same.

A span begins with a frame of speech and ends where half a second without any begins. One of less
than a quarter of a second is left out; one that is longer than allowed is cut where speech is least
likely; one shorter than 1 s takes in what lies around it. No two overlap.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

FRAME_S = 0.032

# Enters speech, leaves it, and the least length: defaults of silero-vad's get_speech_timestamps.
ENTER, LEAVE = 0.5, 0.35
MIN_SPEECH = 8  # frames: 256 ms
# Ours, not validated: a pause within an utterance is seldom over half a second, and a model of
# speaking styles needs the pauses (silero's own, 100 ms, is for cutting out words).
MIN_PAUSE = 16  # frames: 512 ms
PAD = 3  # frames on each side, 96 ms, so that soft onsets stay in (silero: 30 ms)
MIN_SPAN = 33  # frames: 1.056 s, of which the recording's last frame may lack up to 32 ms


class Utterances:
    """The spans of one channel. longest_s: at least 3 s."""

    def __init__(self, longest_s: float) -> None:
        self.longest = int(longest_s / FRAME_S + 1e-9)  # frames
        self.seen = 0
        self._held: tuple[int, int] | None = None  # may still meet the next one
        self._speech = 0  # the first frame of speech
        self._start: int | None = None  # the same, with what comes before it; None outside speech
        self._pause: int | None = None  # where the silence began that may end it
        self._likely: list[float] = []  # from `_start` on

    @property
    def needed(self) -> int:
        """The first frame that a later span can take in."""
        begun = self.seen - PAD if self._start is None else self._start
        reached = begun - (MIN_SPAN - MIN_SPEECH - PAD)  # by the shortest there is
        return max(0, min(self._held[0], reached) if self._held else reached)

    def push(self, probabilities: np.ndarray) -> Iterator[tuple[int, int]]:
        """Take the next frames (n,); give the spans that are certain: (first frame, end frame)."""
        for value in probabilities.tolist():
            yield from self._frame(value)

    def finish(self) -> Iterator[tuple[int, int]]:
        """No more frames: the spans that are left."""
        if self._start is not None:
            yield from self._end(self.seen if self._pause is None else self._pause)
        if self._held:
            yield self._held[0], min(self._held[1], self.seen)
            self._held = None

    def _frame(self, value: float) -> Iterator[tuple[int, int]]:
        frame = self.seen
        self.seen += 1
        if self._start is None:
            if value >= ENTER:
                after = min(self._held[1], frame) if self._held else 0
                self._speech, self._start = frame, max(frame - PAD, after)
                # What comes before it is no place to cut.
                self._likely = [1.0] * (frame - self._start) + [value]
            elif self._held and self.seen >= self._held[1] + 2 * MIN_SPAN:
                yield self._held  # nothing that begins now reaches back to it
                self._held = None
            return
        self._likely.append(value)
        if value >= ENTER:
            self._pause = None
        elif value < LEAVE and self._pause is None:
            self._pause = frame
        # Not at a frame that may be speech: like the library, which looks at silent ones alone.
        if value < LEAVE and self._pause is not None and frame - self._pause >= MIN_PAUSE:
            yield from self._end(self._pause)
        elif self.seen + PAD - self._start >= self.longest:
            yield from self._split(self._start)

    def _end(self, pause: int) -> Iterator[tuple[int, int]]:
        start, self._start, self._pause = self._start, None, None
        if start is not None and pause - self._speech >= MIN_SPEECH:
            yield from self._add(start, min(pause + PAD, self.seen))

    def _split(self, start: int) -> Iterator[tuple[int, int]]:
        """In the second half, at the frame that is least likely speech; the last such."""
        first, end = self.longest // 2, len(self._likely) - MIN_SPAN
        part = self._likely[first:end]
        at = end - 1 - int(np.argmin(part[::-1]))
        yield from self._add(start, start + at)
        self._speech = self._start = start + at
        self._likely = self._likely[at:]

    def _add(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        if end - start < MIN_SPAN:
            end = min(max(0, start - (MIN_SPAN - (end - start)) // 2) + MIN_SPAN, self.seen)
            end = max(end, MIN_SPAN)  # the recording's first second may not be over
            start = end - MIN_SPAN
        held, self._held = self._held, (start, end)
        if held is None:
            return
        if start >= held[1]:
            yield held
        elif end - held[0] <= self.longest:
            self._held = (held[0], end)
        else:
            self._held = (end - MIN_SPAN, end)
            yield held[0], end - MIN_SPAN
