"""The speech encoder's Zipformer stacks, batch first; frontend.py is what comes before them.

Written from arXiv 2310.11230 and the published checkpoint's layout. A clip's output does not
depend on the batch it came in: padded frames are zeroed before every convolution that could see
them, masked in attention, and never enter a downsampling (each clip repeats its own last frame).
Upstream lets them leak. Knows nothing of waveforms, text or files.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clsp.architecture import Architecture
from clsp.frontend import BiasNorm, swoosh_l, swoosh_r, valid_frames
from clsp.kept import kept

MASKED_SCORE = -1000.0  # replaces the attention score of a padded key


class FeedForward(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(dim, hidden)
        self.out_proj = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(swoosh_l(self.in_proj(x)))


class DepthwiseConv(nn.Conv1d):
    """Over time, each channel by itself: (n, frames, dim) to the same."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__(dim, dim, kernel, padding=kernel // 2, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2).contiguous()


class ConvModule(nn.Module):
    """Gated depthwise convolution over time."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(dim, 2 * dim)
        self.depthwise_conv = DepthwiseConv(dim, kernel)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        x = F.glu(self.in_proj(x))  # the first half by the sigmoid of the second
        if valid is not None:
            x = x * valid[..., None]
        return self.out_proj(swoosh_r(self.depthwise_conv(x)))


class AttentionWeights(nn.Module):
    """Relative-position attention weights (n, heads, frames, frames), shared within a layer.

    Scores are not divided by the square root of the head dimension.
    """

    def __init__(
        self, dim: int, heads: int, query_dim: int, pos_head_dim: int, pos_dim: int
    ) -> None:
        super().__init__()
        self.heads, self.query_dim, self.pos_head_dim = heads, query_dim, pos_head_dim
        self.pos_dim = pos_dim
        self.in_proj = nn.Linear(dim, heads * (2 * query_dim + pos_head_dim))
        self.linear_pos = nn.Linear(pos_dim, heads * pos_head_dim, bias=False)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        n, frames, _ = x.shape
        width = self.heads * self.query_dim
        q, k, p = self.in_proj(x).split([width, width, self.heads * self.pos_head_dim], dim=-1)
        q = q.view(n, frames, self.heads, -1).transpose(1, 2)
        k = k.view(n, frames, self.heads, -1).permute(0, 2, 3, 1)
        p = p.view(n, frames, self.heads, -1).transpose(1, 2)
        table = positional_table(frames, self.pos_dim, x.device).to(x.dtype)
        table = self.linear_pos(table).view(2 * frames - 1, self.heads, -1).permute(1, 2, 0)
        scores = q @ k + relative_to_absolute(p @ table)
        if valid is not None:
            scores = scores.masked_fill(~valid[:, None, None, :], MASKED_SCORE)
        return scores.softmax(dim=-1)


def relative_to_absolute(scores: Tensor) -> Tensor:
    """(n, heads, T, 2 T - 1) by offset j - i to (n, heads, T, T) by j: a view.

    With the rows end to end, each one's part begins 2 T - 2 numbers after the one before.
    """
    frames = scores.shape[2]
    if frames == 1:
        return scores
    rows = scores.flatten(2)[..., frames - 1 : -1]
    return rows.unflatten(2, (-1, 2 * frames - 2))[..., :frames]


def make_positions(frames: int, pos_dim: int, device: torch.device) -> Tensor:
    """Compact relative positions (2 frames - 1, pos_dim), offsets -(frames-1) ... frames-1.

    Offsets are compressed logarithmically, bent into an angle, and expanded into a Fourier
    series; the last column is a constant 1. Computed on demand and where it is used (a copy from
    here would have a GPU waited for), never stored in a checkpoint or
    a buffer: it cannot be lost under `meta`-device construction.
    """
    with torch.inference_mode(False), torch.no_grad():
        offset = torch.arange(-(frames - 1), frames, dtype=torch.float32, device=device)
        c = math.sqrt(pos_dim)
        compressed = c * offset.sign() * ((offset.abs() + c).log() - math.log(c))
        angle = (compressed * (2 * math.pi / pos_dim)).atan()
        harmonics = torch.arange(1, pos_dim // 2 + 1, dtype=torch.float32, device=device)
        phase = angle[:, None] * harmonics
        table = torch.stack([phase.cos(), phase.sin()], dim=-1).flatten(1)
        table[:, -1] = 1.0
        return table


positional_table = kept(64)(make_positions)


class SelfAttention(nn.Module):
    def __init__(self, dim: int, heads: int, value_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(dim, heads * value_dim)
        self.out_proj = nn.Linear(heads * value_dim, dim)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        n, frames, _ = x.shape
        v = self.in_proj(x).view(n, frames, self.heads, -1).transpose(1, 2)
        return self.out_proj((weights @ v).transpose(1, 2).flatten(2))


class NonlinAttention(nn.Module):
    """Gated attention with the first head's weights only."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(dim, 3 * hidden)
        self.out_proj = nn.Linear(hidden, dim)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        s, x, y = self.in_proj(x).chunk(3, dim=-1)
        return self.out_proj((weights[:, 0] @ (x * s.tanh())) * y)


class Bypass(nn.Module):
    """Per-channel interpolation from the original towards the processed frames."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.bypass_scale = nn.Parameter(torch.full((dim,), 0.5))

    def forward(self, original: Tensor, processed: Tensor) -> Tensor:
        return original + (processed - original) * self.bypass_scale


class Combiner(Bypass):
    """A bypass from frames at one rate to those at a `factor` times lower one."""

    def forward(self, original: Tensor, processed: Tensor, factor: int) -> Tensor:  # type: ignore[override]
        fast = processed.repeat_interleave(factor, dim=1)[:, : original.shape[1]]
        return super().forward(original, fast)


def plus(made: Tensor, x: Tensor) -> Tensor:
    """Their sum, in the memory of `made` where that has the residual's precision: under autocast it
    has less."""
    return made.add_(x) if made.dtype == x.dtype else made + x


class Layer(nn.Module):
    def __init__(self, config: Architecture, stack: int) -> None:
        super().__init__()
        dim = config.encoder_dim[stack]
        ff, kernel = config.feedforward_dim[stack], config.cnn_module_kernel[stack]
        heads, value_dim = config.num_heads[stack], config.value_head_dim[stack]
        # In the checkpoint, of no effect: the paper's layer skips itself through the two below.
        self.bypass_scale = nn.Parameter(torch.full((dim,), 0.5))
        self.bypass_mid = Bypass(dim)
        self.bypass = Bypass(dim)
        self.self_attn_weights = AttentionWeights(
            dim, heads, config.query_head_dim[stack], config.pos_head_dim[stack], config.pos_dim
        )
        self.self_attn1 = SelfAttention(dim, heads, value_dim)
        self.self_attn2 = SelfAttention(dim, heads, value_dim)
        self.feed_forward1 = FeedForward(dim, ff * 3 // 4)
        self.feed_forward2 = FeedForward(dim, ff)
        self.feed_forward3 = FeedForward(dim, ff * 5 // 4)
        self.nonlin_attention = NonlinAttention(dim, 3 * dim // 4)
        self.conv_module1 = ConvModule(dim, kernel)
        self.conv_module2 = ConvModule(dim, kernel)
        self.norm = BiasNorm(dim)

    def forward(self, x0: Tensor, valid: Tensor | None) -> Tensor:
        weights = self.self_attn_weights(x0, valid)
        x = plus(self.feed_forward1(x0), x0)
        x = plus(self.nonlin_attention(x, weights), x)
        x = plus(self.self_attn1(x, weights), x)
        x = plus(self.conv_module1(x, valid), x)
        x = plus(self.feed_forward2(x), x)
        x = self.bypass_mid(x0, x)
        x = plus(self.self_attn2(x, weights), x)
        x = plus(self.conv_module2(x, valid), x)
        x = plus(self.feed_forward3(x), x)
        return self.bypass(x0, self.norm(x))


class Downsample(nn.Module):
    """Weighted mean of each `factor` frames; every clip's end repeats that clip's last frame."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.bias = nn.Parameter(torch.zeros(factor))

    def forward(self, x: Tensor, lengths: Tensor, padded: bool) -> tuple[Tensor, Tensor]:
        n, frames, dim = x.shape
        groups = -(-frames // self.factor)
        if padded or frames % self.factor:
            source = torch.arange(groups * self.factor, device=x.device)
            source = torch.minimum(source, lengths[:, None] - 1)
            x = x.gather(1, source[..., None].expand(-1, -1, dim))
        weights = self.bias.softmax(dim=0)[:, None]
        x = (x.view(n, groups, self.factor, dim) * weights).sum(dim=2)
        return x, -(-lengths // self.factor)


class Stack(nn.Module):
    """Zipformer layers at one frame rate; parameter names follow the checkpoint."""

    def __init__(self, config: Architecture, stack: int) -> None:
        super().__init__()
        self.factor = config.downsampling_factor[stack]
        self.dim = config.encoder_dim[stack]
        layers = nn.ModuleList(
            Layer(config, stack) for _ in range(config.num_encoder_layers[stack])
        )
        if self.factor == 1:
            self.layers = layers
        else:
            self.downsample = Downsample(self.factor)
            self.encoder = nn.ModuleDict({"layers": layers})
            self.out_combiner = Combiner(self.dim)

    def forward(self, x: Tensor, lengths: Tensor, padded: bool) -> Tensor:
        if self.factor == 1:
            valid = valid_frames(lengths, x.shape[1]) if padded else None
            for layer in self.layers:
                x = layer(x, valid)
            return x
        y, short = self.downsample(x, lengths, padded)
        valid = valid_frames(short, y.shape[1]) if padded else None
        for layer in self.encoder["layers"]:
            y = layer(y, valid)
        return self.out_combiner(x, y, self.factor)


class Zipformer(nn.Module):
    """Frames (n, T, encoder_dim[0]) at 50 Hz to (n, ceil(T / 2), max(encoder_dim)) at 25 Hz.

    `padded` says whether any clip is shorter than its batch. Without, nothing is masked, which
    costs nothing. Told and not looked for: a GPU would be waited for at every layer.
    """

    frames_multiple = 1  # of which T must be one, for packed_gpu.py

    def __init__(self, config: Architecture) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(
            Stack(config, i) for i in range(len(config.downsampling_factor))
        )
        self.downsample_output = Downsample(config.output_downsampling_factor)

    @property
    def dtype(self) -> torch.dtype:
        return self.downsample_output.bias.dtype

    def forward(self, x: Tensor, lengths: Tensor, padded: bool) -> tuple[Tensor, Tensor]:
        """Returns the output frames and each clip's length in them."""
        outputs = []
        for stack in self.encoders:
            x = stack(fit_channels(x, stack.dim), lengths, padded)
            outputs.append(x)
        return self.downsample_output(merge_channels(outputs), lengths, padded)


def fit_channels(x: Tensor, dim: int) -> Tensor:
    """Cut, or pad with zeros, to `dim` channels."""
    if x.shape[-1] == dim:
        return x
    return x[..., :dim] if x.shape[-1] > dim else F.pad(x, (0, dim - x.shape[-1]))


def merge_channels(outputs: list[Tensor]) -> Tensor:
    """The last stack's channels; those it lacks, from the latest earlier stack with them."""
    merged = outputs[-1]
    for earlier in reversed(outputs[:-1]):
        if earlier.shape[-1] > merged.shape[-1]:
            merged = torch.cat([merged, earlier[..., merged.shape[-1] :]], dim=-1)
    return merged
