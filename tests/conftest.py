"""Shared ground for the tests: no network, no state outside temporary folders, real engines."""

import atexit
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Before anything imports them: these libraries read their environment once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="clsp-prefect-")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small models: threads would only spin
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the same numbers wherever the tests run
os.environ["TRITON_INTERPRET"] = "1"  # so kernels run here; PyTorch imports Triton soon
# Ray reads them when it is first imported; processes that a test starts get the same.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)

import pytest
from hypothesis import HealthCheck, settings

from tests.places import REAL_AUDIO, SAMPLE_ARCHIVE

atexit.register(shutil.rmtree, os.environ["PREFECT_HOME"], ignore_errors=True)

# Timing never decides a test: a busy machine draws and runs slowly. Nor does chance: the same cases
# every time. `pytest -m hypothesis --hypothesis-profile search` looks for new ones.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same-cases", settings.get_profile("search"), derandomize=True)
settings.load_profile("same-cases")


@pytest.fixture(scope="session")
def sample_archive() -> Path:
    return SAMPLE_ARCHIVE


@pytest.fixture(scope="session")
def real_audio() -> Path:
    if not REAL_AUDIO.is_dir():
        pytest.skip("the real clips are not beside this checkout")
    return REAL_AUDIO


@pytest.fixture
def memory(request) -> Iterator[str]:
    """The URL of an empty remote store, cleared afterwards."""
    import fsspec

    root = f"/{request.node.name.replace('[', '-').replace(']', '')}"
    fs = fsspec.filesystem("memory")
    yield f"memory:/{root}"
    if fs.exists(root):
        fs.rm(root, recursive=True)


@pytest.fixture(scope="session")
def tiny():
    """The embedded default model."""
    import clsp

    return clsp.load("tiny")


@pytest.fixture(scope="session")
def sample_lake(tmp_path_factory) -> Path:
    """The sample archive tagged once, in this process. Read it; do not write to it."""
    from pipelines.settings import TagSettings
    from pipelines.tagging import tag

    lake = tmp_path_factory.mktemp("sample") / "lake"
    tag(TagSettings(source=str(SAMPLE_ARCHIVE), lake=str(lake), chunk_files=8))
    return lake
