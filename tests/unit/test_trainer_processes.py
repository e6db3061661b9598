"""Training in several processes: two learn what one does from the same batches."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clsp.training import checkpoints, parallel
from clsp.training.options import TrainOptions
from tests.unit.small_trainer import FEW, trainer, weights


def together(folder: Path, rank: int, options: TrainOptions) -> None:
    """One of two processes that train the same model as `trainer(...)` alone would."""
    with parallel.group(rank, 2, folder / "meeting"):
        assert parallel.world() == 2
        trainer(folder / "two", options).run()


def test_two_processes_learn_what_one_does_from_the_same_batches(tmp_path):
    options = replace(FEW, stage=2, batch_clips=6, steps=3, save_every=3)
    other = torch.multiprocessing.get_context("spawn").Process(
        target=together, args=(tmp_path, 1, options), daemon=True
    )
    other.start()
    alone = trainer(tmp_path / "one", options)
    before = weights(alone)
    alone.run()
    together(tmp_path, 0, options)
    other.join(60)
    assert other.exitcode == 0

    def kept(run: str, name: str) -> dict[str, torch.Tensor]:
        return load_file(checkpoints.latest(tmp_path / run / "checkpoints").folder / name)

    moments = kept("one", checkpoints.OPTIMISER)  # sums of gradients: linear in them
    for name, value in kept("two", checkpoints.OPTIMISER).items():
        torch.testing.assert_close(value, moments[name], atol=1e-6, rtol=1e-3)
    learnt = kept("one", checkpoints.MODEL)
    assert max(float((learnt[name] - before[name]).abs().max()) for name in learnt) > 1e-3
    for name, value in kept("two", checkpoints.MODEL).items():
        # Adam divides by what may be rounding: a few of the smallest gradients move further.
        torch.testing.assert_close(value, learnt[name], atol=2e-4, rtol=1e-3)
    logs = [
        [json.loads(line) for line in (tmp_path / run / "log.jsonl").read_text().splitlines()]
        for run in ("one", "two")
    ]
    for one, both in zip(*logs, strict=True):
        assert both == pytest.approx(one, abs=1e-4, rel=1e-3)
