"""Formant spacing: how long a vocal tract sounds, measured from speech.

    python -m clsp.training.formants      measures every synthetic voice, as recorded in voices.py

Formants of a tube closed at one end lie at (k - 1/2) times the spacing, so that spacing =
speed of sound / (2 x length). Spacing by least squares over the first four median formants (Reby &
McComb 2003, doi 10.1006/anbe.2003.2078). Linear prediction errs by some per cent: good enough to
tell a man's tract from a woman's, not to measure anyone. Knows nothing of labels.
"""

import numpy as np

SAMPLE_RATE = 16_000
ANALYSIS_HZ = 11_000  # leaves the first four or five formants of adults
ORDER = 12
FRAME_S, HOP_S = 0.030, 0.010
WIDEST_HZ = 500.0  # of a formant's bandwidth; wider poles are spectral tilt
PLACES = np.array([0.5, 1.5, 2.5, 3.5])


def formants(waveform: np.ndarray, f0: np.ndarray, f0_hop_s: float = 0.005) -> np.ndarray:
    """The four lowest formants in Hz of each voiced frame, (frames, 4), of a 16 kHz clip."""
    import torch
    from torchaudio.functional import resample

    signal = resample(torch.from_numpy(waveform), SAMPLE_RATE, ANALYSIS_HZ).numpy()
    signal = np.append(signal[0], signal[1:] - 0.95 * signal[:-1]).astype(np.float64)
    size = int(FRAME_S * ANALYSIS_HZ)
    window, found = np.hamming(size), []
    for place in range(0, len(f0), round(HOP_S / f0_hop_s)):
        start = int(place * f0_hop_s * ANALYSIS_HZ)
        if f0[place] <= 0 or start + size > len(signal):
            continue
        hz = _poles(signal[start : start + size] * window)
        if len(hz) >= 4:
            found.append(hz[:4])
    return np.array(found).reshape(-1, 4)


def _poles(frame: np.ndarray) -> np.ndarray:
    """Frequencies in Hz of the narrow resonances of one frame, ascending."""
    lags = np.correlate(frame, frame, "full")[len(frame) - 1 : len(frame) + ORDER]
    if lags[0] < 1e-6:
        return np.zeros(0)
    index = np.arange(ORDER)
    matrix = lags[np.abs(index[:, None] - index)] + np.eye(ORDER) * lags[0] * 1e-5
    roots = np.roots(np.append(1, -np.linalg.solve(matrix, lags[1:])))
    roots = roots[roots.imag > 0.01]
    hz = np.angle(roots) * ANALYSIS_HZ / (2 * np.pi)
    width = -np.log(np.abs(roots)) * ANALYSIS_HZ / np.pi
    return np.sort(hz[(hz > 200) & (hz < 5_200) & (width < WIDEST_HZ)])


def spacing_hz(clips: list[np.ndarray]) -> float | None:
    """Formant spacing in Hz over some clips of one voice; None where nothing is voiced."""
    from clsp.training.transforms import analyse

    found = np.concatenate([formants(clip, analyse(clip).f0) for clip in clips])
    if len(found) < 20:
        return None
    median = np.median(found, axis=0)
    return float(median @ PLACES / (PLACES @ PLACES))


def main() -> None:
    from clsp.training.synthesise import resample, trim
    from clsp.training.texts import lines_for
    from clsp.training.voices import VOICES, synthesise

    for voice in VOICES:
        rng = np.random.default_rng(0)
        lines = lines_for(voice.language)
        texts = [lines[int(place)] for place in rng.integers(len(lines), size=6)]
        clips = [trim(resample(*synthesise(voice, text)))[: 5 * SAMPLE_RATE] for text in texts]
        print(voice.key, voice.gender, voice.split, f"{spacing_hz(clips) or 0:.0f} Hz,",
              f"recorded as {voice.formant_hz:.0f} Hz", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
