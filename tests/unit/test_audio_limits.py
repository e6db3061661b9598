"""Limits of decoding: what is too long, too large or too slow costs one recording."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines import audio
from pipelines.audio import Recording, open_recording
from pipelines.audio_info import AudioInfo, Limits
from pipelines.audio_soundfile import PIECE_FRAMES
from pipelines.errors import FailureKind, RecordingError
from tests.unit.audio_files import encode, failure, read, tone


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
