"""What a GPU computes the encoder with, in Triton's interpreter; and compiled for GPUs that are not
here. On a GPU: `pytest --noconftest tests/unit/test_kernels.py`, as conftest.py hides it."""

import logging
import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("triton", reason="comes with PyTorch for Linux alone")
from triton.runtime import interpreter

from clsp import Embedder, kernels, packed, packed_gpu
from clsp.config import CLSPConfig
from clsp.frontend import swoosh_l, swoosh_r
from clsp.kernels import attention
from clsp.zipformer import DepthwiseConv, Layer, relative_to_absolute
from flows import doctor

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FRAMES = (40, 70, 9)  # of features
ATOL = 2e-4 if DEVICE == "cuda" else 1e-6  # TF32, or not


@pytest.fixture(autouse=True)
def interpreter_with_new_numpy(monkeypatch) -> None:
    """Triton 3.6's makes integers of arrays in a way that NumPy 2.4 no longer has."""
    patch = interpreter._patch_lang_tensor

    def patched(tensor: type, scope: object) -> None:
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    monkeypatch.setattr(interpreter, "_patch_lang_tensor", patched)


def small_model() -> Embedder:
    """Every kind of layer; stacks differ in width, and no width is a power of two."""
    torch.manual_seed(0)
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLSPConfig(
        text_config={**text, "intermediate_size": 16, "vocab_size": 10}, text_encoder_dim=16,
        encoder_dim=[40, 56, 48], feedforward_dim=48, num_heads=2, query_head_dim=8,
        value_head_dim=12, num_encoder_layers=1, cnn_module_kernel=[5, 5, 7],
        downsampling_factor=[1, 2, 4], frontend_channels=[4, 8, 16], joint_dim=24, feature_dim=80,
    )  # fmt: skip
    model = Embedder(config).eval().requires_grad_(False)
    for parameter in model.parameters():  # biases, norms and scales too
        parameter += 0.1 * torch.randn_like(parameter)
    return model.to(DEVICE)


def features(model: Embedder) -> list[torch.Tensor]:
    torch.manual_seed(1)
    bins = model.config.feature_dim
    return [torch.randn(frames, bins, device=DEVICE) for frames in FRAMES]


@torch.inference_mode()
def test_the_encoder_with_kernels_is_the_encoder() -> None:
    plain, fast = small_model(), small_model()
    packed_gpu.speed_up(fast)
    assert not [layer for layer in fast.modules() if isinstance(layer, Layer)]
    given = features(plain)
    found, wanted = fast.embed_features(given), plain.embed_features(given)
    torch.testing.assert_close(found, wanted, atol=ATOL, rtol=0)
    # A clip's answer does not depend on its batch.
    alone = torch.cat([fast.embed_features([clip]) for clip in given])
    torch.testing.assert_close(alone, found, atol=ATOL, rtol=0)


@pytest.mark.skipif(DEVICE == "cpu", reason="Triton 3.6's interpreter multiplies bfloat16's bits")
@torch.inference_mode()
def test_in_bfloat16_it_is_as_near_to_float32_as_without_kernels(caplog) -> None:
    plain, slow, fast = small_model(), small_model(), small_model()
    packed.speed_up(slow.model.encoder_embed, slow.model.encoder, "bfloat16")
    fast.model.encoder.to(torch.bfloat16)
    packed._with_kernels(fast)
    assert not caplog.messages
    given = features(plain)
    wanted = plain.embed_features(given)
    near, also = [(made.embed_features(given) * wanted).sum(1).min() for made in (slow, fast)]
    assert also > 1 - 2 * (1 - near) - 1e-5
    assert also > 0.999


def test_without_a_compiler_the_plain_layers_stay_and_that_is_told(monkeypatch, caplog) -> None:
    def missing(*given: object) -> None:
        raise RuntimeError("Failed to find C compiler")

    model = small_model()
    with torch.inference_mode():
        wanted = model.embed_features(features(model))
    # The last of the kernels: the others have been had by then.
    monkeypatch.setattr(kernels, "norm_bypass", missing)
    with caplog.at_level(logging.WARNING):
        packed._with_kernels(model)
    [told] = caplog.messages
    assert "Failed to find C compiler" in told and "gcc and python3-dev" in told
    with torch.inference_mode():
        assert torch.equal(model.embed_features(features(model)), wanted)
    monkeypatch.setattr(packed_gpu, "probe", missing)
    found = doctor._kernels(DEVICE)
    assert not found["ok"] and "Failed to find C compiler" in found["found"]


def test_with_one_they_are_there_and_doctor_says_so(caplog) -> None:
    model = small_model()
    packed._with_kernels(model)
    assert not caplog.messages
    assert not [layer for layer in model.modules() if isinstance(layer, Layer)]
    assert doctor._kernels(DEVICE)["ok"]


@pytest.mark.parametrize(("right", "wanted"), [(False, swoosh_l), (True, swoosh_r)])
def test_swoosh_over_all_that_it_may_meet(right: bool, wanted) -> None:
    x = torch.cat([torch.linspace(-200, 200, 4_001), torch.tensor([1e4, -1e4])]).to(DEVICE)
    torch.testing.assert_close(kernels.swoosh_(x.clone(), right), wanted(x), atol=1e-5, rtol=1e-6)
    near = torch.linspace(-8, 12, 2_001, device=DEVICE)
    torch.testing.assert_close(
        kernels.swoosh_(near.clone(), right), wanted(near), atol=1e-6, rtol=0
    )


@torch.inference_mode()
def test_depthwise_convolution_over_all_edges() -> None:
    torch.manual_seed(0)
    for frames in (1, 5, 16, 17, 40):  # fewer than the kernel, a program's, one more, and more
        conv, x = DepthwiseConv(130, 7).to(DEVICE), torch.randn(2, frames, 130, device=DEVICE)
        weight = conv.weight[:, 0].t().contiguous()
        made = kernels.depthwise_swoosh(x, weight, conv.bias)
        torch.testing.assert_close(made, swoosh_r(conv(x)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("frames", [72, 136])
def test_attention_of_clips_that_registers_hold_and_of_longer_ones(monkeypatch, frames) -> None:
    monkeypatch.setattr(attention, "CHUNKS", 2)  # of 64 frames
    torch.manual_seed(0)
    made = torch.randn(1, frames, 2 * (2 * 8 + 3), device=DEVICE)
    positions = torch.randn(2 * 3, 2 * frames - 1, device=DEVICE)
    valid = torch.arange(frames, device=DEVICE)[None] < frames - 70
    q, k, p = made.split([16, 16, 6], dim=-1)
    q, k, p = (part.view(1, frames, 2, -1).transpose(1, 2) for part in (q, k, p))
    scores = q @ k.mT + relative_to_absolute(p @ positions.view(2, 3, -1))
    wanted = scores.masked_fill(~valid[:, None, None], -1_000.0).softmax(-1)
    found = kernels.attention_weights(made, positions, valid, 2, 8, 3)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert float(found[..., ~valid[0]].abs().max()) == 0.0


@pytest.mark.parametrize("capability", [80, 89, 90], ids=["A100", "RTX 4090", "H100"])
def test_all_kernels_compile_for_a_gpu_that_is_not_here(capability: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.compile_kernels", str(capability)],
        env={**os.environ, "TRITON_INTERPRET": "0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    assert len(set(done.stdout.split())) == len(kernels.__all__)
