"""Opens recordings of any format and hands out their samples: float32, mono, in blocks.

Knows libsndfile and FFmpeg. Does not know where a file came from, nor what a segment is. Memory
stays flat however long the recording.

Who decodes is told by the first bytes, never by the name: WAV, FLAC, Ogg and the like go to
libsndfile; where it gives up or finds no sample, and for everything else, to FFmpeg. Both are shown
bytes and never a name, so an extension cannot talk them into reading text as audio; and FFmpeg may
use containers of audio only, no playlists, which would open other files and addresses.

MP3 goes to FFmpeg although libsndfile reads it a little faster (0.3 against 0.5 ms CPU per second
of audio; the same samples to 1e-6): libsndfile's mpg123 writes complaints about healthy files on
stderr, past any logging.

A recording gives all its samples or a RecordingError: whoever takes blocks must drop what it took
when a later block raises. An MP3, ADTS or Ogg stream cut off between two of its frames looks
complete: nothing in those formats tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipelines.errors import FailureKind, RecordingError

BLOCK_FRAMES = 1 << 16  # samples per channel: 4 s at 16 kHz
PIECE_FRAMES = 1 << 14  # read from libsndfile at once: an error loses the piece it is in
MISSING_S = 0.25  # a file this much shorter than its header says is truncated; padding is less
TAIL_BYTES = 1 << 13  # of tags or padding after an MP3's last frame

# First bytes of what libsndfile reads: WAV (AVI too, which it declines), RF64, Wave64, AIFF, FLAC,
# Ogg, CAF, AU, NIST SPHERE, VOC; and of what only FFmpeg does: Matroska, ASF, MP3 with tags.
_SOUNDFILE = (
    *(b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"fLaC", b"OggS", b"caff", b".snd"),
    *(b"NIST_1A", b"Creative Voice"),
)
_FFMPEG = (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"ID3")
# What FFmpeg may read, by its names: no playlists, subtitles, pictures, raw samples or devices.
_DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "mxf,nistsphere,ogg,qcp,rm,tta,voc,w64,wav,wv"
)
_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "matroska"}
_STREAMED_BYTES = 0x7FFF0000  # a data length from here on means that the writer did not know it
_INTEGERS = {
    "uint8": (128, 1 << 7),
    "int16": (0, 1 << 15),
    "int32": (0, 1 << 31),
    "int64": (0, 1 << 63),
}


@dataclass(frozen=True)
class AudioInfo:
    """What a file says of itself."""

    container: str  # wav, flac, ogg, mp3, mp4, matroska, ...
    codec: str  # pcm_16, flac, vorbis, opus, mp3, aac, ...
    sample_rate: int  # Hz, as decoded
    channels: int
    duration_s: float | None  # as declared, before decoding; None where the file does not tell


@dataclass
class Recording:
    """An open recording; `open_recording` makes it. Its blocks can be taken once."""

    path: Path
    info: AudioInfo
    _pieces: Iterator[np.ndarray]  # mono float32 of any length, as the decoder gives them
    _declared: float = 0  # samples that must come; 0 where the file does not tell

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[np.ndarray]:
        """Mono float32 (frames,), the last one shorter, at the recording's own sample rate.

        The channels' mean; integers scaled to [-1, 1); float files as they are, over 1.0 too.
        Raises RecordingError: truncated when decoding breaks off or the file ends before its
        header says; unreadable when nothing can be decoded or a sample is NaN or infinite; empty
        when there is no sample.
        """
        done, held, parts = 0, 0, list[np.ndarray]()
        for piece in self._checked():
            parts.append(piece)
            held += len(piece)
            if held >= frames:
                joined = np.concatenate(parts)
                whole = held - held % frames
                yield from joined[:whole].reshape(-1, frames)
                done, held, parts = done + whole, held - whole, [joined[whole:]]
        if held:
            yield np.concatenate(parts)
        rate = self.info.sample_rate
        seconds, expected = (done + held) / rate, self._declared / rate
        if done + held == 0:
            raise self.error(FailureKind.EMPTY, "there is no sample in it")
        if seconds + MISSING_S < expected:
            text = f"it ends after {seconds:.2f} s, its header says {expected:.2f} s. Copy it again"
            raise self.error(FailureKind.TRUNCATED, text)

    def error(self, kind: FailureKind, message: str) -> RecordingError:
        """The error to raise about this recording: it names the file."""
        return _error(self.path, kind, message)

    def _checked(self) -> Iterator[np.ndarray]:
        """The pieces, with the decoders' errors turned into ours."""
        seconds = 0.0
        try:
            for piece in self._pieces:
                if not np.isfinite(piece).all():
                    text = f"NaN or infinite samples after {seconds:.2f} s. Write it again, finite"
                    raise self.error(FailureKind.UNREADABLE, text)
                yield piece
                seconds += len(piece) / self.info.sample_rate
        except _decoder_errors() as exc:
            kind = FailureKind.TRUNCATED if seconds else FailureKind.UNREADABLE
            text = f"decoding broke off after {seconds:.2f} s ({_why(exc)}). Copy it again"
            raise self.error(kind, text) from exc


@contextmanager
def open_recording(path: str | Path) -> Iterator[Recording]:
    """Open a local file and read its header.

    Raises RecordingError: unreadable for a file that is missing, forbidden, or damaged at its
    start; empty for no bytes or no sample; unsupported for what is not audio, has no audio stream,
    or a codec that neither decoder knows.
    """
    path = Path(path)
    with ExitStack() as stack:
        try:
            # Unbuffered: libsndfile starts where the descriptor stands.
            file = stack.enter_context(path.open("rb", buffering=0))
            head = file.read(16)
            file.seek(0)
        except OSError as exc:
            raise _error(path, FailureKind.UNREADABLE, _why(exc)) from exc
        if not head:
            raise _error(path, FailureKind.EMPTY, "the file has no bytes. Copy it again")
        yield _open(path, file, head, stack)


def _open(path: Path, file: IO[bytes], head: bytes, stack: ExitStack) -> Recording:
    declined = ""
    if head.startswith(_SOUNDFILE):
        recording, declined = _open_soundfile(path, file, stack)
        if recording is not None:
            return recording
        file.seek(0)
    try:
        return _open_pyav(path, file, stack)
    except _decoder_errors() as exc:
        reason = f"({declined}FFmpeg: {_why(exc)})"
        if head.startswith(_SOUNDFILE + _FFMPEG) or head[4:8] == b"ftyp":  # MP4
            text = f"it starts like a recording but cannot be opened {reason}. Copy it again"
            raise _error(path, FailureKind.UNREADABLE, text) from exc
        text = f"not audio that libsndfile or FFmpeg recognise {reason}"
        raise _error(path, FailureKind.UNSUPPORTED, text) from exc


def _error(path: Path, kind: FailureKind, message: str) -> RecordingError:
    return RecordingError(kind, f"{path.name!r}: {message}.")


def _why(exc: Exception) -> str:
    """The reason alone: the decoders' own texts repeat names and numbers."""
    told = getattr(exc, "strerror", None) or getattr(exc, "error_string", None) or str(exc)
    return str(told).strip().rstrip(".") or type(exc).__name__


@lru_cache(maxsize=1)
def _decoder_errors() -> tuple[type[Exception], ...]:
    import av.error
    import soundfile

    return (soundfile.LibsndfileError, av.error.FFmpegError, OSError)


# --- libsndfile ----------------------------------------------------------------------------------


def _open_soundfile(path: Path, file: IO[bytes], stack: ExitStack) -> tuple[Recording | None, str]:
    """The recording, or None and why libsndfile declines it."""
    import soundfile

    try:
        # A descriptor, not a path: names of any bytes work, and extensions count for nothing.
        sound = stack.enter_context(soundfile.SoundFile(file.fileno(), closefd=False))
    except soundfile.LibsndfileError as exc:
        return None, f"libsndfile: {_why(exc)}; "
    if sound.frames == 0:  # a WAV whose recorder died says so too, with its samples in place
        return None, "libsndfile: no samples; "
    known = sound.frames < 1 << 62
    info = AudioInfo(
        container={"WAVEX": "wav"}.get(sound.format, sound.format.lower()),
        codec="flac" if sound.format == "FLAC" else sound.subtype.lower(),
        sample_rate=sound.samplerate,
        channels=sound.channels,
        duration_s=sound.frames / sound.samplerate if known else None,
    )

    def pieces() -> Iterator[np.ndarray]:
        while len(block := sound.read(PIECE_FRAMES, dtype="float32", always_2d=True)):
            yield block[:, 0] if info.channels == 1 else block.mean(axis=1)

    declared = sound.frames * _cut_off(sound.extra_info) if known else 0
    return Recording(path, info, pieces(), declared), ""


def _cut_off(log: str) -> float:
    """How many times longer the data should be than it is: 1.0 for a whole file.

    libsndfile reads a WAV that ends early without complaint, but notes both lengths in its log.
    """
    match = re.search(r"^data : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    if match is None or int(match[1]) >= _STREAMED_BYTES or int(match[2]) == 0:
        return 1.0
    return max(1.0, int(match[1]) / int(match[2]))


# --- FFmpeg --------------------------------------------------------------------------------------


class _Nameless:
    """A file without its name, which FFmpeg would take as a hint about the format."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def _open_pyav(path: Path, file: IO[bytes], stack: ExitStack) -> Recording:
    """Raises FFmpeg's own error when it does not recognise the file."""
    import av

    container = stack.enter_context(
        av.open(
            _Nameless(file),
            options={"format_whitelist": _DEMUXERS},
            metadata_errors="replace",  # tags are often Latin-1; nothing here reads them
        )
    )
    streams = container.streams.audio
    if not streams:
        raise _error(path, FailureKind.UNSUPPORTED, "there is no audio stream in it")
    stream = streams[0]
    context = stream.codec_context
    name = container.format.name
    if context is None:
        raise _error(path, FailureKind.UNSUPPORTED, f"its audio codec (in {name}) is not known")
    frames = _frames(container, stream)
    # The header may name half the rate (HE-AAC): only a decoded frame is sure.
    first = next(frames, None)
    if first is None:
        raise _error(path, FailureKind.EMPTY, "there is no sample in it")
    duration = None
    if stream.duration is not None:
        duration = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        duration = container.duration / 1_000_000  # microseconds
    info = AudioInfo(
        container=_CONTAINERS.get(name, name),
        codec=context.codec.canonical_name,
        sample_rate=first.sample_rate,
        channels=first.layout.nb_channels,
        duration_s=duration,
    )

    def pieces() -> Iterator[np.ndarray]:
        yield _mono(first)
        for frame in frames:
            if frame.sample_rate != info.sample_rate:
                text = f"its rate changes from {info.sample_rate} to {frame.sample_rate} Hz"
                raise _error(path, FailureKind.UNSUPPORTED, text)
            yield _mono(frame)

    # Elsewhere FFmpeg guesses the duration from the bit rate.
    declared = (duration or 0) * info.sample_rate if info.container == "mp4" else 0
    return Recording(path, info, pieces(), declared)


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Decoded frames. One small bad packet at the very end of an MP3 or ADTS stream is no damage:
    tags and padding after the last frame come as such."""
    import av.error

    bad: Exception | None = None
    good = False
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError as exc:
            tail = container.format.name in ("mp3", "aac") and packet.size <= TAIL_BYTES
            if bad is not None or not tail:
                raise
            bad = exc
            continue
        if frames and bad is not None:
            raise bad
        good = good or bool(frames)
        yield from frames
    if bad is not None and not good:
        raise bad


def _mono(frame: Any) -> np.ndarray:
    """One of FFmpeg's frames, of whatever sample format, to float32 (samples,)."""
    array = frame.to_ndarray()  # planar: (channels, samples); packed: (1, samples * channels)
    if not frame.format.is_planar:
        array = array.reshape(-1, frame.layout.nb_channels).T
    if array.dtype != np.float32:
        middle, full_scale = _INTEGERS.get(array.dtype.name, (0, 1))
        array = (array.astype(np.float32) - np.float32(middle)) / np.float32(full_scale)
    return np.asarray(array[0] if len(array) == 1 else array.mean(axis=0))
