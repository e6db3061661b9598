"""Attention weights by content and relative position, and values by them.

Scores never lie in memory: what was two products, a shift and a softmax of PyTorch is one pass.
Knows nothing of layers: see packed_gpu.py.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from clsp.zipformer import MASKED_SCORE

# What one program does, and by how many warps: found by trial on an H200.
WEIGHTS, WEIGHTS_WARPS = (16, 64), 2  # rows, columns
CHUNKS = 8  # of so many columns at most a row's scores are held; else they are computed twice
ATTEND, ATTEND_WARPS = (128, 64), 4  # rows, columns


@triton.jit
def _scores(
    q, made, positions, valid, i, j, frames, h, MASKED: tl.constexpr,
    H: tl.constexpr, D: tl.constexpr, P: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """(rows, columns) of one head before the softmax."""
    row: tl.constexpr = H * (2 * D + P)
    d = tl.arange(0, WIDE)
    there = (d < D)[:, None] & (j < frames)[None, :]
    k = tl.load(made + j[None, :] * row + (H + h) * D + d[:, None], mask=there, other=0.0)
    scores = tl.dot(q, k, input_precision="ieee")
    offset = j[None, :] - i[:, None] + frames - 1
    there = (i < frames)[:, None] & (j < frames)[None, :]
    for part in tl.static_range(P):
        p = tl.load(made + i * row + 2 * H * D + h * P + part, mask=i < frames, other=0.0)
        by = tl.load(positions + (h * P + part) * (2 * frames - 1) + offset, mask=there, other=0.0)
        scores += p.to(tl.float32)[:, None] * by.to(tl.float32)
    inside = tl.load(valid + j, mask=j < frames, other=0) != 0
    scores = tl.where(inside[None, :], scores, MASKED)
    return tl.where((j < frames)[None, :], scores, float("-inf"))


@triton.jit
def _part(frames, H: tl.constexpr, ROWS: tl.constexpr):
    """Rows, head and clip that a program does."""
    blocks = tl.cdiv(frames, ROWS)
    i = tl.program_id(0) % blocks * ROWS + tl.arange(0, ROWS)
    of = tl.program_id(0) // blocks
    return i, of % H, (of // H).to(tl.int64)


@triton.jit
def _weights(
    made, positions, valid, out, eighths, MASKED: tl.constexpr,
    H: tl.constexpr, D: tl.constexpr, P: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHUNKS: tl.constexpr,
):  # fmt: skip
    frames = eighths * 8  # told so, Triton moves 16 bytes at a time
    i, h, n = _part(frames, H, ROWS)
    row: tl.constexpr = H * (2 * D + P)
    made += n * frames * row
    valid += n * frames
    out += (n * H + h) * frames * frames
    d = tl.arange(0, WIDE)
    in_q = (i < frames)[:, None] & (d < D)[None, :]
    q = tl.load(made + i[:, None] * row + h * D + d[None, :], mask=in_q, other=0.0)
    if CHUNKS > 0:  # all of a row's scores fit into registers
        j = tl.arange(0, COLUMNS)
        scores = (_scores(q, made, positions, valid, i, j, frames, h, MASKED, H, D, P, WIDE),)
        most = tl.max(scores[0], axis=1)
        for chunk in tl.static_range(1, CHUNKS):
            j = chunk * COLUMNS + tl.arange(0, COLUMNS)
            more = _scores(q, made, positions, valid, i, j, frames, h, MASKED, H, D, P, WIDE)
            scores = scores + (more,)
            most = tl.maximum(most, tl.max(more, axis=1))
        found = (tl.exp(scores[0] - most[:, None]),)
        total = tl.sum(found[0], axis=1)
        for chunk in tl.static_range(1, CHUNKS):
            found = found + (tl.exp(scores[chunk] - most[:, None]),)
            total += tl.sum(found[chunk], axis=1)
        by = 1.0 / total
        for chunk in tl.static_range(CHUNKS):
            j = chunk * COLUMNS + tl.arange(0, COLUMNS)
            there = (i < frames)[:, None] & (j < frames)[None, :]
            to = out + i[:, None] * frames + j[None, :]
            tl.store(to, (found[chunk] * by[:, None]).to(out.dtype.element_ty), mask=there)
    else:
        most = tl.full([ROWS], float("-inf"), tl.float32)
        total = tl.zeros([ROWS], tl.float32)
        for start in range(0, frames, COLUMNS):
            j = start + tl.arange(0, COLUMNS)
            scores = _scores(q, made, positions, valid, i, j, frames, h, MASKED, H, D, P, WIDE)
            higher = tl.maximum(most, tl.max(scores, axis=1))
            sums = tl.sum(tl.exp(scores - higher[:, None]), axis=1)
            total = total * tl.exp(most - higher) + sums
            most = higher
        by = 1.0 / total
        for start in range(0, frames, COLUMNS):
            j = start + tl.arange(0, COLUMNS)
            scores = _scores(q, made, positions, valid, i, j, frames, h, MASKED, H, D, P, WIDE)
            found = tl.exp(scores - most[:, None]) * by[:, None]
            there = (i < frames)[:, None] & (j < frames)[None, :]
            to = out + i[:, None] * frames + j[None, :]
            tl.store(to, found.to(out.dtype.element_ty), mask=there)


def attention_weights(
    made: Tensor, positions: Tensor, valid: Tensor, heads: int, query_dim: int, pos_dim: int
) -> Tensor:
    """Queries, keys and position queries as one projection (n, frames, heads * (2 query_dim +
    pos_dim)), and positions (heads * pos_dim, 2 frames - 1), to weights (n, heads, frames,
    frames). frames: a multiple of 8."""
    n, frames, _ = made.shape
    out = made.new_empty(n, heads, frames, frames)
    rows, columns = WEIGHTS
    columns = min(columns, max(16, triton.next_power_of_2(frames)))
    wide, chunks = max(16, triton.next_power_of_2(query_dim)), triton.cdiv(frames, columns)
    _weights[(n * heads * triton.cdiv(frames, rows),)](
        made, positions, valid, out, frames // 8, MASKED_SCORE, heads, query_dim, pos_dim, wide,
        rows, columns, chunks if chunks <= CHUNKS else 0, num_warps=WEIGHTS_WARPS,
    )  # fmt: skip
    return out


@triton.jit
def _attend(
    weights, values, out, eighths,
    H: tl.constexpr, V: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    frames = eighths * 8  # told so, Triton moves 16 bytes at a time
    i, h, n = _part(frames, H, ROWS)
    v = tl.arange(0, WIDE)
    weights += (n * H + h) * frames * frames
    values += n * frames * H * V + h * V
    made = tl.zeros([ROWS, WIDE], tl.float32)
    for start in range(0, frames, COLUMNS):
        j = start + tl.arange(0, COLUMNS)
        there = (i < frames)[:, None] & (j < frames)[None, :]
        by = tl.load(weights + i[:, None] * frames + j[None, :], mask=there, other=0.0)
        there = (j < frames)[:, None] & (v < V)[None, :]
        of = tl.load(values + j[:, None] * H * V + v[None, :], mask=there, other=0.0)
        made += tl.dot(by, of, input_precision="ieee")
    to = out + (n * frames + i[:, None]) * H * V + h * V + v[None, :]
    there = (i < frames)[:, None] & (v < V)[None, :]
    tl.store(to, made.to(out.dtype.element_ty), mask=there)


def attend(weights: Tensor, values: Tensor) -> Tensor:
    """Weights (n, heads, frames, frames) by values (n, frames, heads * value_dim), to as many.
    frames: a multiple of 8."""
    n, heads, frames, _ = weights.shape
    out, dim = torch.empty_like(values), values.shape[-1] // heads
    wide = max(16, triton.next_power_of_2(dim))
    rows, columns = ATTEND
    columns = min(columns, max(16, triton.next_power_of_2(frames)))
    grid = (n * heads * triton.cdiv(frames, rows),)
    _attend[grid](
        weights, values, out, frames // 8, heads, dim, wide, rows, columns,
        num_warps=ATTEND_WARPS,
    )  # fmt: skip
    return out
