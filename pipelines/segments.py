"""Cuts a recording into the segments that the model hears: the whole of it, or fixed windows.

Knows samples and seconds. Does not know formats, models or tables. Reads block by block and holds
one segment at a time, however long the recording.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pipelines.audio import Recording
from pipelines.errors import FailureKind, SettingsError

DEFAULT_WINDOW_S = 30.0  # the longest that the published model was trained for
MIN_WINDOW_S = 1.0
MIN_HOP_S = 0.1
MAX_WHOLE_S = 60.0  # attention memory grows with the square of the length
MIN_TAIL_S = 1.0  # what is left over and shorter than this joins the window before it
MIN_DURATION_S = 0.25  # under this the model's answers mean little

_VALID = (
    "Expected `whole`, `windows`, `windows:LENGTH` or `windows:LENGTH/HOP` in seconds, such as "
    f"`windows:10/5`, with {MIN_WINDOW_S:g} <= LENGTH <= {MAX_WHOLE_S:g} "
    f"and {MIN_HOP_S:g} <= HOP <= LENGTH"
)
_WINDOWS = re.compile(r"windows(?::(?P<length>\d+(?:\.\d+)?)(?:/(?P<hop>\d+(?:\.\d+)?))?)?")


@dataclass(frozen=True)
class SegmentPolicy:
    """How recordings are cut. `length_s` and `hop_s` are None for `whole`.

    | text | segments |
    | --- | --- |
    | `whole` | one for each recording, of at most 60 s |
    | `windows` | 30 s each, end to end: `windows:30/30` |
    | `windows:10` | 10 s each, end to end |
    | `windows:10/5` | 10 s each, one every 5 s |
    """

    length_s: float | None = None
    hop_s: float | None = None

    def __post_init__(self) -> None:
        length, hop = self.length_s, self.hop_s
        if length is None and hop is None:
            return
        if (
            length is None
            or hop is None
            or not MIN_WINDOW_S <= length <= MAX_WHOLE_S
            or not MIN_HOP_S <= hop <= length
        ):
            raise SettingsError(f"segments of {length} s every {hop} s cannot be cut. {_VALID}.")

    @classmethod
    def parse(cls, text: str) -> SegmentPolicy:
        """The policy a user wrote. Raises SettingsError, which lists what is valid."""
        if text == "whole":
            return cls()
        match = _WINDOWS.fullmatch(text)
        if match is None:
            raise SettingsError(f"segments {text!r} are not known. {_VALID}.")
        length = float(match["length"] or DEFAULT_WINDOW_S)
        return cls(length, float(match["hop"] or length))

    @property
    def key(self) -> str:
        """The one way to write this policy: what `parse` reads and the tables hold."""
        if self.length_s is None or self.hop_s is None:
            return "whole"
        return f"windows:{_number(self.length_s)}/{_number(self.hop_s)}"


@dataclass(frozen=True, eq=False)
class Segment:
    """A span of a recording: samples `start_sample` up to, not including, `end_sample`."""

    start_sample: int
    end_sample: int
    samples: np.ndarray  # (end_sample - start_sample,) float32, mono, at the recording's rate
    sample_rate: int  # Hz

    @property
    def start_s(self) -> float:
        return self.start_sample / self.sample_rate

    @property
    def end_s(self) -> float:
        return self.end_sample / self.sample_rate

    def without_samples(self) -> Segment:
        """The span alone, to keep when the audio has been used."""
        return replace(self, samples=self.samples[:0].copy())


def cut(policy: SegmentPolicy, recording: Recording) -> Iterator[Segment]:
    """The recording's segments, in order; they hold every sample of it.

    Windows start every `hop_s`. The last one takes what is left: shorter than a window, or up to
    1 s longer, because less than 1 s of new samples joins the window before. No window lies within
    another. Holds one window, 1 s and one block of samples at most.

    Raises RecordingError: too_short under 0.25 s, too_long when the whole is over 60 s, and what
    `Recording.blocks` raises. Segments given before an error do not count.
    """
    rate = recording.info.sample_rate
    if policy.length_s is None or policy.hop_s is None:
        length = hop = math.floor(MAX_WHOLE_S * rate)
        enough = length + 1
    else:
        length, hop = round(policy.length_s * rate), round(policy.hop_s * rate)
        enough = length + math.ceil(MIN_TAIL_S * rate)  # then this window is not the last
    start = held = 0
    parts: list[np.ndarray] = []
    for block in recording.blocks():
        parts.append(block)
        held += len(block)
        if held < enough:
            continue
        if policy.length_s is None:
            text = f"longer than {MAX_WHOLE_S:g} s, the most for one segment"
            raise recording.error(FailureKind.TOO_LONG, f"{text}. Use --segments windows")
        samples = np.concatenate(parts)
        while len(samples) >= enough:
            yield Segment(start, start + length, samples[:length].copy(), rate)
            samples, start = samples[hop:], start + hop
        parts, held = [samples], len(samples)
    if start == 0 and held < MIN_DURATION_S * rate:
        text = f"{held / rate:.3f} s long, the model needs {MIN_DURATION_S:g} s to judge"
        raise recording.error(FailureKind.TOO_SHORT, text)
    yield Segment(start, start + held, np.concatenate(parts), rate)


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
