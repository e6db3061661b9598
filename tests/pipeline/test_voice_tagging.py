"""`--segments vad`: an archive becomes the stretches in which somebody speaks."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.lake import Lake
from pipelines.query import run
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from pipelines.verify import verify


@pytest.fixture
def archive(sample_archive: Path, tmp_path: Path) -> Path:
    """A call with a long pause, the same between others, and a line on which nobody speaks."""
    root = tmp_path / "archive"
    root.mkdir()
    for name in ("a.wav", "z.wav"):
        shutil.copy(sample_archive / "calls/2026-03/call-0192.wav", root / name)
    samples, rate = soundfile.read(root / "a.wav", dtype="float32")
    noise = np.random.default_rng(0).normal(0, 1e-3, 6 * rate).astype(np.float32)
    soundfile.write(root / "call.wav", np.concatenate([samples, noise, samples]), rate)
    soundfile.write(root / "nobody.wav", np.tile(noise, 4), rate)
    soundfile.write(root / "z.wav", samples[: rate * 2], rate)
    return root


def spans(lake: Path, uri: str) -> list[tuple]:
    table = run(
        Lake(lake),
        f"""SELECT start_s, end_s, segment_id, embedding FROM speech
            JOIN embeddings USING (segment_id) WHERE uri = '{uri}' ORDER BY 1""",
    )
    return [tuple(row.values()) for row in table.to_pylist()]


def test_only_speech_becomes_segments_and_silence_a_reason(archive, tmp_path):
    settings = TagSettings(source=str(archive), lake=str(tmp_path / "lake"), segments="vad:10")
    report = tag(settings)
    assert (report.tagged, report.failures) == (3, {"no_speech": 1})
    assert report.segments_policy.startswith("vad:10@silero")
    lake = tmp_path / "lake"
    assert report.segments == sum(len(spans(lake, uri)) for uri in ("a.wav", "call.wav", "z.wav"))
    found = spans(lake, "call.wav")
    assert len(found) >= 2
    held = run(Lake(lake), "SELECT * FROM recordings WHERE uri = 'call.wav'").to_pylist()[0]
    info = soundfile.info(archive / "call.wav")
    assert held["duration_s"] == info.frames / info.samplerate  # of the recording, not its speech
    heard_s = sum(end - start for start, end, *_ in found)
    assert heard_s < held["duration_s"] - 4  # six seconds of noise, half a second at each end
    assert [finding for finding in verify(Lake(lake)) if finding.count] == []
    assert tag(settings).unchanged == 4


def test_the_same_segments_alone_and_among_others(archive, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(archive / "call.wav", alone)
    found = []
    for source, lake in ((archive, "many"), (alone, "one")):
        tag(TagSettings(source=str(source), lake=str(tmp_path / lake), segments="vad"))
        found.append(spans(tmp_path / lake, "call.wav"))
    assert [row[:3] for row in found[0]] == [row[:3] for row in found[1]]


def test_each_line_of_a_call_has_segments_of_its_own(archive, tmp_path):
    samples, rate = soundfile.read(archive / "call.wav", dtype="float32")
    silent = np.zeros_like(samples)
    other = np.concatenate([silent[: 2 * rate], samples])[: len(samples)]
    call = tmp_path / "call"
    call.mkdir()
    soundfile.write(call / "two.wav", np.stack([samples, other, silent], axis=1), rate)
    lake = tmp_path / "lake"
    tag(TagSettings(source=str(call), lake=str(lake), segments="vad", channels="split"))
    rows = run(Lake(lake), "SELECT channel, start_s FROM speech ORDER BY ALL").to_pylist()
    starts = {c: [row["start_s"] for row in rows if row["channel"] == c] for c in (0, 1, 2)}
    assert starts[0] != starts[1]
    assert starts[0] and starts[1] and not starts[2]
