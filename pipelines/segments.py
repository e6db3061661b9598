"""Cuts a recording into the segments that the model hears: the whole of it, or fixed windows.

Knows samples, seconds and channels. Does not know formats, models or tables. Reads block by block
and holds one segment of each channel at a time, however long the recording.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.audio import Recording
from pipelines.audio_info import CHANNELS
from pipelines.errors import FailureKind, RecordingError, SettingsError
from pipelines.samples import dbfs

DEFAULT_WINDOW_S = 30.0  # the longest that the published model was trained for
MIN_WINDOW_S = 1.0
MIN_HOP_S = 0.1
MAX_WHOLE_S = 60.0  # attention memory grows with the square of the length
MIN_TAIL_S = 1.0  # what is left over and shorter than this joins the window before it
MIN_DURATION_S = 0.25  # under this the model's answers mean little
# Under this a recording is silent: 3 steps of 16 bits, so a line with nothing on it, dithered or
# not, is under it (-84 dBFS at most), and the faintest speech that can be made out is not.
SILENT_DBFS = -80.0

_VALID = (
    "Expected `whole`, `windows`, `windows:LENGTH` or `windows:LENGTH/HOP` in seconds, such as "
    f"`windows:10/5`, with {MIN_WINDOW_S:g} <= LENGTH <= {MAX_WHOLE_S:g} "
    f"and {MIN_HOP_S:g} <= HOP <= LENGTH"
)
_WINDOWS = re.compile(r"windows(?::(?P<length>\d+(?:\.\d+)?)(?:/(?P<hop>\d+(?:\.\d+)?))?)?")


@dataclass(frozen=True)
class SegmentPolicy:
    """How recordings are cut. `length_s` and `hop_s` are None for `whole`.

    channels: `mix` (their mean), `split` (each cut by itself), `left` or `right` (the first or the
    second alone).

    | text | segments |
    | --- | --- |
    | `whole` | one for each recording, of at most 60 s |
    | `windows` | 30 s each, end to end: `windows:30/30` |
    | `windows:10` | 10 s each, end to end |
    | `windows:10/5` | 10 s each, one every 5 s |
    """

    length_s: float | None = None
    hop_s: float | None = None
    channels: str = "mix"

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            raise SettingsError(f"channels {self.channels!r}: expected one of {list(CHANNELS)}")
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
    def parse(cls, text: str, channels: str = "mix") -> SegmentPolicy:
        """The policy a user wrote. Raises SettingsError, which lists what is valid."""
        if text == "whole":
            return cls(channels=channels)
        match = _WINDOWS.fullmatch(text)
        if match is None:
            raise SettingsError(f"segments {text!r} are not known. {_VALID}.")
        length = float(match["length"] or DEFAULT_WINDOW_S)
        return cls(length, float(match["hop"] or length), channels)

    @property
    def key(self) -> str:
        """The one way to write this policy, which the tables hold: what `parse` reads, and after
        a `+` the channels where they are not mixed."""
        text = "whole"
        if self.length_s is not None and self.hop_s is not None:
            text = f"windows:{_number(self.length_s)}/{_number(self.hop_s)}"
        return text if self.channels == "mix" else f"{text}+{self.channels}"


@dataclass(frozen=True, eq=False)
class Segment:
    """A span of a recording: samples `start_sample` up to, not including, `end_sample`."""

    start_sample: int
    end_sample: int
    samples: np.ndarray  # (end_sample - start_sample,) float32, mono, at the recording's rate
    sample_rate: int  # Hz
    channel: int | None = None  # from 0; None is the mix of all

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
    another. `split` gives each span once for every channel. Holds one window, 1 s and one block of
    samples at most, of each channel.

    A recording that ends early gives the segments of what there is; `recording.truncated` then says
    why. Raises RecordingError: too_short under 0.25 s (truncated, where there should be more),
    too_long when the whole is over 60 s, silent, and what `Recording.channel_blocks` raises.
    Segments given before an error do not count.
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
    level = _Level()

    def segments(samples: np.ndarray) -> Iterator[Segment]:
        """One for each channel of (samples, channels)."""
        for at, channel in enumerate(_numbers(policy.channels, samples.shape[1])):
            alone = samples[:, at].copy()
            yield Segment(start, start + len(samples), alone, rate, channel)

    for block in recording.channel_blocks(policy.channels):
        parts.append(block)
        held += len(block)
        level.add(block)
        if held < enough:
            continue
        if policy.length_s is None:
            text = f"longer than {MAX_WHOLE_S:g} s, the most for one segment"
            raise recording.error(FailureKind.TOO_LONG, f"{text}. Use --segments windows")
        samples = np.concatenate(parts)
        while len(samples) >= enough:
            yield from segments(samples[:length])
            samples, start = samples[hop:], start + hop
        parts, held = [samples], len(samples)
    if start == 0 and held < MIN_DURATION_S * rate:
        text = f"{held / rate:.3f} s long, the model needs {MIN_DURATION_S:g} s to judge"
        raise recording.truncated or recording.error(FailureKind.TOO_SHORT, text)
    if level.dbfs < SILENT_DBFS:
        raise recording.truncated or _silent(recording, policy.channels, level.dbfs)
    yield from segments(np.concatenate(parts))


class _Level:
    """Half of what lies between the lowest and the highest sample, of the loudest channel: what a
    constant offset, such as 8-bit silence of 127, adds nothing to."""

    def __init__(self) -> None:
        self.low: np.ndarray | float = math.inf
        self.high: np.ndarray | float = -math.inf

    def add(self, block: np.ndarray) -> None:
        self.low = np.minimum(self.low, block.min(axis=0))
        self.high = np.maximum(self.high, block.max(axis=0))

    @property
    def dbfs(self) -> float:
        return dbfs(float(np.max(np.subtract(self.high, self.low, dtype=np.float64))) / 2)


def _silent(recording: Recording, channels: str, level: float) -> RecordingError:
    what = "it" if channels in ("mix", "split") else f"its {channels} channel"
    text = f"{what} is silent: a peak of {level:.0f} dBFS, expected at least {SILENT_DBFS:g}"
    if channels != "split" and recording.info.channels > 1:
        text += ". Its channels are heard one by one with --channels split"
    return recording.error(FailureKind.SILENT, text)


def _numbers(channels: str, count: int) -> Sequence[int | None]:
    """What the columns of `Recording.channel_blocks` are: channels from 0, or None, the mix."""
    return {"mix": (None,), "left": (0,), "right": (1,)}.get(channels, range(count))


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
