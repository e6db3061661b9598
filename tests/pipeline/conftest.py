"""Fixtures of the tests of reprocessing; a module that defines one of that name uses its own."""

import shutil
from pathlib import Path

import pytest

from clsp.checkpoint import ASSETS
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from tests.faults.runs import tone
from tests.pipeline.reprocessing import MOOD


@pytest.fixture
def archive(tmp_path) -> Path:
    for number in range(4):
        tone(tmp_path / f"archive/{number}.wav", 150 + 20 * number)
    shutil.copy(tmp_path / "archive/0.wav", tmp_path / "archive/copy.wav")
    (tmp_path / "archive/broken.wav").write_text("no audio")
    return tmp_path / "archive"


@pytest.fixture
def lake(archive, tmp_path) -> Path:
    tag(TagSettings(str(archive), str(tmp_path / "lake"), chunk_files=2))
    return tmp_path / "lake"


@pytest.fixture
def mood(tmp_path) -> str:
    (tmp_path / "mood.yaml").write_text(MOOD)
    return str(tmp_path / "mood.yaml")


@pytest.fixture
def other(tmp_path) -> str:
    """The same weights under another name: another model, as far as a lake knows."""
    shutil.copytree(ASSETS / "tiny", tmp_path / "other")
    return str(tmp_path / "other")
