"""What every decoder hands over, and what one file may cost: its facts, its samples, the limits.

Knows numbers. Does not know any decoder, nor who reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.errors import FailureKind, RecordingError

MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz: below no speech is left, above nothing records
MAX_CHANNELS = 64
CHANNELS = ("mix", "split", "left", "right")  # what may be done with several
# The failures that other limits could have spared: with other limits such a file is tried again.
# Truncated ones of lakes from before there were limits, too: what there is of them is tagged now.
LIMITED = (FailureKind.TOO_LONG, FailureKind.TIMEOUT, FailureKind.TRUNCATED)


@dataclass(frozen=True)
class AudioInfo:
    """What a file says of itself."""

    container: str  # wav, flac, ogg, mp3, mp4, matroska, ...
    codec: str  # pcm_16, flac, vorbis, opus, mp3, aac, ...
    sample_rate: int  # Hz, as decoded
    channels: int
    duration_s: float | None  # as declared, before decoding; None where the file does not tell


@dataclass(frozen=True)
class Limits:
    """What one file may cost: a small file can hold days of silence, a header can claim anything.

    A file over its bytes or its length is `too_long`, like what does not fit one segment: either
    split it or raise the limit, converting it (`unsupported`) does not help.
    """

    max_duration_s: float = 24 * 3600.0
    max_bytes: int = 4 << 30
    file_timeout_s: float = 600.0  # in the decoder, and a second more for each second decoded

    @property
    def key(self) -> str:
        """The one way to write them: what the tables hold."""
        return f"{self.max_duration_s:g}s/{self.max_bytes}B/{self.file_timeout_s:g}s"

    def check_bytes(self, name: str, size_bytes: int) -> None:
        """Raises RecordingError(too_long)."""
        if size_bytes > self.max_bytes:
            text = f"{size_bytes} bytes, expected at most {self.max_bytes}"
            text = f"{name!r}: {text}. Split it, or raise --max-bytes."
            raise RecordingError(FailureKind.TOO_LONG, text)

    def check_header(self, path: Path, rate: int, channels: int, seconds: float | None) -> None:
        """Before anything is allocated. `seconds` only where the header is to be believed.

        Raises RecordingError: unsupported, too_long.
        """
        if not MIN_RATE <= rate <= MAX_RATE:
            text = f"a sample rate of {rate} Hz, expected {MIN_RATE} to {MAX_RATE}. Convert it"
            raise error(path, FailureKind.UNSUPPORTED, text)
        if not 1 <= channels <= MAX_CHANNELS:
            text = f"{channels} channels, expected 1 to {MAX_CHANNELS}. Convert it"
            raise error(path, FailureKind.UNSUPPORTED, text)
        if seconds is not None and seconds > self.max_duration_s:
            raise self.too_long(path, f"its header says {seconds:.0f} s")

    def too_long(self, path: Path, what: str) -> RecordingError:
        text = f"{what}, expected at most {self.max_duration_s:g} s"
        return error(path, FailureKind.TOO_LONG, f"{text}. Split it, or raise --max-duration-s")


@dataclass
class Decoded:
    """An opened file, as its decoder hands it over."""

    info: AudioInfo
    pieces: Iterator[np.ndarray]  # (samples, channels) float32, of any length, none too
    declared: float  # samples that must come; 0 where the file does not tell


def error(path: Path, kind: FailureKind, message: str) -> RecordingError:
    """The error to raise about a recording: it names the file."""
    return RecordingError(kind, f"{path.name!r}: {message}.")
