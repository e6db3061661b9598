"""Checkpoints that are whole or not there: `step-00001000/` of safetensors and JSON, no pickles.

A checkpoint is written beside its place and renamed into it. Knows folders, tensors and a state
that is JSON; nothing of models or training.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from clsp.errors import CheckpointMismatch

MODEL, OPTIMISER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
_NAME = re.compile(r"step-(\d{8,})")
_PARTIAL = ".partial-"


@dataclass(frozen=True)
class Saved:
    """A whole checkpoint on disk."""

    step: int
    folder: Path
    state: dict[str, Any]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of MODEL or OPTIMISER. Raises CheckpointMismatch where they are damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(self.folder / name))
        except (SafetensorError, OSError) as error:
            raise CheckpointMismatch(
                f"{self.folder / name} cannot be read ({error}): remove that folder, and training "
                "goes on from the checkpoint before it"
            ) from error


def save(
    folder: Path, step: int, tensors: dict[str, dict[str, Tensor]], state: dict[str, Any], keep: int
) -> Path:
    """Write `folder/step-...`; then only the last `keep` stay. tensors: by file, MODEL and
    OPTIMISER; state: anything that JSON holds."""
    from safetensors.torch import save_file

    def write(partial: Path) -> None:
        sizes = {}
        for name, named in tensors.items():
            plain = {key: value.detach().cpu().contiguous() for key, value in named.items()}
            save_file(plain, partial / name)
            flush(partial / name)
            sizes[name] = (partial / name).stat().st_size
        text = json.dumps({**state, "step": step, "files": sizes}, indent=1)
        (partial / STATE).write_text(text + "\n")
        flush(partial / STATE)

    place = folder / f"step-{step:08d}"
    put(place, write)
    for old in sorted(_whole(folder), key=lambda saved: saved.step)[:-keep]:
        shutil.rmtree(old.folder)
    return place


def put(place: Path, write: Callable[[Path], None]) -> None:
    """A folder that is there whole or not at all; one that was there before is replaced."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for left in place.parent.glob(f"{_PARTIAL}*"):  # of a run that was killed
        shutil.rmtree(left)
    partial = place.parent / f"{_PARTIAL}{place.name}"
    partial.mkdir()
    write(partial)
    if place.exists():
        shutil.rmtree(place)
    partial.rename(place)
    flush(place.parent)


def latest(folder: Path) -> Saved | None:
    """The newest whole checkpoint, found by looking; half-written and cut ones do not count."""
    return max(_whole(folder), key=lambda saved: saved.step, default=None)


def flush(path: Path) -> None:
    """To the disk, so that a rename never comes before what it renames."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _whole(folder: Path) -> list[Saved]:
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = _NAME.fullmatch(path.name)
        try:
            if match is None:
                continue
            state = json.loads((path / STATE).read_text(encoding="utf-8"))
            sizes = state["files"]
            if state["step"] == int(match[1]) and all(
                (path / name).stat().st_size == size for name, size in sizes.items()
            ):
                found.append(Saved(int(match[1]), path, state))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return found
