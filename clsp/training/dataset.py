"""The training set in memory: log-mel features, what is known of each clip, batches of crops.

It knows the manifest and features; nothing of models, nor of wording beyond the columns of
captions.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clsp.errors import InputError
from clsp.features import fbank
from clsp.training import captions
from clsp.training.measures import in_steps
from clsp.training.synthesise import read_audio, read_manifest

DB = float(np.log(10) / 10)  # features are natural logs of power
MIN_CROP = 120  # frames of 10 ms
SPLITS = ("train", "dev", "test")


@dataclass
class Clips:
    """One split. `frames` is all features end to end, (sum of lengths, 128), float16, of each data
    set; `places` says which of them a clip is in, and `starts` where."""

    rows: list[dict]
    frames: list[np.ndarray]
    places: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    known: np.ndarray  # (clips, columns) of captions.states
    measured: np.ndarray  # (clips, measures) of measures.in_steps, float32

    def __len__(self) -> int:
        return len(self.rows)

    def every(self, step: int, first: int = 0) -> "Clips":
        """One clip of every `step`, from the `first` on."""
        own = slice(first, None, step)
        return Clips(
            self.rows[own],
            self.frames,
            *(
                values[own]
                for values in (self.places, self.starts, self.lengths, self.known, self.measured)
            ),
        )

    def crop(self, clip: int, size: int, rng: np.random.Generator | None) -> np.ndarray:
        """Features of a clip, at most `size` frames: from anywhere, or the first without `rng`."""
        length = int(self.lengths[clip])
        first = int(self.starts[clip])
        if length > size and rng is not None:
            first += int(rng.integers(length - size + 1))
        frames = self.frames[self.places[clip]]
        return frames[first : first + min(length, size)]

    def batch(
        self, clips: np.ndarray, size: int, rng: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Padded features (n, frames, 128) and lengths (n,); with `rng`, cropped and recoloured."""
        parts = []
        for clip in clips:
            part = self.crop(int(clip), size, rng).astype(np.float32)
            parts.append(part if rng is None else part + colour_shift(rng))
        lengths = torch.tensor([len(part) for part in parts])
        padded = torch.zeros(len(parts), int(lengths.max()), parts[0].shape[1])
        for place, part in enumerate(parts):
            padded[place, : len(part)] = torch.from_numpy(part)
        return padded, lengths

    def batches(self, size: int, frames: int = 600) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
        """All clips whole, in batches of like lengths: (clip numbers, features, lengths)."""
        order = np.argsort(self.lengths, kind="stable")
        for start in range(0, len(order), size):
            clips = order[start : start + size]
            yield clips, *self.batch(clips, frames)


def colour_shift(rng: np.random.Generator) -> np.ndarray:
    """A slight random microphone: +-1 dB of level and a smooth curve over the mel bins."""
    knots = rng.normal(0, 1.5, 6)
    curve = np.interp(np.linspace(0, 5, 128), np.arange(6), knots - knots.mean())
    return (DB * (curve + rng.uniform(-1, 1))).astype(np.float32)


def load(*folders: Path) -> dict[str, Clips]:
    """All splits of one data set, or of several as if they were one. Features are worked out once
    and kept in `features.npy` of each; they are mapped, so that processes share the memory."""
    sets = [_load(number, folder) for number, folder in enumerate(folders)]
    return {split: _joined([one[split] for one in sets]) for split in SPLITS}


def _joined(parts: list[Clips]) -> Clips:
    return Clips(
        [row for part in parts for row in part.rows],
        [frames for part in parts for frames in part.frames],
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("places", "starts", "lengths", "known", "measured")
        ),
    )


def _features(data: Path, clips: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of a data set's clips end to end, and the frames of each: from `features.npy` and
    `lengths.npy`, made anew where they are older than its audio, or of other clips."""
    frames, lengths = data / "features.npy", data / "lengths.npy"
    newest = max(path.stat().st_mtime_ns for path in data.glob("shard-*.npz"))
    whole = frames.is_file() and lengths.is_file() and len(np.load(lengths)) == clips
    if not whole or lengths.stat().st_mtime_ns <= newest:
        heard = (fbank(torch.from_numpy(clip)).numpy() for clip in read_audio(data))
        parts = [clip.astype(np.float16) for clip in heard]
        partial = data / "partial-features.npy"
        np.save(partial, np.concatenate(parts))
        partial.replace(frames)
        np.save(partial, np.array([len(part) for part in parts]))
        partial.replace(lengths)  # last: with it, both are whole
    return np.load(frames, mmap_mode="r"), np.load(lengths)


def _load(number: int, data: Path) -> dict[str, Clips]:
    """The splits of one data set; `number` is its place among those that are joined."""
    rows = read_manifest(data)
    if not rows:
        raise InputError(
            f"no clips in {data}: make them with `python -m clsp.training.synthesise --out {data}`"
        )
    frames, lengths = _features(data, len(rows))
    starts = np.cumsum(lengths) - lengths
    known = np.stack([captions.states(row["attributes"]) for row in rows])
    measured = np.array([in_steps(row.get("measured", {})) for row in rows], np.float32)
    splits = {}
    for split in SPLITS:
        own = np.array([place for place, row in enumerate(rows) if row["split"] == split], int)
        splits[split] = Clips(
            [rows[place] for place in own],
            [frames],
            np.full(len(own), number),
            starts[own],
            lengths[own],
            known[own],
            measured[own],
        )
    return splits
