"""Triton kernels for the speech encoder on a GPU: what lies between its matrix products.

Batches are (n, frames, channels), contiguous; `valid` is (n, frames), True inside each clip. Triton
comes with PyTorch for Linux. It compiles a kernel at its first use, for which it needs a C compiler
and Python's headers, and keeps what it made (TRITON_CACHE_DIR, else ~/.triton). With
TRITON_INTERPRET=1 kernels run on a CPU, slowly: so they are tested.
"""

from clsp.kernels.attention import attend, attention_weights
from clsp.kernels.convolutions import (
    depthwise_2d,
    depthwise_swoosh,
    first_conv,
    pointwise_residual,
)
from clsp.kernels.elementwise import (
    bias_norm,
    by_third_,
    bypass,
    downsample,
    glu,
    norm_bypass,
    swoosh_,
    tanh_gate,
)

__all__ = [
    "attend", "attention_weights", "bias_norm", "by_third_", "bypass", "depthwise_2d",
    "depthwise_swoosh", "downsample", "first_conv", "glu", "norm_bypass", "pointwise_residual",
    "swoosh_", "tanh_gate",
]  # fmt: skip
