"""Does a model answer to the sound, and to the meaning of a prompt? Two measures.

`perturbed`: a clip is changed in one known way and the score must follow; no label is needed.
`worded`: labelled clips are classified with many wordings of the same question; the audio is
embedded once. Numbers only: knows nothing of files, folders or the terminal.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch

from clsp import perturbation
from clsp.bootstrap import Bootstrap, Estimate
from clsp.errors import InputError
from clsp.metrics import classification
from clsp.training.heldout_wording import QUESTIONS, Question, heldout
from clsp.training.wording import PROMPTS

if TYPE_CHECKING:
    from clsp.embedder import Embedder

Z_95 = 1.959964  # of the normal distribution, two-sided
BATCH_S = 120  # seconds of audio embedded at once, padding included

Change = Callable[[np.ndarray, Sequence[np.ndarray], np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Probe:
    """A change and what it must do: in `high`, the cosine of prompt `more` minus that of `less`
    is greater than in `low` (prompts of `question`, see PROMPTS)."""

    name: str
    question: str
    more: str
    less: str
    high: Change
    low: Change


def _original(clip: np.ndarray, others: object, rng: object) -> np.ndarray:
    return clip


def _plain(change: Callable[..., np.ndarray], *args: float) -> Change:
    return lambda clip, others, rng: change(clip, *args)


def _random(change: Callable[..., np.ndarray], *args: float) -> Change:
    return lambda clip, others, rng: change(clip, *args, rng)


def _babble(clip: np.ndarray, others: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    return perturbation.babble(clip, others, 5, rng)


_p = perturbation
BABBLE = "babble of other clips, 5 dB SNR"
PROBES = (
    Probe("white noise, 5 dB SNR", "quality", "noisy", "clean", _random(_p.noise, 5), _original),
    Probe("white noise, 10 dB SNR", "quality", "noisy", "clean", _random(_p.noise, 10), _original),
    Probe(BABBLE, "quality", "noisy", "clean", _babble, _original),
    Probe("tempo ×1.5 over ×0.65", "rate", "fast", "slow",
          _plain(_p.tempo, 1.5), _plain(_p.tempo, 0.65)),
    Probe("pitch +400 over −400 cents", "pitch", "high", "low",
          _plain(_p.pitch, 400), _plain(_p.pitch, -400)),
    Probe("the same, formants kept", "pitch", "high", "low",
          _plain(_p.pitch_kept_formants, 400), _plain(_p.pitch_kept_formants, -400)),
    Probe("level −14 over −38 dBFS", "level", "loud", "quiet",
          _plain(_p.level, -14), _plain(_p.level, -38)),
    Probe("telephone line", "quality", "telephone", "clean", _plain(_p.telephone), _original),
    Probe("reverberation, 0.8 s", "quality", "reverberant", "clean",
          _random(_p.reverberate), _original),
    Probe("whispered by transform", "whisper", "yes", "no", _random(_p.whisper), _original),
)  # fmt: skip
HALVES = "nearest to half a clip is its other half"


@dataclass(frozen=True)
class Row:
    """prompts: `more` and `less`. share: of n clips (for halves: of n halves) that moved the right
    way, a tie is wrong, with its Wilson interval. named: of the clips changed to score high, those
    that `more` fits better than `less`: a score may move and still not arrive. auc: scores of high
    against low over all clips, ties half, with a bootstrap interval over clips (a point where all
    are told apart: read n beside it). shift: mean difference of score, in cosine. None: not defined
    or not asked.
    """

    name: str
    prompts: tuple[str, str] | None
    n: int
    chance: float | None
    share: Estimate
    named: Estimate
    auc: Estimate
    shift: float | None


@torch.inference_mode()
def perturbed(
    model: "Embedder",
    clips: Sequence[np.ndarray],
    seed: int = 0,
    on_clip: Callable[[], object] = lambda: None,
) -> list[Row]:
    """A row for each of PROBES, then one for halves. Clips are float32 (samples,) at 16 kHz, of
    half a second or more and not silent. Babble wants two clips, halves too: else n is 0."""
    prompts = {probe.question: PROMPTS[probe.question] for probe in PROBES}
    texts = {q: model.embed_text(list(p.values())).float().cpu() for q, p in prompts.items()}
    ways = [
        texts[p.question][list(prompts[p.question]).index(p.more)]
        - texts[p.question][list(prompts[p.question]).index(p.less)]
        for p in PROBES
    ]
    asked = [probe for probe in PROBES if probe.name != BABBLE or len(clips) > 1]
    scores: dict[str, list[tuple[float, float]]] = {probe.name: [] for probe in PROBES}
    halves: list[np.ndarray] = []
    for index, clip in enumerate(clips):
        rng = np.random.default_rng([seed, index])
        others = [other for place, other in enumerate(clips) if place != index]
        # Everything that is heard of this clip, each version once.
        heard = [clip, clip[: len(clip) // 2], clip[len(clip) // 2 : len(clip) // 2 * 2]]
        places = []
        for probe in asked:
            pair = [probe.high, probe.low]
            places.append([0 if c is _original else len(heard) + i for i, c in enumerate(pair)])
            heard += [c(clip, others, rng) for c in pair if c is not _original]
        vectors = torch.from_numpy(embed(model, heard))
        for probe, (high, low) in zip(asked, places, strict=True):
            way = ways[PROBES.index(probe)]
            scores[probe.name].append((float(vectors[high] @ way), float(vectors[low] @ way)))
        halves.append(vectors[1:3].numpy())
        on_clip()
    rows = [_pairs(probe, np.array(scores[probe.name]).reshape(-1, 2), seed) for probe in PROBES]
    return [*rows, _halves(np.array(halves))]


def _pairs(probe: Probe, scores: np.ndarray, seed: int) -> Row:
    """scores: (n, 2), of the clip that should score higher and of the other."""
    n = len(scores)
    auc = Estimate(None)
    if n:
        score = scores.T.reshape(-1)  # all high, then all low
        truth = np.repeat([1, 0], n)
        sides = np.stack([-score, score], axis=1)
        clips = [str(i) for i in range(n)] * 2
        even = np.full_like(sides, 0.5)
        auc = classification(truth, even, score=sides, speakers=clips, seed=seed).auc
    prompts = PROMPTS[probe.question]
    return Row(
        name=probe.name,
        prompts=(prompts[probe.more], prompts[probe.less]),
        n=n,
        chance=0.5,
        share=wilson(int((scores[:, 0] > scores[:, 1]).sum()), n),
        named=wilson(int((scores[:, 0] > 0).sum()), n),
        auc=auc,
        shift=float((scores[:, 0] - scores[:, 1]).mean()) if n else None,
    )


def _halves(vectors: np.ndarray) -> Row:
    """vectors: (clips, 2, dim)."""
    n = len(vectors) * 2 if len(vectors) > 1 else 0
    found = 0
    if n:
        flat = vectors.reshape(n, -1)
        cosine = flat @ flat.T
        np.fill_diagonal(cosine, -np.inf)
        found = int((cosine.argmax(1) == np.arange(n) ^ 1).sum())
    chance = 1 / (n - 1) if n else None
    none = Estimate(None)
    return Row(HALVES, None, n, chance, wilson(found, n), none, none, None)


def wilson(right: int, n: int) -> Estimate:
    """A share and its 95% interval (Wilson 1927): sensible near 1 and for few tries, where a
    bootstrap's interval is a point."""
    if n == 0:
        return Estimate(None)
    share = right / n
    middle = (share + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    reach = Z_95 * sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n)) / (1 + Z_95**2 / n)
    return Estimate(share, max(0.0, middle - reach), min(1.0, middle + reach))


@torch.inference_mode()
def embed(model: "Embedder", clips: Sequence[np.ndarray]) -> np.ndarray:
    """Clips (samples,) of any lengths to embeddings (n, joint_dim), in the order given; batches of
    like lengths."""
    if not clips:
        raise InputError("no clips: expected at least one to embed")
    order = sorted(range(len(clips)), key=lambda i: -len(clips[i]))
    vectors = np.empty((len(clips), model.config.joint_dim), np.float32)
    for batch in _batches(order, [len(clip) for clip in clips]):
        vectors[batch] = model.embed_audio([clips[i] for i in batch]).float().cpu().numpy()
    return vectors


def _batches(order: list[int], lengths: list[int]) -> Iterator[list[int]]:
    start = 0
    while start < len(order):
        size = max(1, BATCH_S * perturbation.SAMPLE_RATE // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size


# --- wording -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Worded:
    """Balanced accuracy (mean recall) of one question. mean, worst: over `sets`, the wordings kept
    out of training; difference: mean minus canonical; intervals: bootstrap over speakers, as
    `speakers` counts. sets, in the order of the table: (wording of each class, accuracy). dropped:
    sets that training holds by now, not counted.
    """

    question: str
    classes: tuple[str, ...]
    clips: int
    speakers: int
    canonical: Estimate
    one_word: Estimate
    mean: Estimate
    worst: Estimate
    difference: Estimate
    sets: tuple[tuple[tuple[str, ...], float], ...]
    dropped: tuple[tuple[str, ...], ...]


@torch.inference_mode()
def worded(
    model: "Embedder",
    vectors: np.ndarray,
    labels: Sequence[dict[str, str]],
    speakers: Sequence[str | None],
    seed: int = 0,
) -> list[Worded]:
    """vectors: (n, joint_dim), embeddings of clips; labels: attribute -> class, of each clip, what
    is known. Questions of which fewer than two classes occur are left out."""
    results = []
    for name, question in QUESTIONS.items():
        truth = np.array([_place(question, known) for known in labels], int)
        chosen = np.flatnonzero(truth >= 0)
        if len(set(truth[chosen])) > 1:
            who = [speakers[int(i)] for i in chosen]
            results.append(
                _worded(model, name, question, vectors[chosen], truth[chosen], who, seed)
            )
    return results


def _place(question: Question, known: dict[str, str]) -> int:
    label = known.get(question.label)
    return question.classes.index(label) if label in question.classes else -1


def _worded(
    model: "Embedder",
    name: str,
    question: Question,
    vectors: np.ndarray,
    truth: np.ndarray,
    speakers: Sequence[str | None],
    seed: int,
) -> Worded:
    sets, dropped = heldout(question)
    if not sets:
        raise InputError(f"{name}: training holds every wording of heldout_wording.py by now")
    asked = [question.canonical(), question.one_word, *sets]
    flat = [text for row in asked for text in row]
    texts = model.embed_text(flat).float().cpu().numpy()
    k = len(question.classes)
    answers = (vectors @ texts.T).reshape(len(vectors), len(asked), k).argmax(2)
    right = (answers == truth[:, None]).astype(float)  # (n, wordings)
    members = [(truth == c).astype(float) for c in range(k) if (truth == c).any()]

    def accuracy(weights: np.ndarray) -> np.ndarray:
        """Weights (draws, n) to mean recalls (draws, wordings); NaN where a class is not drawn."""
        with np.errstate(invalid="ignore"):
            recalls = [(weights * m) @ right / (weights @ m)[:, None] for m in members]
        return np.mean(recalls, axis=0)

    def figures(weights: np.ndarray) -> np.ndarray:
        every = accuracy(weights)
        canonical, one_word, others = every[:, 0], every[:, 1], every[:, 2:]
        mean = others.mean(1)
        return np.stack([canonical, one_word, mean, others.min(1), mean - canonical], axis=1)

    boot = Bootstrap(len(truth), speakers, seed=seed)
    canonical, one_word, mean, worst, difference = boot.estimate(figures)
    each = accuracy(np.ones((1, len(truth))))[0, 2:]
    return Worded(
        question=name,
        classes=question.classes,
        clips=len(truth),
        speakers=boot.clusters,
        canonical=canonical,
        one_word=one_word,
        mean=mean,
        worst=worst,
        difference=difference,
        sets=tuple(zip(sets, each.tolist(), strict=True)),
        dropped=tuple(dropped),
    )
