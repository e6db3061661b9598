"""Decodes with FFmpeg (PyAV): MP4, MP3, Matroska and the rest, the sound of videos too.

Knows FFmpeg. Does not know who reads. Of several audio streams it takes the first; pictures are
not decoded. FFmpeg is shown bytes and never a name, and may use containers that hold audio only:
no playlists, which would open other files and addresses.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np

from pipelines.audio_info import AudioInfo, Decoded, Limits, error
from pipelines.errors import FailureKind

TAIL_BYTES = 1 << 13  # of tags or padding after an MP3's last frame

# What FFmpeg may read, by its names: no playlists, subtitles, pictures, raw samples or devices.
_DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "mxf,nistsphere,ogg,qcp,rm,tta,voc,w64,wav,wv"
)
_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "matroska"}
_INTEGERS = {
    "uint8": (128, 1 << 7),
    "int16": (0, 1 << 15),
    "int32": (0, 1 << 31),
    "int64": (0, 1 << 63),
}


_importing = Lock()


def pyav() -> Any:
    """The module `av`, imported when first needed, by one thread at a time: two that meet in it,
    one in `av` and one in `av.error`, find it half there (KeyError: 'av')."""
    with _importing:
        import av
        import av.error
    return av


class _Nameless:
    """A file without its name, which FFmpeg would take as a hint about the format."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.tell, self._seek = file.read, file.tell, file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """PyAV prints the traceback of an error here: FFmpeg is given its number instead."""
        try:
            return self._seek(offset, whence)
        except (OSError, OverflowError, ValueError):  # damaged files lead anywhere
            return -errno.EINVAL


def open_ffmpeg(path: Path, file: IO[bytes], stack: ExitStack, limits: Limits) -> Decoded:
    """Raises FFmpeg's own error when it does not recognise the file; RecordingError for one
    without audio, or over a limit."""
    av = pyav()
    container = stack.enter_context(
        av.open(
            _Nameless(file),
            options={"format_whitelist": _DEMUXERS},
            metadata_errors="replace",  # tags are often Latin-1; nothing here reads them
        )
    )
    streams = container.streams.audio
    if not streams:
        raise error(path, FailureKind.UNSUPPORTED, "there is no audio stream in it")
    stream = streams[0]
    context = stream.codec_context
    name = container.format.name
    if context is None:
        raise error(path, FailureKind.UNSUPPORTED, f"its audio codec (in {name}) is not known")
    duration = None
    if stream.duration is not None and stream.time_base:
        duration = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        duration = container.duration / 1_000_000  # microseconds
    kind = _CONTAINERS.get(name, name)
    declared_s = duration if kind == "mp4" else None  # elsewhere FFmpeg guesses from the bit rate
    if context.sample_rate and context.channels:  # else only a frame will tell
        limits.check_header(path, context.sample_rate, context.channels, declared_s)
    frames = _frames(container, stream)
    # The header may name half the rate (HE-AAC): only a decoded frame is sure.
    first = next((frame for frame in frames if frame is not None), None)
    if first is None:
        raise error(path, FailureKind.EMPTY, "there is no sample in it")
    info = AudioInfo(
        container=kind,
        codec=context.codec.canonical_name,
        sample_rate=first.sample_rate,
        channels=first.layout.nb_channels,
        duration_s=duration,
    )
    limits.check_header(path, info.sample_rate, info.channels, declared_s)

    def pieces() -> Iterator[np.ndarray]:
        yield _samples(first)
        for frame in frames:
            if frame is None:
                yield np.empty((0, info.channels), np.float32)
            elif frame.sample_rate != info.sample_rate:
                text = f"its rate changes from {info.sample_rate} to {frame.sample_rate} Hz"
                text = f"{text}, and what follows is left out. Convert it to one rate"
                raise error(path, FailureKind.TRUNCATED, text)
            else:
                yield _samples(frame)

    return Decoded(info, pieces(), (declared_s or 0) * info.sample_rate)


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Decoded frames; None for a packet that gave none, so that who counts the time can.

    Of an MP3 or ADTS stream, two kinds of bad packets are no damage: a tag where two files were
    joined, with the frame behind it, and a small one at the very end, where tags and padding are.
    """
    av = pyav()
    bad: Exception | None = None
    good = False
    for packet in _packets(container, stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError as exc:
            tagged = container.format.name in ("mp3", "aac")
            if tagged and _is_tag(bytes(packet)):
                yield None
                continue
            if bad is not None or not tagged or packet.size > TAIL_BYTES:
                raise
            bad = exc
            continue
        if frames and bad is not None:
            raise bad
        good = good or bool(frames)
        yield from frames or (None,)
    if bad is not None and not good:
        raise bad


def _is_tag(packet: bytes) -> bool:
    """Whether a packet is an ID3v2 tag, and no more behind it than a frame."""
    if not packet.startswith(b"ID3") or len(packet) < 10:
        return False
    size = 0
    for byte in packet[6:10]:  # of seven bits each
        size = size << 7 | byte & 0x7F
    return len(packet) - 10 - size <= TAIL_BYTES


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    try:
        yield from container.demux(stream)
    except IndexError:
        # At the end PyAV (18.1) looks up every stream, those too that a damaged FLV began in its
        # middle. It comes to ours first: by then all is read.
        return


def _samples(frame: Any) -> np.ndarray:
    """One of FFmpeg's frames, of whatever sample format, to float32 (samples, channels)."""
    array = frame.to_ndarray()  # planar: (channels, samples); packed: (1, samples * channels)
    if not frame.format.is_planar:
        array = array.reshape(-1, frame.layout.nb_channels).T
    if array.dtype != np.float32:
        middle, full_scale = _INTEGERS.get(array.dtype.name, (0, 1))
        array = (array.astype(np.float32) - np.float32(middle)) / np.float32(full_scale)
    return np.asarray(array.T)
