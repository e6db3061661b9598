"""The model that training starts from, and the folder that it ends in.

Knows model names, files and versions; nothing of data or losses.
"""

import json
import platform
import shutil
import tempfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clsp.architecture import Architecture
from clsp.checkpoint import ASSETS, load
from clsp.embedder import Embedder
from clsp.training.checkpoints import flush

FROM_SCRATCH = ("tiny-config", "xlarge-config")
RECORD = "training.json"
PARTIAL = ".export-"


def start(init: str, seed: int = 0) -> Embedder:
    """A model by any name that `clsp.load` takes, or one with random weights: `tiny-config` (with
    the embedded model's tokenizer) or `xlarge-config`. No code from a hub is run.

    Raises ModelNotFound or CheckpointMismatch.
    """
    if init not in FROM_SCRATCH:
        return load(init)
    torch.manual_seed(seed)
    if init == "xlarge-config":
        return Embedder(Architecture.xlarge())
    return Embedder(Architecture.read(ASSETS / "tiny"))


def standardise(model: Embedder, features: Iterable[Tensor]) -> None:
    """For random weights: the first convolution takes features (frames, 128) as if their mean were
    0 and their deviation 1. Without, everything is alike from the first step on."""
    seen = torch.cat(list(features))
    first = model.model.encoder_embed.conv["0"]
    with torch.no_grad():
        first.weight /= seen.std()
        first.bias -= first.weight.sum(dim=(1, 2, 3)) * seen.mean()


def revision(model: Embedder, init: str) -> str:
    """What the weights were at the start."""
    checkpoint = getattr(model, "checkpoint", None)
    return f"{checkpoint.name}@{checkpoint.revision}" if checkpoint else f"{init}@random"


def export(model: Embedder, out: Path, notes: dict[str, Any]) -> None:
    """Write a folder that `clsp.load` takes, weights in float32, and the record of its training.
    Each file is put in place whole, the weights before the record; other files in `out` stay."""
    out.mkdir(parents=True, exist_ok=True)
    _ = model.tokenizer  # so that it is saved, wherever it came from
    for left in out.glob(f"{PARTIAL}*"):  # of a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=PARTIAL) as name:
        folder = Path(name)
        model.save_pretrained(folder)
        for path in sorted(folder.iterdir()):
            path.chmod(0o644)
            flush(path)
            path.replace(out / path.name)
    record(out, notes)


def record(out: Path, notes: dict[str, Any]) -> None:
    """`training.json`: where the model in this folder comes from."""
    partial = out / f".{RECORD}.partial"
    partial.write_text(json.dumps(notes, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(out / RECORD)


def recorded_best(out: Path) -> dict[str, Any] | None:
    """What `training.json` in this folder says of the weights there; None where it says nothing."""
    try:
        best = json.loads((out / RECORD).read_text(encoding="utf-8"))["best"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return best if isinstance(best, dict) else None


def versions() -> dict[str, str]:
    """Of what has a say in the numbers."""
    found = {"python": platform.python_version()}
    for package in ("clsp-pipelines", "torch", "torchaudio", "transformers", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a checkout that is not installed
            found[package] = "not installed"
    return found
