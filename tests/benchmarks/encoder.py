"""The speech encoder of the published size, with random weights, on one thread.

    python -m tests.benchmarks.encoder [--authors FOLDER] [--clips N]

CPU seconds against the authors' code (authors.py says how to get it), or, without it, against our
own modules as PyTorch computes them, which take as long as theirs: the answers of all are compared.
First batches of one length, then lengths as in real speech: theirs in batches of 8 as they come,
ours as a worker batches them.
"""

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clsp.checkpoint import PRECISIONS
from clsp.config import CLSPConfig
from clsp.features import pad_features
from clsp.frontend import FrontEnd
from clsp.packed import speed_up
from clsp.zipformer import Zipformer
from pipelines.feed import BATCH_S, batches
from pipelines.worker import WINDOW_S
from tests.benchmarks.authors import Encoder, authors, ours

AUTHORS = Path(os.environ["CLSP_AUTHORS"]) if "CLSP_AUTHORS" in os.environ else None
FRAMES_PER_S = 100
SHAPES = {1: 5, 8: 1}  # clips of 5 s in a batch: how often it is measured
MANY = 20_000  # clips, to count the padding of


class XLarge(nn.Module):
    """The speech part of the published model: 597 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        config = CLSPConfig()
        self.encoder_embed, self.encoder = FrontEnd(config), Zipformer(config)


def speech_lengths(n: int, seed: int = 0) -> list[int]:
    """Frames of 10 ms of clips as long as utterances are: lognormal about 5 s, 1 to 20 s."""
    drawn = np.random.default_rng(seed).lognormal(np.log(5.0), 0.6, n).clip(1.0, 20.0)
    return [int(seconds * FRAMES_PER_S) for seconds in drawn]


def cpu_s(work: Callable[..., object], *given: Any) -> float:
    began = time.process_time()
    work(*given)
    return time.process_time() - began


def pooled(encode: Encoder, features: Tensor, lengths: Tensor) -> Tensor:
    """(n, dim): what the heads are given."""
    frames, lengths = encode(features, lengths)
    valid = torch.arange(frames.shape[1]) < lengths[:, None]
    return (frames.float() * valid[..., None]).sum(dim=1) / lengths[:, None]


def sorted_batches(lengths: list[int]) -> list[list[int]]:
    """Indices of clips, as a worker batches them within each window."""
    made, at = [], 0
    while at < len(lengths):
        end, held = at, 0
        while end < len(lengths) and held < WINDOW_S * FRAMES_PER_S:
            held, end = held + lengths[end], end + 1
        order = sorted(range(at, end), key=lambda i: -lengths[i])
        budget = BATCH_S["cpu"] * FRAMES_PER_S
        made += [
            [order[i] for i in batch] for batch in batches([lengths[i] for i in order], budget)
        ]
        at = end
    return made


def padding(lengths: list[int], groups: list[list[int]]) -> float:
    """The share of a batch's frames that are padding, 0 to 1."""
    padded = sum(len(group) * max(lengths[i] for i in group) for group in groups)
    return 1 - sum(lengths) / padded


def run(encode: Encoder, clips: list[Tensor], groups: list[list[int]]) -> None:
    """Clips of features (frames, 128), in these batches."""
    for group in groups:
        encode(*pad_features([clips[i] for i in group]))


def in_eights(n: int) -> list[list[int]]:
    return [list(range(i, min(i + 8, n))) for i in range(0, n, 8)]


@torch.inference_mode()
def measured(folder: Path | None = None, clips: int = 24) -> list[dict[str, object]]:
    """Ratios of CPU time, and cosines to the other's answers, by precision; shares of padding. All
    are there at once (12 GB) and take turns: what a shared machine gives differs by the minute."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = XLarge().eval().requires_grad_(False)
    other = authors(folder, CLSPConfig(), model.state_dict()) if folder else ours(model)
    whose = "the authors'" if folder else "the plain modules"
    encoders = {"theirs": other} | {each: _packed(model, each) for each in PRECISIONS}
    rows: dict[str, dict[str, object]] = {
        each: {"name": f"XLarge in {each}, against {whose}"} for each in PRECISIONS
    }

    for n, repeats in SHAPES.items():
        given = of_one_length(n, 5 * FRAMES_PER_S)
        answers = {name: pooled(encode, *given) for name, encode in encoders.items()}
        turns = [
            {name: cpu_s(encode, *given) for name, encode in encoders.items()}
            for _ in range(repeats)
        ]
        for each, row in rows.items():
            answer, wanted = answers[each], answers["theirs"]
            ratios = sorted(turn["theirs"] / turn[each] for turn in turns)
            row[f"{n} x 5 s"] = [
                round(ratio, 2) for ratio in (statistics.median(ratios), ratios[0], ratios[-1])
            ]
            row[f"{n} x 5 s, least cosine"] = round(
                float(F.cosine_similarity(answer, wanted).min()), 6
            )
            row[f"{n} x 5 s, largest error"] = float((answer - wanted).abs().max())

    lengths = speech_lengths(clips)
    spoken = [_features(length) for length in lengths]
    theirs_s = cpu_s(run, other, spoken, in_eights(clips))
    for each, row in rows.items():
        taken_s = cpu_s(run, encoders[each], spoken, sorted_batches(lengths))
        row |= {"mixed": round(theirs_s / taken_s, 2), "clips per s": round(clips / taken_s, 2)}

    many = speech_lengths(MANY, seed=1)
    shares = [round(padding(many, each), 4) for each in (sorted_batches(many), in_eights(MANY))]
    found: list[dict[str, object]] = [
        {"name": "padding of speech-like lengths", "ours": shares[0], "as they come": shares[1]},
        *rows.values(),
    ]
    for row in found:
        tell(row)
    return found


def _packed(model: XLarge, precision: str) -> Encoder:
    faster = copy.deepcopy(model)
    speed_up(faster.encoder_embed, faster.encoder, precision)
    return ours(faster)


def tell(row: dict[str, object]) -> None:
    """Print what was measured, as one line."""
    print(", ".join(f"{key}: {value}" for key, value in row.items()), flush=True)


def of_one_length(n: int, frames: int) -> tuple[Tensor, Tensor]:
    return pad_features([_features(frames) for _ in range(n)])


def _features(frames: int) -> Tensor:
    """Noise of about the level and the spread of log-mel features."""
    return torch.randn(frames, 128) * 3 - 8


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--authors", type=Path, default=AUTHORS)
    parser.add_argument("--clips", type=int, default=24)
    given = parser.parse_args()
    measured(given.authors, given.clips)
