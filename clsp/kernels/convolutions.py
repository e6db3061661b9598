"""The encoder's depthwise convolutions, its first one, and the two pointwise ones of its front end
with what stands between them.

PyTorch's depthwise convolution over time takes a GPU five times as long. Knows nothing of layers:
see packed_gpu.py.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from clsp.kernels.elementwise import BLOCK, over, place, swoosh_of

# What one program does, and by how many warps: by trial on an H200, all but SMALL_POINTWISE.
DEPTHWISE, DEPTHWISE_WARPS = (16, 128), 2  # frames, channels; 32 frames take long to compile
SQUARE, SQUARE_WARPS = (64, 32, 64), 4  # frames, bins, channels
# Rows, of the hidden layer. The larger needs 160 KiB of shared memory, which an A100, H100 or H200
# has, and smaller GPUs do not.
POINTWISE, POINTWISE_WARPS = (128, 32), 8
SMALL_POINTWISE, SMALL_POINTWISE_WARPS = (32, 32), 4
POINTWISE_BYTES = 160 << 10


@triton.jit
def _row(x, t, frames, C: tl.constexpr, c):
    there = (c < C) & (t >= 0) & (t < frames)
    return tl.load(x + t * C + c, mask=there, other=0.0).to(tl.float32)


@triton.jit
def _depthwise(
    x, weight, bias, out, frames,
    C: tl.constexpr, K: tl.constexpr, FRAMES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Weights and the frames that a sum reads are held in registers: each frame is read once for
    FRAMES sums, where to read it for each would be K loads a sum."""
    blocks, parts = tl.cdiv(frames, FRAMES), tl.cdiv(C, WIDTH)
    first = tl.program_id(0) % blocks * FRAMES
    c = tl.program_id(0) // blocks % parts * WIDTH + tl.arange(0, WIDTH)
    start = (tl.program_id(0) // blocks // parts).to(tl.int64) * frames * C
    x += start
    out += start
    offset = tl.load(bias + c, mask=c < C, other=0.0).to(tl.float32)
    held = (_row(x, first - K // 2, frames, C, c),)
    weights = (tl.load(weight + c, mask=c < C, other=0.0),)
    for k in tl.static_range(1, K):
        held = held + (_row(x, first + k - K // 2, frames, C, c),)
        weights = weights + (tl.load(weight + k * C + c, mask=c < C, other=0.0),)
    for f in tl.static_range(FRAMES):
        t = first + f
        made = offset
        for k in tl.static_range(K):
            made += held[k] * weights[k]
        there = (c < C) & (t < frames)
        tl.store(out + t * C + c, swoosh_of(made, True).to(out.dtype.element_ty), mask=there)
        held = held[1:] + (_row(x, t + 1 + K // 2, frames, C, c),)


def depthwise_swoosh(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """SwooshR of a convolution over time of each channel by itself, as wide as before; weight:
    (kernel, c) float32."""
    out = torch.empty_like(x)
    n, frames, channels = x.shape
    rows, width = DEPTHWISE
    grid = (n * triton.cdiv(channels, width) * triton.cdiv(frames, rows),)
    _depthwise[grid](
        x, weight, bias, out, frames, channels, len(weight), rows, width,
        num_warps=DEPTHWISE_WARPS,
    )  # fmt: skip
    return out


@triton.jit
def _depthwise_2d(
    x, valid, weight, bias, out, frames, bins,
    C: tl.constexpr, K: tl.constexpr, FRAMES: tl.constexpr, BINS: tl.constexpr,
    WIDTH: tl.constexpr,
):  # fmt: skip
    """Each frame is read K times, shifted by bins, and added to the K sums it belongs to; where to
    read it for each sum would be K * K times."""
    parts: tl.constexpr = C // WIDTH
    blocks, tiles = tl.cdiv(frames, FRAMES), tl.cdiv(bins, BINS)
    first = tl.program_id(0) % blocks * FRAMES
    rest = tl.program_id(0) // blocks
    c = rest % parts * WIDTH + tl.arange(0, WIDTH)
    b = rest // parts % tiles * BINS + tl.arange(0, BINS)
    n = (rest // parts // tiles).to(tl.int64)
    x += n * frames * bins * C
    out += n * frames * bins * C
    valid += n * frames
    empty = tl.zeros([BINS, WIDTH], tl.float32) + tl.load(bias + c)[None, :]
    sums = (empty,) * K  # of frame t + K // 2 - i
    for t in range(first - K // 2, first + FRAMES + K // 2):
        in_time = (t >= 0) & (t < frames)
        in_clip = tl.load(valid + t, mask=in_time, other=0) != 0
        for j in tl.static_range(K):
            bin_ = b + (j - K // 2)
            there = ((bin_ >= 0) & (bin_ < bins) & in_clip)[:, None]
            part = tl.load(x + (t * bins + bin_[:, None]) * C + c[None, :], mask=there, other=0.0)
            for i in tl.static_range(K):
                by = tl.load(weight + (i * K + j) * C + c)
                sums = sums[:i] + (sums[i] + part * by[None, :],) + sums[i + 1 :]
        done = t - K // 2
        there = ((b < bins) & (done >= first) & (done < frames))[:, None]
        tl.store(out + (done * bins + b[:, None]) * C + c[None, :], sums[K - 1], mask=there)
        sums = (empty,) + sums[: K - 1]


def depthwise_2d(x: Tensor, valid: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A square convolution of each channel by itself, over frames and bins, of the same size; what
    is outside clips is zero. x: (n, frames, bins, c) float32; weight: (kernel, kernel, c)."""
    out = torch.empty_like(x)
    n, frames, bins, channels = x.shape
    rows, tile, width = SQUARE
    width = math.gcd(channels, width)
    grid = (n * triton.cdiv(bins, tile) * (channels // width) * triton.cdiv(frames, rows),)
    _depthwise_2d[grid](
        x, valid, weight, bias, out, frames, bins, channels, len(weight), rows, tile, width,
        num_warps=SQUARE_WARPS,
    )  # fmt: skip
    return out


@triton.jit
def _first_conv(x, weight, bias, out, total, frames, bins, C: tl.constexpr, BLOCK: tl.constexpr):
    at, there = place(total, BLOCK)
    c, b, row = at % C, at // C % bins, at // C // bins
    t, n = row % (frames - 2), row // (frames - 2)
    made = tl.load(bias + c)
    for i in tl.static_range(3):
        for j in tl.static_range(3):
            bin_ = b + (j - 1)
            inside = there & (bin_ >= 0) & (bin_ < bins)
            part = tl.load(x + (n * frames + t + i) * bins + bin_, mask=inside, other=0.0)
            made += part * tl.load(weight + c * 9 + i * 3 + j)
    tl.store(out + at, swoosh_of(made, True), mask=there)


def first_conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """SwooshR of a 3 x 3 convolution to c channels: (n, frames, bins) to (n, frames - 2, bins, c),
    float32; weight: (c, 9)."""
    n, frames, bins = x.shape
    out = x.new_empty(n, frames - 2, bins, len(bias))
    total = out.numel()
    _first_conv[over(total)](x, weight, bias, out, total, frames, bins, len(bias), BLOCK)
    return out


@triton.jit
def _mlp(
    x, residual, wide, wide_bias, narrow, narrow_bias, out, rows,
    C: tl.constexpr, H: tl.constexpr, ROWS: tl.constexpr, HIDDEN: tl.constexpr,
    WIDTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, WIDTH)
    there = (row < rows)[:, None] & (c < C)[None, :]
    a = tl.load(x + row[:, None] * C + c[None, :], mask=there, other=0.0)
    made = tl.zeros([ROWS, WIDTH], tl.float32)
    for start in range(0, H, HIDDEN):
        h = start + tl.arange(0, HIDDEN)
        both = (h < H)[None, :] & (c < C)[:, None]
        by = tl.load(wide + h[None, :] * C + c[:, None], mask=both, other=0.0)
        hidden = tl.dot(a, by, input_precision=PRECISION)
        hidden = swoosh_of(hidden + tl.load(wide_bias + h, mask=h < H, other=0.0)[None, :], False)
        both = (h < H)[:, None] & (c < C)[None, :]
        by = tl.load(narrow + c[None, :] * H + h[:, None], mask=both, other=0.0)
        made = tl.dot(hidden, by, made, input_precision=PRECISION)
    made += tl.load(narrow_bias + c, mask=c < C, other=0.0)[None, :]
    made += tl.load(residual + row[:, None] * C + c[None, :], mask=there, other=0.0)
    tl.store(out + row[:, None] * C + c[None, :], made, mask=there)


def pointwise_residual(
    x: Tensor,
    residual: Tensor,
    wide: Tensor,
    wide_bias: Tensor,
    narrow: Tensor,
    narrow_bias: Tensor,
) -> Tensor:
    """residual + narrow (c, h) of the SwooshL of wide (h, c) of x (..., c), with their biases: in
    float32, of which products read 10 bits of the fraction (TF32)."""
    out, channels = torch.empty_like(x), x.shape[-1]
    rows = x.numel() // channels
    (tile, hidden), warps = SMALL_POINTWISE, SMALL_POINTWISE_WARPS
    if _shared_bytes(x.device) >= POINTWISE_BYTES:
        (tile, hidden), warps = POINTWISE, POINTWISE_WARPS
    _mlp[(triton.cdiv(rows, tile),)](
        x, residual, wide, wide_bias, narrow, narrow_bias, out, rows,
        channels, len(wide), tile, hidden, max(16, triton.next_power_of_2(channels)), "tf32",
        num_warps=warps,
    )  # fmt: skip
    return out


def _shared_bytes(device: torch.device) -> int:
    """Of shared memory that a program may have."""
    if device.type != "cuda":
        return 0
    return int(torch.cuda.get_device_properties(device).shared_memory_per_block_optin)
