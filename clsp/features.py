"""Waveform to log-mel features, exactly as the published model was fed.

Works clip by clip, before any padding: the mirrored edges of a padded batch would move the
features of its shorter clips. Knows nothing of files or models.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from clsp.errors import InputError

SAMPLE_RATE = 16_000  # Hz
NUM_MEL_BINS = 128
FRAME_SHIFT_SAMPLES, FRAME_SAMPLES = 160, 400  # 10 ms, 25 ms
MAX_KERNEL = 1 << 25  # coefficients of a resampling kernel: 128 MB
MIN_FRAMES = 9  # what the front end's convolutions need for one output frame
MIN_SAMPLES = MIN_FRAMES * FRAME_SHIFT_SAMPLES - FRAME_SHIFT_SAMPLES // 2  # 1,360: 85 ms


def resample(waveform: Tensor, sample_rate: int) -> Tensor:
    """(..., samples) at `sample_rate` Hz to (..., samples) at 16 kHz.

    To the bit torchaudio.functional.resample with its defaults, as upstream: windowed sinc (Hann,
    width 6, rolloff 0.99). Raises InputError for a rate so odd that its kernel would not fit in
    memory.
    """
    if sample_rate == SAMPLE_RATE:
        return waveform
    return _resampler(sample_rate).to(waveform.device)(waveform)


@lru_cache(maxsize=32)
def _resampler(sample_rate: int) -> torchaudio.transforms.Resample:
    """The kernel costs more than resampling a short clip with it: keep it."""
    common = math.gcd(sample_rate, SAMPLE_RATE)
    old, new = sample_rate // common, SAMPLE_RATE // common
    if sample_rate <= 0 or new * (old + 12 * max(1.0, old / new)) > MAX_KERNEL:
        raise InputError(
            f"a sample rate of {sample_rate} Hz, which has too little in common with 16000 Hz. "
            "Convert the recording to a usual rate, such as 16000, 44100 or 48000 Hz"
        )
    # Without the dtype the kernel is computed in float64, and differs by up to 2e-5.
    return torchaudio.transforms.Resample(sample_rate, SAMPLE_RATE, dtype=torch.float32)


def fbank(waveform: Tensor) -> Tensor:
    """Log-mel features (frames, 128) of one clip (samples,): 16 kHz, mono, float in [-1, 1].

    25 ms Povey windows every 10 ms, 20 Hz to 7.6 kHz, no dither, no normalisation of level.
    Raises InputError for a clip under 1,360 samples (85 ms) or of the wrong shape.
    """
    check(waveform)
    return _kaldi(waveform[None].float(), snip_edges=False)


def fbank_batch(waveforms: Sequence[Tensor]) -> list[Tensor]:
    """`fbank` of many clips in one go, on the device they are on: a GPU is idle through as many
    small steps as they would be one by one. Raises InputError as `fbank` does."""
    for waveform in waveforms:
        check(waveform)
    if not waveforms:
        return []
    # One signal of whole hops, each clip with its edges mirrored as `snip_edges=False` does it;
    # windows that reach from one clip into the next are dropped.
    mirrored = [_mirrored(waveform.float()) for waveform in waveforms]
    counts = [len(signal) // FRAME_SHIFT_SAMPLES for signal in mirrored]
    found = _kaldi(torch.cat(mirrored)[None], snip_edges=True)
    # The last clip's last windows would reach past the end: there are none.
    parts = found.split([*counts[:-1], len(found) - sum(counts[:-1])])
    return [part[: _frames(len(waveform))] for part, waveform in zip(parts, waveforms, strict=True)]


def check(waveform: Tensor) -> None:
    """Raises InputError for a clip that features cannot be made of."""
    if waveform.ndim != 1 or not waveform.is_floating_point():
        raise InputError(
            f"waveform of shape {tuple(waveform.shape)}, {waveform.dtype}: expected (samples,) of "
            "floats in [-1, 1]"
        )
    if waveform.numel() < MIN_SAMPLES:
        raise InputError(
            f"clip of {waveform.numel()} samples ({waveform.numel() / SAMPLE_RATE * 1000:.0f} ms): "
            f"the model needs at least {MIN_SAMPLES} (85 ms) at 16 kHz; under 250 ms means little"
        )


def _kaldi(signal: Tensor, snip_edges: bool) -> Tensor:
    return torchaudio.compliance.kaldi.fbank(
        signal,
        num_mel_bins=NUM_MEL_BINS,
        sample_frequency=SAMPLE_RATE,
        dither=0.0,
        snip_edges=snip_edges,
        low_freq=20.0,
        high_freq=-400.0,
    )


def _frames(samples: int) -> int:
    return (samples + FRAME_SHIFT_SAMPLES // 2) // FRAME_SHIFT_SAMPLES


def _mirrored(waveform: Tensor) -> Tensor:
    """A clip (samples,) with as much of it mirrored at both ends as its first and last windows
    reach over them, then zeros up to a whole number of hops."""
    before = (FRAME_SAMPLES - FRAME_SHIFT_SAMPLES) // 2
    needed = (_frames(len(waveform)) - 1) * FRAME_SHIFT_SAMPLES + FRAME_SAMPLES
    after = needed - before - len(waveform)
    edges = [waveform[:before].flip(0), waveform]
    edges += [waveform[-after:].flip(0)] if after > 0 else []
    signal = torch.cat(edges)[:needed]
    return F.pad(signal, (0, -needed % FRAME_SHIFT_SAMPLES))


def pad_features(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Clips of (frames, 128) to one batch (n, longest, 128) and its lengths (n,) in frames."""
    if not features:
        raise InputError("no clips: expected at least one")
    lengths = torch.tensor([f.shape[0] for f in features], device=features[0].device)
    return torch.nn.utils.rnn.pad_sequence(list(features), batch_first=True), lengths
