"""What training minimises. Labels come as states of COLUMNS: YES, NO or OPEN, (n, columns).

It knows tensors only: nothing of clips, captions' wording or the model.
"""

import math
from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from clsp.training.captions import COLUMNS, FACTS, OPEN, YES
from clsp.training.measures import MEASURES

SPANS: dict[str, slice] = {
    a: slice(COLUMNS.index((a, v[0])), COLUMNS.index((a, v[0])) + len(v)) for a, v in FACTS.items()
}
# What clips are told apart by; "quality" repeats noise, telephone and reverb.
LEARNT = tuple(attribute for attribute in FACTS if attribute != "breathy")
# Which measure orders clips by which attribute, from what to what.
ORDERS: dict[str, tuple[str, str, str]] = {
    "pitch": ("f0_hz", "low", "high"),
    "expressive": ("spread_semitones", "monotone", "expressive"),
    "gender": ("tract_hz", "male", "female"),
    "rate": ("syllables_per_s", "slow", "fast"),
    "level": ("level_dbfs", "quiet", "loud"),
}
LEAST_STEPS = 0.3  # clips nearer to each other than that are not put in an order
# What carries over least from one voice to another counts more.
IMPORTANCE = {"gender": 2.0, "whisper": 1.5, "rate": 1.5, "age": 1.5}


def class_weights(known: Tensor) -> Tensor:
    """Per column, what makes the classes of an attribute count alike (rare ones up to 4 times)."""
    counts = (known == YES).sum(0).float().clamp(min=1)
    weights = torch.ones_like(counts)
    for span in SPANS.values():
        weights[span] = (counts[span].mean() / counts[span]).clamp(0.25, 4.0)
    return weights


def attribute_loss(logits: Tensor, known: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of each attribute over the clips whose label is known; (n, columns) each."""
    losses = []
    for attribute in LEARNT:
        states = known[:, SPANS[attribute]]
        labelled = (states == YES).sum(1) == 1
        if labelled.any():
            target = (states[labelled] == YES).float().argmax(1)
            scores = logits[labelled, SPANS[attribute]]
            loss = F.cross_entropy(scores, target, weights[SPANS[attribute]])
            losses.append(IMPORTANCE.get(attribute, 1.0) * loss)
    breathy = known[:, SPANS["breathy"].start]
    losses.append(F.binary_cross_entropy_with_logits(
        logits[:, SPANS["breathy"].start], (breathy == YES).float()))  # fmt: skip
    return torch.stack(losses).mean()


def prompt_loss(
    audio: Tensor, texts: dict[str, Tensor], scale: Tensor, known: Tensor, weights: Tensor,
    importance: Mapping[str, float] = IMPORTANCE,
) -> Tensor:  # fmt: skip
    """The zero-shot test as a loss: each attribute's clips against one text per class."""
    losses = []
    for attribute, text in texts.items():
        states = known[:, SPANS[attribute]]
        labelled = (states == YES).sum(1) == 1
        if labelled.any():
            target = (states[labelled] == YES).float().argmax(1)
            scores = scale * audio[labelled] @ text.T
            loss = F.cross_entropy(scores, target, weights[SPANS[attribute]])
            losses.append(importance.get(attribute, 1.0) * loss)
    return torch.stack(losses).mean()


def measure_loss(guessed: Tensor, measured: Tensor) -> Tensor:
    """Smooth L1 of each measure over the clips that have it, and the mean of these; (n, measures)
    each, NaN in `measured` where a clip has none."""
    known = ~measured.isnan()
    errors = F.smooth_l1_loss(guessed, measured.nan_to_num(), reduction="none") * known
    return (errors.sum(0) / known.sum(0).clamp(min=1)).mean()


def order_by_measures(
    audio: Tensor, texts: dict[str, Tensor], scale: Tensor, measured: Tensor, known: Tensor,
    classes: Mapping[str, Iterable[str]],
) -> Tensor:  # fmt: skip
    """Of each two clips of a batch, the higher pitched shall be nearer to "high" than to "low", and
    so on by ORDERS, whatever class each is in, or between two. Who has no gender is not ordered by
    it. `classes`: the value that each row of `texts` says."""
    losses = []
    for attribute, (measure, low, high) in ORDERS.items():
        text, names = texts[attribute], list(classes[attribute])
        scores = scale * audio @ (text[names.index(high)] - text[names.index(low)])
        values = measured[:, list(MEASURES).index(measure)]
        if attribute == "gender":
            labelled = (known[:, SPANS[attribute]] == YES).any(1)
            values = values.masked_fill(~labelled, math.nan)
        above = values[:, None] - values[None, :] > LEAST_STEPS  # of NaN: never
        if above.any():
            first, second = above.nonzero(as_tuple=True)
            losses.append(order_loss(scores[first], scores[second]))
    return torch.stack(losses).mean() if losses else audio.sum() * 0.0


def order_loss(higher: Tensor, lower: Tensor) -> Tensor:
    """Logistic: of each pair of scores (n,), the first shall be the higher one."""
    return F.softplus(lower - higher).mean()


def contrastive_loss(audio: Tensor, text: Tensor, scale: Tensor, truth: Tensor) -> Tensor:
    """Symmetric InfoNCE with many positives: every caption that is true of a clip is one.

    truth (n, m) is YES, NO or OPEN; what the labels leave open is neither.
    """
    logits = scale * audio @ text.T
    logits = logits.masked_fill(truth == OPEN, -1e4)
    positive = truth == YES
    losses = []
    for dim in (0, 1):
        likely = logits.log_softmax(dim)
        count = positive.sum(dim)
        mean = (likely * positive).sum(dim)[count > 0] / count[count > 0]
        losses.append(-mean.mean())
    return torch.stack(losses).mean()
