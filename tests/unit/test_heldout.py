"""The held-out synthetic test as files: whole or absent, the same each time, read as a table."""

import json
from pathlib import Path

import pytest
import soundfile

from clsp.errors import InputError
from clsp.training import heldout, synthesise
from clsp.training.voices import VOICES
from tests.unit.speech_engine import ENGINE

pytest.importorskip("pyworld", reason="pip install clsp-pipelines[train]", exc_type=ImportError)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two spoken sentences a shard, by the voices of one engine."""
    espeak = tuple(v for v in VOICES if v.engine == "espeak-ng" and v.split == "test")
    monkeypatch.setattr(synthesise, "VOICES", espeak)
    monkeypatch.setattr(synthesise, "BASES_PER_SHARD", 2)


@ENGINE
def test_it_is_made_once_and_reads_as_a_table(tmp_path: Path, small: None) -> None:
    folder = heldout.ensure(tmp_path / "a", clips=5, jobs=1)
    manifest = folder / heldout.MANIFEST
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert len(rows) == 5
    assert {row["split"] for row in rows} == {"test"}
    for row in rows:
        waveform, sample_rate = soundfile.read(tmp_path / "a" / row["file"])
        assert sample_rate == 16_000
        assert len(waveform) > 8_000
        assert row["finegrained_caption"]
        assert None not in row.values()

    from pipelines.datasets import read

    items = read("table", str(manifest)).items
    assert {item.labels["level"] for item in items} <= {"quiet", "normal", "loud"}
    assert all(item.speaker and item.captions["fine"] for item in items)

    before = manifest.stat().st_mtime_ns
    assert heldout.ensure(tmp_path / "a", clips=5, jobs=1) == folder
    assert manifest.stat().st_mtime_ns == before
    again = heldout.ensure(tmp_path / "b", clips=5, jobs=1) / heldout.MANIFEST
    assert again.read_text() == manifest.read_text()
    name = rows[0]["file"]
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@ENGINE
def test_a_run_cut_off_leaves_no_manifest(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(soundfile, "write", full)
        with pytest.raises(OSError, match="No space"):
            heldout.ensure(tmp_path, clips=2, jobs=1)
    assert not (tmp_path / heldout.MANIFEST).exists()
    assert (heldout.ensure(tmp_path, clips=2, jobs=1) / heldout.MANIFEST).is_file()


def test_without_engines_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"apt-get install"):
        heldout.ensure(tmp_path, clips=1, jobs=1)
