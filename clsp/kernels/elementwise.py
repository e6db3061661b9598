"""What a GPU does between the encoder's matrix products, frame by frame: each kernel reads what it
needs once, where PyTorch's operations go over the same numbers three to ten times.

Sums are in float32, whatever the numbers are in. Knows nothing of layers: see packed_gpu.py.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 2048  # numbers that a program does


def over(total: int) -> tuple[int]:
    """As many programs as do so many numbers."""
    return (triton.cdiv(total, BLOCK),)


@triton.jit
def place(total, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    return at, at < total


@triton.jit
def swoosh_of(x, right: tl.constexpr):
    """log(1 + e^y) is y, where positive, + log(1 + u), with u = e^-|y| in (0, 1]: a polynomial
    (Abramowitz and Stegun 4.1.44: within 3e-8), as a logarithm takes a GPU twenty operations."""
    shift: tl.constexpr = 1.0 if right else 4.0
    offset: tl.constexpr = 0.313261687 if right else 0.035
    y = x - shift
    u = tl.exp(-tl.abs(y))
    log = u * -0.0064535442 + 0.0360884937
    log = log * u - 0.0953293897
    log = log * u + 0.1676540711
    log = log * u - 0.2407338084
    log = log * u + 0.3317990258
    log = log * u - 0.4998741238
    log = (log * u + 0.9999964239) * u
    return tl.maximum(y, 0.0) + log - 0.08 * x - offset


@triton.jit
def _swoosh(
    x, bias, total, right: tl.constexpr, BIASED: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr
):
    at, there = place(total, BLOCK)
    old = tl.load(x + at, mask=there, other=0.0).to(tl.float32)
    if BIASED:
        old += tl.load(bias + at % C, mask=there, other=0.0).to(tl.float32)
    tl.store(x + at, swoosh_of(old, right).to(x.dtype.element_ty), mask=there)


def swoosh_(x: Tensor, right: bool = False, bias: Tensor | None = None) -> Tensor:
    """SwooshL, or SwooshR, in place, of x (..., c) and a bias (c,) by channel."""
    total, channels = x.numel(), x.shape[-1]
    _swoosh[over(total)](x, bias, total, right, bias is not None, channels, BLOCK)
    return x


@triton.jit
def _glu(x, valid, out, total, C: tl.constexpr, BLOCK: tl.constexpr):
    at, there = place(total, BLOCK)
    row, c = at // C, at % C
    there_too = there & (tl.load(valid + row, mask=there, other=0) != 0)
    a = tl.load(x + row * 2 * C + c, mask=there_too, other=0.0).to(tl.float32)
    b = tl.load(x + row * 2 * C + C + c, mask=there_too, other=0.0).to(tl.float32)
    tl.store(out + at, (a * tl.sigmoid(b)).to(out.dtype.element_ty), mask=there)


def glu(x: Tensor, valid: Tensor) -> Tensor:
    """(n, frames, 2 c) to (n, frames, c): the first half by the sigmoid of the second, zero
    outside clips."""
    out = x.new_empty(*x.shape[:-1], x.shape[-1] // 2)
    _glu[over(out.numel())](x, valid, out, out.numel(), out.shape[-1], BLOCK)
    return out


@triton.jit
def _tanh_gate(x, out, total, C: tl.constexpr, BLOCK: tl.constexpr):
    at, there = place(total, BLOCK)
    first = at // C * 3 * C + at % C
    s = tl.load(x + first, mask=there, other=0.0).to(tl.float32)
    y = tl.load(x + first + C, mask=there, other=0.0).to(tl.float32)
    tanh = 2.0 * tl.sigmoid(2.0 * s) - 1.0
    tl.store(out + at, (y * tanh).to(out.dtype.element_ty), mask=there)


def tanh_gate(x: Tensor) -> Tensor:
    """(n, frames, 3 c) to (n, frames, c): the second third by the tanh of the first."""
    out = x.new_empty(*x.shape[:-1], x.shape[-1] // 3)
    _tanh_gate[over(out.numel())](x, out, out.numel(), out.shape[-1], BLOCK)
    return out


@triton.jit
def _by_third(made, x, total, C: tl.constexpr, BLOCK: tl.constexpr):
    at, there = place(total, BLOCK)
    y = tl.load(x + at // C * 3 * C + 2 * C + at % C, mask=there, other=0.0).to(tl.float32)
    old = tl.load(made + at, mask=there, other=0.0).to(tl.float32)
    tl.store(made + at, (old * y).to(made.dtype.element_ty), mask=there)


def by_third_(made: Tensor, x: Tensor) -> Tensor:
    """made (n, frames, c), in place, by the last third of x (n, frames, 3 c)."""
    _by_third[over(made.numel())](made, x, made.numel(), made.shape[-1], BLOCK)
    return made


@triton.jit
def _bypass(
    original, processed, shift, scale, out, total, frames, slow,
    SHIFTED: tl.constexpr, FACTOR: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at, there = place(total, BLOCK)
    row, c = at // C, at % C
    of = row // frames * slow + row % frames // FACTOR
    x = tl.load(original + at, mask=there, other=0.0).to(tl.float32)
    y = tl.load(processed + of * C + c, mask=there, other=0.0).to(tl.float32)
    if SHIFTED:
        y += tl.load(shift + c, mask=there, other=0.0)
    s = tl.load(scale + c, mask=there, other=0.0).to(tl.float32)
    tl.store(out + at, (x + (y - x) * s).to(out.dtype.element_ty), mask=there)


def bypass(
    original: Tensor, processed: Tensor, scale: Tensor, factor: int = 1, shift: Tensor | None = None
) -> Tensor:
    """original + (processed + shift - original) * scale, by channel (c,); shift: float32. Of
    processed, each frame stands for `factor` of them."""
    out = torch.empty_like(original)
    _bypass[over(out.numel())](
        original, processed, shift, scale, out, out.numel(), original.shape[1], processed.shape[1],
        shift is not None, factor, out.shape[-1], BLOCK,
    )  # fmt: skip
    return out


@triton.jit
def _downsample(
    x, lengths, weights, out, total, frames, groups,
    FACTOR: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at, there = place(total, BLOCK)
    row, c = at // C, at % C
    n, group = row // groups, row % groups
    last = tl.load(lengths + n, mask=there, other=1) - 1
    made = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(FACTOR):
        source = tl.minimum(group * FACTOR + k, last)
        part = tl.load(x + (n * frames + source) * C + c, mask=there, other=0.0)
        made += part.to(tl.float32) * tl.load(weights + k)
    tl.store(out + at, made.to(out.dtype.element_ty), mask=there)


def downsample(x: Tensor, lengths: Tensor, weights: Tensor, groups: int) -> Tensor:
    """(n, frames, c) to (n, groups, c): the sum of each len(weights) frames by float32 weights;
    past a clip's end its last frame."""
    out = x.new_empty(x.shape[0], groups, x.shape[2])
    _downsample[over(out.numel())](
        x, lengths, weights, out, out.numel(), x.shape[1], groups, len(weights), x.shape[2], BLOCK
    )
    return out


@triton.jit
def _normed(x, shift, bias, norm, row, c, C: tl.constexpr, SHIFTED: tl.constexpr):
    made = tl.load(x + row * C + c, mask=c < C, other=0.0).to(tl.float32)
    if SHIFTED:
        made += tl.load(shift + c, mask=c < C, other=0.0)
    off = made - tl.load(bias + c, mask=c < C, other=0.0).to(tl.float32)
    return made * (tl.load(norm) / tl.sqrt(tl.sum(off * off, axis=0) / C))


@triton.jit
def _bias_norm(x, bias, norm, out, C: tl.constexpr, WIDTH: tl.constexpr):
    row, c = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    made = _normed(x, x, bias, norm, row, c, C, False)
    tl.store(out + row * C + c, made.to(out.dtype.element_ty), mask=c < C)


def bias_norm(x: Tensor, bias: Tensor, norm: Tensor) -> Tensor:
    """x / rms(x - bias) * norm over channels; norm: one float32."""
    out, channels = torch.empty_like(x), x.shape[-1]
    width = triton.next_power_of_2(channels)
    _bias_norm[(x.numel() // channels,)](x, bias, norm, out, channels, width)
    return out


@triton.jit
def _norm_bypass(original, x, shift, bias, norm, scale, out, C: tl.constexpr, WIDTH: tl.constexpr):
    row, c = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    y = _normed(x, shift, bias, norm, row, c, C, True)
    old = tl.load(original + row * C + c, mask=c < C, other=0.0).to(tl.float32)
    s = tl.load(scale + c, mask=c < C, other=0.0).to(tl.float32)
    tl.store(out + row * C + c, (old + (y - old) * s).to(out.dtype.element_ty), mask=c < C)


def norm_bypass(
    original: Tensor, x: Tensor, shift: Tensor, bias: Tensor, norm: Tensor, scale: Tensor
) -> Tensor:
    """`bypass` of the `bias_norm` of x + shift."""
    out, channels = torch.empty_like(x), x.shape[-1]
    width = triton.next_power_of_2(channels)
    _norm_bypass[(x.numel() // channels,)](
        original, x, shift, bias, norm, scale, out, channels, width
    )
    return out
