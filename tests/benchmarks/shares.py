"""Where the forward pass of the published size spends its time, before and after `packed.py`.

    python -m tests.benchmarks.shares [--seconds 5]

PyTorch's profiler on one thread, random weights, one clip: seconds of each kind of work in our
modules as PyTorch computes them and in each precision. Run each alone: the profiler's own cost is
in all of them. Where there is a C compiler, the linear layers' products are held against what the
core does at most (`peak.py`).
"""

import argparse
import copy

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from clsp.checkpoint import PRECISIONS
from clsp.packed import speed_up
from tests.benchmarks.authors import Encoder, ours
from tests.benchmarks.encoder import FRAMES_PER_S, XLarge, of_one_length, tell
from tests.benchmarks.peak import peaks

# The first kind whose word is in an operator's name has it; what none names is the last's.
LINEAR = "linear layers"
KINDS = {
    "convolutions": ("conv",),
    LINEAR: ("addmm", "aten::mm", "linear"),
    "attention's products": ("bmm",),
    "softmax": ("softmax",),
    "copies": ("copy_", "contiguous", "clone", "cat", "_to_copy", "gather", "repeat"),
    "swoosh": ("softplus",),
    "the rest, number by number": ("",),
}


def kind_of(operator: str) -> str:
    return next(kind for kind, words in KINDS.items() if any(word in operator for word in words))


@torch.inference_mode()
def profiled(encode: Encoder, seconds: float) -> dict[str, float]:
    """Seconds of each kind of work of one clip, the second time it is computed."""
    features, lengths = of_one_length(1, int(seconds * FRAMES_PER_S))
    encode(features, lengths)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        encode(features, lengths)
    taken = dict.fromkeys(KINDS, 0.0)
    for event in seen.key_averages():
        taken[kind_of(event.key)] += event.self_cpu_time_total / 1e6
    return taken


@torch.inference_mode()
def products(encode: Encoder, seconds: float) -> float:
    """Multiplications and additions in the linear layers of one clip, in thousands of millions.
    (`packed.py` computes the front end's pointwise convolutions like them: a hundredth more.)"""
    with FlopCounterMode(display=False) as counter:
        encode(*of_one_length(1, int(seconds * FRAMES_PER_S)))
    counts = counter.get_flop_counts()["Global"]
    return sum(counts.get(op, 0) for op in (torch.ops.aten.addmm, torch.ops.aten.mm)) / 1e9


def measured(seconds: float = 5.0) -> list[dict[str, object]]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = XLarge().eval().requires_grad_(False)
    done, most = products(ours(model), seconds), peaks()
    found: list[dict[str, object]] = []
    for name in ("as PyTorch computes it", *PRECISIONS):
        part = model
        if name in PRECISIONS:
            part = copy.deepcopy(model)
            speed_up(part.encoder_embed, part.encoder, name)
        taken = profiled(ours(part), seconds)
        row: dict[str, object] = {"name": name, "s": round(sum(taken.values()), 3)}
        row |= {kind: round(spent, 3) for kind, spent in taken.items()}
        row["linear layers, G/s"] = round(done / taken[LINEAR])
        row["of at most, G/s"] = most.get(name if name in PRECISIONS else "float32")
        tell(row)
        found.append(row)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    measured(parser.parse_args().seconds)
