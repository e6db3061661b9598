"""Zero-shot classification: prompts make a classifier, an audio embedding picks its label.

As CLIP does it (arXiv 2103.00020, section 3.1.4): embed every template x label, average per label,
normalise again. Knows nothing of which attributes exist or where labels are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clsp.embedder import Embedder
from clsp.errors import InputError


@dataclass(frozen=True)
class Scores:
    """What a classifier says of n clips and k labels.

    cosine: (n, k). probability: (n, k), the softmax of cosine x the model's own scale.
    best: (n,), index of the highest. margin: (n,), its cosine minus the second highest's (0 to 2;
    2 where there is only one label). Probabilities are as sharp as the scale makes them: compare
    margins, and calibrate before reading a probability as a frequency.
    """

    cosine: Tensor
    probability: Tensor
    best: Tensor
    margin: Tensor


def expand(
    labels: Sequence[str] | Mapping[str, Sequence[str]], templates: Sequence[str] = ("{}",)
) -> dict[str, list[str]]:
    """Prompts per label: each of its wordings in each template ("A speaker in a {} tone.").

    A sequence of labels words each label by itself; a mapping gives the wordings per label. Raises
    InputError for a string in place of a list, and a template without `{}`.
    """
    if isinstance(labels, str):
        raise InputError(f"labels {labels!r}: expected a list of them, or a mapping")
    if isinstance(templates, str) or not templates or any("{}" not in one for one in templates):
        raise InputError(f"templates {templates!r}: expected a list of strings, '{{}}' in each")
    wordings = labels if isinstance(labels, Mapping) else {label: [label] for label in labels}
    _require_lists(wordings)
    return {
        label: [template.replace("{}", wording) for template in templates for wording in words]
        for label, words in wordings.items()
    }


def _require_lists(prompts: Mapping[str, Sequence[str]]) -> None:
    """A bare string is a sequence too, of its letters: refuse it."""
    if not prompts or any(isinstance(words, str) or not words for words in prompts.values()):
        raise InputError(
            f"prompts {dict(prompts)}: expected a list of at least one prompt for each label"
        )


@torch.inference_mode()
def classifier(model: Embedder, prompts: Mapping[str, Sequence[str]]) -> Tensor:
    """Prompts per label to a matrix (k, joint_dim), one L2-normalised row per label."""
    _require_lists(prompts)
    flat = [prompt for words in prompts.values() for prompt in words]
    rows = model.embed_text(flat).split([len(words) for words in prompts.values()])
    return F.normalize(torch.stack([row.mean(dim=0) for row in rows]), dim=-1)


@torch.inference_mode()
def classify(audio: Tensor, matrix: Tensor, scale: float) -> Scores:
    """Audio embeddings (n, dim) against a classifier (k, dim); scale: the model's `scale`."""
    return judge(audio @ matrix.T, scale)


@torch.inference_mode()
def judge(cosine: Tensor, scale: float) -> Scores:
    """`classify`, from the cosines (n, k)."""
    top = cosine.topk(min(2, cosine.shape[1]), dim=1)
    margin = (
        top.values[:, 0] - top.values[:, 1]
        if cosine.shape[1] > 1
        else torch.full_like(top.values[:, 0], 2.0)
    )
    return Scores(cosine, (cosine * scale).softmax(dim=1), top.indices[:, 0], margin)
