"""Makes `sample-archive/`: spoken clips in many formats, and damaged files, for demo and tests.

Rebuild on Debian or Ubuntu, from the repository's root:

    apt-get install flite espeak-ng
    .venv/bin/python tests/data/make_sample_archive.py

The same versions give the same bytes: flite 2.2, espeak-ng 1.51, soundfile 0.14, av 18.1.
Prints each clip's format and length, which tests/unit/audio_files.py holds.

Licences. The sentences are our own. Voices `slt` and `rms` are flite's CMU ARCTIC voices (Carnegie
Mellon University, BSD-like: free to use, change and distribute, with notice; derived from the
recordings of CMU ARCTIC speakers, under the same terms). espeak-ng's formant voices are part of
that program (GPL-3.0-or-later), which is run here, not distributed; its licence makes no claim on
the speech it speaks. Nobody's real voice on a real call is in here.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
import torchaudio

ROOT = Path(__file__).parent / "sample-archive"


# --- what a clip sounds like ---------------------------------------------------------------------


def level(peak: float) -> Callable[[np.ndarray, int], np.ndarray]:
    return lambda x, rate: x * (peak / np.abs(x).max())


normal = level(0.5)


def clipped(x: np.ndarray, rate: int) -> np.ndarray:
    """Loud: driven 12 dB over full scale and cut off there."""
    return np.clip(level(4.0)(x, rate), -1, 1)


def noisy(x: np.ndarray, rate: int) -> np.ndarray:
    """Wind and water: low-passed noise about 6 dB below the voice."""
    noise = np.random.default_rng(7).normal(size=len(x) + 32)
    noise = np.convolve(noise, np.hanning(33) / np.hanning(33).sum(), "valid")
    return level(0.6)(x + noise * (x.std() / noise.std() / 2), rate)


def telephone(x: np.ndarray, rate: int) -> np.ndarray:
    """300 to 3400 Hz."""
    spectrum, hz = np.fft.rfft(x), np.fft.rfftfreq(len(x), 1 / rate)
    return level(0.5)(np.fft.irfft(spectrum * ((hz >= 300) & (hz <= 3400)), len(x)), rate)


def panned(x: np.ndarray) -> np.ndarray:
    """Two channels that differ: (samples, 2), the right one softer and 0.4 ms later."""
    return np.stack([x, 0.6 * np.roll(x, 18)], axis=1)


# --- the clips -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clip:
    uri: str
    rate: int  # Hz
    subtype: str | None  # libsndfile's; None for m4a, which FFmpeg writes
    voice: str  # flite's name, or what espeak-ng takes after -v
    text: str
    shape: Callable[[np.ndarray, int], np.ndarray] = normal
    stereo: bool = False
    speed: int = 165  # words a minute, espeak-ng only


# fmt: off
CLIPS = [
    Clip("calls/2026-03/billing question.wav", 8000, "PCM_U8",
         "slt", "Hello, I have a question about my last bill.", telephone),
    Clip("calls/2026-03/call-0192.wav", 8000, "PCM_16",
         "rms", "Thank you for calling. How can I help you?", telephone),
    Clip("calls/2026-04/call-0207.ogg", 16000, "VORBIS",
         "en-gb", "The parcel was left with my neighbour."),
    Clip("calls/2026-04/call-0211.mp3", 16000, "MPEG_LAYER_III",
         "en-us+m7", "I have been waiting for two weeks now!", clipped),
    Clip("calls/2026-04/two lines.wav", 16000, "PCM_16",
         "slt", "One moment, I will put you through.", stereo=True),
    Clip("field-notes/bird count.flac", 16000, "PCM_16",
         "en-us+f4", "Seven herons and one kingfisher today."),
    Clip("field-notes/river bank.wav", 16000, "PCM_16",
         "en-gb", "The water is higher than last spring.", noisy),
    Clip("field-notes/tent, night.wav", 16000, "PCM_32",
         "en-us+whisper", "Something is moving behind the tent.", level(0.3)),
    Clip("podcast/Gespräch am Fluß.opus", 48000, "OPUS",
         "en-gb", "We met our guest down by the river."),
    Clip("podcast/episode-01.m4a", 44100, None,
         "slt", "Welcome back to the show about old trains.", stereo=True),
    Clip("podcast/episode-02.mp3", 44100, "MPEG_LAYER_III",
         "rms", "Today we talk about bridges and ferries.", stereo=True),
    Clip("podcast/jingle take 2.wav", 48000, "PCM_24",
         "en-us+f4", "Five minutes, one idea.", speed=230),
    Clip("podcast/outro.flac", 44100, "PCM_16",
         "rms", "That was all for this week."),
    Clip("voicemail/fast.ogg", 44100, "VORBIS",
         "en-us+m7", "Call back by noon, the shop closes early and I need the keys.", speed=260),
    Clip("voicemail/quiet.wav", 16000, "FLOAT",
         "slt", "It is me, I did not want to wake you.", level(0.01)),
    Clip("voicemail/slow.opus", 16000, "OPUS",
         "en-us+f4", "Please water the plants.", speed=110),
]
# fmt: on


def speak(clip: Clip) -> np.ndarray:
    """(samples,) at the clip's rate."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "spoken.wav"
        if clip.voice in ("slt", "rms"):
            command = ["flite", "-voice", clip.voice, "-t", clip.text, "-o", str(wav)]
        else:
            command = [
                "espeak-ng",
                "-v",
                clip.voice,
                "-s",
                str(clip.speed),
                "-w",
                str(wav),
                clip.text,
            ]
        subprocess.run(command, check=True)
        spoken, rate = soundfile.read(wav)
    samples = torchaudio.functional.resample(torch.from_numpy(spoken), rate, clip.rate).numpy()
    return clip.shape(samples, clip.rate)


def write(clip: Clip, samples: np.ndarray) -> None:
    path = ROOT / clip.uri
    path.parent.mkdir(parents=True, exist_ok=True)
    if clip.stereo:
        samples = panned(samples)
    if clip.subtype is None:
        return write_m4a(path, samples, clip.rate)
    container = "OGG" if clip.subtype in ("OPUS", "VORBIS") else None
    soundfile.write(path, samples, clip.rate, subtype=clip.subtype, format=container)
    if container == "OGG":
        path.write_bytes(with_fixed_serial(path.read_bytes()))
    elif clip.subtype == "FLOAT":
        data = path.read_bytes()
        at = data.index(b"PEAK") + 12  # libsndfile notes the hour there
        path.write_bytes(data[:at] + bytes(4) + data[at + 4 :])
    return None


def write_m4a(path: Path, samples: np.ndarray, rate: int) -> None:
    layout = "stereo" if samples.ndim == 2 else "mono"
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(path, "w", format="ipod", options=options) as file:
        stream = file.add_stream("aac", rate=rate, layout=layout)
        stream.bit_rate = 64_000
        stream.codec_context.options = {"flags": "+bitexact"}
        planes = np.atleast_2d(samples.T).astype(np.float32)
        for start in range(0, planes.shape[1], 1024):
            part = np.ascontiguousarray(planes[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def with_fixed_serial(data: bytes) -> bytes:
    """An Ogg stream with serial number 1 in every page: libsndfile draws one from the clock."""
    out, at = bytearray(), 0
    while at < len(data):
        segments = data[at + 26]
        end = at + 27 + segments + sum(data[at + 27 : at + 27 + segments])
        page = bytearray(data[at:end])
        page[14:18], page[22:26] = (1).to_bytes(4, "little"), bytes(4)
        page[22:26] = ogg_crc(page).to_bytes(4, "little")
        out, at = out + page, end
    return bytes(out)


def ogg_crc(page: bytes | bytearray) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (0x04C11DB7 if crc & 0x80000000 else 0)
        crc &= 0xFFFFFFFF
    return crc


# --- what is wrong with the rest -----------------------------------------------------------------


def damage() -> None:
    folder = ROOT / "damaged"
    folder.mkdir(parents=True, exist_ok=True)
    flac = bytearray((ROOT / "field-notes/bird count.flac").read_bytes())
    half = len(flac) // 2
    flac[half : half + 10_000] = b"\x55" * 10_000
    (folder / "overwritten.flac").write_bytes(flac)
    (folder / "nothing.wav").write_bytes(b"")
    click = 0.3 * np.sin(2 * np.pi * 440 * np.arange(1600) / 16000)
    soundfile.write(folder / "click.wav", click, 16000)
    (folder / "minutes.wav").write_text(
        "This is not audio. These are the minutes of a meeting that someone saved with the wrong\n"
        "name. A listing finds it like any other file, and the reader has to say what it is.\n"
    )


def main() -> None:
    for clip in CLIPS:
        samples = speak(clip)
        write(clip, samples)
        told = f"{clip.rate:6} Hz {1 + clip.stereo} ch {len(samples) / clip.rate:.3f} s"
        size = (ROOT / clip.uri).stat().st_size
        sys.stdout.write(f"{told} {size:8} bytes  {clip.uri}\n")
    damage()
    total = sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file())
    sys.stdout.write(f"{total} bytes in all\n")


if __name__ == "__main__":
    main()
