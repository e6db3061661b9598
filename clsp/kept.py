"""A cache of tensors that only ever holds real ones. Knows nothing of what they are."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

import torch

Made = TypeVar("Made")


def kept(most: int | None = None) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """lru_cache for what makes tensors: `most` answers are kept (None: all).

    Where torch.compile or torch.export traces, it is passed by: what is made there stands for a
    tensor, and holds none. And what is made in inference mode is fit for those who want gradients.
    """

    def cached(make: Callable[..., Made]) -> Callable[..., Made]:
        keep = lru_cache(most)(make)

        @wraps(make)
        def answer(*given: Any) -> Made:
            if torch.compiler.is_compiling():
                return make(*given)
            with torch.inference_mode(False):
                return keep(*given)

        answer.cache_clear = keep.cache_clear  # type: ignore[attr-defined]
        return answer

    return cached
