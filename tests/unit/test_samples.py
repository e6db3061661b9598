"""Samples: resampling is torchaudio's, and the sums of loudness are right."""

import numpy as np
import pytest
import torch
import torchaudio

from clsp.errors import InputError
from pipelines.errors import FailureKind, RecordingError
from pipelines.samples import loudness, to_16k
from tests.unit.audio_files import SAMPLES, read, tone


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_resampling_is_torchaudios_to_the_bit(rate: int) -> None:
    samples = np.random.default_rng(rate).uniform(-1, 1, rate).astype(np.float32)
    expected = torchaudio.functional.resample(torch.from_numpy(samples), rate, 16_000).numpy()
    for _ in range(2):  # with a new kernel and with the kept one
        got = to_16k(samples, rate)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, expected)


def test_16_khz_passes_through() -> None:
    samples = tone(16_000)
    assert to_16k(samples, 16_000).ctypes.data == samples.ctypes.data


@pytest.mark.parametrize("rate", [0, 44_101, 11_127, 191_999])
def test_a_rate_whose_kernel_would_fill_the_memory_is_refused(rate: int) -> None:
    with pytest.raises(RecordingError, match=f"sample rate of {rate} Hz") as caught:
        to_16k(tone(16_000), rate)
    assert caught.value.kind is FailureKind.UNSUPPORTED


def test_loudness_of_a_sine() -> None:
    measures = loudness(tone(16_000, peak=0.5), 16_000)
    assert measures.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert measures.rms_dbfs == pytest.approx(-9.03, abs=0.01)
    assert (measures.clipped_share, measures.silent_share) == (0.0, 0.0)


def test_digital_silence_has_a_floor() -> None:
    measures = loudness(np.zeros(8000, np.float32), 8000)
    assert (measures.rms_dbfs, measures.peak_dbfs) == (-120.0, -120.0)
    assert (measures.clipped_share, measures.silent_share) == (0.0, 1.0)


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_silence_is_counted_in_frames_of_25_ms(rate: int) -> None:
    samples = tone(rate, 1.0)
    samples[: rate // 4] = 0.0009  # -60.9 dBFS
    assert loudness(samples, rate).silent_share == pytest.approx(0.25)


def test_clipping_is_counted() -> None:
    samples = np.clip(tone(16_000, peak=2.0), -1, 1)
    assert loudness(samples, 16_000).clipped_share == pytest.approx(2 / 3, abs=0.01)


def test_the_samples_differ_in_loudness_as_they_should() -> None:
    def rms(uri: str) -> float:
        info, samples = read(SAMPLES / uri)
        return loudness(samples, info.sample_rate).rms_dbfs

    assert rms("voicemail/quiet.wav") < -45 < -15 < rms("calls/2026-04/call-0211.mp3")


def test_loudness_of_nothing_is_refused() -> None:
    assert loudness(np.ones(1, np.float32), 8000).clipped_share == 1.0
    with pytest.raises(InputError, match="no samples"):
        loudness(np.zeros(0, np.float32), 8000)
