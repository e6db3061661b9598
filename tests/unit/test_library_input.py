"""What the library is given and cannot use: an InputError that says so, never silent numbers."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio

import clsp
from clsp import metrics, retrieval, style, zero_shot
from clsp.architecture import Architecture
from clsp.checkpoint import PRECISIONS, TOKENIZER_VOCAB
from clsp.embedder import Embedder
from clsp.errors import CheckpointMismatch, InputError, ModelNotFound
from clsp.features import resample
from clsp.frontend import tf32
from clsp.model import CLSPModel
from tests.unit.golden_models import GOLDEN, noise

# ---- number formats -------------------------------------------------------------------------


def test_speech_in_half_precision_is_refused_where_it_would_come_out_as_nan() -> None:
    loaded = clsp.load("tiny", dtype=torch.float16)
    for model in (loaded, clsp.load("tiny").half()):
        with pytest.raises(InputError, match=r"speech in float16.*expected float32 or bfloat16"):
            model.embed_audio([noise(16_000)])
        with pytest.raises(InputError, match=r"speech in float16"):
            model(noise(16_000)[None], torch.tensor([16_000]), None)
    with torch.inference_mode():
        assert loaded.embed_text(["A loud voice."]).isfinite().all()
        assert loaded.float().embed_audio([noise(16_000)]).isfinite().all()


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("float32", torch.float64),
        ("float32", torch.float16),
        ("float32", torch.bfloat16),
        ("bfloat16", torch.float64),
        ("bfloat16", torch.bfloat16),
        ("int8", torch.float16),
        ("int8", torch.float64),
        ("int8", torch.bfloat16),
    ],
)
def test_a_precision_wants_a_number_format_it_can_be_made_of(
    precision: str, dtype: torch.dtype
) -> None:
    with pytest.raises(InputError, match=f"'{precision}' with dtype {dtype}: expected .*float32"):
        clsp.load(GOLDEN / "deep", dtype=dtype, precision=precision)


@pytest.mark.parametrize("dtype", ["float32", torch.int8])
def test_a_dtype_is_one_of_torchs_of_floats(dtype: object) -> None:
    with pytest.raises(InputError, match=r"dtype .*: expected torch\.float32"):
        clsp.load(GOLDEN / "deep", dtype=dtype)


# ---- text -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\udcff loud", b"loud", None, 3, ("a", "b")])
def test_text_that_is_no_utf8_is_refused(tiny: Embedder, text: object) -> None:
    with pytest.raises(InputError, match="expected a string that can be written in UTF-8"):
        tiny.embed_text(["A loud voice.", text])


# ---- style ----------------------------------------------------------------------------------


def test_agreement_takes_embeddings_as_the_model_gives_them(tiny: Embedder) -> None:
    audio = tiny.embed_audio([noise(length) for length in (8_000, 12_000, 16_000)])
    text = tiny.embed_text(["loud", "soft", "a low voice"])
    assert audio.requires_grad
    assert text.requires_grad
    cosine = (audio * text).sum(1).tolist()
    found = style.agreement(audio, text, cosine, resamples=0)
    assert found.pearson.value == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 4), (4,), (3, 1), (2, 4)])
def test_agreement_has_a_description_for_each_clip(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"audio of shape \(3, 4\).*expected the same \(n, dim\)"):
        style.agreement(torch.ones(3, 4), torch.ones(shape), np.arange(3.0))


# ---- speech ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e18])
def test_a_sample_that_is_no_sound_is_refused(tiny: Embedder, bad: float) -> None:
    clip = noise(16_000).clone()
    clip[5] = bad
    for given in (clip, clip.numpy()):
        with pytest.raises(InputError, match=r"expected finite numbers in \[-1, 1\]"):
            tiny.embed_audio([noise(16_000), given])


@pytest.mark.parametrize(
    "change",
    [
        lambda clip: clip[::-1],
        lambda clip: np.repeat(clip, 2)[::2],
        lambda clip: clip.astype(">f4"),
        lambda clip: clip.astype(np.float64),
    ],
)
def test_a_clip_is_taken_however_it_lies_in_memory(tiny: Embedder, change) -> None:
    clip = change(noise(16_000).numpy())
    clip.flags.writeable = False
    plain = np.ascontiguousarray(clip, np.float32)
    with torch.inference_mode():
        assert torch.equal(tiny.embed_audio([clip]), tiny.embed_audio([plain]))


@pytest.mark.parametrize(
    "lengths", [torch.tensor(16_000), [9_000.7], torch.tensor([True]), [9_000, 9_000], [-1]]
)
def test_lengths_are_whole_samples_one_for_each_clip(tiny: Embedder, lengths) -> None:
    with pytest.raises(InputError, match=r"audio_lens .*: expected one length per clip"):
        tiny.get_audio_features(noise(16_000)[None], lengths)
    with pytest.raises(InputError, match=r"audio of shape list: expected \(n, samples\)"):
        tiny([noise(16_000)])


def test_resampling_takes_every_float_and_gradients_after_inference() -> None:
    clip = noise(8_000)
    with torch.inference_mode():
        resample(clip, 8_000)
    heard = clip.clone().requires_grad_()
    resample(heard, 8_000).sum().backward()
    assert heard.grad is not None
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        wanted = torchaudio.functional.resample(clip.to(dtype), 22_050, 16_000)
        assert torch.equal(resample(clip.to(dtype), 22_050), wanted)
    for wrong in (torch.zeros(0), torch.zeros(8_000, dtype=torch.int16)):
        with pytest.raises(InputError, match="floats, at least one"):
            resample(wrong, 8_000)


# ---- text, labels, pairs --------------------------------------------------------------------


def test_texts_may_come_as_an_array_or_one_by_one(tiny: Embedder) -> None:
    texts = ["loud", "a low voice"]
    with torch.inference_mode():
        for given in (np.array(texts), iter(texts), tuple(texts)):
            assert torch.equal(tiny.embed_text(given), tiny.embed_text(texts))
    for wrong in ({"loud": 1}, b"loud", 3):
        with pytest.raises(InputError, match="expected a non-empty list of strings"):
            tiny.embed_text(wrong)


def test_a_mask_is_of_the_shape_of_what_it_masks(tiny: Embedder) -> None:
    ids = torch.tensor([[0, 5, 2], [0, 6, 2]])
    with pytest.raises(InputError, match=r"attention_mask of shape \(1, 3\).*expected the same"):
        tiny.get_text_features(ids, torch.ones(1, 3, dtype=torch.long))


@pytest.mark.parametrize(
    ("labels", "templates"),
    [
        ("happy", ["A {} tone."]),
        (["happy", "sad"], "A {} tone."),
        (["happy", "sad"], ["A tone."]),
        (["happy", "sad"], []),
        ([], ["A {} tone."]),
    ],
)
def test_prompts_are_made_of_lists(labels, templates) -> None:
    with pytest.raises(InputError, match="expected a list"):
        zero_shot.expand(labels, templates)


def test_pairs_may_be_in_any_whole_number_and_rows_are_some() -> None:
    audio = torch.eye(4)
    pairs = torch.tensor([[0, 0], [1, 1], [2, 2], [3, 3]], dtype=torch.uint8)
    assert retrieval.both_directions(audio, audio, pairs)["text_to_audio"].recall[1] == 1
    with pytest.raises(InputError, match="rows=-1: expected at least 1"):
        retrieval.both_directions(audio, audio, rows=-1)


@pytest.mark.parametrize("counts", [None, np.ones(3)])
def test_a_mean_is_of_columns(counts: np.ndarray | None) -> None:
    values = np.arange(4.0) if counts is None else np.ones((4, 1))
    with pytest.raises(InputError, match=r"expected \(n, m\) and \(n,\)"):
        metrics.mean(values, counts)


# ---- what is around a call ------------------------------------------------------------------


@pytest.mark.parametrize("precision", [None, *PRECISIONS])
def test_a_model_runs_under_autocast(precision: str | None) -> None:
    model = clsp.load("tiny", precision=precision)
    with torch.inference_mode():
        plain = model.embed_audio([noise(16_000)])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = model.embed_audio([noise(16_000)])
    # All of it in bfloat16, as autocast has it, is coarser than `precision="bfloat16"`.
    assert torch.cosine_similarity(plain.float(), cast.float()).min() > 0.95
    assert precision is None or torch.equal(plain, cast)


def test_exporting_leaves_no_stand_ins_behind(tiny: Embedder) -> None:
    class Speech(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = tiny.model

        def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            return self.inner.audio_head(self.inner.pooled_audio(features, lengths, True))

    given = torch.randn(2, 103, 128), torch.tensor([103, 60])
    torch.export.export(Speech(), given, strict=False)
    with torch.inference_mode():
        found = tiny.embed_features([torch.zeros(103, 128)])
    assert type(found) is torch.Tensor
    assert found.isfinite().all()


def test_threads_leave_torchs_settings_as_they_were() -> None:
    class Part:
        allow_tf32 = True

    def work() -> None:
        for _ in range(2_000):
            with tf32(False, Part):
                seen.add(Part.allow_tf32)
            with tf32(True, Part):
                seen.add(not Part.allow_tf32)

    seen: set[bool] = set()
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Part.allow_tf32
    assert seen == {False}


# ---- files ----------------------------------------------------------------------------------


def test_a_dtype_is_heeded_under_its_former_name(tiny: Embedder, tmp_path: Path) -> None:
    tiny.save_pretrained(tmp_path)
    assert CLSPModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16).dtype == torch.bfloat16
    assert CLSPModel.from_pretrained(tmp_path).dtype == torch.float32


def test_a_model_read_by_a_relative_path_finds_its_tokenizer_from_elsewhere(
    tiny: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.save_pretrained(tmp_path / "model")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    models = CLSPModel.from_pretrained("model"), clsp.load("model")
    monkeypatch.chdir(tmp_path / "other")
    with torch.inference_mode():
        for model in models:
            assert torch.equal(model.embed_text(["loud"]), tiny.embed_text(["loud"]))


def test_another_tokenizer_is_not_taken_for_one_that_is_gone(
    tiny: Embedder, tmp_path: Path
) -> None:
    tiny.save_pretrained(tmp_path)
    model = clsp.load(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    model.config.text_config.vocab_size = TOKENIZER_VOCAB  # whose is to be had from the hub
    with pytest.raises(ModelNotFound, match=r"no tokenizer\.json in .*put it back"):
        model.embed_text(["loud"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ({"hidden_size": 128, "num_attention_heads": 4}, "text_encoder_dim=768"),
        ({"max_position_embeddings": 5, "pad_token_id": 4}, "at least 2 more"),
    ],
)
def test_a_text_encoder_that_does_not_fit_is_refused(text: dict, told: str) -> None:
    with pytest.raises(CheckpointMismatch, match=told):
        Architecture(text_config=text)


def test_a_text_is_cut_where_positions_end(tiny: Embedder) -> None:
    config = Architecture.tiny(
        text_config={"max_position_embeddings": 20, "pad_token_id": 7, "vocab_size": 2_500}
    )
    model = Embedder(config)
    model.tokenizer = tiny.tokenizer
    with torch.inference_mode():
        assert model.embed_text(["a calm speaker " * 30]).isfinite().all()
    assert config.text_config.longest_text == 12
