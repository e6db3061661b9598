"""What is done to decoded samples: resampling for the model, loudness for the tables.

Knows numbers only. Does not know files, formats or segments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clsp.errors import InputError
from pipelines.errors import FailureKind, RecordingError

FLOOR_DBFS = -120.0  # stands for digital silence, whose level would be -inf
SILENT_DBFS = -60.0
FRAME_S = 0.025
CLIP_LEVEL = 0.999  # of full scale


@dataclass(frozen=True)
class Loudness:
    """Cheap measures of a segment. dBFS: 0 is full scale (1.0), -120 stands for digital silence."""

    rms_dbfs: float
    peak_dbfs: float
    clipped_share: float  # of samples at 0.999 of full scale or over, 0 to 1
    silent_share: float  # of 25 ms frames whose RMS is under -60 dBFS, 0 to 1


def to_16k(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """One segment (samples,) at `sample_rate` Hz to float32 (samples,) at 16 kHz, as the model
    was fed (clsp.features.resample).

    Raises RecordingError(unsupported) for a rate that cannot be resampled.
    """
    import torch

    from clsp.features import resample

    waveform = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
    try:
        with torch.inference_mode():
            return np.asarray(resample(waveform, sample_rate).numpy())
    except InputError as error:
        raise RecordingError(FailureKind.UNSUPPORTED, str(error)) from error


def loudness(samples: np.ndarray, sample_rate: int) -> Loudness:
    """Measures of a mono segment (samples,), at its own rate: resampling would round off clipping.

    A frame at the end that is not full counts only when it is the only one. Raises InputError for
    no samples.
    """
    if len(samples) == 0:
        raise InputError("no samples: expected at least one to measure loudness")
    power = np.square(samples, dtype=np.float64)
    frame = min(len(power), max(1, round(FRAME_S * sample_rate)))
    frames = power[: len(power) - len(power) % frame].reshape(-1, frame).mean(axis=1)
    size = np.abs(samples)
    return Loudness(
        rms_dbfs=dbfs(float(power.mean()) ** 0.5),
        peak_dbfs=dbfs(float(size.max())),
        clipped_share=float((size >= CLIP_LEVEL).mean()),
        silent_share=float((frames < 10 ** (SILENT_DBFS / 10)).mean()),
    )


def dbfs(amplitude: float) -> float:
    """An amplitude, 1.0 at full scale, in dB; -120 for digital silence."""
    return max(FLOOR_DBFS, 20 * math.log10(amplitude)) if amplitude > 0 else FLOOR_DBFS
