"""How good a model is on labelled speech: zero-shot answers, and style against human ratings.

A `Dataset` and a model's name in, a plain dictionary out that is fit for JSON: figures with their
intervals (see clsp.bootstrap), what was asked, and every clip that could not be used, with the
reason. Undefined figures are None. Retrieval is in evaluation_retrieval.py. Knows no data set by
name, and nothing of lakes or terminals.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from clsp.bootstrap import CONFIDENCE
from clsp.metrics import Classification, classification, selective
from pipelines.clips import Clips, OnClip, embed, ignore_clip
from pipelines.datasets.items import Dataset, Item
from pipelines.datasets.presets import Question
from pipelines.errors import SettingsError

MIN_RATED = 10  # clips with a rating for a style, to give that style its own figure
NAMED = 3  # of what was passed over, in a message
Published = Mapping[str, Mapping[str, float]]  # question -> metric -> figure, as ours is given
Result = dict[str, Any]


def evaluate_zero_shot(
    dataset: Dataset,
    questions: Sequence[Question],
    model: str = "tiny",
    *,
    published: Published | None = None,
    resamples: int = 1000,
    seed: int = 0,
    device: str = "auto",
    precision: str = "float32",
    on_clip: OnClip = ignore_clip,
) -> Result:
    """Each question put to every clip whose label is one of its classes.

    The answer is the most similar prompt's class; classes that a question merges count as one, with
    the sum of their probabilities. Raises SettingsError where no clip has such a label.
    """
    for question in questions:
        if len(question.classes) < 2:
            raise SettingsError(f"{question.name}: prompts for {question.classes}; expected two")
    asked = [i for i in dataset.items if any(_truth(i, q) is not None for q in questions)]
    if not asked:
        wanted = ", ".join(f"{q.label}: {'/'.join(q.classes)}" for q in questions)
        found = sorted({f"{k}: {v}" for item in dataset.items for k, v in item.labels.items()})
        raise SettingsError(
            f"no clip of {dataset.name} has a label that is asked for ({wanted}); its labels are "
            f"{', '.join(found[:40]) or 'none'}{passed_over(dataset)}"
        )
    clips = embed(asked, model, device, on_clip, precision)
    failed = _failed_items(asked, clips)
    return {
        **summary("zero-shot", dataset, asked, clips, resamples, seed),
        "questions": [
            _answers(q, dataset, clips, failed, (published or {}).get(q.name), resamples, seed)
            for q in questions
        ],
        **left_out(dataset, clips),
    }


def evaluate_style(
    dataset: Dataset,
    model: str = "tiny",
    *,
    published: Published | None = None,
    resamples: int = 1000,
    seed: int = 0,
    device: str = "auto",
    precision: str = "float32",
    on_clip: OnClip = ignore_clip,
) -> Result:
    """Cosines of clips and style descriptions against the mean human ratings of those pairs: over
    all pairs, and for each description that ten clips or more were rated for.

    Raises SettingsError where no clip has a rating.
    """
    from clsp.style import agreement

    asked = [item for item in dataset.items if item.ratings]
    if not asked:
        raise SettingsError(
            f"no clip of {dataset.name} has a rating (columns style and rating)"
            f"{passed_over(dataset)}"
        )
    clips = embed(asked, model, device, on_clip, precision)
    rated = [(i, style) for i, item in enumerate(clips.items) for style in item.ratings]
    styles = list(dict.fromkeys(style for _, style in rated))
    number = {style: i for i, style in enumerate(styles)}
    audio, text = clips.audio(), clips.text(styles)
    by_speaker = any(item.speaker for item in clips.items)
    # A clip's ratings belong together even where no speaker is known.
    who = [item.speaker or f"clip {i}" for i, item in enumerate(clips.items)]
    failed = _failed_items(asked, clips)

    def question(name: str, pairs: list[tuple[int, str]], n_failed: int) -> Result:
        ratings = [clips.items[i].ratings[style] for i, style in pairs]
        found = agreement(
            audio[[i for i, _ in pairs]],
            text[[number[style] for _, style in pairs]],
            ratings,
            [who[i] for i, _ in pairs],
            resamples,
            seed,
        )
        return {
            "name": name,
            "n": found.n,
            "n_failed": n_failed,
            "clusters": found.clusters,
            "resampled_by": "speaker" if by_speaker else "clip",
            "metrics": {"Pearson r": asdict(found.pearson), "Spearman r": asdict(found.spearman)},
            "published": dict((published or {}).get(name, {})),
        }

    each = {style: [pair for pair in rated if pair[1] == style] for style in styles}
    return {
        **summary("style", dataset, asked, clips, resamples, seed),
        "questions": [
            question("all styles", rated, sum(len(item.ratings) for item in failed)),
            *(
                question(style, pairs, sum(style in item.ratings for item in failed))
                for style, pairs in each.items()
                if len(pairs) >= MIN_RATED and len(styles) > 1
            ),
        ],
        **left_out(dataset, clips),
    }


# ---- zero-shot ----------------------------------------------------------------------------------


def _truth(item: Item, question: Question) -> int | None:
    """The class a clip belongs to, or None where the question is not about it."""
    label = item.labels.get(question.label)
    name = None if label is None else question.counts_as(label)
    return question.classes.index(name) if name in question.classes else None


def _answers(
    question: Question,
    dataset: Dataset,
    clips: Clips,
    failed: Sequence[Item],
    published: Mapping[str, float] | None,
    resamples: int,
    seed: int,
) -> Result:
    from clsp.zero_shot import classifier, classify

    places = [i for i, item in enumerate(clips.items) if _truth(item, question) is not None]
    items = [clips.items[i] for i in places]
    truth = np.array([_truth(item, question) for item in items], int)
    group = np.array([question.classes.index(question.counts_as(c)) for c in question.prompts])
    matrix = classifier(clips.model, question.prompts)
    scores = classify(clips.audio()[places], matrix, clips.model.scale)
    logits = scores.cosine.double().cpu().numpy() * clips.model.scale
    probability, odds = merged(logits, group, len(question.classes))
    answer = group[logits.argmax(1)]
    best = np.stack([logits[:, group == g].max(1) for g in range(len(question.classes))], 1)
    second, first = np.sort(best / clips.model.scale, axis=1)[:, -2:].T
    found = classification(
        truth,
        probability,
        answer=answer,
        score=odds,
        speakers=[item.speaker for item in items],
        resamples=resamples,
        seed=seed,
    )
    labels = Counter(item.labels.get(question.label) or "" for item in dataset.items)
    unlabelled = labels.pop("", 0)
    others = {
        label: n for label, n in labels.items() if question.counts_as(label) not in question.classes
    }
    return {
        "name": question.name,
        "label": question.label,
        "prompts": {name: list(words) for name, words in question.prompts.items()},
        "merge": dict(question.merge),
        "classes": list(question.classes),
        "chance": 1 / len(question.classes),
        "n": found.n,
        "n_failed": sum(_truth(item, question) is not None for item in failed),
        "not_asked": others,
        "unlabelled": unlabelled,
        "clusters": found.clusters,
        "resampled_by": "speaker" if found.by_speaker else "clip",
        **_figures(found, question.classes),
        # Margins as the lake has them, of classes: where a min_margin could lie, and its cost.
        "selective": [
            asdict(kept) for kept in selective(truth, answer, first - second, len(question.classes))
        ],
        "published": dict(published or {}),
    }


def merged(logits: np.ndarray, group: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, prompts) to probabilities (n, k) of groups of prompts, and their log odds (n, k),
    which still tell clips apart where probabilities are all but 0 or 1. group: (prompts,)."""
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    inside = np.stack([np.logaddexp.reduce(log_p[:, group == g], axis=1) for g in range(k)], 1)
    outside = np.stack([np.logaddexp.reduce(log_p[:, group != g], axis=1) for g in range(k)], 1)
    return np.exp(np.minimum(inside, 0)), inside - outside


def _figures(found: Classification, classes: Sequence[str]) -> Result:
    return {
        "metrics": {
            name: asdict(estimate)
            for name, estimate in (
                ("WA", found.wa), ("UAR", found.uar), ("AUC", found.auc), ("ECE", found.ece)
            )
        },
        "recall": {
            name: {**asdict(estimate), "n": sum(row)}
            for name, estimate, row in zip(classes, found.recall, found.confusion, strict=True)
        },
        "confusion": [list(row) for row in found.confusion],
        "reliability": [asdict(bin_) for bin_ in found.bins],
    }  # fmt: skip


# ---- what all have in common --------------------------------------------------------------------


def summary(
    task: str, dataset: Dataset, asked: Sequence[Item], clips: Clips, resamples: int, seed: int
) -> Result:
    return {
        "task": task,
        "dataset": dataset.name,
        "model_key": clips.model_key,
        "n": len(asked),
        "n_failed": len(clips.failures),
        "n_skipped": len(dataset.skipped),
        "audio_s": clips.audio_s,
        "interval": {"confidence": CONFIDENCE, "resamples": resamples, "seed": seed},
    }


def passed_over(dataset: Dataset) -> str:
    """The end of a message about what a data set lacks: it may be in what could not be used."""
    told = "; ".join(f"{skipped.uri}: {skipped.reason}" for skipped in dataset.skipped[:NAMED])
    return f". Passed over: {len(dataset.skipped)}, such as {told}" if told else ""


def left_out(dataset: Dataset, clips: Clips) -> Result:
    return {
        "failures": list(clips.failures),
        "skipped": [{"uri": s.uri, "reason": s.reason} for s in dataset.skipped],
    }


def _failed_items(asked: Sequence[Item], clips: Clips) -> list[Item]:
    done = set(map(id, clips.items))
    return [item for item in asked if id(item) not in done]
