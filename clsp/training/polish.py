"""Go on with a trained tiny model, all of it together: joint fine-tunes, and their mean.

    python -m clsp.training.polish --start MODEL --data DIR... --out OUT [--seeds 1 2] [--jobs 2]

Phase 4 of phases.py, on the clips that train.py had or on others (synthesise with another --seed).
Fine-tunes of one model may be averaged weight by weight, and the mean is often better than each of
them on speech unlike the training's (Wortsman et al. 2022, "Model soups", arXiv 2203.05482), as is
the mean with the model as it was (arXiv 2109.01903). The dev voices choose among these, each
fine-tune and the model as it was, which they have chosen before: in a tie, what has heard more
speech is kept. Of a fine-tune its end is taken, where the rate has come down to nothing. It does
not know the test voices.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from clsp.embedder import Embedder
from clsp.training import phases
from clsp.training.dataset import load
from clsp.training.evaluate import evaluate
from clsp.training.train import dev_score, encoder_of, save, unrelated_words

STEPS, BATCH = 1_600, 48
# What fell short of its bar in a first, shorter phase 4, or was just over it, counts more.
IMPORTANCE = {"gender": 3.0, "whisper": 2.5, "rate": 2.0, "age": 2.0}
MEAN, WITH_START, START = "mean", "mean with start", "start"
TIE = 0.002  # of dev scores; over five voices they are no surer than 0.005


def opened(folder: Path) -> tuple[Embedder, Tokenizer]:
    """A model in float32 with its tokenizer. Raises ModelNotFound, CheckpointMismatch."""
    model = Embedder.read(folder)
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


def mean(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several models' tensors, name by name; whole numbers are the first's."""
    return {
        name: torch.stack([state[name] for state in states]).mean(0)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }


def folder_of(out: Path, seed: int) -> Path:
    """Where a fine-tune is kept: OUT-SEED."""
    return out.with_name(f"{out.name}-{seed}")


def polish(
    start: Path, data: Sequence[Path], seed: int, steps: int, threads: int, out: Path
) -> None:
    """One fine-tune, written to `out`. Nothing is done where that is there."""
    if (out / "training.json").is_file():
        print(f"seed {seed}: taken from {out}", flush=True)
        return
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    began = time.monotonic()
    model, tokenizer = opened(start)
    phases.channels_last(model)
    splits = load(*data)
    clips, dev = splits["train"], splits["dev"]
    encode, words = encoder_of(tokenizer), unrelated_words()
    phases.align(model, clips, encode, words, steps, BATCH, seed, None, importance=IMPORTANCE)
    notes = {
        "seed": seed, "clips": len(clips), "steps": steps,
        "seconds": round(time.monotonic() - began), "dev": evaluate(model, dev),
    }  # fmt: skip
    save(model, tokenizer, notes, out)


def choose(start: Path, data: Sequence[Path], seeds: Sequence[int], out: Path) -> dict[str, float]:
    """Write the best on the dev voices, of the fine-tunes, their mean and the start, to `out`;
    returns the score of each."""
    dev = load(*data)["dev"]
    model, tokenizer = opened(start)
    folders = {str(seed): folder_of(out, seed) for seed in seeds}
    tuned = {name: opened(folder)[0].state_dict() for name, folder in folders.items()}
    ended, began = list(tuned.values()), opened(start)[0].state_dict()
    states = {WITH_START: mean([mean(ended), began]), MEAN: mean(ended), **tuned, START: began}
    measured: dict[str, dict[str, Any]] = {}
    for name, state in states.items():
        model.load_state_dict(state)
        measured[name] = evaluate(model, dev)
    scores = {name: round(dev_score(found), 4) for name, found in measured.items()}
    best = next(name for name in scores if scores[name] >= max(scores.values()) - TIE)
    model.load_state_dict(states[best])
    notes = {
        "start": json.loads((start / "training.json").read_text()),
        "polished": [json.loads((f / "training.json").read_text()) for f in folders.values()],
        "dev_score_by_seed": scores, "kept": best, "dev": measured[best],
    }  # fmt: skip
    save(model, tokenizer, notes, out)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--start", type=Path, required=True, help="a model that train.py wrote")
    parser.add_argument("--data", type=Path, required=True, nargs="+", help="sets of clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="seeds at once")
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    load(*given.data)  # features are worked out once, before the seeds part
    jobs = min(given.jobs, len(given.seeds))
    threads = max((os.cpu_count() or 1) // jobs, 1)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        runs = [
            pool.submit(
                polish,
                given.start,
                given.data,
                seed,
                given.steps,
                threads,
                folder_of(given.out, seed),
            )
            for seed in given.seeds
        ]
        for run in runs:
            run.result()
    print(f"{choose(given.start, given.data, given.seeds, given.out)} on the dev voices")


if __name__ == "__main__":
    main()
