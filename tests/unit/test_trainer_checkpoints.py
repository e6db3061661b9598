"""Checkpoints of training: only whole ones count, and damage is named."""

import shutil
from pathlib import Path

import pytest
import torch

from clsp.errors import CheckpointMismatch
from clsp.training import checkpoints


def save(folder: Path, step: int, keep: int = 2) -> Path:
    tensors = {checkpoints.MODEL: {"w": torch.full((3,), float(step))}}
    return checkpoints.save(folder, step, tensors, {"place": [0, step]}, keep)


def test_only_whole_checkpoints_count_and_the_last_few_stay(tmp_path):
    assert checkpoints.latest(tmp_path / "none") is None
    for step in (10, 20, 30):
        save(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000020", "step-00000030"]
    found = checkpoints.latest(tmp_path)
    assert (found.step, found.state["place"]) == (30, [0, 30])
    weights_file = found.folder / checkpoints.MODEL
    weights_file.write_bytes(weights_file.read_bytes()[:-4])  # cut off by a full disk
    assert checkpoints.latest(tmp_path).step == 20
    shutil.copytree(tmp_path / "step-00000020", tmp_path / "step-00000040")  # says it is 20
    (tmp_path / "step-00000050").mkdir()
    assert checkpoints.latest(tmp_path).step == 20


def test_a_checkpoint_cut_off_while_written_is_not_there(tmp_path, monkeypatch):
    import safetensors.torch

    save(tmp_path, 10)

    def full(named: dict, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(safetensors.torch, "save_file", full)
        with pytest.raises(OSError, match="No space left"):
            save(tmp_path, 20)
    assert checkpoints.latest(tmp_path).step == 10
    save(tmp_path, 30)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010", "step-00000030"]


def test_damaged_tensors_are_named(tmp_path):
    place = save(tmp_path, 10)
    size = (place / checkpoints.MODEL).stat().st_size
    (place / checkpoints.MODEL).write_bytes(b"\xff" * size)
    with pytest.raises(CheckpointMismatch, match=r"step-00000010.*remove that folder"):
        checkpoints.latest(tmp_path).tensors(checkpoints.MODEL)
