"""Decoding: real files of every format give their samples, channels and streams."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile

from pipelines.audio import Recording, open_recording
from pipelines.audio_ffmpeg import _packets, open_ffmpeg
from pipelines.audio_info import Limits
from pipelines.errors import FailureKind, RecordingError
from tests.unit.audio_files import CLIPS, DAMAGED, SAMPLES, encode, read, tone

REAL_SPEECH = Path(__file__).parents[2].parent / "shared" / "audio"

LOSSLESS = ("wav", "flac")


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
    paths = sorted(REAL_SPEECH.glob("*.wav"))
    assert paths
    for path in paths:
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


def test_mp3s_joined_end_to_end_are_read_to_the_last(tmp_path: Path) -> None:
    """As podcasts are put together: each part brings its tag, which is no sound."""
    mp3 = (SAMPLES / "calls/2026-04/call-0211.mp3").read_bytes()
    info, once = read(SAMPLES / "calls/2026-04/call-0211.mp3")
    cover = b"ID3\x04\0\0" + bytes([0, 1, 0, 0]) + b"APIC" + bytes(16_380)
    for name, tag in {"no tag": b"", "empty": b"ID3\3" + bytes(6), "cover": cover}.items():
        (tmp_path / name).write_bytes(mp3 + tag + mp3 + tag + mp3)
        found, samples = read(tmp_path / name)
        assert len(samples) / found.sample_rate == pytest.approx(
            3 * len(once) / info.sample_rate, abs=0.25
        ), name


def test_mp3s_of_other_rates_joined_are_truncated_and_told_of(tmp_path: Path) -> None:
    parts = []
    for sample_rate in (16_000, 44_100):
        soundfile.write(tmp_path / "one.mp3", tone(2 * sample_rate), sample_rate)
        parts.append((tmp_path / "one.mp3").read_bytes())
    (tmp_path / "both.mp3").write_bytes(b"".join(parts))
    with (
        open_recording(tmp_path / "both.mp3") as recording,
        pytest.raises(RecordingError, match="rate changes from 16000 to 44100 Hz") as caught,
    ):
        for _ in recording.blocks():
            pass
    assert caught.value.kind is FailureKind.TRUNCATED
    assert recording.decoded_s == pytest.approx(2, abs=0.1)


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


@pytest.mark.parametrize("uri", [uri for uri, told in CLIPS.items() if told[0] == "ogg"])
def test_ogg_streams_joined_end_to_end_are_read_to_the_last(tmp_path: Path, uri: str) -> None:
    """As radio stations send them; libsndfile would stop after the first, without a word."""
    joined = tmp_path / "joined.ogg"
    joined.write_bytes((SAMPLES / uri).read_bytes() * 3)
    info, once = read(SAMPLES / uri)
    found, samples = read(joined)  # by FFmpeg, for which all Opus is of 48 kHz
    seconds = len(once) / info.sample_rate
    assert len(samples) / found.sample_rate == pytest.approx(3 * seconds, rel=0.02)
    third = samples[-int(0.95 * seconds * found.sample_rate) :]
    assert np.sqrt(np.mean(third**2)) == pytest.approx(np.sqrt(np.mean(once**2)), rel=0.1)


def test_ogg_streams_of_other_rates_joined_are_truncated_and_told_of(tmp_path: Path) -> None:
    joined = tmp_path / "joined.ogg"
    one, other = "calls/2026-04/call-0207.ogg", "voicemail/fast.ogg"
    joined.write_bytes((SAMPLES / one).read_bytes() + (SAMPLES / other).read_bytes())
    with pytest.raises(RecordingError) as caught:
        read(joined)
    assert caught.value.kind is FailureKind.TRUNCATED
