"""The speech encoder's convolutional front end: features to frames at half their rate.

Written from arXiv 2310.11230 and the published checkpoint's layout. Padded frames are zeroed before
a convolution that could see them, so that a clip's output does not depend on its batch. Knows
nothing of waveforms or files.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clsp.architecture import Architecture


def swoosh_l(x: Tensor) -> Tensor:
    """log(1 + e^(x-4)) - 0.08 x - 0.035 (Zipformer paper, section 3.5)."""
    return F.softplus(x - 4.0).sub_(x, alpha=0.08).sub_(0.035)


def swoosh_r(x: Tensor) -> Tensor:
    """log(1 + e^(x-1)) - 0.08 x - 0.313261687: zero at zero."""
    return F.softplus(x - 1.0).sub_(x, alpha=0.08).sub_(0.313261687)


def valid_frames(lengths: Tensor, frames: int) -> Tensor:
    """(n, frames): True inside each clip."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


_TURN = threading.RLock()  # torch's settings are the process's: one thread at a time has them so


@contextmanager
def tf32(allowed: bool, *parts: Any) -> Iterator[None]:
    """Whether parts of torch.backends may have a GPU read float32 numbers with 10 bits of their
    fractions. Convolutions (cudnn) may unless told, which changes answers by 2e-5."""
    with nullcontext() if torch.compiler.is_compiling() else _TURN:
        before = [part.allow_tf32 for part in parts]
        try:
            for part in parts:
                part.allow_tf32 = allowed
            yield
        finally:
            for part, was in zip(parts, before, strict=True):
                part.allow_tf32 = was


class BiasNorm(nn.Module):
    """x / rms(x - bias) * e^log_scale over channels; the bias is not subtracted from the output."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(dim))
        self.log_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        power = (x - self.bias).square().mean(dim=-1, keepdim=True)
        return x * (power.rsqrt() * self.log_scale.exp())


class ConvNeXt(nn.Module):
    """Depthwise 7x7 and a pointwise bottleneck over (n, channels, frames, bins), with residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise_conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.pointwise_conv1 = nn.Conv2d(channels, 3 * channels, 1)
        self.pointwise_conv2 = nn.Conv2d(3 * channels, channels, 1)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        if valid is not None:  # the 7x7 kernel reaches three frames past a clip's end
            x = x * valid[:, None, :, None]
        hidden = self.pointwise_conv1(self.depthwise_conv(x))
        return x + self.pointwise_conv2(swoosh_l(hidden))


class FrontEnd(nn.Module):
    """Features (n, frames, bins) at 100 Hz to (n, (frames - 7) // 2, encoder_dim[0]) at 50 Hz."""

    def __init__(self, config: Architecture) -> None:
        super().__init__()
        first, second, third = config.frontend_channels
        # Indices follow the checkpoint; the gaps are training-time layers without weights.
        self.conv = nn.ModuleDict(
            {
                "0": nn.Conv2d(1, first, 3, padding=(0, 1)),
                "4": nn.Conv2d(first, second, 3, stride=2),
                "7": nn.Conv2d(second, third, 3, stride=(1, 2)),
            }
        )
        self.convnext = ConvNeXt(third)
        bins = ((config.feature_dim - 1) // 2 - 1) // 2
        self.out = nn.Linear(third * bins, config.encoder_dim[0])
        self.out_norm = BiasNorm(config.encoder_dim[0])

    @property
    def dtype(self) -> torch.dtype:
        return self.out_norm.bias.dtype

    def forward(self, features: Tensor, lengths: Tensor, padded: bool) -> tuple[Tensor, Tensor]:
        """Returns the frames and each clip's length in them. padded: see `Zipformer`."""
        x = features[:, None]
        with tf32(False, torch.backends.cudnn) if x.is_cuda else nullcontext():
            for conv in self.conv.values():
                x = swoosh_r(conv(x))
            lengths = (lengths - 7) // 2
            x = self.convnext(x, valid_frames(lengths, x.shape[2]) if padded else None)
        x = x.transpose(1, 2).flatten(2)  # channel-major: c * bins + bin
        return self.out_norm(self.out(x)), lengths
