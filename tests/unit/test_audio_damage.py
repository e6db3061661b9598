"""Files that are not what they say, end early or are damaged: each fails with its reason."""

import io
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.audio import open_recording
from pipelines.errors import FailureKind, RecordingError
from tests.unit.audio_files import CLIPS, DAMAGED, SAMPLES, failure, read, tone


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
