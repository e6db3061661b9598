"""Run by test_kernels.py in a process of its own: a small encoder's kernels, compiled for GPUs that
are not here. Nothing is computed: each launch is compiled instead, and its kernel's name printed.

    python -m tests.unit.compile_kernels COMPUTE_CAPABILITY
"""

import sys
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime import JITFunction

from clsp import packed_gpu
from clsp.kernels import convolutions
from tests.unit.test_kernels import features, small_model

TYPES = {torch.bfloat16: "*bf16", torch.float32: "*fp32", torch.int64: "*i64", torch.bool: "*i1"}


def compiled(kernel: JITFunction, given: tuple[Any, ...], warps: int, capability: int) -> Any:
    """As Triton would compile it at this launch."""
    signature, constants, aligned = {}, {}, {}
    for at, (parameter, value) in enumerate(zip(kernel.params, given, strict=True)):
        if parameter.is_constexpr or value is None:
            signature[parameter.name], constants[at,] = "constexpr", value
            continue
        is_tensor = isinstance(value, torch.Tensor)
        signature[parameter.name] = TYPES[value.dtype] if is_tensor else "i32"
        if is_tensor or value % 16 == 0:
            aligned[at,] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, constants, aligned)
    options = {"num_warps": warps}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def main(capability: int) -> None:
    def compile_instead(
        self: JITFunction, *given: Any, grid: Any, warmup: bool, num_warps: int = 4
    ) -> None:
        compiled(self, given, num_warps, capability)
        print(self.__name__)

    JITFunction.run = compile_instead
    if capability in (80, 90):  # as data centres have them, with the memory for larger tiles
        convolutions._shared_bytes = lambda device: convolutions.POINTWISE_BYTES
    model = small_model()
    model.model.encoder.to(torch.bfloat16)
    packed_gpu.speed_up(model)
    with torch.inference_mode():
        model.embed_features(features(model))


if __name__ == "__main__":
    main(int(sys.argv[1]))
