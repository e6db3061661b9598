"""Waveform to log-mel features, exactly as the published model was fed.

Works clip by clip, before any padding: the mirrored edges of a padded batch would move the
features of its shorter clips. Many clips at once are laid out in one signal, each with its own
edges. Knows nothing of files or models.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor
from torchaudio.compliance.kaldi import get_mel_banks

from clsp.errors import InputError
from clsp.kept import kept

SAMPLE_RATE = 16_000  # Hz
NUM_MEL_BINS = 128
FRAME_SHIFT_SAMPLES, FRAME_SAMPLES = 160, 400  # 10 ms, 25 ms
FFT_SAMPLES = 512
EDGE_SAMPLES = (FRAME_SAMPLES - FRAME_SHIFT_SAMPLES) // 2  # that windows reach over a clip's start
EDGE_HOPS = 2  # that a clip laid out has more than frames
PREEMPHASIS = 0.97
MAX_KERNEL = 1 << 25  # coefficients of a resampling kernel: 128 MB
MIN_FRAMES = 9  # what the front end's convolutions need for one output frame
MIN_SAMPLES = MIN_FRAMES * FRAME_SHIFT_SAMPLES - FRAME_SHIFT_SAMPLES // 2  # 1,360: 85 ms


def resample(waveform: Tensor, sample_rate: int) -> Tensor:
    """(..., samples) at `sample_rate` Hz to (..., samples) at 16 kHz.

    To the bit torchaudio.functional.resample with its defaults, as upstream: windowed sinc (Hann,
    width 6, rolloff 0.99). Raises InputError for a rate so odd that its kernel would not fit in
    memory, or for no samples.
    """
    if sample_rate == SAMPLE_RATE:
        return waveform
    if not waveform.numel() or not waveform.is_floating_point():
        raise InputError(
            f"waveform of shape {tuple(waveform.shape)}, {waveform.dtype}: expected (..., samples) "
            "of floats, at least one"
        )
    return _resampler(sample_rate, waveform.dtype, waveform.device)(waveform)


@kept(32)
def _resampler(
    sample_rate: int, dtype: torch.dtype, device: torch.device
) -> torchaudio.transforms.Resample:
    """The kernel costs more than resampling a short clip with it: keep it."""
    common = math.gcd(sample_rate, SAMPLE_RATE)
    old, new = sample_rate // common, SAMPLE_RATE // common
    if sample_rate <= 0 or new * (old + 12 * max(1.0, old / new)) > MAX_KERNEL:
        raise InputError(
            f"a sample rate of {sample_rate} Hz, which has too little in common with 16000 Hz. "
            "Convert the recording to a usual rate, such as 16000, 44100 or 48000 Hz"
        )
    # Without the dtype the kernel is computed in float64, and differs by up to 2e-5.
    return torchaudio.transforms.Resample(sample_rate, SAMPLE_RATE, dtype=dtype).to(device)


def fbank(waveform: Tensor) -> Tensor:
    """Log-mel features (frames, 128) of one clip (samples,): 16 kHz, mono, float in [-1, 1].

    25 ms Povey windows every 10 ms, 20 Hz to 7.6 kHz, no dither, no normalisation of level: to the
    bit torchaudio.compliance.kaldi.fbank with these, and `snip_edges=False`.
    Raises InputError for a clip under 1,360 samples (85 ms) or of the wrong shape.
    """
    check(waveform)
    clip = waveform.float()
    after = _hops(len(clip)) * FRAME_SHIFT_SAMPLES - EDGE_SAMPLES - len(clip)
    return _log_mel(torch.cat([clip[:EDGE_SAMPLES].flip(0), clip, clip[-after:].flip(0)]))


def laid_out(waveforms: Sequence[np.ndarray], pin_memory: bool = False) -> tuple[Tensor, Tensor]:
    """Clips (samples,) one behind the other in one signal (samples,), each with its edges: mirrored
    at both ends, as far as windows reach over them and up to a whole hop of 10 ms. And (2, n): at
    which hop of the signal each begins, and its frames.

    Both on the CPU, in memory that a GPU can read by itself with `pin_memory`. Clips are taken as
    `check` lets them pass, in float32.
    """
    hops = np.array([_hops(len(clip)) for clip in waveforms])
    ends = np.cumsum(hops)
    signal = torch.empty(int(ends[-1]) * FRAME_SHIFT_SAMPLES, pin_memory=pin_memory)
    places = torch.empty((2, len(hops)), dtype=torch.int64, pin_memory=pin_memory)
    places.numpy()[:] = ends - hops, hops - EDGE_HOPS
    parts = np.split(signal.numpy(), ends[:-1] * FRAME_SHIFT_SAMPLES)
    for part, clip in zip(parts, waveforms, strict=True):
        end = EDGE_SAMPLES + len(clip)
        part[:EDGE_SAMPLES] = clip[:EDGE_SAMPLES][::-1]
        part[EDGE_SAMPLES:end] = clip
        part[end:] = clip[::-1][: len(part) - end]
    return signal, places


def fbank_batch(signal: Tensor, places: Tensor, longest: int) -> Tensor:
    """`fbank` of the clips that `laid_out` laid out, on any one device: a batch (n, longest, 128)
    with zeros behind each clip's end. longest: the most frames of a clip, or more.

    In a few large steps, for none of which a GPU is waited for: small ones for each clip would take
    it as long as the encoder.
    """
    starts, lengths = places[:, :, None]
    rows = _log_mel(signal)  # windows that reach from one clip into the next are not looked up
    frame = torch.arange(longest, device=signal.device)
    batch = rows[(starts + frame).clamp(max=len(rows) - 1)]
    return batch.masked_fill_((frame >= lengths)[..., None], 0.0)


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


def _hops(samples: int) -> int:
    """Hops of 10 ms that a clip takes when it is laid out."""
    return (samples + FRAME_SHIFT_SAMPLES // 2) // FRAME_SHIFT_SAMPLES + EDGE_HOPS


def _log_mel(signal: Tensor) -> Tensor:
    """(windows, 128) of every whole window in a signal (samples,): what kaldi.fbank does, to the
    bit; but that makes its tables anew each time, and has a GPU wait for them."""
    povey, mel = _tables(signal.device)
    windows = signal.unfold(0, FRAME_SAMPLES, FRAME_SHIFT_SAMPLES)
    windows = windows - windows.mean(dim=1, keepdim=True)
    before = F.pad(windows[None], (1, 0), mode="replicate")[0, :, :-1]
    spectrum = torch.fft.rfft((windows - PREEMPHASIS * before) * povey, n=FFT_SAMPLES)
    with torch.autocast(signal.device.type, enabled=False):  # bfloat16 is too coarse for it
        return (spectrum.abs().pow(2.0) @ mel).clamp(min=torch.finfo(torch.float32).eps).log()


@kept()
def _tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """The Povey window (400,), and mel filters (257, 128) from 20 Hz to 400 Hz below the highest:
    made once for each device."""
    povey = torch.hann_window(FRAME_SAMPLES, periodic=False, dtype=torch.float32).pow(0.85)
    mel, _ = get_mel_banks(
        NUM_MEL_BINS, FFT_SAMPLES, float(SAMPLE_RATE), 20.0, -400.0, 100.0, -500.0, 1.0
    )
    return povey.to(device), F.pad(mel, (0, 1)).to(device, torch.float32).T


def pad_features(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Clips of (frames, 128) to one batch (n, longest, 128) and its lengths (n,) in frames."""
    if not features:
        raise InputError("no clips: expected at least one")
    lengths = torch.tensor([f.shape[0] for f in features], device=features[0].device)
    return torch.nn.utils.rnn.pad_sequence(list(features), batch_first=True), lengths
