"""The model computes what the published one computes, stage by stage, alone or in a batch."""

from collections.abc import Callable
from itertools import combinations

import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from clsp import CLSPConfig, CLSPModel
from clsp.features import MIN_SAMPLES, fbank
from clsp.zipformer import merge_channels
from tests.unit.golden_models import BATCH_ATOL, CLIPS, MODELS, golden, noise, padded, same


@torch.inference_mode()
def stages(model: CLSPModel, waveform: Tensor) -> dict[str, Tensor]:
    """What every part of the model gives for one clip, by the names of the golden vectors."""
    found = {"waveform": waveform, "fbank": fbank(waveform)}
    encoder = model.model.encoder
    parts = {"frontend": model.model.encoder_embed, "encoder": encoder}
    parts |= {f"stack{i}": stack for i, stack in enumerate(encoder.encoders)}

    def keep(name: str) -> Callable[..., None]:
        def hook(_part: nn.Module, _given: object, output: Tensor | tuple[Tensor, Tensor]) -> None:
            frames = output[0] if isinstance(output, tuple) else output
            found[name] = frames[0]

        return hook

    hooks = [part.register_forward_hook(keep(name)) for name, part in parts.items()]
    found["embedding"] = model.embed_audio([waveform])[0]
    for hook in hooks:
        hook.remove()
    return found


# ---- the published numbers ------------------------------------------------------------------


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("name", MODELS)
def test_every_stage_of_a_clip_agrees_with_the_golden_vectors(name: str, clip: str) -> None:
    model, vectors = golden(name)
    expected = {
        key.removeprefix(f"{clip}."): vector for key, vector in vectors.items() if clip in key
    }
    found = stages(model, vectors[f"{clip}.waveform"])
    assert found.keys() == expected.keys()
    for stage, vector in expected.items():
        same(found[stage], vector, what=stage)


@given(st.integers(MIN_SAMPLES, 24_000), st.integers(0, 4))
def test_features_are_kaldis_as_torchaudio_makes_them_to_the_bit(samples: int, low: int) -> None:
    clip = noise(samples) / 10**low
    wanted = torchaudio.compliance.kaldi.fbank(
        clip[None], num_mel_bins=128, dither=0.0, snip_edges=False, low_freq=20.0, high_freq=-400.0
    )
    assert torch.equal(fbank(clip), wanted)


def test_features_have_gradients_whoever_asked_for_some_first() -> None:
    clip = noise(8_000)
    with torch.inference_mode():
        fbank(clip)
    fbank(clip.requires_grad_()).sum().backward()
    assert clip.grad is not None and clip.grad.any()


@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_texts_agree_with_the_golden_vectors_alone_and_padded(name: str) -> None:
    model, vectors = golden(name)
    for text in ("text0", "text1", "text2"):
        found = model.get_text_features(vectors[f"{text}.input_ids"][None])
        same(found[0], vectors[f"{text}.embedding"], what=text)
    batch = model.get_text_features(
        vectors["text_batch.input_ids"], vectors["text_batch.attention_mask"]
    )
    same(batch, vectors["text_batch.embedding"])


@pytest.mark.parametrize("name", MODELS)
def test_logit_scale_is_given_as_a_factor_though_stored_as_its_logarithm(name: str) -> None:
    model, vectors = golden(name)
    _, _, logit_scale = model()
    same(logit_scale.detach(), vectors["logit_scale"])
    same(torch.tensor(model.scale), vectors["logit_scale"])


@torch.inference_mode()
def test_text_without_a_mask_is_masked_where_it_is_padding() -> None:
    model, vectors = golden("uneven")
    ids, mask = vectors["text_batch.input_ids"], vectors["text_batch.attention_mask"]
    assert (mask == 0).any()
    assert torch.equal(model.get_text_features(ids), model.get_text_features(ids, mask))


def test_xlarge_has_the_published_number_of_parameters_part_by_part() -> None:
    with torch.device("meta"):
        model = CLSPModel(CLSPConfig.xlarge()).model

    def parameters(*parts: nn.Module) -> int:
        return sum(tensor.numel() for part in parts for tensor in part.parameters())

    assert parameters(model) == 724_244_405
    assert parameters(model.encoder_embed, model.encoder) == 596_973_236
    assert parameters(model.text_encoder) == 124_645_632


def test_a_model_built_on_the_meta_device_computes_once_it_has_weights() -> None:
    model, vectors = golden("uneven")
    with torch.device("meta"):
        empty = CLSPModel(model.config)
    assert {tensor.device.type for tensor in empty.parameters()} == {"meta"}
    empty.load_state_dict(model.state_dict(), assign=True)
    with torch.inference_mode():
        found = empty.eval().embed_audio([vectors["audio1.waveform"]])
    same(found[0], vectors["audio1.embedding"])


def test_uneven_outputs_merge_into_the_latest_stack_that_has_each_channel() -> None:
    def output(stack: int, channels: int) -> Tensor:
        return torch.full((1, 2, channels), float(stack))

    merged = merge_channels([output(0, 3), output(1, 6), output(2, 4), output(3, 2)])
    assert merged.tolist() == [[[3, 3, 2, 2, 1, 1]] * 2]


# ---- batches --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_a_golden_clip_embeds_alike_alone_and_in_any_batch(name: str) -> None:
    model, vectors = golden(name)
    for size in (2, 3):
        for batch in combinations(CLIPS, size):
            found = model.embed_audio([vectors[f"{clip}.waveform"] for clip in batch])
            expected = torch.stack([vectors[f"{clip}.embedding"] for clip in batch])
            same(found, expected, BATCH_ATOL, what=" + ".join(batch))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(MIN_SAMPLES, 24_000), min_size=2, max_size=3))
@torch.inference_mode()
def test_no_clip_is_moved_by_its_neighbours_whatever_their_lengths(lengths: list[int]) -> None:
    model, _ = golden("uneven")
    clips = [noise(samples) for samples in lengths]
    alone = torch.cat([model.embed_audio([clip]) for clip in clips])
    same(model.embed_audio(clips), alone, BATCH_ATOL)


@torch.inference_mode()
def test_a_padded_batch_with_lengths_embeds_as_its_clips_do() -> None:
    model, _ = golden("uneven")
    clips = [noise(samples) for samples in (5_000, 16_000, 1_360)]
    expected = model.embed_audio(clips)
    assert torch.equal(model.get_audio_features(*padded(clips)), expected)
    assert torch.equal(model.get_audio_features(*padded(clips, value=0.7)), expected)


@torch.inference_mode()
def test_without_lengths_every_clip_is_as_long_as_the_batch() -> None:
    model, _ = golden("uneven")
    clips = [noise(8_000), noise(8_000).flip(0)]
    assert torch.equal(model.get_audio_features(torch.stack(clips)), model.embed_audio(clips))
