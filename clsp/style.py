"""Style similarity: how well descriptions fit clips, and how that agrees with human ratings.

The score of the published evaluation is the plain cosine (its Pearson r with human ratings was
.893 intrinsic, .903 situational for the published model; not measured for any other).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clsp.embedder import Embedder
from clsp.errors import InputError
from clsp.metrics import Correlation, correlation


@torch.inference_mode()
def similarity(model: Embedder, audio: Tensor, descriptions: Sequence[str]) -> Tensor:
    """Audio embeddings (n, dim) and m descriptions to cosines (n, m), in [-1, 1]."""
    return audio @ model.embed_text(descriptions).T


def agreement(
    audio: Tensor,
    text: Tensor,
    ratings: Sequence[float],
    speakers: Sequence[str | None] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Correlation:
    """How cosines follow human ratings: row i of audio (n, dim) with row i of text (n, dim).

    speakers: the rows that are drawn together for the intervals (see clsp.bootstrap). Raises
    InputError for embeddings of other shapes than each other's, and ratings that are not n numbers.
    """
    if audio.ndim != 2 or audio.shape != text.shape:
        raise InputError(
            f"audio of shape {tuple(audio.shape)}, text of {tuple(text.shape)}: expected the same "
            "(n, dim), a description's embedding for each clip's"
        )
    cosine = (audio * text).sum(dim=1).detach().double().cpu().numpy()
    return correlation(
        cosine, np.asarray(ratings, float), speakers=speakers, resamples=resamples, seed=seed
    )
