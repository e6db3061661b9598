"""Retrieval metrics between speech and text, in both directions.

Item i of one side belongs to item i of the other, as in the published evaluation. Knows only
matrices of similarities.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from clsp.errors import InputError


@dataclass(frozen=True)
class Retrieval:
    """One direction. ranks: (n,), 0 is first. recall: share ranked in the first k. map10: mean
    of 1 / (rank + 1) over those in the first 10, else 0 (one right answer per query).
    """

    ranks: Tensor
    recall: dict[int, float]
    map10: float
    median_rank: float  # 1 is first, as papers count it


def ranks(similarity: Tensor) -> Tensor:
    """Rank (n,) of the right answer, the diagonal of (n, n): how many score at least as high.

    Ties count against it, so that a collapsed model, to which all is alike, comes out last.
    """
    if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1] or not len(similarity):
        raise InputError(f"similarity of shape {tuple(similarity.shape)}: expected (n, n), n >= 1")
    right = similarity.diagonal()[:, None]
    # Not `>=`: where the model gives NaN, that counts against it too.
    return similarity.shape[1] - 1 - (similarity < right).sum(dim=1)


def evaluate(similarity: Tensor, ks: tuple[int, ...] = (1, 5, 10)) -> Retrieval:
    """Queries in rows: (n, n) with the right answer of row i in column i."""
    place = ranks(similarity)
    reciprocal = torch.where(place < 10, 1.0 / (place + 1.0), 0.0)
    return Retrieval(
        ranks=place,
        recall={k: (place < k).float().mean().item() for k in ks},
        map10=reciprocal.mean().item(),
        median_rank=place.double().quantile(0.5).item() + 1.0,
    )


def both_directions(audio: Tensor, text: Tensor) -> dict[str, Retrieval]:
    """Embeddings (n, dim) of clips and of their texts: `audio_to_text` and `text_to_audio`."""
    similarity = audio @ text.T
    return {"audio_to_text": evaluate(similarity), "text_to_audio": evaluate(similarity.T)}
