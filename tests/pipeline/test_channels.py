"""Any audio, end to end: two speakers on two channels, files that end early, silence, limits."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines import packing
from pipelines.errors import SettingsError
from pipelines.lake import Lake
from pipelines.query import run
from pipelines.settings import TagSettings
from pipelines.tagging import tag

RATE = 48_000  # Hz, of the real voices


def rows(lake: Path, sql: str) -> list[dict]:
    return run(Lake(lake), sql).to_pylist()


@pytest.fixture(scope="module")
def voices(real_audio: Path) -> list[np.ndarray]:
    """Two people, the same 3.2 s of time: (samples,) float32 each."""
    paths = [
        real_audio / "ex04-ex02_laughing_004_channel1_segment_146.92_151.77.wav",
        real_audio / "ex03_enunciated_00012.wav",
    ]
    read = [soundfile.read(path, dtype="float32") for path in paths]
    assert {rate for _, rate in read} == {RATE}
    shortest = min(len(samples) for samples, _ in read)
    return [samples[: min(shortest, round(3.2 * RATE))] for samples, _ in read]


@pytest.fixture(scope="module")
def voice(sample_archive: Path) -> np.ndarray:
    """One person for 2 s, (samples,) float32 at 16 kHz."""
    samples, rate = soundfile.read(sample_archive / "field-notes/river bank.wav", dtype="float32")
    assert rate == 16_000
    return samples[:32_000]


@pytest.fixture
def call(tmp_path: Path, voices: list[np.ndarray]) -> Path:
    """An archive of one call, each speaker on a channel."""
    folder = tmp_path / "calls"
    folder.mkdir()
    soundfile.write(folder / "call.wav", np.stack(voices, axis=1), RATE, subtype="FLOAT")
    return folder


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The vectors of each chunk that is processed, before they are rounded to half precision."""
    seen: list[np.ndarray] = []
    pack = packing.pack

    def noting(vectors: np.ndarray) -> object:
        seen.append(vectors)
        return pack(vectors)

    monkeypatch.setattr(packing, "pack", noting)
    return seen


def settings(source: Path, tmp_path: Path, **given) -> TagSettings:
    return TagSettings(source=str(source), lake=str(tmp_path / "lake"), **given)


def test_a_call_split_gives_each_speaker_as_if_alone(call, voices, tmp_path, embedded):
    report = tag(settings(call, tmp_path, channels="split"))
    assert (report.tagged, report.segments, report.segments_policy) == (1, 2, "windows:30/30+split")
    assert report.audio_s == pytest.approx(len(voices[0]) / RATE)
    found = rows(tmp_path / "lake", "SELECT * FROM speech ORDER BY channel")
    assert [row["channel"] for row in found] == [0, 1]
    assert {(row["start_s"], row["end_s"]) for row in found} == {(0, len(voices[0]) / RATE)}
    [both] = embedded

    for number, voice in enumerate(voices):
        alone = tmp_path / f"alone-{number}.wav"
        soundfile.write(alone, voice, RATE, subtype="FLOAT")
        tag(TagSettings(str(alone), str(tmp_path / f"lake-{number}")))
        np.testing.assert_allclose(both[number], embedded[-1][0], atol=1e-5)
        [row] = rows(tmp_path / f"lake-{number}", "FROM speech")
        assert row["channel"] is None
        for column in ("rms_dbfs", "peak_dbfs", "silent_share"):
            assert found[number][column] == row[column]
        for column in ("gender", "pitch", "whisper"):
            assert found[number][column] == row[column]
    assert np.dot(*both) < 0.9  # two people
    long = rows(tmp_path / "lake", "SELECT channel, count(*) AS n FROM labels_long GROUP BY 1")
    assert {row["channel"] for row in long} == {0, 1}


def test_left_and_right_are_the_channels_of_the_split(call, tmp_path, embedded):
    lake = tmp_path / "lake"
    tag(settings(call, tmp_path, channels="split"))
    ids = {r["channel"]: r["segment_id"] for r in rows(lake, "FROM speech")}
    for number, channels in enumerate(("left", "right")):
        report = tag(settings(call, tmp_path, channels=channels))
        assert (report.tagged, report.segments) == (1, 1)  # another policy: done anew
        np.testing.assert_allclose(embedded[-1][0], embedded[0][number], atol=1e-5)
        [row] = rows(lake, "FROM speech")
        assert (row["channel"], row["segment_id"]) == (number, ids[number])
    again = tag(settings(call, tmp_path, channels="right"))
    assert (again.tagged, again.unchanged) == (0, 1)
    assert len(rows(lake, "SELECT DISTINCT segment_id FROM embeddings")) == 2


def test_a_mix_has_the_segment_ids_of_lakes_from_before_there_was_a_choice(call, tmp_path):
    from hashlib import blake2b

    tag(settings(call, tmp_path))
    [row] = rows(tmp_path / "lake", "FROM speech")
    samples = round(row["end_s"] * RATE)
    name = f"{row['content_hash']}:0:{samples}".encode()
    assert row["segment_id"] == blake2b(name, digest_size=16).hexdigest()
    assert row["channel"] is None


def test_a_lake_from_before_there_were_channels_goes_on(voice, tmp_path):
    from deltalake import DeltaTable, write_deltalake

    source, new, old = tmp_path / "mono.wav", tmp_path / "new", tmp_path / "old"
    soundfile.write(source, voice, 16_000)
    tag(TagSettings(str(source), str(new)))
    since = {"segments": ["channel"], "recordings": ["limits"]}
    for name in ("recordings", "segments", "embeddings", "labels", "runs"):
        table = DeltaTable(str(new / name)).to_pyarrow_table().drop_columns(since.get(name, []))
        write_deltalake(str(old / name), table)
    [row] = rows(old, "FROM speech")
    assert row["channel"] is None
    again = tag(TagSettings(str(source), str(old)))
    assert (again.tagged, again.unchanged) == (0, 1)
    split = tag(TagSettings(str(source), str(old), channels="split"))
    assert (split.tagged, split.segments) == (1, 1)
    assert [r["channel"] for r in rows(old, "FROM speech")] == [0]
    assert len(rows(old, "FROM segments")) == 2


def test_a_mono_file_has_no_right_channel(voice, tmp_path):
    soundfile.write(tmp_path / "mono.wav", voice, 16_000)
    left = tag(settings(tmp_path / "mono.wav", tmp_path, channels="left"))
    assert (left.tagged, left.failed) == (1, 0)
    right = tag(settings(tmp_path / "mono.wav", tmp_path, channels="right"))
    assert right.failures == {"unsupported": 1}
    [row] = rows(tmp_path / "lake", "FROM failures")
    assert "it has one channel, expected two or more for --channels right" in row["error_message"]


def test_a_file_that_ends_early_is_tagged_as_far_as_it_goes_and_says_so(voice, tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    soundfile.write(archive / "whole.wav", voice, 16_000)
    data = (archive / "whole.wav").read_bytes()
    (archive / "half.wav").write_bytes(data[: len(data) // 2])
    (archive / "copy.wav").write_bytes(data[: len(data) // 2])
    (archive / "hardly.wav").write_bytes(data[:6000])
    report = tag(settings(archive, tmp_path))
    assert (report.tagged, report.failed) == (3, 1)
    assert (report.warnings, report.failures) == ({"truncated": 2}, {"truncated": 1})
    lake = tmp_path / "lake"
    found = {row["uri"]: row for row in rows(lake, "FROM recordings")}
    half = found["half.wav"]
    assert (half["state"], half["error_kind"]) == ("tagged", "truncated")
    assert "it ends after 1.00 s, its header says 2.00 s" in half["error_message"]
    assert half["duration_s"] == pytest.approx(1.0, abs=0.01)
    assert found["whole.wav"]["error_kind"] is None
    assert [r["uri"] for r in rows(lake, "FROM failures")] == ["hardly.wav"]
    assert {r["uri"] for r in rows(lake, "FROM warnings")} == {"half.wav", "copy.wav"}
    spans = {r["uri"]: r["end_s"] for r in rows(lake, "FROM speech")}
    assert spans["half.wav"] == half["duration_s"] and spans["whole.wav"] == 2.0

    again = tag(settings(archive, tmp_path))
    assert (again.unchanged, again.warnings) == (4, {})


def test_a_silent_file_is_a_failure_with_its_level(tmp_path):
    faint = 2 / 32768 * np.sin(np.arange(2 * 16_000))
    archive = tmp_path / "archive"
    archive.mkdir()
    soundfile.write(archive / "zeros.flac", np.zeros(40 * 16_000), 16_000)
    soundfile.write(archive / "faint.wav", faint, 16_000, subtype="FLOAT")
    report = tag(settings(archive, tmp_path, segments="windows:10"))
    assert report.failures == {"silent": 2}
    said = {r["uri"]: r["error_message"] for r in rows(tmp_path / "lake", "FROM failures")}
    assert "a peak of -120 dBFS" in said["zeros.flac"]
    assert "a peak of -84 dBFS" in said["faint.wav"]
    assert not rows(tmp_path / "lake", "FROM stored.segments")


def test_a_limit_that_is_raised_lets_the_file_in(voice, tmp_path):
    source = tmp_path / "call.wav"
    soundfile.write(source, voice, 16_000)
    size = source.stat().st_size
    for limits in ({"max_duration_s": 1.9}, {"max_bytes": size - 1}):
        assert tag(settings(source, tmp_path, **limits)).failures == {"too_long": 1}
        assert tag(settings(source, tmp_path, **limits)).unchanged == 1
    enough = tag(settings(source, tmp_path, max_duration_s=4.0, max_bytes=size))
    assert (enough.tagged, enough.failed) == (1, 0)
    lower = tag(settings(source, tmp_path, max_duration_s=1.9))
    assert lower.unchanged == 1  # limits are for what is read from now on


def test_memory_that_one_file_exhausts_does_not_end_the_run(voice, tmp_path, monkeypatch):
    from pipelines import worker

    for name, share in (("a.wav", 1.0), ("b.wav", 0.5)):
        soundfile.write(tmp_path / name, share * voice, 16_000)
    to_16k, calls = worker.to_16k, 0

    def scarce(samples: np.ndarray, rate: int) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise MemoryError("no 4 GiB left")
        return to_16k(samples, rate)

    monkeypatch.setattr(worker, "to_16k", scarce)
    report = tag(settings(tmp_path, tmp_path, include=("?.wav",), decode_threads=1))
    assert (report.tagged, report.failures) == (1, {"out_of_memory": 1})
    [row] = rows(tmp_path / "lake", "FROM failures")
    assert row["uri"] == "a.wav" and "no 4 GiB left" in row["error_message"]


@pytest.mark.parametrize(
    "given",
    [{"channels": "both"}, {"max_duration_s": 0}, {"max_bytes": -1}, {"file_timeout_s": 0}],
)
def test_settings_that_mean_nothing_are_refused(given):
    [(name, value)] = given.items()
    with pytest.raises(SettingsError, match=f"{name} '?{value}'?: expected"):
        TagSettings("a", "b", **given)
