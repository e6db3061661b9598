"""What the library is given and cannot use: an InputError that says so, never silent numbers."""

import numpy as np
import pytest
import torch

import clsp
from clsp import style
from clsp.embedder import Embedder
from clsp.errors import InputError
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
