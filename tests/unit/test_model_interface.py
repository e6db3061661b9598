"""The published interface: what goes in by position or name comes out, the rest is refused."""

import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import clsp
from clsp import CLSPConfig, CLSPModel
from clsp.errors import InputError
from clsp.features import MIN_SAMPLES, fbank
from clsp.zipformer import positional_table, relative_to_absolute
from tests.unit.golden_models import GOLDEN, golden, noise, padded, same

# ---- the published interface ----------------------------------------------------------------


@torch.inference_mode()
def test_forward_gives_speech_text_and_scale_by_position_and_by_name(tiny: CLSPModel) -> None:
    audio, audio_lens = padded([noise(9_000), noise(16_000)])
    text = ["A female speaker.", "A male speaker.", "A speaker in a happy tone."]
    speech_part, text_part, logit_scale = tiny(audio, audio_lens, text)
    joint = tiny.config.joint_dim
    assert (speech_part.shape, text_part.shape) == ((2, joint), (3, joint))
    same(speech_part.norm(dim=1), torch.ones(2))
    same(text_part.norm(dim=1), torch.ones(3))
    assert logit_scale == tiny.model.logit_scale.exp()
    named = tiny(text=text, audio_lens=audio_lens, audio=audio)
    assert all(map(torch.equal, named, (speech_part, text_part, logit_scale)))


@torch.inference_mode()
def test_forward_gives_none_for_the_part_that_was_not_asked(tiny: CLSPModel) -> None:
    speech_part, nothing, _ = tiny(audio=noise(9_000)[None])
    assert speech_part.shape[0] == 1
    assert nothing is None
    nothing, text_part, _ = tiny(text=["A male speaker."])
    assert nothing is None
    assert text_part.shape[0] == 1
    assert tiny()[:2] == (None, None)


@torch.inference_mode()
def test_a_text_embeds_alike_alone_and_among_longer_ones(tiny: CLSPModel) -> None:
    texts = ["A male speaker.", "A calm speaker talking slowly in a low-pitched voice.", ""]
    alone = torch.cat([tiny.embed_text([text]) for text in texts])
    same(tiny.embed_text(texts), alone)


@pytest.mark.parametrize("positions", [258, 514])
@torch.inference_mode()
def test_long_text_is_cut_at_the_models_length_and_still_closed(
    tiny: CLSPModel, positions: int
) -> None:
    vocabulary = tiny.config.text_config.vocab_size
    text_config = {"vocab_size": vocabulary, "max_position_embeddings": positions}
    model = CLSPModel(CLSPConfig.tiny(text_config=text_config)).eval()
    model.tokenizer = tiny.tokenizer
    text = "a calm speaker, then a loud one; " * 200
    tokens = tiny.tokenizer(text)["input_ids"]
    longest = positions - 2  # 512 as published
    assert len(tokens) > longest
    cut = torch.tensor([[*tokens[: longest - 1], tokens[-1]]])
    assert torch.equal(model.embed_text([text]), model.get_text_features(cut))


def test_gradients_reach_the_encoder_after_inference_on_the_same_length() -> None:
    model = clsp.load(GOLDEN / "uneven")  # its own copy: it will carry gradients
    features = [fbank(noise(9_000)), fbank(noise(6_000))]
    positional_table.cache_clear()
    with torch.inference_mode():
        model.embed_features(features)
    model.train().embed_features(features)[:, 0].sum().backward()
    speech = [*model.model.encoder_embed.named_parameters("encoder_embed")]
    speech += model.model.encoder.named_parameters("encoder")
    untouched = {name for name, tensor in speech if tensor.grad is None}
    unused = {name for name, _ in speech if name.split(".")[-3] == "layers"}
    assert untouched == {name for name in unused if name.endswith(".bypass_scale")}
    assert all(tensor.grad.isfinite().all() for _, tensor in speech if tensor.grad is not None)


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("torch.compile needs a C++ compiler: apt-get install g++")
    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, dynamic=True)


@pytest.mark.parametrize("through", [lambda function: function, compiled])
def test_relative_scores_are_read_by_the_distance_of_two_frames(through) -> None:
    """Compiled too: the compiler once laid the product out in a way that was not asked for."""

    def shifted(left: Tensor, right: Tensor) -> Tensor:
        return relative_to_absolute(left @ right) + 1

    function = through(shifted)
    for frames in (9, 5, 2, 1):
        left, right = noise(6 * frames * 4).view(2, 3, frames, 4), noise(12 * (2 * frames - 1))
        right = right.view(3, 4, 2 * frames - 1)
        place = torch.arange(frames)
        offsets = place - place[:, None] + frames - 1
        expected = (left @ right).gather(-1, offsets.expand(2, 3, -1, -1)) + 1
        with torch.inference_mode():
            same(function(left, right), expected, what=f"{frames} frames")


# ---- what cannot be used --------------------------------------------------------------------

REFUSED_AUDIO = {
    "a clip one sample too short": lambda model: model.embed_audio([noise(MIN_SAMPLES - 1)]),
    "a short clip among long ones": lambda model: model.get_audio_features(
        torch.zeros(2, 16_000), torch.tensor([16_000, 300])
    ),
    "a clip with channels": lambda model: model.embed_audio([torch.zeros(2, 16_000)]),
    "integer samples": lambda model: model.embed_audio([torch.ones(16_000, dtype=torch.int16)]),
    "no clip at all": lambda model: model.embed_audio([]),
    "a batch of no clips": lambda model: model(audio=torch.zeros(0, 16_000)),
    "a clip where a batch belongs": lambda model: model(audio=torch.zeros(16_000)),
    "a batch with channels": lambda model: model(audio=torch.zeros(1, 2, 16_000)),
    "a length past the batch": lambda model: model.get_audio_features(
        torch.zeros(2, 16_000), torch.tensor([16_000, 16_001])
    ),
    "a negative length": lambda model: model.get_audio_features(
        torch.zeros(2, 16_000), torch.tensor([16_000, -100])
    ),
    "too few lengths": lambda model: model.get_audio_features(
        torch.zeros(2, 16_000), torch.tensor([16_000])
    ),
}


@pytest.mark.parametrize("call", REFUSED_AUDIO.values(), ids=REFUSED_AUDIO.keys())
def test_audio_the_model_cannot_take_is_an_input_error(call: Callable) -> None:
    with pytest.raises(InputError):
        call(golden("uneven")[0])


def test_the_shortest_clip_gives_a_finite_embedding() -> None:
    with torch.inference_mode():
        assert golden("uneven")[0].embed_audio([noise(MIN_SAMPLES)]).isfinite().all()


@pytest.mark.parametrize("text", [[], "", "A male speaker."])
def test_text_must_be_a_list_with_something_in_it(tiny: CLSPModel, text: object) -> None:
    with pytest.raises(InputError, match="list of strings"):
        tiny(text=text)
