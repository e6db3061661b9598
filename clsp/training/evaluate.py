"""What the dev voices say of a model while it trains: prompts and captions, no linear heads.

Balanced accuracy (mean recall over classes) of each attribute with its canonical prompts and in one
word a class, and retrieval among 100 fine captions, on clips in memory. Intervals, files and
reports are those of `clsp evaluate`. Synthetic clips only: real speech is another question.
"""

import json

import numpy as np
import torch
from torch import Tensor

from clsp.embedder import Embedder
from clsp.errors import InputError
from clsp.retrieval import ranks
from clsp.training import captions
from clsp.training.dataset import Clips
from clsp.training.wording import BARE, PROMPTS

# What is asked: a name, the attribute, and the classes put to the vote.
QUESTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{attribute: (attribute, tuple(classes)) for attribute, classes in PROMPTS.items()},
    "child or adult": ("age", ("child", "adult")),
    "four emotions": ("emotion", ("happy", "angry", "sad", "neutral")),
    "clean or noisy": ("quality", ("clean", "noisy")),
    "clean or telephone": ("quality", ("clean", "telephone")),
    "clean or reverberant": ("quality", ("clean", "reverberant")),
}
RETRIEVAL_SIZE, RETRIEVAL_DRAWS = 100, 20


def balanced_accuracy(answers: np.ndarray, truth: np.ndarray, classes: int) -> float:
    """Mean recall over the classes that occur."""
    recalls = [
        float((answers[truth == c] == c).mean()) for c in range(classes) if (truth == c).any()
    ]
    return float(np.mean(recalls)) if recalls else float("nan")


@torch.inference_mode()
def embed(model: Embedder, clips: Clips) -> Tensor:
    """Embeddings of all clips, whole: (n, joint_dim)."""
    embeddings = torch.zeros(len(clips), model.config.joint_dim)
    for chosen, features, lengths in clips.batches(48):
        embeddings[chosen] = model.model.audio_head(model.model.pooled_audio(features, lengths))
    return embeddings.clone()


def zero_shot(audio: Tensor, prompts: dict[str, Tensor], clips: Clips) -> dict[str, dict]:
    """Balanced accuracy per question; prompts: attribute -> (classes, joint_dim)."""
    results = {}
    for name, (attribute, classes) in QUESTIONS.items():
        index = [list(PROMPTS[attribute]).index(value) for value in classes]
        labels = [row["attributes"].get(attribute) for row in clips.rows]
        asked = np.array([place for place, value in enumerate(labels) if value in classes], int)
        truth = np.array([classes.index(labels[place]) for place in asked], int)
        answers = (audio[asked] @ prompts[attribute][index].T).argmax(1).numpy()
        accuracy = balanced_accuracy(answers, truth, len(classes))
        results[name] = {
            "balanced_accuracy": round(accuracy, 3),
            "chance": round(1 / len(classes), 3),
            "clips": len(asked),
        }
    return results


@torch.inference_mode()
def retrieval(model: Embedder, audio: Tensor, clips: Clips, seed: int = 0) -> dict[str, float]:
    """Text to speech R@1/5/10 among 100 clips of different descriptions, mean over draws."""
    rng = np.random.default_rng(seed)
    hits: dict[int, list[float]] = {1: [], 5: [], 10: []}
    for _ in range(RETRIEVAL_DRAWS):
        chosen: dict[str, int] = {}
        for place in rng.permutation(len(clips)):
            said = captions.speakable(clips.rows[place]["attributes"])
            chosen.setdefault(json.dumps(said, sort_keys=True), int(place))
            if len(chosen) == RETRIEVAL_SIZE:
                break
        places = list(chosen.values())
        texts = [captions.fine(clips.rows[place]["attributes"], rng).text for place in places]
        cosines = model.embed_text(texts) @ audio[places].T
        rank = ranks(cosines)
        for k, values in hits.items():
            values.append(float((rank < k).float().mean()))
    return {f"R@{k}": round(float(np.mean(values)), 3) for k, values in hits.items()}


def evaluate(model: Embedder, clips: Clips) -> dict[str, dict]:
    """All measures of a model on one split. Raises InputError for one without clips."""
    if not len(clips):
        raise InputError(
            "no clips to measure by: expected some of the dev voices, which the fourth of every 16 "
            "shards of clips has. Synthesise at least 1280 (`--clips`)"
        )
    audio = embed(model, clips)

    def asked(wording: dict[str, dict[str, str]]) -> dict[str, dict]:
        with torch.inference_mode():
            prompts = {
                attribute: model.embed_text([wording[attribute][value] for value in classes])
                for attribute, classes in PROMPTS.items()
            }
        return zero_shot(audio, prompts, clips)

    return {
        "zero_shot": asked(PROMPTS),
        "in_one_word": asked(BARE),
        "retrieval": retrieval(model, audio, clips),
    }
