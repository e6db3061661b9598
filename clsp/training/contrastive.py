"""The paper's two objectives, and which captions a step of each compares (arXiv 2601.03065).

Stage 1: symmetric InfoNCE on (clip, fine-grained caption). Stage 2: every clip has two texts.
Knows tensors and captions as strings; nothing of models, files or processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

MAX_SCALE = 100.0  # the learnt temperature stays between 1 and 1 / 100, as the authors keep it
GLOBAL, FINE = "global+fine", "fine+fine"


def info_nce(audio: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """Stage 1. audio, text: (n, dim), L2-normalised, row i belongs to row i."""
    logits = scale * audio @ text.T
    target = torch.arange(len(audio), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def multi_positive(audio: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Stage 2. audio: (n, dim); texts: (n, 2, dim), both texts of clip i are true of it.

    A clip's target is one half on each of its texts; a text's target is its clip.
    """
    n = len(audio)
    logits = scale * audio @ texts.flatten(0, 1).T  # columns: both texts of clip 0, of clip 1 ...
    own = torch.eye(n, device=logits.device, dtype=logits.dtype).repeat_interleave(2, dim=1)
    clip = torch.arange(n, device=logits.device).repeat_interleave(2)
    return (F.cross_entropy(logits, own / 2) + F.cross_entropy(logits.T, clip)) / 2


def loss_of(audio: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """audio (n, dim) against texts (n, 1, dim) or (n, 2, dim): the stage tells by their number."""
    if texts.shape[1] == 1:
        return info_nce(audio, texts[:, 0], scale)
    return multi_positive(audio, texts, scale)


def chance(clips: int, texts_each: int) -> float:
    """The loss of a model to which everything is alike: what a collapsed one is stuck at."""
    return float(np.log(clips) + np.log(texts_each) / 2)


def mean_cosine(embeddings: Tensor) -> float:
    """Of all pairs of different rows of (n, dim), L2-normalised. 1.0: everything is alike."""
    n = len(embeddings)
    total = embeddings.sum(dim=0).square().sum() - embeddings.square().sum()
    return float(total / (n * (n - 1)))


@dataclass(frozen=True)
class TaskSchedule:
    """Stage 2 draws one of two tasks per step: global + fine with a probability that falls
    linearly from `start` to `end` over `steps`, then stays; else two different fine captions."""

    start: float = 0.95
    end: float = 0.50
    steps: int = 10_000

    def probability(self, step: int) -> float:
        """Of global + fine, at a step counted from 0."""
        done = min(step / self.steps, 1.0) if self.steps else 1.0
        return self.start + (self.end - self.start) * done

    def draw(self, step: int, rng: np.random.Generator) -> str:
        return GLOBAL if rng.random() < self.probability(step) else FINE


def one_text(fine: Sequence[str], glob: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Stage 1's text of a clip: a fine caption; a global one where there is no fine."""
    return (_draw(fine or glob, rng),)


def two_texts(
    fine: Sequence[str], glob: Sequence[str], task: str, rng: np.random.Generator
) -> tuple[str, ...]:
    """Stage 2's texts of a clip, always two different ones.

    A clip that lacks what the task asks for gives what it has: two fine without a global caption,
    global + fine with a single fine one, two global without any fine.
    """
    if (task == GLOBAL and fine and glob) or (len(fine) == 1 and glob):
        return _draw(glob, rng), _draw(fine, rng)
    first, second = rng.permutation(len(fine or glob))[:2]
    return (fine or glob)[first], (fine or glob)[second]


def enough_texts(fine: Sequence[str], glob: Sequence[str], stage: int) -> bool:
    """Whether a clip has what a step of the stage needs: a text, or two different ones."""
    return len({*fine, *glob}) >= stage


def _draw(texts: Sequence[str], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]
