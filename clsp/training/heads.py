"""Heads that train with BatchNorm on both sides, then fold it away exactly.

Without it, contrastive training from scratch collapses (all cosines 1.0). Afterwards the published
layout, which has no BatchNorm, computes the same numbers. Knows nothing of data or losses.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NormedHead(nn.Module):
    """BatchNorm -> projection -> transform -> BatchNorm -> L2 norm, over a model's own Linears."""

    def __init__(self, projection: nn.Sequential, transform: nn.Sequential, dim: int) -> None:
        super().__init__()
        joint = projection[-1].out_features
        self.before: nn.Module = nn.BatchNorm1d(dim)
        self.after: nn.Module = nn.BatchNorm1d(joint)
        self.projection, self.transform = projection, transform

    def forward(self, pooled: Tensor) -> Tensor:
        """(n, dim) to L2-normalised (n, joint)."""
        hidden = self.transform(self.projection(self.before(pooled)))
        return F.normalize(self.after(hidden), dim=-1)

    def fold(self) -> None:
        """Move both BatchNorms, as they are in eval mode, into the first and the last Linear."""
        if isinstance(self.before, nn.BatchNorm1d) and isinstance(self.after, nn.BatchNorm1d):
            fold_before(self.before, self.projection[0])
            fold_after(self.transform[-1], self.after)
            self.without_norm()

    def without_norm(self) -> None:
        """Go on as the published layout does."""
        self.before, self.after = nn.Identity(), nn.Identity()


def _affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """BatchNorm in eval mode is x * scale + shift."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


@torch.no_grad()
def fold_before(norm: nn.BatchNorm1d, linear: nn.Linear) -> None:
    """linear(norm(x)) becomes linear(x)."""
    scale, shift = _affine(norm)
    linear.bias += linear.weight @ shift
    linear.weight *= scale


@torch.no_grad()
def fold_after(linear: nn.Linear, norm: nn.BatchNorm1d) -> None:
    """norm(linear(x)) becomes linear(x)."""
    scale, shift = _affine(norm)
    linear.weight *= scale[:, None]
    linear.bias.mul_(scale).add_(shift)
