"""What a precision changes, and what it must not: the answers stay the published ones, nearly."""

import os
import platform
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

import clsp
from clsp.checkpoint import PRECISIONS
from clsp.errors import InputError
from clsp.packed import prepare
from pipelines.audio import open_recording
from pipelines.audio_info import Limits
from pipelines.samples import to_16k
from pipelines.segments import SegmentPolicy, cut
from tests.unit.golden_models import CLIPS, GOLDEN, GOLDEN_ATOL, MODELS, golden, noise

# The largest error in float32 of the golden vectors; the least cosine to float32 otherwise.
LEAST_COSINE = {"bfloat16": 0.999, "int8": 0.999}
LENGTHS = (1_360, 8_000, 23_456, 48_000)


def cosines(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return F.cosine_similarity(found.float(), wanted.float(), dim=-1)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_a_precision_gives_the_published_answers_nearly(name, precision):
    _, vectors = golden(name)
    model = clsp.load(GOLDEN / name, precision=precision)
    assert model.precision == precision
    clips = [vectors[f"{clip}.waveform"] for clip in CLIPS]
    found, wanted = model.embed_audio(clips), golden(name)[0].embed_audio(clips)
    if precision == "float32":
        torch.testing.assert_close(found, wanted, atol=GOLDEN_ATOL, rtol=0)
    else:
        assert cosines(found, wanted).min() > LEAST_COSINE[precision]
    texts = model.get_text_features(torch.tensor([[0, 5, 2]]))
    assert torch.equal(texts, golden(name)[0].get_text_features(torch.tensor([[0, 5, 2]])))


@pytest.mark.parametrize("precision", PRECISIONS)
@torch.inference_mode()
def test_a_clip_does_not_depend_on_its_batch_in_any_precision(precision):
    model = clsp.load("tiny", precision=precision)
    clips = [noise(length) for length in LENGTHS]
    together = model.embed_audio(clips)
    alone = torch.cat([model.embed_audio([clip]) for clip in clips])
    if precision == "float32":
        torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
    else:  # rounding to few bits makes more of the last one, most so in 85 ms of noise
        assert cosines(together, alone).min() > 0.9995


@pytest.mark.parametrize("precision", LEAST_COSINE)
@torch.inference_mode()
def test_real_speech_is_embedded_nearly_alike(precision, sample_archive, tiny):
    clips = []
    for path in sorted(sample_archive.rglob("*.flac")):
        with open_recording(path, Limits()) as recording:
            segments = cut(SegmentPolicy.parse("windows:10"), recording)
            clips += [torch.from_numpy(to_16k(s.samples, s.sample_rate)) for s in segments]
    assert clips
    found = clsp.load("tiny", precision=precision).embed_audio(clips)
    assert cosines(found, tiny.embed_audio(clips)).min() > LEAST_COSINE[precision]


def test_what_is_packed_is_neither_saved_nor_packed_for_what_it_is_not(tmp_path):
    model = clsp.load(GOLDEN / "deep", precision="float32")
    with pytest.raises(InputError, match="cannot be saved"):
        model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="'float16': expected one of"):
        clsp.load(GOLDEN / "deep", precision="float16")
    with pytest.raises(InputError, match="expected a CPU"):
        prepare(clsp.load(GOLDEN / "deep").to("meta"), "int8")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN knows these names there alone")
@pytest.mark.parametrize("cpu", ["AVX2", "AVX512_CORE"])
def test_int8_is_refused_where_its_products_would_overflow(cpu):
    child = subprocess.run(
        [sys.executable, "-c", "import clsp; clsp.load('tiny', precision='int8')"],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": cpu},
        capture_output=True,
        text=True,
    )
    assert child.returncode and "overflow on this CPU: expected one with VNNI" in child.stderr
