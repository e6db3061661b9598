"""What PyTorch itself has to make the encoder faster on a CPU, in place of `clsp/packed.py`.

    python -m tests.benchmarks.others [--seconds 5]

The published size, random weights, one clip, one thread: CPU time of our modules as PyTorch runs
them over that of each way, the cosine of the answers, and the seconds that it takes to get ready.
`torch.compile` needs a C++ compiler. Not part of `make bench`: getting ready takes minutes.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clsp.checkpoint import PRECISIONS
from clsp.packed import speed_up
from tests.benchmarks.authors import Encoder, ours
from tests.benchmarks.encoder import FRAMES_PER_S, XLarge, cpu_s, of_one_length, pooled, tell

REPEATS = 3


def autocast(model: nn.Module) -> Encoder:
    encode = ours(model)

    def inner(*given: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return encode(*given)

    return inner


def quantized(model: nn.Module) -> Encoder:
    """PyTorch's dynamic quantisation of linear layers: one scale for a whole activation."""
    return ours(torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8))


def compiled(model: nn.Module) -> Encoder:
    return torch.compile(ours(model))


def packed(precision: str) -> Callable[[nn.Module], Encoder]:
    def make(model: nn.Module) -> Encoder:
        speed_up(model.encoder_embed, model.encoder, precision)
        return ours(model)

    return make


WAYS: dict[str, Callable[[nn.Module], Encoder]] = {
    "as PyTorch computes it": ours,
    "autocast to bfloat16": autocast,
    "quantize_dynamic to int8": quantized,
    **{f"packed.py, {precision}": packed(precision) for precision in PRECISIONS},
    "torch.compile": compiled,
}


@torch.inference_mode()
def measured(seconds: float = 5.0) -> list[dict[str, object]]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = XLarge().eval().requires_grad_(False)
    given = of_one_length(1, int(seconds * FRAMES_PER_S))
    found: list[dict[str, object]] = []
    plain_s, wanted = 0.0, torch.empty(0)
    for name, make in WAYS.items():
        began = time.monotonic()
        encode = make(copy.deepcopy(model))
        answer = pooled(encode, *given)
        ready_s = time.monotonic() - began
        taken_s = statistics.median(cpu_s(encode, *given) for _ in range(REPEATS))
        if not found:
            plain_s, wanted = taken_s, answer
        row: dict[str, object] = {
            "name": name,
            "times as fast": round(plain_s / taken_s, 2),
            "cosine": round(float(F.cosine_similarity(answer, wanted).min()), 6),
            "ready after s": round(ready_s, 1),
        }
        tell(row)
        found.append(row)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    measured(parser.parse_args().seconds)
