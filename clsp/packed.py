"""The speech encoder in a precision, and as a CPU computes it fastest (a GPU: packed_gpu.py).

Layers of zipformer.py are replaced one by one, so that never two copies of the weights are there;
what they compute is theirs, to rounding. For inference only: what is packed cannot be trained,
moved or saved. Knows nothing of files or lakes.

Why: PyTorch's own matrix product lays out its weights anew at every call, and its depthwise
convolution wants frames last, which they are not.
"""

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from clsp.checkpoint import PRECISIONS
from clsp.errors import InputError
from clsp.frontend import ConvNeXt, FrontEnd, swoosh_l
from clsp.zipformer import (
    AttentionWeights,
    DepthwiseConv,
    FeedForward,
    Zipformer,
)

if TYPE_CHECKING:
    from clsp.embedder import Embedder

TILE = 1 << 20  # numbers in the hidden layer of a feed-forward at a time: they stay in the cache
INT8_MAX = 127.0
SIGN = 128  # what is added to an 8-bit integer to have it without a sign

_log = logging.getLogger(__name__)


def prepare(model: "Embedder", precision: str) -> None:
    """Have the model's speech encoder compute in this precision, as fast as its device can.

    float32: the published answers. bfloat16: all but the front end, which would lose what is soft
    in the features (cosine to float32 0.997 with it, 0.9999 without; on a GPU it is in TF32).
    int8: weights and inputs of the linear layers, on a CPU; the rest float32.

    Raises InputError for another precision, or int8 where it cannot be had (`no_int8`).
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r}: expected one of {list(PRECISIONS)}")
    speed_up(model.model.encoder_embed, model.model.encoder, precision)
    if precision == "bfloat16" and model.device.type == "cuda":
        _with_kernels(model)
    model.precision = precision


def _with_kernels(model: "Embedder") -> None:
    """Our own kernels for a GPU; where they cannot be had, that is told, and PyTorch's do."""
    try:
        from clsp import packed_gpu

        packed_gpu.speed_up(model)
    except Exception as error:  # whatever Triton, its compilers or the driver have to say
        _log.warning(
            "the speech encoder runs at half its speed or less: %s", _lacking(model.device, error)
        )


def no_kernels(device: torch.device) -> str:
    """Why our own kernels cannot be had on this GPU; empty where they can."""
    try:
        from clsp import packed_gpu

        packed_gpu.probe(device)
    except Exception as error:  # as above
        return _lacking(device, error)
    return ""


def _lacking(device: torch.device, error: Exception) -> str:
    return (
        f"our kernels cannot be had on {device} ({type(error).__name__}: {error}). Triton needs a "
        "C compiler and Python's headers (Debian: gcc and python3-dev)"
    )


def speed_up(front: FrontEnd, encoder: Zipformer, precision: str) -> None:
    """`prepare`, of the two parts themselves."""
    device = front.out.weight.device
    packs = device.type == "cpu" and torch.backends.mkldnn.is_available()
    if precision == "int8" and (why := no_int8(device)):
        raise InputError(f"precision 'int8' on {device}: {why}")
    for part in (front, encoder):
        part.requires_grad_(False)
    if precision == "bfloat16":
        encoder.to(torch.bfloat16)
    if packs:
        pack(front, precision == "int8")
        # Where the CPU has no such numbers, PyTorch still computes with them, slowly.
        if precision != "bfloat16" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
            pack(encoder, precision == "int8")


def no_int8(device: torch.device) -> str:
    """Why int8 cannot be had on this device; empty where it can."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return "expected a CPU, and PyTorch with oneDNN. Use bfloat16 on a GPU"
    ones = torch.ones(64, 64)
    try:
        wrong = (Int8Linear(ones, torch.zeros(64))(ones) - 64).abs().max()
    except RuntimeError as error:  # oneDNN has other kernels for other CPUs
        return f"expected a CPU that oneDNN has such products for ({error}). Use float32"
    if wrong > 0.01:  # then pairs of products were added up in 16 bits, which do not hold them
        return (
            "products of 8-bit integers overflow on this CPU: expected one with VNNI (Intel since "
            "2019, AMD since Zen 4). Use float32"
        )
    return ""


def pack(module: nn.Module, int8: bool = False) -> None:
    """Replace the layers below `module` that have a faster form, in its own number format."""
    for name, layer in module.named_children():
        if isinstance(layer, AttentionWeights):  # its positions are a table, and few
            layer.in_proj = _linear(layer.in_proj, int8)
        elif isinstance(layer, nn.Linear):
            setattr(module, name, _linear(layer, int8))
        elif isinstance(layer, DepthwiseConv):
            setattr(module, name, PackedDepthwiseConv(layer))
        elif isinstance(layer, ConvNeXt):
            setattr(module, name, PackedConvNeXt(layer))
        elif isinstance(layer, FeedForward):
            hidden = layer.in_proj.out_features
            pack(layer, int8)
            setattr(module, name, TiledFeedForward(layer.in_proj, layer.out_proj, hidden))
        else:
            pack(layer, int8)
            if isinstance(layer, FrontEnd):
                layer.conv.to(memory_format=torch.channels_last)


def _linear(layer: nn.Linear, int8: bool) -> nn.Module:
    return (Int8Linear if int8 else PackedLinear)(layer.weight, layer.bias)


class PackedLinear(nn.Module):
    """nn.Linear over the last dimension, in the number format of its weights."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
        self.bias = bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


class Int8Linear(nn.Module):
    """nn.Linear in 8-bit integers: weights by output channel, inputs by frame as they come.

    By frame, so that a clip's answer does not depend on what else is in its batch.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        scale = _scale(weight.detach())
        whole = (weight.detach() / scale).round_().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(whole, None)
        self.scale, self.bias = scale[:, 0], bias.detach()
        self.zeros = torch.zeros(len(scale), dtype=torch.int64)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        scale = _scale(rows)
        # oneDNN is fast with what has no sign alone: 128 more is the other sign bit.
        whole = (rows / scale).round_().to(torch.int8).view(torch.uint8).bitwise_xor_(SIGN)
        product = torch.ops.onednn.qlinear_pointwise(
            whole, 1.0, SIGN, self.weight, self.scale, self.zeros, None,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return torch.addcmul(self.bias, product, scale).view(*x.shape[:-1], -1)


def _scale(rows: Tensor) -> Tensor:
    """(n, 1): what each row is divided by so that it spans -127 to 127."""
    # Twenty times as fast as aminmax.
    most = torch.maximum(rows.amax(1, keepdim=True), rows.amin(1, keepdim=True).neg_())
    return most.clamp_(min=torch.finfo(rows.dtype).tiny).div_(INT8_MAX)


class TiledFeedForward(nn.Module):
    """Linear, SwooshL, linear over the last dimension, some rows at a time."""

    def __init__(self, in_proj: nn.Module, out_proj: nn.Module, hidden: int) -> None:
        super().__init__()
        self.in_proj, self.out_proj, self.rows = in_proj, out_proj, max(1, TILE // hidden)

    def forward(self, x: Tensor) -> Tensor:
        made = torch.empty_like(x)
        rows, outs = (t.view(-1, x.shape[-1]).split(self.rows) for t in (x, made))
        for row, out in zip(rows, outs, strict=True):
            out.copy_(self.out_proj(swoosh_l(self.in_proj(row))))
        return made


class PackedConv2d(nn.Module):
    """nn.Conv2d of zero padding over (n, channels, height, width), channels last in memory."""

    def __init__(self, weight: Tensor, bias: Tensor, padding: tuple[int, int], groups: int) -> None:
        super().__init__()
        self.padding, self.groups = list(padding), groups
        self.bias = bias.detach()
        size = [1, groups * weight.shape[1], 64, 64]  # a guess at the input's, for the layout
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight.detach().contiguous(), self.padding, [1, 1], [1, 1], groups, size
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, [1, 1], [1, 1], self.groups, "none", [], ""
        )


class PackedDepthwiseConv(nn.Module):
    """DepthwiseConv over (n, frames, channels)."""

    def __init__(self, layer: DepthwiseConv) -> None:
        super().__init__()
        self.conv = PackedConv2d(
            layer.weight[..., None], layer.bias, (layer.padding[0], 0), layer.groups
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.transpose(1, 2)[..., None])[..., 0].transpose(1, 2).contiguous()


class PackedConvNeXt(nn.Module):
    """ConvNeXt; its pointwise convolutions are linear layers over channels. These stay as they are
    in int8: they are small, and every later layer goes by them."""

    def __init__(self, layer: ConvNeXt) -> None:
        super().__init__()
        first = layer.depthwise_conv
        self.depthwise_conv = PackedConv2d(first.weight, first.bias, (3, 3), first.groups)
        wide, narrow = _pointwise(layer.pointwise_conv1), _pointwise(layer.pointwise_conv2)
        self.pointwise = TiledFeedForward(wide, narrow, layer.pointwise_conv1.out_channels)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        if valid is not None:
            x = x * valid[:, None, :, None]
        hidden = self.depthwise_conv(x).permute(0, 2, 3, 1).contiguous()
        return x + self.pointwise(hidden).permute(0, 3, 1, 2)


def _pointwise(conv: nn.Conv2d) -> PackedLinear:
    return PackedLinear(conv.weight[..., 0, 0].contiguous(), conv.bias)
