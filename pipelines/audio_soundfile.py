"""Decodes with libsndfile: WAV, FLAC, Ogg and the like, exactly and fast.

Knows libsndfile. Does not know who reads, nor what is done where it declines a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from pipelines.audio_info import AudioInfo, Decoded, Limits

if TYPE_CHECKING:
    import soundfile

# Read at once: larger pieces cost less, but an error loses the piece it is in. So that one is read
# again in smaller ones: of the whole blocks of a FLAC before the error none is lost.
PIECE_FRAMES, SMALL_FRAMES = 1 << 14, 1 << 4
# Ogg's pieces grow from this to an eighth of what was read: what comes of a damaged one, without an
# error at times, changes with them.
OGG_FRAMES = 1 << 11
BEGINS = b"\2"  # a page's flag (RFC 3533, section 6), after its version, 0
OGG_BLOCK = 1 << 20
# A length from here on means that the writer did not know it.
_STREAMED_BYTES = 0x7FFF0000
_STREAMED_BYTES_64 = 1 << 62
# How libsndfile notes a length that a WAV, AU, AIFF, Wave64 or RF64 has against the one it claims.
_SHORT = re.compile(r"^ *(data|Data Size|SSND|riff|Riff size) *: (\d+) \(should be (\d+)\)", re.M)


def open_soundfile(path: Path, file: IO[bytes], stack: ExitStack, limits: Limits) -> Decoded | str:
    """The file, or why libsndfile declines it. Raises RecordingError for what is over a limit."""
    import soundfile

    try:
        # A descriptor, not a path: names of any bytes work, and extensions count for nothing.
        sound = stack.enter_context(soundfile.SoundFile(file.fileno(), closefd=False))
    except soundfile.LibsndfileError as exc:
        return exc.error_string
    if sound.frames == 0:  # a WAV whose recorder died says so too, with its samples in place
        return "no samples"
    if sound.format == "OGG" and _joined(file.fileno()):
        return "several streams, one behind the other"  # of which it reads the first
    known = sound.frames < 1 << 62
    rate, channels = sound.samplerate, sound.channels
    duration_s = sound.frames / rate if known and rate > 0 else None
    limits.check_header(path, rate, channels, duration_s)
    info = AudioInfo(
        container={"WAVEX": "wav"}.get(sound.format, sound.format.lower()),
        codec="flac" if sound.format == "FLAC" else sound.subtype.lower(),
        sample_rate=rate,
        channels=channels,
        duration_s=duration_s,
    )

    def pieces() -> Iterator[np.ndarray]:
        if sound.format == "OGG":
            done = 0
            while len(piece := _read(sound, min(PIECE_FRAMES, max(OGG_FRAMES, done // 8)))):
                yield piece
                done += len(piece)
            return
        whole = 0  # pieces
        try:
            while len(piece := _read(sound, PIECE_FRAMES)):
                yield piece
                whole += 1
            return
        except soundfile.LibsndfileError:
            file.seek(0)
        # Opened again and read from its start: a decoder need not find its place after an error.
        again = stack.enter_context(_forward()(file.fileno(), closefd=False))
        for _ in range(whole):
            _read(again, PIECE_FRAMES)
        while len(piece := _read(again, SMALL_FRAMES)):
            yield piece

    return Decoded(info, pieces(), sound.frames * _cut_off(sound.extra_info) if known else 0)


def _joined(descriptor: int) -> bool:
    """Whether an Ogg has a stream that begins behind the pages of another, as what radio stations
    send, and files put together, have. Begins of streams that run side by side come first."""
    at = 0
    while (head := os.pread(descriptor, 27 + 255, at))[:4] == b"OggS" and head[5:6] == BEGINS:
        at += 27 + head[26] + sum(head[27 : 27 + head[26]])
    mark = b"OggS\0" + BEGINS
    while len(block := os.pread(descriptor, OGG_BLOCK, at)) >= len(mark):
        if mark in block:
            return True
        at += len(block) - len(mark) + 1
    return False


@lru_cache(maxsize=1)
def _forward() -> type[soundfile.SoundFile]:
    """A file that is only read on. soundfile otherwise seeks to where it is after each read: for
    0.07 s a time, where a FLAC is cut off."""
    import soundfile

    class Forward(soundfile.SoundFile):
        def seekable(self) -> bool:
            return False

    return Forward


def _read(sound: soundfile.SoundFile, frames: int) -> np.ndarray:
    piece: np.ndarray = sound.read(frames, dtype="float32", always_2d=True)
    return piece


def _cut_off(log: str) -> float:
    """How many times longer the data should be than it is: 1.0 for a whole file.

    libsndfile reads a file that ends early without complaint, but notes both lengths in its log.
    """
    match = _SHORT.search(log)
    if match is None:
        return 1.0
    claimed, found = int(match[2]), int(match[3])
    streamed = _STREAMED_BYTES_64 if match[1] in ("riff", "Riff size") else _STREAMED_BYTES
    return 1.0 if claimed >= streamed or found == 0 else max(1.0, claimed / found)
