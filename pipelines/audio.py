"""Opens recordings of any format and hands out their samples: float32, in blocks.

Knows which decoder reads what. Does not know where a file came from, nor what a segment is. Memory
stays flat however long the recording.

Who decodes is told by the first bytes, never by the name: WAV, FLAC, Ogg and the like go to
libsndfile; where it gives up or finds no sample, and for everything else, to FFmpeg. Both are shown
bytes and never a name, so an extension cannot talk them into reading text as audio.

MP3 goes to FFmpeg although libsndfile reads it a little faster (0.3 against 0.5 ms CPU per second
of audio; the same samples to 1e-6): libsndfile's mpg123 writes complaints about healthy files on
stderr, past any logging.

A file that ends early gives what it has, and says so. An MP3, ADTS or Ogg stream cut off between
two of its frames looks complete: nothing in those formats tells.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import IO

import numpy as np

from pipelines.audio_ffmpeg import open_ffmpeg, pyav
from pipelines.audio_info import CHANNELS, AudioInfo, Decoded, Limits, error
from pipelines.audio_soundfile import open_soundfile
from pipelines.errors import FailureKind, RecordingError

BLOCK_FRAMES = 1 << 16  # samples per channel: 4 s at 16 kHz
MISSING_S = 0.25  # a file this much shorter than its header says is truncated; padding is less
MAX_SAMPLE = 1e12  # full scale is 1; float files of 32-bit integers reach 2e9, only damage this

# First bytes of what libsndfile reads: WAV (AVI too, which it declines), RF64, Wave64, AIFF, FLAC,
# Ogg, CAF, AU, NIST SPHERE, VOC; and of what only FFmpeg does: Matroska, ASF, MP3 with tags.
_SOUNDFILE = (
    *(b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"fLaC", b"OggS", b"caff", b".snd"),
    *(b"NIST_1A", b"Creative Voice"),
)
_FFMPEG = (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"ID3")


@dataclass
class Recording:
    """An open recording; `open_recording` makes it. Its blocks can be taken once."""

    path: Path
    info: AudioInfo
    _pieces: Iterator[np.ndarray]  # (samples, channels) float32, as the decoder gives them
    _declared: float = 0  # samples that must come; 0 where the file does not tell
    _limits: Limits = field(default_factory=Limits)
    _spent_s: float = 0.0  # in the decoder so far
    truncated: RecordingError | None = None  # once the blocks are taken: why they are not all
    decoded_s: float = 0.0  # so far

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[np.ndarray]:
        """Mono float32 (frames,), the last one shorter, at the recording's own sample rate: the
        mean of the channels.

        Raises RecordingError as `channel_blocks`, and truncated after the last block of a file
        that ends early: who needs the whole must drop what it took.
        """
        for block in self.channel_blocks("mix", frames):
            yield block[:, 0]
        if self.truncated is not None:
            raise self.truncated

    def channel_blocks(self, channels: str, frames: int = BLOCK_FRAMES) -> Iterator[np.ndarray]:
        """float32 (frames, k), the last one shorter. k is 1 for `mix`, the channels' mean, and for
        `left` and `right`, the first and the second channel; for `split` every channel there is.

        Integers scaled to [-1, 1); float files as they are, over 1.0 too. Where decoding breaks
        off, or the file ends before its header says, the blocks end and `truncated` says why.
        Raises RecordingError: unreadable when nothing can be decoded or a sample is no sensible
        number; empty when there is no sample; unsupported for a channel that is not there; too_long
        and timeout over the limits; out_of_memory.
        """
        rate = self.info.sample_rate
        done, held, parts = 0, 0, list[np.ndarray]()
        for piece in self._checked(channels):
            parts.append(piece)
            held += len(piece)
            if held >= frames:
                joined = np.concatenate(parts)
                whole = held - held % frames
                done, held, parts = done + whole, held - whole, [joined[whole:]]
                self.decoded_s = done / rate
                yield from joined[:whole].reshape(-1, frames, joined.shape[1])
        seconds, expected = (done + held) / rate, self._declared / rate
        self.decoded_s = seconds
        if held:
            yield np.concatenate(parts)
        if done + held == 0:
            raise self.error(FailureKind.EMPTY, "there is no sample in it")
        if self.truncated is None and seconds + MISSING_S < expected:
            text = f"it ends after {seconds:.2f} s, its header says {expected:.2f} s. Copy it again"
            self.truncated = self.error(FailureKind.TRUNCATED, text)

    def error(self, kind: FailureKind, message: str) -> RecordingError:
        """The error to raise about this recording: it names the file."""
        return error(self.path, kind, message)

    def _checked(self, channels: str) -> Iterator[np.ndarray]:
        """The pieces (samples, k), with the decoders' errors turned into ours, within limits."""
        count = 0
        try:
            for piece in self._timed():
                if len(piece) == 0:
                    self._check_time(count)
                    continue
                chosen = self._chosen(piece, channels)
                if not np.abs(chosen).max() <= MAX_SAMPLE:
                    raise self._no_number(chosen, count)
                yield chosen
                count += len(piece)
                self._check_time(count)
                if count > self._limits.max_duration_s * self.info.sample_rate:
                    text = f"{count / self.info.sample_rate:.0f} s came out of it, and no end"
                    raise self._limits.too_long(self.path, text)
        except MemoryError as exc:
            raise _no_memory(self.path, exc) from exc
        except RecordingError as exc:
            if exc.kind is not FailureKind.TRUNCATED:
                raise
            self.truncated = exc.with_traceback(None)  # which would hold these samples
        except _decoder_errors() as exc:
            text = f"decoding broke off after {count / self.info.sample_rate:.2f} s ({_why(exc)})"
            if count == 0:
                raise self.error(FailureKind.UNREADABLE, f"{text}. Copy it again") from exc
            self.truncated = self.error(FailureKind.TRUNCATED, f"{text}. Copy it again")

    def _timed(self) -> Iterator[np.ndarray]:
        while True:
            began = monotonic()
            piece = next(self._pieces, None)
            self._spent_s += monotonic() - began
            if piece is None:
                return
            yield piece

    def _check_time(self, count: int) -> None:
        """Only the decoder's own time counts, not what is done with its blocks meanwhile. A call
        that never comes back is not seen here: nothing but killing the process ends that."""
        seconds = count / self.info.sample_rate
        if self._spent_s > self._limits.file_timeout_s + seconds:
            text = f"decoding {seconds:.2f} s of it took {self._spent_s:.0f} s"
            text = f"{text}, expected at most {self._limits.file_timeout_s:g} s more than it lasts"
            raise self.error(FailureKind.TIMEOUT, f"{text}. Convert it, or raise --file-timeout-s")

    def _chosen(self, piece: np.ndarray, channels: str) -> np.ndarray:
        if channels == "mix":
            with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at
                return piece if piece.shape[1] == 1 else piece.mean(axis=1)[:, None]
        there, known = piece.shape[1], self.info.channels
        if there != known:
            text = f"its channels change from {known} to {there}. Use --channels mix"
            raise self.error(FailureKind.UNSUPPORTED, text)
        if channels == "right" and known < 2:
            text = "it has one channel, expected two or more for --channels right"
            raise self.error(FailureKind.UNSUPPORTED, f"{text}. Use left or mix")
        return piece if channels == "split" else piece[:, [CHANNELS.index(channels) - 2]]

    def _no_number(self, samples: np.ndarray, before: int) -> RecordingError:
        bad = ~(np.abs(samples) <= MAX_SAMPLE).all(axis=1)
        at = int(bad.argmax())
        value = samples[at][~(np.abs(samples[at]) <= MAX_SAMPLE)][0]
        after = f"after {(before + at) / self.info.sample_rate:.2f} s"
        if np.isfinite(value):
            text = f"a sample of {value:.1e} {after}, expected about 1 at full scale. Copy it again"
        else:
            text = f"NaN or infinite samples {after}. Write it again, finite"
        return self.error(FailureKind.UNREADABLE, text)


@contextmanager
def open_recording(path: str | Path, limits: Limits | None = None) -> Iterator[Recording]:
    """Open a local file and read its header.

    Raises RecordingError: unreadable for a file that is missing, forbidden, or damaged at its
    start; empty for no bytes or no sample; unsupported for what is not audio, has no audio stream,
    a codec that neither decoder knows, an absurd rate or number of channels; too_long for more
    bytes or seconds than the limits allow; out_of_memory.
    """
    path, limits = Path(path), limits or Limits()
    with ExitStack() as stack:
        began = monotonic()
        try:
            # Unbuffered: libsndfile starts where the descriptor stands.
            file = stack.enter_context(path.open("rb", buffering=0))
            limits.check_bytes(path.name, os.fstat(file.fileno()).st_size)
            head = file.read(16)
            file.seek(0)
        except OSError as exc:
            raise error(path, FailureKind.UNREADABLE, _why(exc)) from exc
        if not head:
            raise error(path, FailureKind.EMPTY, "the file has no bytes. Copy it again")
        try:
            found = _open(path, file, head, stack, limits)
        except MemoryError as exc:
            raise _no_memory(path, exc) from exc
        spent_s = monotonic() - began
        yield Recording(path, found.info, found.pieces, found.declared, limits, spent_s)


def _open(path: Path, file: IO[bytes], head: bytes, stack: ExitStack, limits: Limits) -> Decoded:
    declined = ""
    if head.startswith(_SOUNDFILE):
        found = open_soundfile(path, file, stack, limits)
        if isinstance(found, Decoded):
            return found
        declined = f"libsndfile: {found.strip().rstrip('.')}; "
        file.seek(0)
    try:
        return open_ffmpeg(path, file, stack, limits)
    except MemoryError:
        raise
    except _decoder_errors() as exc:
        reason = f"({declined}FFmpeg: {_why(exc)})"
        if head.startswith(_SOUNDFILE + _FFMPEG) or head[4:8] == b"ftyp":  # MP4
            text = f"it starts like a recording but cannot be opened {reason}. Copy it again"
            raise error(path, FailureKind.UNREADABLE, text) from exc
        text = f"not audio that libsndfile or FFmpeg recognise {reason}"
        raise error(path, FailureKind.UNSUPPORTED, text) from exc


def _no_memory(path: Path, exc: MemoryError) -> RecordingError:
    text = f"not enough memory to decode it ({_why(exc)}). Give workers more, or convert it"
    return error(path, FailureKind.OUT_OF_MEMORY, text)


def _why(exc: Exception) -> str:
    """The reason alone: the decoders' own texts repeat names and numbers."""
    told = getattr(exc, "strerror", None) or getattr(exc, "error_string", None) or str(exc)
    return str(told).strip().rstrip(".") or type(exc).__name__


@lru_cache(maxsize=1)
def _decoder_errors() -> tuple[type[Exception], ...]:
    import soundfile

    return (soundfile.LibsndfileError, pyav().error.FFmpegError, OSError)
