"""The sample archive's clips as they shall be read, recordings to write, and how one is read."""

from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.audio import open_recording
from pipelines.audio_info import AudioInfo
from pipelines.errors import FailureKind, RecordingError

SAMPLES = Path(__file__).parents[1] / "data" / "sample-archive"

CLIPS = {  # uri: container, codec, Hz, channels, seconds (make_sample_archive.py prints them)
    "calls/2026-03/billing question.wav": ("wav", "pcm_u8", 8000, 1, 3.190),
    "calls/2026-03/call-0192.wav": ("wav", "pcm_16", 8000, 1, 3.085),
    "calls/2026-04/call-0207.ogg": ("ogg", "vorbis", 16000, 1, 2.108),
    "calls/2026-04/call-0211.mp3": ("mp3", "mp3", 16000, 1, 2.407),
    "calls/2026-04/two lines.wav": ("wav", "pcm_16", 16000, 2, 2.505),
    "field-notes/bird count.flac": ("flac", "flac", 16000, 1, 2.905),
    "field-notes/river bank.wav": ("wav", "pcm_16", 16000, 1, 2.250),
    "field-notes/tent, night.wav": ("wav", "pcm_32", 16000, 1, 2.331),
    "podcast/Gespräch am Fluß.opus": ("ogg", "opus", 48000, 1, 2.132),
    "podcast/episode-01.m4a": ("mp4", "aac", 44100, 2, 2.500),
    "podcast/episode-02.mp3": ("mp3", "mp3", 44100, 2, 2.925),
    "podcast/jingle take 2.wav": ("wav", "pcm_24", 48000, 1, 1.428),
    "podcast/outro.flac": ("flac", "flac", 44100, 1, 1.775),
    "voicemail/fast.ogg": ("ogg", "vorbis", 44100, 1, 2.412),
    "voicemail/quiet.wav": ("wav", "float", 16000, 1, 2.855),
    "voicemail/slow.opus": ("ogg", "opus", 16000, 1, 2.842),
}
DAMAGED = {
    "overwritten.flac": FailureKind.TRUNCATED,
    "nothing.wav": FailureKind.EMPTY,
    "minutes.wav": FailureKind.UNSUPPORTED,
}


def read(path: Path, frames: int = 1 << 14) -> tuple[AudioInfo, np.ndarray]:
    with open_recording(path) as recording:
        return recording.info, np.concatenate(list(recording.blocks(frames)))


def failure(path: Path) -> RecordingError:
    with pytest.raises(RecordingError) as caught:
        read(path)
    assert path.name in str(caught.value)
    return caught.value


def tone(rate: int, seconds: float = 1.0, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * 220 * np.arange(round(rate * seconds)) / rate)).astype("f4")


def encode(path: Path, codec: str, container: str, samples: np.ndarray, rate: int) -> Path:
    """Write with FFmpeg, in whatever sample format the codec takes."""
    with av.open(path, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 64_000
        takes = stream.codec_context.codec.audio_formats[0].name
        resampler = av.AudioResampler(format=takes, layout="mono", rate=rate)
        for start in range(0, len(samples), 960):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 960], "fltp", "mono")
            frame.sample_rate, frame.pts = rate, start
            for converted in resampler.resample(frame):
                file.mux(stream.encode(converted))
        file.mux(stream.encode(None))
    return path
