"""Style similarity: how well descriptions fit clips.

The score of the published evaluation is the plain cosine (its Pearson r with human ratings was
.893 intrinsic, .903 situational for the published model; not measured for any other).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from clsp.model import CLSPModel


@torch.inference_mode()
def similarity(model: CLSPModel, audio: Tensor, descriptions: Sequence[str]) -> Tensor:
    """Audio embeddings (n, dim) and m descriptions to cosines (n, m), in [-1, 1]."""
    return audio @ model.embed_text(descriptions).T
