"""Decoding: real files of every format, files that are not what they say, and the samples' sums."""

import io
import tracemalloc
import wave
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clsp.errors import InputError
from pipelines import audio
from pipelines.audio import Recording, open_recording
from pipelines.audio_ffmpeg import _packets, open_ffmpeg
from pipelines.audio_info import AudioInfo, Limits
from pipelines.audio_soundfile import PIECE_FRAMES
from pipelines.errors import FailureKind, RecordingError
from pipelines.samples import loudness, to_16k

SAMPLES = Path(__file__).parents[1] / "data" / "sample-archive"
REAL_SPEECH = Path(__file__).parents[2].parent / "shared" / "audio"

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
LOSSLESS = ("wav", "flac")


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


# ---- formats ------------------------------------------------------------------------------------


def test_every_sample_is_either_good_or_damaged() -> None:
    on_disk = {p.relative_to(SAMPLES).as_posix() for p in SAMPLES.rglob("*") if p.is_file()}
    assert on_disk == {*CLIPS, *(f"damaged/{name}" for name in DAMAGED), "damaged/click.wav"}


@pytest.mark.parametrize("uri", CLIPS)
def test_every_format_gives_its_rate_channels_and_length(uri: str) -> None:
    container, codec, rate, channels, seconds = CLIPS[uri]
    info, samples = read(SAMPLES / uri)
    assert (info.container, info.codec) == (container, codec)
    assert (info.sample_rate, info.channels) == (rate, channels)
    allowed = 0.001 if container in LOSSLESS else 0.05
    assert len(samples) / rate == pytest.approx(seconds, abs=allowed)
    assert info.duration_s == pytest.approx(seconds, abs=allowed)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert 0.005 < np.abs(samples).max() < 1.3  # a lossy codec overshoots what was clipped


@pytest.mark.parametrize("uri", CLIPS)
def test_blocks_have_the_size_asked_for_and_change_nothing(uri: str) -> None:
    _, whole = read(SAMPLES / uri, 1 << 22)
    for frames in (1, 1000, 16_384) if uri.startswith("voicemail") else (1000, 4096):
        with open_recording(SAMPLES / uri) as recording:
            blocks = list(recording.blocks(frames))
        assert {len(block) for block in blocks[:-1]} <= {frames}
        assert 0 < len(blocks[-1]) <= frames
        np.testing.assert_array_equal(np.concatenate(blocks), whole)


def through_ffmpeg(path: Path) -> np.ndarray:
    with path.open("rb") as file, ExitStack() as stack:
        found = open_ffmpeg(path, file, stack, Limits())
        return np.concatenate(list(Recording(path, found.info, found.pieces).blocks()))


@pytest.mark.parametrize("uri", [uri for uri, clip in CLIPS.items() if clip[0] in LOSSLESS])
def test_both_decoders_agree_on_lossless_files(uri: str) -> None:
    """All integer and float widths, mono and stereo: the scaling of each is the same."""
    _, samples = read(SAMPLES / uri)
    np.testing.assert_allclose(through_ffmpeg(SAMPLES / uri), samples, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("codec", "container", "rate"),
    [
        ("aac", "adts", 16_000),
        ("libopus", "webm", 48_000),
        ("wmav2", "asf", 44_100),
        ("mp2", "mpegts", 44_100),
        ("pcm_f64le", "mov", 16_000),
        ("pcm_s16be", "mov", 22_050),
        ("alac", "ipod", 44_100),
        ("pcm_u8", "avi", 16_000),
        ("ac3", "matroska", 48_000),
        ("adpcm_ima_wav", "wav", 8_000),
        ("pcm_mulaw", "wav", 8_000),
    ],
)
def test_what_ffmpeg_reads_comes_out_as_it_went_in(
    tmp_path: Path, codec: str, container: str, rate: int
) -> None:
    path = encode(tmp_path / "tone.bin", codec, container, tone(rate, 2.0), rate)
    info, samples = read(path)
    assert info.sample_rate == rate
    assert len(samples) / rate == pytest.approx(2.0, abs=0.15)  # a codec's padding is kept
    middle = samples[rate // 2 : rate]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.06)


@pytest.mark.skipif(not REAL_SPEECH.exists(), reason="the real speech is not in the repository")
def test_real_speech_is_read_like_soundfile_reads_it() -> None:
    for path in sorted(REAL_SPEECH.glob("*.wav")):
        expected, rate = soundfile.read(path, dtype="float32")
        info, samples = read(path)
        assert (info.sample_rate, info.channels) == (rate, 1)
        np.testing.assert_array_equal(samples, expected)
        np.testing.assert_allclose(through_ffmpeg(path), expected, rtol=0, atol=1e-7)


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    left, right = tone(16_000), np.full(16_000, 0.25, np.float32)
    soundfile.write(path, np.stack([left, right], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(read(path)[1], (left + right) / 2)
    np.testing.assert_array_equal(through_ffmpeg(path), (left + right) / 2)


def test_float_files_keep_what_is_over_full_scale(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hot.wav", tone(16_000, peak=3.0), 16_000, subtype="FLOAT")
    assert np.abs(read(tmp_path / "hot.wav")[1]).max() == pytest.approx(3.0, rel=1e-3)


def test_the_name_has_no_say(tmp_path: Path) -> None:
    for name in ("calls.txt", "a:b|c\n.mp3", "noext", "playlist.m3u8"):
        path = tmp_path / name
        path.write_bytes((SAMPLES / "podcast/episode-01.m4a").read_bytes())
        assert read(path)[0].codec == "aac"


def test_the_tags_of_an_mp3_are_no_damage(tmp_path: Path) -> None:
    mp3 = (SAMPLES / "calls/2026-04/call-0211.mp3").read_bytes()
    _, plain = read(SAMPLES / "calls/2026-04/call-0211.mp3")
    tags = {
        "id3v1": mp3 + b"TAG" + b"A caller \xe4".ljust(125),
        "lyrics": mp3 + b"LYRICSBEGIN" + b"la la la " * 200 + b"LYRICS200",
        "padding": mp3 + bytes(4000),
        "latin1": b"ID3\x03\0\0\0\0\0\x16TIT2\0\0\0\x0c\0\0\0Gespr\xe4ch am" + mp3,
        "no sync at the start": bytes(1000) + mp3,
    }
    for name, data in tags.items():
        (tmp_path / name).write_bytes(data)
        assert len(read(tmp_path / name)[1]) == pytest.approx(len(plain), abs=2500), name


# ---- what is wrong with a file ------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), DAMAGED.items())
def test_each_damaged_sample_has_its_reason(name: str, kind: FailureKind) -> None:
    assert failure(SAMPLES / "damaged" / name).kind is kind


def test_missing_and_forbidden_files_are_unreadable(tmp_path: Path) -> None:
    assert failure(tmp_path / "gone.wav").kind is FailureKind.UNREADABLE
    (tmp_path / "folder.wav").mkdir()
    assert failure(tmp_path / "folder.wav").kind is FailureKind.UNREADABLE


NOT_AUDIO = {
    "plain": b"This is plain text.\n" * 500,
    "utf8": "Die Züge fahren nicht. ÿþ\n".encode() * 500,
    "utf16": ("Minutes of the meeting\r\n" * 500).encode("utf-16"),  # begins like an MP3 frame
    "csv": b"start,end,text\n0,1,hello\n" * 500,
    "subtitles": b"1\n00:00:01,000 --> 00:00:04,000\nHello\n\n",
    "concat": b"ffconcat version 1.0\nfile 'episode-01.m4a'\n",
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nepisode-01.m4a\n#EXT-X-ENDLIST\n",
    "zeros": bytes(50_000),
    "ones": b"\xff" * 50_000,
    "one byte": b"R",
    "matlab": b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + bytes(1000),
    "pdf": b"%PDF-1.7\n" + b"1 0 obj <<>> endobj\n" * 200,
    "png": b"\x89PNG\r\n\x1a\n" + bytes(500),
}


@pytest.mark.parametrize("name", NOT_AUDIO)
@pytest.mark.parametrize("ending", [".txt", ".wav", ".mp3", ".m4a", ".vox", ".raw"])
def test_what_is_not_audio_never_decodes(tmp_path: Path, name: str, ending: str) -> None:
    path = tmp_path / f"{name}{ending}"
    path.write_bytes(NOT_AUDIO[name])
    error = failure(path)
    assert error.kind is FailureKind.UNSUPPORTED
    assert "not audio that libsndfile or FFmpeg recognise" in error.message


def test_a_playlist_does_not_open_other_files(tmp_path: Path) -> None:
    (tmp_path / "episode-01.m4a").write_bytes((SAMPLES / "podcast/episode-01.m4a").read_bytes())
    for name in ("concat", "playlist"):
        (tmp_path / name).write_bytes(NOT_AUDIO[name])
        assert failure(tmp_path / name).kind is FailureKind.UNSUPPORTED


def test_a_video_without_sound_has_no_audio_stream(tmp_path: Path) -> None:
    with av.open(tmp_path / "film.mp4", "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    error = failure(tmp_path / "film.mp4")
    assert (error.kind, "no audio stream" in error.message) == (FailureKind.UNSUPPORTED, True)


def test_a_broken_header_is_unreadable(tmp_path: Path) -> None:
    flac = bytearray((SAMPLES / "podcast/outro.flac").read_bytes())
    flac[8:60] = bytes(52)
    (tmp_path / "a.flac").write_bytes(flac)
    (tmp_path / "a.wav").write_bytes((SAMPLES / "calls/2026-03/call-0192.wav").read_bytes()[:30])
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(500))
    for name in ("a.flac", "a.wav", "a.m4a"):
        error = failure(tmp_path / name)
        assert error.kind is FailureKind.UNREADABLE
        assert "starts like a recording" in error.message


@pytest.mark.parametrize(
    "uri", ["podcast/outro.flac", "podcast/jingle take 2.wav", "podcast/episode-01.m4a"]
)
def test_a_file_that_ends_early_is_truncated(tmp_path: Path, uri: str) -> None:
    """All that is there comes out first; the error then says how far it got."""
    data = (SAMPLES / uri).read_bytes()
    _, whole = read(SAMPLES / uri)
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) * 3 // 4])
    came = []
    with pytest.raises(RecordingError) as caught, open_recording(path) as recording:
        came.extend(recording.blocks(1000))
    assert caught.value.kind is FailureKind.TRUNCATED
    came = np.concatenate(came)
    np.testing.assert_array_equal(came, whole[: len(came)])
    assert len(came) / recording.info.sample_rate == pytest.approx(
        CLIPS[uri][4] * (0.75 if uri.endswith("wav") else 0.6), rel=0.35
    )
    # Who can use a part asks for blocks that end there.
    with open_recording(path) as recording:
        part = np.concatenate(list(recording.channel_blocks("mix", 1000)))
    assert len(part) == len(came)
    assert recording.truncated and recording.truncated.kind is FailureKind.TRUNCATED


@pytest.mark.parametrize("name", ["wav", "w64", "rf64", "au", "aiff", "flac"])
def test_what_is_missing_is_told_by_every_header_that_can(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"half.{name}"
    soundfile.write(path, tone(16_000, 2.0), 16_000, subtype="PCM_16", format=name.upper())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with open_recording(path) as recording:
        count = sum(map(len, recording.channel_blocks("mix")))
    assert 0.5 < count / 16_000 < 1.01
    assert recording.truncated and recording.truncated.kind is FailureKind.TRUNCATED


@pytest.mark.parametrize("seconds", [0.6, 5.0])
def test_of_a_flac_that_ends_early_every_whole_block_is_kept(
    tmp_path: Path, seconds: float
) -> None:
    path, block = tmp_path / "whole.flac", 4096
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, int(16_000 * seconds))
    soundfile.write(path, noise, 16_000)
    data, (_, whole) = path.read_bytes(), read(path)
    for share in (0.5, 0.7, 0.9):
        path.write_bytes(data[: int(share * len(data))])
        with open_recording(path) as recording:
            part = np.concatenate(list(recording.channel_blocks("mix")))[:, 0]
        assert len(part) == int(share * len(whole)) // block * block  # noise: blocks of one size
        np.testing.assert_array_equal(part, whole[: len(part)])


def wav(data: bytes, *, claimed: int | None = None) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(data)
    header = bytearray(file.getvalue())
    if claimed is not None:
        header[40:44] = claimed.to_bytes(4, "little")
    return bytes(header)


def test_a_wav_whose_writer_did_not_know_its_length_is_whole(tmp_path: Path) -> None:
    """A pipe writes the largest length, a recorder that lost power leaves 0."""
    data = (tone(16_000) * 32767).astype("<i2").tobytes()
    for claimed in (0, 0x7FFFFFFF, 0xFFFFFFFF):
        (tmp_path / "stream.wav").write_bytes(wav(data, claimed=claimed))
        assert len(read(tmp_path / "stream.wav")[1]) == 16_000
    (tmp_path / "cut.wav").write_bytes(wav(data, claimed=2 * len(data)))
    error = failure(tmp_path / "cut.wav")
    assert error.kind is FailureKind.TRUNCATED
    assert "ends after 1.00 s, its header says 2.00 s" in error.message


# ---- channels and streams -----------------------------------------------------------------------


@pytest.mark.parametrize("reader", ["libsndfile", "FFmpeg"])
def test_channels_come_out_each_by_itself(tmp_path: Path, reader: str) -> None:
    voices = np.stack([tone(8000) * share for share in (1.0, 0.5, 0.25)], axis=1)
    path = tmp_path / "three.wav"
    soundfile.write(path, voices, 8000, subtype="FLOAT")

    def taken(channels: str) -> np.ndarray:
        with path.open("rb") as file, ExitStack() as stack:
            if reader == "FFmpeg":
                found = open_ffmpeg(path, file, stack, Limits())
                source = Recording(path, found.info, found.pieces)
            else:
                source = stack.enter_context(open_recording(path))
            return np.concatenate(list(source.channel_blocks(channels, 1000)))

    np.testing.assert_array_equal(taken("split"), voices)
    np.testing.assert_array_equal(taken("left"), voices[:, :1])
    np.testing.assert_array_equal(taken("right"), voices[:, 1:2])
    np.testing.assert_allclose(taken("mix"), voices.mean(axis=1)[:, None], atol=1e-7)


def test_a_mono_file_has_a_left_channel_and_no_right(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "mono.wav", tone(8000), 8000, subtype="FLOAT")
    with open_recording(tmp_path / "mono.wav") as recording:
        left = np.concatenate(list(recording.channel_blocks("left")))
    np.testing.assert_array_equal(left[:, 0], tone(8000))
    with (
        pytest.raises(RecordingError, match="it has one channel, expected two or more") as caught,
        open_recording(tmp_path / "mono.wav") as recording,
    ):
        list(recording.channel_blocks("right"))
    assert caught.value.kind is FailureKind.UNSUPPORTED


def film(path: Path, container: str, video: str, sounds: list[tuple[str, float]]) -> Path:
    """A moving picture with these streams of sound: a codec and a tone's peak each."""
    with av.open(path, "w", format=container) as file:
        picture = file.add_stream(video, rate=10)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        streams = [file.add_stream(codec, rate=48_000, layout="mono") for codec, _ in sounds]
        for n in range(20):
            image = np.full((64, 64, 3), n, np.uint8)
            file.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        for stream, (_, peak) in zip(streams, sounds, strict=True):
            takes = stream.codec_context.codec.audio_formats[0].name
            change = av.AudioResampler(format=takes, layout="mono", rate=48_000)
            samples = tone(48_000, 2.0, peak)
            for start in range(0, len(samples), 960):
                part = samples[None, start : start + 960]
                frame = av.AudioFrame.from_ndarray(part, "fltp", "mono")
                frame.sample_rate, frame.pts = 48_000, start
                for converted in change.resample(frame):
                    file.mux(stream.encode(converted))
            file.mux(stream.encode(None))
        file.mux(picture.encode(None))
    return path


@pytest.mark.parametrize(
    ("container", "video", "codec", "ending"),
    [
        ("mp4", "mpeg4", "aac", ".mp4"),
        ("matroska", "mpeg4", "flac", ".mkv"),
        ("webm", "libvpx", "libopus", ".webm"),
        ("mp4", "mpeg4", "aac", ".wav"),  # the name has no say
        ("avi", "mpeg4", "pcm_s16le", ".mp3"),
    ],
)
def test_a_video_is_heard_by_its_first_stream_of_sound(
    tmp_path: Path, container: str, video: str, codec: str, ending: str
) -> None:
    path = film(tmp_path / f"film{ending}", container, video, [(codec, 0.5), (codec, 0.05)])
    info, samples = read(path)
    assert (info.sample_rate, info.channels) == (48_000, 1)
    assert len(samples) / 48_000 == pytest.approx(2.0, abs=0.15)
    assert np.abs(samples[24_000:72_000]).max() == pytest.approx(0.5, rel=0.06)


def test_streams_that_begin_in_the_middle_do_not_end_it() -> None:
    """PyAV fails over them when all has been read (a fake: it depends on what memory held)."""

    def demux(stream: object) -> Iterator[str]:
        yield from ("first", "last")
        raise IndexError("list index out of range")

    assert list(_packets(SimpleNamespace(demux=demux), None)) == ["first", "last"]


# ---- limits -------------------------------------------------------------------------------------


def refused(path: Path, limits: Limits) -> RecordingError:
    with pytest.raises(RecordingError) as caught, open_recording(path, limits) as recording:
        list(recording.channel_blocks("split"))
    assert path.name in str(caught.value)
    return caught.value


def test_a_file_of_too_many_bytes_or_seconds_is_too_long(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.zeros(80_000), 8000)
    size = (tmp_path / "a.flac").stat().st_size
    assert size < 1000  # ten seconds of silence: what is small may be long
    error = refused(tmp_path / "a.flac", Limits(max_bytes=size - 1))
    assert error.kind is FailureKind.TOO_LONG and f"{size} bytes" in error.message
    error = refused(tmp_path / "a.flac", Limits(max_duration_s=9))
    assert error.kind is FailureKind.TOO_LONG and "header says 10 s" in error.message
    with open_recording(tmp_path / "a.flac", Limits(10, size)) as recording:
        assert sum(map(len, recording.blocks())) == 80_000


def test_what_no_header_tells_ends_at_the_limit(tmp_path: Path) -> None:
    path = encode(tmp_path / "stream", "aac", "adts", tone(16_000, 5.0), 16_000)
    error = refused(path, Limits(max_duration_s=2))
    assert error.kind is FailureKind.TOO_LONG and "2 s came out of it" in error.message


@pytest.mark.parametrize(("rate", "channels"), [(999, 1), (768_001, 1), (8000, 65), (8000, 900)])
def test_absurd_rates_and_channels_are_refused(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "absurd.wav"
    with soundfile.SoundFile(path, "w", rate, channels, "PCM_16") as file:
        file.write(np.zeros((100, channels)))
    error = failure(path)
    assert error.kind is FailureKind.UNSUPPORTED
    assert f"{rate} Hz, expected" in error.message or f"{channels} channels" in error.message


def test_what_a_header_claims_is_not_allocated(tmp_path: Path) -> None:
    """10^15 samples, in formats that can say so: what is there is read, or the claim refused."""
    places = {  # what stands before the length, how much further it is, its width and order
        "wav": (b"data", 4, 4, "little"),
        "w64": (b"data", 16, 8, "little"),
        "rf64": (b"ds64", 16, 8, "little"),
        "caf": (b"data", 4, 8, "big"),
        "au": (b".snd", 8, 4, "big"),
        "aiff": (b"SSND", 4, 4, "big"),
    }
    for name, (mark, further, width, order) in places.items():
        path = tmp_path / f"claims.{name}"
        soundfile.write(path, tone(16_000), 16_000, subtype="PCM_16", format=name.upper())
        data = bytearray(path.read_bytes())
        at = data.index(mark) + further
        claimed = min(2 * 10**15, 256**width // 4)
        data[at : at + width] = claimed.to_bytes(width, order)  # type: ignore[arg-type]
        path.write_bytes(data)
        tracemalloc.start()
        try:
            read(path)
        except RecordingError as error:
            assert error.kind in (FailureKind.TRUNCATED, FailureKind.TOO_LONG), (name, error)
        finally:
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert most < 20 << 20, name


def test_a_file_may_take_so_long_to_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder's own time, not that of whoever takes the blocks; a second more for each one."""
    now = 0.0
    monkeypatch.setattr(audio, "monotonic", lambda: now)

    def slow(seconds: float) -> Iterator[np.ndarray]:
        nonlocal now
        for _ in range(100):
            now += seconds
            yield np.ones((100, 1), np.float32)  # a second

    def spend(decoding: float, using: float, limit: float) -> int:
        nonlocal now
        info = AudioInfo("wav", "float", 100, 1, None)
        count = 0
        for _ in Recording(
            Path("slow.wav"), info, slow(decoding), _limits=Limits(file_timeout_s=limit)
        ).blocks(100):
            now += using
            count += 1
        return count

    assert spend(1.0, 50.0, 0.5) == 100
    assert spend(1.5, 0.0, 51) == 100
    with pytest.raises(RecordingError, match=r"decoding 19\.00 s of it took 28 s") as caught:
        spend(1.5, 0.0, 9)
    assert caught.value.kind is FailureKind.TIMEOUT


def test_packets_without_sound_count_as_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(audio, "monotonic", lambda: now)

    def nothing() -> Iterator[np.ndarray]:
        nonlocal now
        while True:
            now += 1.0
            yield np.empty((0, 1), np.float32)

    source = Recording(Path("void.mkv"), AudioInfo("matroska", "opus", 48_000, 1, None), nothing())
    with pytest.raises(RecordingError) as caught:
        list(source.blocks())
    assert caught.value.kind is FailureKind.TIMEOUT


def test_memory_that_runs_out_costs_one_recording() -> None:
    def greedy() -> Iterator[np.ndarray]:
        yield np.ones((100, 1), np.float32)
        raise MemoryError("cannot allocate")

    source = Recording(Path("big.wav"), AudioInfo("wav", "float", 8000, 1, None), greedy())
    with pytest.raises(RecordingError, match="not enough memory") as caught:
        list(source.blocks())
    assert caught.value.kind is FailureKind.OUT_OF_MEMORY


def test_limits_have_one_key() -> None:
    assert Limits().key == "86400s/4294967296B/600s"
    assert len({Limits().key, Limits(1).key, Limits(max_bytes=1).key, Limits(1, 1, 1).key}) == 4


def test_a_header_without_samples_is_empty(tmp_path: Path) -> None:
    (tmp_path / "header.wav").write_bytes(wav(b""))
    assert failure(tmp_path / "header.wav").kind is FailureKind.EMPTY


@pytest.mark.parametrize(
    ("value", "said"), [(np.nan, "NaN"), (np.inf, "infinite"), (-3e30, "a sample of -3.0e+30")]
)
def test_samples_that_are_no_numbers_are_refused(tmp_path: Path, value: float, said: str) -> None:
    """The model would make NaN of them; the message says where they are."""
    samples = tone(16_000, 3.0)
    samples[32_000] = value
    soundfile.write(tmp_path / "nan.wav", samples, 16_000, subtype="FLOAT")
    error = failure(tmp_path / "nan.wav")
    assert error.kind is FailureKind.UNREADABLE
    assert said in error.message and "after 2.00 s" in error.message


BEGINNINGS = [
    *(
        b"",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"fLaC",
        b"OggS\0",
        b"ID3\x03\0\0\0\0\0\0",
        b"\xff\xfb\x90\x64",
    ),
    *(b"\xff\xf1\x50\x80", b"\0\0\0\x20ftypM4A ", b"\x1a\x45\xdf\xa3", b"caff\0\1\0\0", b"FORM"),
]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(BEGINNINGS), st.binary(max_size=4000), st.integers(0, 2**32))
@example(b"\xff\xfb\x90\x64", b"\xff\xfb\x90\x64" * 50, 0)
def test_random_bytes_are_refused_or_read_but_never_crash(
    tmp_path: Path, beginning: bytes, some: bytes, seed: int
) -> None:
    path = tmp_path / "random"
    path.write_bytes(beginning + some + np.random.default_rng(seed).bytes(seed % 5000))
    try:
        read(path)
    except RecordingError as error:
        assert error.kind in set(FailureKind)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(CLIPS)), st.floats(0, 1), st.integers(1, 2000), st.integers(0, 99))
def test_damaged_recordings_are_refused_or_read_but_never_crash(
    tmp_path: Path, uri: str, where: float, size: int, seed: int
) -> None:
    data = bytearray((SAMPLES / uri).read_bytes())
    at = int(where * len(data))
    data[at : at + size] = np.random.default_rng(seed).bytes(size)
    (tmp_path / "damaged").write_bytes(data)
    try:
        read(tmp_path / "damaged")
    except RecordingError as error:
        assert error.kind in set(FailureKind)


def test_nothing_is_printed_about_damage(capfd: pytest.CaptureFixture[str]) -> None:
    for path in (*(SAMPLES / "damaged").iterdir(), *SAMPLES.rglob("*.mp3")):
        try:
            read(path)
        except RecordingError:
            continue
    assert capfd.readouterr() == ("", "")


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Blocks come one by one: no decoder is asked for more than the next."""
    rate, path = 8000, tmp_path / "ten minutes.flac"
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for _ in range(10):
            file.write(tone(rate, 60.0))
    asked = 0
    with open_recording(path) as recording:
        pieces = recording._pieces

        def counting() -> Iterator[np.ndarray]:
            nonlocal asked
            for piece in pieces:
                asked += len(piece)
                yield piece

        recording._pieces = counting()
        given_out = 0
        for block in recording.blocks(1000):
            given_out += len(block)
            assert asked - given_out < PIECE_FRAMES + 1000
    assert given_out == 600 * rate


# ---- samples ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_resampling_is_torchaudios_to_the_bit(rate: int) -> None:
    samples = np.random.default_rng(rate).uniform(-1, 1, rate).astype(np.float32)
    expected = torchaudio.functional.resample(torch.from_numpy(samples), rate, 16_000).numpy()
    for _ in range(2):  # with a new kernel and with the kept one
        got = to_16k(samples, rate)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, expected)


def test_16_khz_passes_through() -> None:
    samples = tone(16_000)
    assert to_16k(samples, 16_000).ctypes.data == samples.ctypes.data


@pytest.mark.parametrize("rate", [0, 44_101, 11_127, 191_999])
def test_a_rate_whose_kernel_would_fill_the_memory_is_refused(rate: int) -> None:
    with pytest.raises(RecordingError, match=f"sample rate of {rate} Hz") as caught:
        to_16k(tone(16_000), rate)
    assert caught.value.kind is FailureKind.UNSUPPORTED


def test_loudness_of_a_sine() -> None:
    measures = loudness(tone(16_000, peak=0.5), 16_000)
    assert measures.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert measures.rms_dbfs == pytest.approx(-9.03, abs=0.01)
    assert (measures.clipped_share, measures.silent_share) == (0.0, 0.0)


def test_digital_silence_has_a_floor() -> None:
    measures = loudness(np.zeros(8000, np.float32), 8000)
    assert (measures.rms_dbfs, measures.peak_dbfs) == (-120.0, -120.0)
    assert (measures.clipped_share, measures.silent_share) == (0.0, 1.0)


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_silence_is_counted_in_frames_of_25_ms(rate: int) -> None:
    samples = tone(rate, 1.0)
    samples[: rate // 4] = 0.0009  # -60.9 dBFS
    assert loudness(samples, rate).silent_share == pytest.approx(0.25)


def test_clipping_is_counted() -> None:
    samples = np.clip(tone(16_000, peak=2.0), -1, 1)
    assert loudness(samples, 16_000).clipped_share == pytest.approx(2 / 3, abs=0.01)


def test_the_samples_differ_in_loudness_as_they_should() -> None:
    def rms(uri: str) -> float:
        info, samples = read(SAMPLES / uri)
        return loudness(samples, info.sample_rate).rms_dbfs

    assert rms("voicemail/quiet.wav") < -45 < -15 < rms("calls/2026-04/call-0211.mp3")


def test_loudness_of_nothing_is_refused() -> None:
    assert loudness(np.ones(1, np.float32), 8000).clipped_share == 1.0
    with pytest.raises(InputError, match="no samples"):
        loudness(np.zeros(0, np.float32), 8000)
