"""The model computes what the published one computes, alone or in a batch, and refuses clearly.

`tests/data/golden` holds two small models with random weights in the published layout, and what
each of their parts must give (numbers only).
"""

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path

import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

import clsp
from clsp import CLSPConfig, CLSPModel
from clsp.architecture import Architecture
from clsp.errors import CheckpointMismatch, InputError
from clsp.features import MIN_SAMPLES, fbank
from clsp.zipformer import merge_channels, positional_table, relative_to_absolute

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
MODELS = ("deep", "uneven")
CLIPS = ("audio0", "audio1", "audio2")
GOLDEN_ATOL = 1e-5
BATCH_ATOL = 1e-6


@functools.cache
def golden(name: str) -> tuple[CLSPModel, dict[str, Tensor]]:
    """A golden model, and its inputs and outputs by name."""
    return clsp.load(GOLDEN / name), load_file(GOLDEN / name / "vectors.safetensors")


def same(found: Tensor, expected: Tensor, atol: float = GOLDEN_ATOL, what: str = "") -> None:
    torch.testing.assert_close(
        found, expected, atol=atol, rtol=0, msg=lambda text: f"{what}: {text}"
    )


def noise(samples: int) -> Tensor:
    """A waveform (samples,), always the same for the same length."""
    return torch.randn(samples, generator=torch.Generator().manual_seed(samples)) * 0.1


def padded(clips: Iterable[Tensor], value: float = 0.0) -> tuple[Tensor, Tensor]:
    """A batch as the published examples make it, and its lengths in samples."""
    clips = list(clips)
    lengths = torch.tensor([len(clip) for clip in clips])
    return nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=value), lengths


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


# ---- configuration --------------------------------------------------------------------------


def golden_config(name: str) -> dict:
    return json.loads((GOLDEN / name / "config.json").read_text())


def rewritten(config: dict, per_stack: Callable[[list[int]], object], **others: object) -> dict:
    """The same configuration with every comma-separated string written another way."""
    stacks = {
        key: per_stack([int(part) for part in value.split(",")])
        for key, value in config.items()
        if isinstance(value, str) and "," in value
    }
    return {**config, **stacks, **others}


def single(write: Callable[[int], object]) -> Callable[[list[int]], object]:
    """One value for all stacks where they are alike."""
    return lambda values: write(values[0]) if len(set(values)) == 1 else values


WRITINGS = {
    "lists": lambda config: rewritten(config, list),
    "lists of strings": lambda config: rewritten(config, lambda v: [str(part) for part in v]),
    "spaced strings": lambda config: rewritten(config, lambda v: ", ".join(map(str, v))),
    "numbers": lambda config: rewritten(config, single(int)),
    "strings of one number": lambda config: rewritten(config, single(str)),
    "lists of one": lambda config: rewritten(config, single(lambda value: [value])),
    "numbers as strings": lambda config: {
        key: str(value) if type(value) is int else value for key, value in config.items()
    },
    "unknown keys": lambda config: {
        **config,
        "use_ctc": False,
        "warmup": "1,2,3",
        "text_config": {**config["text_config"], "made_up": [1]},
    },
    "no model type, no architecture": lambda config: {
        key: value for key, value in config.items() if key not in ("model_type", "architectures")
    },
}


@pytest.mark.parametrize("writing", WRITINGS.values(), ids=WRITINGS.keys())
def test_a_configuration_means_the_same_however_it_is_written(
    tmp_path: Path, writing: Callable[[dict], dict]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(writing(golden_config("uneven"))))
    (tmp_path / "model.safetensors").symlink_to(GOLDEN / "uneven" / "model.safetensors")
    model, vectors = golden("uneven")
    clips = [vectors["audio0.waveform"], vectors["audio1.waveform"]]
    with torch.inference_mode():
        assert torch.equal(clsp.load(tmp_path).embed_audio(clips), model.embed_audio(clips))


def test_single_values_stand_for_all_seven_stacks_of_the_published_pattern() -> None:
    written = CLSPConfig(**rewritten(golden_config("deep"), single(int)))
    assert written.encoder_dim == [32] * 7
    assert written.to_dict() == CLSPConfig(**golden_config("deep")).to_dict()


def test_a_causal_model_is_refused() -> None:
    with pytest.raises(CheckpointMismatch, match="causal"):
        CLSPConfig(**golden_config("uneven") | {"causal": True})


@pytest.mark.parametrize(
    ("key", "value"),
    [("encoder_dim", "24,32,48"), ("num_heads", [4, 4, 8, 4, 4]), ("cnn_module_kernel", [])],
)
def test_one_value_per_stack_or_one_for_all_and_nothing_else(key: str, value: object) -> None:
    with pytest.raises(CheckpointMismatch, match=f"{key}.*expected 1 or 4"):
        CLSPConfig(**golden_config("uneven") | {key: value})


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("encoder_dim", 0, "whole numbers from 1 to"),
        ("num_heads", [4, 4, -4, 4], "whole numbers from 1 to"),
        ("feedforward_dim", 10**12, "whole numbers from 1 to 1000000"),
        ("cnn_module_kernel", 14, "odd numbers from 1 to"),
        ("feature_dim", 6, "whole numbers from 7 to"),
        ("pos_dim", 47, "even numbers from 2 to"),
        ("text_config", {"num_attention_heads": 0}, "text_config.num_attention_heads is 0"),
        ("text_config", {"vocab_size": -1}, "text_config.vocab_size is -1"),
    ],
)
def test_numbers_that_nothing_can_be_computed_with_are_refused(name, value, told) -> None:
    with pytest.raises(CheckpointMismatch, match=told):
        CLSPConfig.tiny(**{name: value})


@pytest.mark.parametrize("load", [clsp.load, CLSPModel.from_pretrained])
@pytest.mark.parametrize(
    "told",
    [
        {"encoder_dim": 24.5}, {"feature_dim": float("nan")}, {"logit_scale_init": -1},
        {"projection_dropout": "0.1"}, {"text_config": {"layer_norm_eps": None}},
        {"text_config": {"pad_token_id": 320}}, {"text_config": {"vocab_size": 320.5}},
        {"text_config": {"hidden_dropout_prob": True}}, {"text_config": ["vocab_size"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_file_with_other_than_numbers_is_a_mismatch(tmp_path: Path, told: dict, load) -> None:
    config = golden_config("uneven")
    if isinstance(text := told.get("text_config"), dict):
        told = {"text_config": config["text_config"] | text}
    (tmp_path / "config.json").write_text(json.dumps(config | told))
    (tmp_path / "model.safetensors").symlink_to(GOLDEN / "uneven" / "model.safetensors")
    with pytest.raises(CheckpointMismatch, match=r"config"):
        load(tmp_path)


@pytest.mark.parametrize("value", ["24,wide,48,32", None])
def test_a_value_that_is_no_number_is_a_mismatch_naming_its_key(value: object) -> None:
    with pytest.raises(CheckpointMismatch, match="encoder_dim"):
        CLSPConfig(**golden_config("uneven") | {"encoder_dim": value})


# ---- saving, and transformers' own doors ----------------------------------------------------


def test_a_saved_model_comes_back_the_same(tmp_path: Path, tiny: CLSPModel) -> None:
    prompts = ["A male speaker.", "A speaker in a sad tone."]
    with torch.inference_mode():
        expected = tiny.embed_text(prompts), tiny.embed_audio([noise(9_000)])
        tiny.save_pretrained(tmp_path)
        model = CLSPModel.from_pretrained(tmp_path).eval()
        found = model.embed_text(prompts), model.embed_audio([noise(9_000)])
    assert model.config.encoder_dim == tiny.config.encoder_dim
    for ours, theirs in zip(found, expected, strict=True):  # equal weights, other alignment
        same(ours, theirs, atol=BATCH_ATOL)


def test_what_a_configuration_says_is_kept_whoever_saves_it(tmp_path: Path) -> None:
    said = golden_config("uneven") | {"causal": False, "warmup": "1,2,3"}
    said["text_config"] |= {"made_up": [1], "initializer_range": 0.03}
    (tmp_path / "config.json").write_text(json.dumps(said))
    (tmp_path / "model.safetensors").symlink_to(GOLDEN / "uneven" / "model.safetensors")
    model = clsp.load(tmp_path)
    model.save_pretrained(tmp_path / "ours")
    CLSPModel.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "transformers")
    CLSPModel(model.config).save_pretrained(tmp_path / "made")
    read = [Architecture.read(tmp_path / name) for name in (".", "ours", "transformers", "made")]
    assert all(one == read[0] for one in read)  # but for what is no field
    for name in ("ours", "transformers"):
        written = json.loads((tmp_path / name / "config.json").read_text())
        assert (written["warmup"], written["text_config"]["made_up"]) == ("1,2,3", [1])
        assert (written["model_type"], written["architectures"]) == ("clsp", ["CLSPModel"])


def test_the_published_way_to_load_works_with_one_changed_import(tiny: CLSPModel) -> None:
    from clsp import CLSPModel as AutoModel  # the published examples import transformers'

    model = AutoModel.from_pretrained("tiny", trust_remote_code=True)
    assert not model.training
    with torch.no_grad():
        ours = model(noise(9_000)[None], torch.tensor([9_000]), ["A male speaker."])
        theirs = tiny(noise(9_000)[None], torch.tensor([9_000]), ["A male speaker."])
    for found, expected in zip(ours, theirs, strict=True):
        same(found, expected, atol=BATCH_ATOL)


def test_weights_stored_in_half_precision_load_as_float32_unless_asked(tmp_path: Path) -> None:
    clsp.load(GOLDEN / "uneven").half().save_pretrained(tmp_path)

    def dtypes(model: CLSPModel) -> set[torch.dtype]:
        return {tensor.dtype for tensor in model.parameters()}

    assert dtypes(clsp.load(tmp_path)) == {torch.float32}
    assert dtypes(CLSPModel.from_pretrained(tmp_path)) == {torch.float32}
    assert dtypes(clsp.load(tmp_path, dtype=torch.bfloat16)) == {torch.bfloat16}


def test_the_published_loading_line_works_with_one_changed_import() -> None:
    from clsp import CLSPModel as AutoModel

    model = AutoModel.from_pretrained(GOLDEN / "uneven", trust_remote_code=True)
    _, vectors = golden("uneven")
    with torch.inference_mode():
        found, _, _ = model(vectors["audio0.waveform"][None], torch.tensor([4_000]))
    same(found[0], vectors["audio0.embedding"])


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


AUTO = ("import clsp", "from transformers import AutoConfig, AutoModel")


@pytest.mark.parametrize("imports", [AUTO, AUTO[::-1]], ids=["clsp first", "transformers first"])
def test_the_auto_classes_give_ours_and_trust_no_remote_code(imports: tuple[str, str]) -> None:
    folder = str(GOLDEN / "uneven")
    asked = [f"print(type({c}.from_pretrained({folder!r})))" for c in ("AutoConfig", "AutoModel")]
    assert python("\n".join([*imports, *asked])).splitlines() == [
        "<class 'clsp.config.CLSPConfig'>",
        "<class 'clsp.model.CLSPModel'>",
    ]


def test_the_modules_that_readme_names_are_there_without_another_import() -> None:
    names = ("zero_shot", "retrieval", "style", "metrics")
    asked = [f"assert clsp.{name}.__name__ == 'clsp.{name}'" for name in names]
    assert python("\n".join(["import clsp", *asked])) == ""


def test_importing_clsp_alone_loads_neither_torch_nor_transformers() -> None:
    code = "import clsp, sys; print({'torch', 'transformers'} & set(sys.modules))"
    assert python(code) == "set()"
