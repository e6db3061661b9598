"""Cuts a recording into the segments that the model hears: the whole of it, fixed windows, or the
stretches in which somebody speaks.

Knows samples, seconds and channels. Does not know formats, models or tables. Reads block by block
and holds one segment of each channel (where it looks for speech, two) at a time, however long the
recording.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

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

DEFAULT_SPEECH_S = 30.0  # longest, as of windows
MIN_SPEECH_S = 3.0  # of a longest: it is cut in its second half, and what is left needs a second
# The weights in pipelines/voice.py and, after the dash, the rules in pipelines/utterances.py: bump
# it when the same recording would be cut elsewhere. Part of the key, so that it is cut again.
VOICE_KEY = "silero6.2.3-2"

_VALID = (
    "Expected `whole`, `windows`, `windows:LENGTH` or `windows:LENGTH/HOP` in seconds, such as "
    f"`windows:10/5`, with {MIN_WINDOW_S:g} <= LENGTH <= {MAX_WHOLE_S:g} "
    f"and {MIN_HOP_S:g} <= HOP <= LENGTH; or `vad` or `vad:LONGEST`, such as `vad:15`, with "
    f"{MIN_SPEECH_S:g} <= LONGEST <= {MAX_WHOLE_S:g}"
)
_SPEECH = re.compile(r"vad(?::(\d+(?:\.\d+)?))?")
_WINDOWS = re.compile(r"windows(?::(?P<length>\d+(?:\.\d+)?)(?:/(?P<hop>\d+(?:\.\d+)?))?)?")


@dataclass(frozen=True)
class SegmentPolicy:
    """How recordings are cut. `length_s` and `hop_s` are of windows, `longest_s` is of speech.

    channels: `mix` (their mean), `split` (each cut by itself), `left` or `right` (the first or the
    second alone).

    | text | segments |
    | --- | --- |
    | `whole` | one for each recording, of at most 60 s |
    | `windows` | 30 s each, end to end: `windows:30/30` |
    | `windows:10` | 10 s each, end to end |
    | `windows:10/5` | 10 s each, one every 5 s |
    | `vad` | where somebody speaks, 1 to 30 s each: `vad:30` |
    | `vad:15` | the same, 1 to 15 s each |
    """

    length_s: float | None = None
    hop_s: float | None = None
    channels: str = "mix"
    longest_s: float | None = None

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            raise SettingsError(f"channels {self.channels!r}: expected one of {list(CHANNELS)}")
        length, hop, longest = self.length_s, self.hop_s, self.longest_s
        if longest is not None and (
            length is not None or not MIN_SPEECH_S <= longest <= MAX_WHOLE_S
        ):
            raise SettingsError(f"speech of at most {longest} s cannot be cut. {_VALID}.")
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
        if match := _SPEECH.fullmatch(text):
            return cls(channels=channels, longest_s=float(match[1] or DEFAULT_SPEECH_S))
        match = _WINDOWS.fullmatch(text)
        if match is None:
            raise SettingsError(f"segments {text!r} are not known. {_VALID}.")
        length = float(match["length"] or DEFAULT_WINDOW_S)
        return cls(length, float(match["hop"] or length), channels)

    @cached_property  # asked for each file of a listing
    def key(self) -> str:
        """The one way to write this policy, which the tables hold: what `parse` reads; of speech
        after an `@` what finds it; after a `+` the channels where they are not mixed."""
        text = "whole" if self.longest_s is None else f"vad:{_number(self.longest_s)}@{VOICE_KEY}"
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
    """The recording's segments, those of one channel in order. A recording that ends early gives
    the segments of what there is; `recording.truncated` then says why.

    Raises RecordingError: too_short under 0.25 s (truncated, where there should be more), too_long
    when the whole is over 60 s, silent, no_speech, and what `Recording.channel_blocks` raises.
    Segments given before an error do not count.
    """
    if policy.longest_s is not None:
        return _speech(policy, policy.longest_s, recording)
    return _windows(policy, recording)


def _windows(policy: SegmentPolicy, recording: Recording) -> Iterator[Segment]:
    """They hold every sample. Windows start every `hop_s`. The last one takes what is left: shorter
    than a window, or up to 1 s longer, because less than 1 s of new samples joins the window
    before. No window lies within another. `split` gives each span once for every channel. Holds one
    window, 1 s and one block of samples at most, of each channel.
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
    _check(policy, recording, start + held, level)
    yield from segments(np.concatenate(parts))


def _speech(policy: SegmentPolicy, longest_s: float, recording: Recording) -> Iterator[Segment]:
    """They hold what is speech and what lies close around it (see pipelines.utterances), and do not
    overlap. `split` listens to each channel by itself. Holds two segments, the 8 s analysed at once
    and one block of samples at most, of each channel.
    """
    from pipelines.utterances import FRAME_S, Utterances
    from pipelines.voice import VoiceActivity  # torch

    rate = recording.info.sample_rate
    channels: list[tuple[int | None, Utterances]] = []
    activity: VoiceActivity | None = None
    held = np.zeros((0, 0), np.float32)
    start = found = 0
    level = _Level()

    def segments(at: int, spans: Iterator[tuple[int, int]]) -> Iterator[Segment]:
        for first, end in spans:
            begin, stop = (
                min(round(frame * FRAME_S * rate), start + len(held)) for frame in (first, end)
            )
            alone = held[begin - start : stop - start, at].copy()
            yield Segment(begin, stop, alone, rate, channels[at][0])

    for block in recording.channel_blocks(policy.channels):
        if activity is None:
            activity = VoiceActivity(rate, block.shape[1])
            numbers = _numbers(policy.channels, block.shape[1])
            channels = [(number, Utterances(longest_s)) for number in numbers]
            held = block[:0]
        level.add(block)
        held = np.concatenate([held, block])
        likely = activity.push(block)
        for at, (_, spans) in enumerate(channels):
            for segment in segments(at, spans.push(likely[:, at])):
                found += 1
                yield segment
        needed = round(min(spans.needed for _, spans in channels) * FRAME_S * rate)
        held, start = held[needed - start :], needed
    _check(policy, recording, start + len(held), level)
    likely = activity.finish() if activity else held
    for at, (_, spans) in enumerate(channels):
        for segment in segments(at, chain(spans.push(likely[:, at]), spans.finish())):
            found += 1
            yield segment
    if not found:
        text = "no speech was found in it. --segments windows tags it all the same"
        raise recording.truncated or recording.error(FailureKind.NO_SPEECH, text)


def _check(policy: SegmentPolicy, recording: Recording, samples: int, level: _Level) -> None:
    """Is there enough to judge? Raises RecordingError: too_short, silent; truncated."""
    seconds = samples / recording.info.sample_rate
    if seconds < MIN_DURATION_S:
        text = f"{seconds:.3f} s long, the model needs {MIN_DURATION_S:g} s to judge"
        raise recording.truncated or recording.error(FailureKind.TOO_SHORT, text)
    if level.dbfs < SILENT_DBFS:
        raise recording.truncated or _silent(recording, policy.channels, level.dbfs)


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
