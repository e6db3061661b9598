"""The speech encoder as a GPU computes it fastest, in bfloat16: its matrix products are PyTorch's,
what lies between them is done by our kernels (clsp/kernels).

Layers of zipformer.py are replaced one by one; what they compute is theirs, to rounding. The front
end, which would lose what is soft in the features in bfloat16, has float32 numbers; its matrix
products and convolutions read 10 bits of their fractions (TF32). For inference only. Knows nothing
of files or lakes.
"""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clsp import kernels
from clsp.frontend import BiasNorm, FrontEnd, tf32, valid_frames
from clsp.zipformer import (
    AttentionWeights,
    Combiner,
    ConvModule,
    Downsample,
    FeedForward,
    Layer,
    NonlinAttention,
    SelfAttention,
    positional_table,
)

if TYPE_CHECKING:
    from clsp.embedder import Embedder

# Frames at every rate come in multiples of it: 16 bytes, below which a GPU's matrix products are
# several times slower.
FRAMES = 8


def probe(device: torch.device) -> None:
    """Raises what Triton raises where it cannot compile for this device, or not at all."""
    made = torch.zeros(1, FRAMES, 33, dtype=torch.bfloat16, device=device)
    positions, valid = made.new_zeros(1, 2 * FRAMES - 1), made.new_ones(1, FRAMES).bool()
    with torch.cuda.device_of(made):
        kernels.attention_weights(made, positions, valid, 1, 16, 1)


def speed_up(model: "Embedder") -> None:
    """Replace the speech encoder's layers by those below, with the same weights. Its numbers are
    bfloat16 already, but for the front end's; and its weights need no gradient.

    Raises what a first try with a second of silence raises, where Triton cannot compile or the
    device lacks what a kernel needs; the model is as before then.
    """
    dual = model.model
    plain = dual.encoder_embed, dual.encoder
    encoder = copy.deepcopy(dual.encoder, {id(each): each for each in dual.encoder.parameters()})
    _replace(encoder)
    encoder.frames_multiple = FRAMES
    dual.encoder_embed, dual.encoder = GpuFrontEnd(dual.encoder_embed), encoder
    try:
        with torch.inference_mode():
            silence = torch.zeros(1, 100, model.config.feature_dim, device=model.device)
            dual.pooled_audio(silence, torch.tensor([100], device=model.device), False)
    except BaseException:
        dual.encoder_embed, dual.encoder = plain
        raise


def _replace(module: nn.Module) -> None:
    for name, layer in module.named_children():
        if made := FORMS.get(type(layer)):
            setattr(module, name, made(layer))
        else:
            _replace(layer)


class GpuFrontEnd(nn.Module):
    """FrontEnd, in float32, with channels last: pointwise convolutions are matrix products."""

    def __init__(self, layer: FrontEnd) -> None:
        super().__init__()
        self.first, *later = layer.conv.values()
        self.later = nn.ModuleList(copy.deepcopy(later)).to(memory_format=torch.channels_last)
        depthwise = layer.convnext.depthwise_conv
        self.depthwise = depthwise.weight[:, 0].permute(1, 2, 0).contiguous()
        self.depthwise_bias = depthwise.bias
        wide, narrow = layer.convnext.pointwise_conv1, layer.convnext.pointwise_conv2
        pair = [(each.weight[..., 0, 0].contiguous(), each.bias) for each in (wide, narrow)]
        self.pointwise = [*pair[0], *pair[1]]
        # From channel-major to bins first.
        by_channel = layer.out.weight.unflatten(1, (narrow.out_channels, -1))
        self.out, self.out_bias = by_channel.transpose(1, 2).flatten(1), layer.out.bias
        self.out_norm = GpuBiasNorm(layer.out_norm)

    @property
    def dtype(self) -> torch.dtype:
        return self.out_norm.bias.dtype

    def forward(self, features: Tensor, lengths: Tensor, padded: bool) -> tuple[Tensor, Tensor]:
        x = kernels.first_conv(features.contiguous(), self.first.weight.flatten(1), self.first.bias)
        with tf32(True, torch.backends.cudnn, torch.backends.cuda.matmul):
            for conv in self.later:
                made = F.conv2d(x.permute(0, 3, 1, 2), conv.weight, None, conv.stride)
                x = made.permute(0, 2, 3, 1).contiguous()  # as it is, mostly
                kernels.swoosh_(x, right=True, bias=conv.bias)
            lengths = (lengths - 7) // 2
            valid = valid_frames(lengths, x.shape[1])
            made = kernels.depthwise_2d(x, valid, self.depthwise, self.depthwise_bias)
            made = kernels.pointwise_residual(made, x, *self.pointwise)
            made = F.linear(made.flatten(2), self.out, self.out_bias)
        return self.out_norm(made), lengths


class GpuBiasNorm(nn.Module):
    def __init__(self, layer: BiasNorm) -> None:
        super().__init__()
        self.bias, self.norm = layer.bias, layer.log_scale.detach().float().exp()

    def forward(self, x: Tensor) -> Tensor:
        return kernels.bias_norm(x, self.bias, self.norm)


class GpuLayer(nn.Module):
    """Layer. The product that ends a part adds to the residual what it makes, in one go, but for
    its bias: biases are added to those of the parts behind, which is the same sum."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.weights = GpuAttentionWeights(layer.self_attn_weights)
        self.first = GpuFeedForward(layer.feed_forward1)
        self.before = nn.ModuleList(
            [
                GpuNonlinAttention(layer.nonlin_attention),
                GpuSelfAttention(layer.self_attn1),
                GpuConvModule(layer.conv_module1),
                GpuFeedForward(layer.feed_forward2),
            ]
        )
        self.behind = nn.ModuleList(
            [
                GpuSelfAttention(layer.self_attn2),
                GpuConvModule(layer.conv_module2),
                GpuFeedForward(layer.feed_forward3),
            ]
        )
        self.middle_scale, self.scale = layer.bypass_mid.bypass_scale, layer.bypass.bypass_scale
        self.norm = GpuBiasNorm(layer.norm)
        self.middle_shift = _pass_on([self.first, *self.before])
        self.shift = _pass_on([*self.behind])

    def forward(self, x0: Tensor, valid: Tensor) -> Tensor:
        x0 = x0.contiguous()  # if stacks differ in width, it is a part of a wider one
        given = Given(self.weights(x0, valid), valid)
        hidden = _rows(self.first(x0, given))
        x = torch.addmm(_rows(x0), hidden, self.first.out_proj.weight.t()).view_as(x0)
        for part in self.before:
            _rows(x).addmm_(_rows(part(x, given)), part.out_proj.weight.t())
        x = kernels.bypass(x0, x, self.middle_scale, shift=self.middle_shift)
        for part in self.behind:
            _rows(x).addmm_(_rows(part(x, given)), part.out_proj.weight.t())
        norm = self.norm
        return kernels.norm_bypass(x0, x, self.shift, norm.bias, norm.norm, self.scale)


class Given(NamedTuple):
    """What parts of a layer read besides its frames."""

    weights: Tensor
    valid: Tensor


def _rows(x: Tensor) -> Tensor:
    return x.view(-1, x.shape[-1])


def _pass_on(parts: Sequence[nn.Module]) -> Tensor:
    """Add each part's last bias to the first biases of those behind, as these see it; returns the
    sum of all, which is lacking at the end."""
    lacking = torch.zeros_like(parts[0].out_proj.bias, dtype=torch.float32)
    for part in parts:
        first, last = part.in_proj, part.out_proj
        more = (first.weight.float() @ lacking).to(first.bias.dtype)
        first.bias = nn.Parameter(first.bias + more, requires_grad=False)
        lacking += last.bias.float()
    return lacking


class GpuFeedForward(nn.Module):
    """The hidden layer of FeedForward, as the next ones are of theirs."""

    def __init__(self, layer: FeedForward) -> None:
        super().__init__()
        self.in_proj, self.out_proj = layer.in_proj, layer.out_proj

    def forward(self, x: Tensor, given: Given) -> Tensor:
        return kernels.swoosh_(self.in_proj(x))


class GpuConvModule(nn.Module):
    def __init__(self, layer: ConvModule) -> None:
        super().__init__()
        self.in_proj, self.out_proj = layer.in_proj, layer.out_proj
        self.weight = layer.depthwise_conv.weight[:, 0].t().float().contiguous()
        self.bias = layer.depthwise_conv.bias

    def forward(self, x: Tensor, given: Given) -> Tensor:
        x = kernels.glu(self.in_proj(x), given.valid)
        return kernels.depthwise_swoosh(x, self.weight, self.bias)


class GpuAttentionWeights(nn.Module):
    def __init__(self, layer: AttentionWeights) -> None:
        super().__init__()
        self.heads, self.query_dim = layer.heads, layer.query_dim
        self.pos_head_dim, self.pos_dim = layer.pos_head_dim, layer.pos_dim
        self.in_proj, self.linear_pos = layer.in_proj, layer.linear_pos

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        table = positional_table(x.shape[1], self.pos_dim, x.device).to(x.dtype)
        positions = self.linear_pos.weight @ table.t()
        return kernels.attention_weights(
            self.in_proj(x), positions, valid, self.heads, self.query_dim, self.pos_head_dim
        )


class GpuSelfAttention(nn.Module):
    def __init__(self, layer: SelfAttention) -> None:
        super().__init__()
        self.in_proj, self.out_proj = layer.in_proj, layer.out_proj

    def forward(self, x: Tensor, given: Given) -> Tensor:
        return kernels.attend(given.weights, self.in_proj(x))


class GpuNonlinAttention(nn.Module):
    def __init__(self, layer: NonlinAttention) -> None:
        super().__init__()
        self.in_proj, self.out_proj = layer.in_proj, layer.out_proj

    def forward(self, x: Tensor, given: Given) -> Tensor:
        x = self.in_proj(x)
        made = given.weights[:, 0] @ kernels.tanh_gate(x)
        return kernels.by_third_(made, x)


class GpuCombiner(nn.Module):
    def __init__(self, layer: Combiner) -> None:
        super().__init__()
        self.scale = layer.bypass_scale

    def forward(self, original: Tensor, processed: Tensor, factor: int) -> Tensor:
        return kernels.bypass(original.contiguous(), processed, self.scale, factor)


class GpuDownsample(nn.Module):
    def __init__(self, layer: Downsample) -> None:
        super().__init__()
        self.factor, self.bias = layer.factor, layer.bias
        self.weights = layer.bias.detach().float().softmax(dim=0)

    def forward(self, x: Tensor, lengths: Tensor, padded: bool) -> tuple[Tensor, Tensor]:
        groups = -(-x.shape[1] // self.factor)
        groups += -groups % FRAMES
        made = kernels.downsample(x.contiguous(), lengths, self.weights, groups)
        return made, -(-lengths // self.factor)


FORMS: dict[type[nn.Module], type[nn.Module]] = {
    Combiner: GpuCombiner,
    Downsample: GpuDownsample,
    Layer: GpuLayer,
}
