"""What the phases of the embedded model's training share: updates, what is drawn, a log.

Of several processes (parallel.py), all make the same updates. Knows nothing of data or losses.
"""

import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from clsp.training import parallel

LOG_EVERY = 100


def optimiser(
    groups: list[tuple[Iterable[nn.Parameter], float]], steps: int
) -> Callable[[Tensor], None]:
    """AdamW over (parameters, rate) groups with a short warm-up, then a cosine to zero. Of several
    processes, all begin with the first one's values and take the mean of their gradients."""
    adamw = torch.optim.AdamW(
        [{"params": list(parameters), "lr": rate} for parameters, rate in groups],
        weight_decay=0.01, betas=(0.9, 0.98),
    )  # fmt: skip
    parallel.begin_alike(p for group in adamw.param_groups for p in group["params"])
    warm = max(steps // 20, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        adamw,
        lambda step: min((step + 1) / warm, 0.5 * (1 + np.cos(np.pi * min(step / steps, 1)))),
    )

    def step(loss: Tensor) -> None:
        adamw.zero_grad()
        loss.backward()
        parallel.mean_gradients(p for group in adamw.param_groups for p in group["params"])
        for group in adamw.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        adamw.step()
        schedule.step()

    return step


def draws(seed: int, phase: int) -> np.random.Generator:
    """What a phase draws from; of several processes, each draws its own."""
    return np.random.default_rng([seed, phase, parallel.rank()])


class Log:
    """Prints the mean loss now and then; of several processes, the first does."""

    def __init__(self, phase: str) -> None:
        self.phase, self.losses, self.start = phase, list[float](), time.monotonic()

    def __call__(self, step: int, loss: Tensor) -> None:
        self.losses.append(loss.item())
        if (step + 1) % LOG_EVERY == 0 and parallel.rank() == 0:
            mean = np.mean(self.losses[-LOG_EVERY:])
            print(f"{self.phase} step {step + 1} loss {mean:.4f} "
                  f"{time.monotonic() - self.start:.0f} s", flush=True)  # fmt: skip
