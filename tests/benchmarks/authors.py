"""The authors' own encoder, to measure against: from a checkout of theirs, never from here.

    git clone --branch clsp https://github.com/yfyeung/icefall
    CLSP_AUTHORS=icefall/egs/emilia/CLAP/spear make bench

Their code asks for k2, which no registry has for this Python. It needs two functions of it, SwooshL
and SwooshR; these are given by the formula that their code itself uses where it is exported.
"""

import sys
import types
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from clsp.config import CLSPConfig

Encoder = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def authors(folder: Path, config: CLSPConfig, weights: dict[str, Tensor]) -> Encoder:
    """Features (n, frames, 128) and lengths (n,) to frames (n, T, dim) and theirs; `weights` as in
    the published file. Raises ImportError where the folder is not what it should be."""
    _stand_in_for_k2()
    sys.path.insert(0, str(folder))
    from subsampling import Conv2dSubsampling  # type: ignore[import-not-found]
    from zipformer2 import Zipformer2  # type: ignore[import-not-found]

    same = ("downsampling_factor", "num_encoder_layers", "encoder_dim", "encoder_unmasked_dim",
            "query_head_dim", "pos_head_dim", "value_head_dim", "num_heads", "feedforward_dim",
            "cnn_module_kernel")  # fmt: skip
    front = Conv2dSubsampling(config.feature_dim, config.encoder_dim[0], dropout=0.0)
    encoder = Zipformer2(
        output_downsampling_factor=config.output_downsampling_factor,
        pos_dim=config.pos_dim,
        dropout=0.0,
        causal=False,
        **{name: tuple(getattr(config, name)) for name in same},
    )
    for part, prefix in ((front, "encoder_embed."), (encoder, "encoder.")):
        own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        part.load_state_dict(own, strict=True)
        part.eval()

    def encode(features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x, lengths = front(features, lengths)
        padding = torch.arange(x.shape[1]) >= lengths[:, None]
        x, lengths = encoder(x.permute(1, 0, 2), lengths, padding)
        return x.permute(1, 0, 2), lengths

    return encode


def ours(weights: nn.Module) -> Encoder:
    """Of a module that has `encoder_embed` and `encoder`."""

    def encode(features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        padded = int(lengths.min()) < features.shape[1]
        x, lengths = weights.encoder_embed(features, lengths, padded)
        return weights.encoder(x.to(weights.encoder.dtype), lengths, padded)

    return encode


def _stand_in_for_k2() -> None:
    def swoosh(shift: float, constant: float) -> Callable[[Tensor], Tensor]:
        zero = torch.tensor(0.0)
        return lambda x: torch.logaddexp(zero, x - shift) - 0.08 * x - constant

    k2 = types.ModuleType("k2")
    k2.swoosh_l_forward = swoosh(4.0, 0.035)  # type: ignore[attr-defined]
    k2.swoosh_r_forward = swoosh(1.0, 0.313261687)  # type: ignore[attr-defined]
    utils = types.ModuleType("icefall.utils")
    utils.torch_autocast = torch.autocast  # type: ignore[attr-defined]
    sys.modules |= {"k2": k2, "icefall": types.ModuleType("icefall"), "icefall.utils": utils}
