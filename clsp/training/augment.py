"""What a recording does to speech: level, noise, room, telephone, colour.

It knows signals only: nothing of voices, labels' wording or the model. Every function takes and
gives a float32 waveform at 16 kHz, shape (samples,), and draws from the generator it is handed.

Level classes, by the level of the active speech (frames within 30 dB of the loudest), dBFS rms:
quiet <= -36, normal -31 to -21, loud >= -17.5.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torchaudio

from clsp.features import resample

SAMPLE_RATE = 16_000
LEVEL_DBFS = {"quiet": (-46.0, -36.0), "normal": (-31.0, -21.0), "loud": (-17.5, -8.0)}
DRAWN_DBFS = {"quiet": (-46.0, -37.0), "normal": (-30.0, -22.0), "loud": (-16.5, -9.5)}
NOISY_SNR_DB = (-3.0, 13.0)
SLIGHT_SNR_DB = (17.0, 27.0)  # audible, and left unlabelled
FLOOR_SNR_DB = (38.0, 60.0)  # what every real "clean" recording has


@dataclass(frozen=True)
class Condition:
    """How a clip was recorded, and how loud; `slight` noise is neither clean nor noisy."""

    level: str = "normal"
    noise: str = "clean"
    telephone: bool = False
    reverb: bool = False

    def attributes(self) -> dict[str, str | None]:
        faults = [
            name
            for name, present in (
                ("noisy", self.noise == "noisy"),
                ("telephone", self.telephone),
                ("reverberant", self.reverb),
            )
            if present
        ]
        quality = "clean" if not faults else faults[0] if len(faults) == 1 else None
        slight = self.noise == "slight"
        return {
            "level": self.level,
            "noise": None if slight else self.noise,
            "telephone": "yes" if self.telephone else "no",
            "reverb": "yes" if self.reverb else "no",
            "quality": None if slight else quality,
        }


def draw_condition(levels: tuple[str, ...], rng: np.random.Generator) -> Condition:
    """A level out of those given, and faults drawn independently of each other."""
    return Condition(
        level=str(rng.choice(levels)),
        noise=str(rng.choice(["clean", "slight", "noisy"], p=[0.58, 0.12, 0.30])),
        telephone=bool(rng.random() < 0.22),
        reverb=bool(rng.random() < 0.18),
    )


def active_level(waveform: np.ndarray) -> float:
    """The level in dBFS rms of the frames within 30 dB of the loudest frame."""
    size = SAMPLE_RATE // 50
    count = max(len(waveform) // size, 1)
    frames = np.resize(waveform, count * size).reshape(count, size).astype(np.float64)
    power = (frames**2).mean(1) + 1e-12
    return float(10 * np.log10(power[power > power.max() / 1000].mean()))


def set_level(waveform: np.ndarray, dbfs: float) -> np.ndarray:
    """Scale to this active level; peaks above 0.7 are rounded off as a limiter does."""
    scaled = waveform * 10 ** ((dbfs - active_level(waveform)) / 20)
    over = np.abs(scaled) > 0.7
    rounded = np.sign(scaled) * (0.7 + 0.3 * np.tanh((np.abs(scaled) - 0.7) / 0.3))
    return np.where(over, rounded, scaled).astype(np.float32)


def coloured_noise(samples: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls as 1/f**slope: 0 is white, 1 is pink, 2 is brown."""
    hz = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 30.0)
    phase = rng.standard_normal(len(hz)) + 1j * rng.standard_normal(len(hz))
    noise = np.fft.irfft(phase * hz ** (-slope / 2), samples)
    return (noise / (np.std(noise) + 1e-9)).astype(np.float32)


def babble(samples: int, others: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Several other clips talking at once, over a little pink noise."""
    total = 0.1 * coloured_noise(samples, 1.0, rng)
    for _ in range(int(rng.integers(3, 7))):
        other = others[int(rng.integers(len(others)))]
        spoken = np.roll(np.resize(other, samples), int(rng.integers(samples)))
        total = total + spoken / (np.std(spoken) + 1e-6)
    return (total / (np.std(total) + 1e-9)).astype(np.float32)


def add_noise(waveform: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add noise of unit power this far below (or above) the active speech."""
    gain = 10 ** ((active_level(waveform) - snr_db) / 20)
    return (waveform + gain * noise[: len(waveform)]).astype(np.float32)


def reverberate(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A plain room: a direct path and a decaying noise tail, 0.5 to 1.4 s to fall by 60 dB."""
    decay_s = rng.uniform(0.5, 1.4)
    length = int(decay_s * SAMPLE_RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[: int(rng.uniform(0.004, 0.03) * SAMPLE_RATE)] = 0
    tail *= 10 ** (rng.uniform(-4, 5) / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    size = 1 << (len(waveform) + length - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(waveform, size) * np.fft.rfft(tail, size), size)
    return wet[: len(waveform)].astype(np.float32)


def filtered(waveform: np.ndarray, hz: np.ndarray, gains_db: np.ndarray) -> np.ndarray:
    """Filter by a gain curve given at some frequencies, joined on a log axis."""
    axis = np.maximum(np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE), 20.0)
    gain = 10 ** (np.interp(np.log2(axis), np.log2(hz), gains_db) / 20)
    return np.fft.irfft(np.fft.rfft(waveform) * gain, len(waveform)).astype(np.float32)


def narrowed(waveform: np.ndarray, hz: float) -> np.ndarray:
    """Nothing at all above this frequency, as in a file that once had a lower sample rate."""
    spectrum = np.fft.rfft(waveform)
    spectrum[int(hz / (SAMPLE_RATE / 2) * (len(spectrum) - 1)) :] = 0
    return np.fft.irfft(spectrum, len(waveform)).astype(np.float32)


def read_at(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """What this package makes of a file of this sample rate: (samples,) at 16 kHz."""
    return np.asarray(resample(torch.from_numpy(waveform), sample_rate).numpy())


def through(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Stored at a lower sample rate in Hz, then read again; as long as before."""
    stored = torchaudio.functional.resample(
        torch.from_numpy(waveform), SAMPLE_RATE, sample_rate, lowpass_filter_width=64
    )
    return np.resize(read_at(stored.numpy(), sample_rate), len(waveform))


def telephone(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A telephone line: 8 kHz, empty above 3.1-3.95 kHz, often nothing below 220-380 Hz, 8 bits.

    Old lines cut the lows; digital ones often keep them. The steps are mu-law's, alone or over
    noise in step with the signal (as low-rate codecs leave), or there are none. Most are 8 kHz
    files, read as this package reads them: its resampler, the published model's, leaves an image of
    the band above 4 kHz. The rest were recorded at 16 kHz, at times with a faint hiss.
    """
    low = rng.uniform(220, 380) if rng.random() < 0.5 else rng.uniform(40, 200)
    high = rng.uniform(3_100, 3_950)
    edges = np.array([20, low * 0.6, low, high, high * 1.1, 8000.0])
    band = filtered(waveform, edges, np.array([-60.0, -30, 0, 0, -40, -70]))
    band = narrowed(np.pad(band, (0, len(band) % 2)), 4_000)[::2]  # at 8 kHz from here
    band *= 10 ** (rng.uniform(-20, -1) / 20) / (np.abs(band).max() + 1e-9)
    kind = rng.random()
    if kind < 0.25:
        band *= 1 + rng.uniform(0.05, 0.3) * rng.standard_normal(len(band)).astype(np.float32)
    if kind < 0.7:
        squeezed = np.sign(band) * np.log1p(255 * np.abs(band)) / np.log(256)
        steps = np.round(np.clip(squeezed, -1, 1) * 127) / 127
        band = np.sign(steps) * (256 ** np.abs(steps) - 1) / 255
    if rng.random() < 0.65:
        return read_at(band.astype(np.float32), 8_000)[: len(waveform)]
    wide = np.fft.irfft(2 * np.fft.rfft(band), 2 * len(band))[: len(waveform)]
    if rng.random() < 0.6:
        wide += (
            np.abs(wide).max() * 10 ** (rng.uniform(-75, -50) / 20) * rng.standard_normal(len(wide))
        )
    return wide.astype(np.float32)


def colour(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A microphone's colour: a smooth random curve of some 8 dB, at times a dull or cut top."""
    hz = np.array([60, 150, 400, 1000, 2500, 5000, 7800.0])
    gains = rng.normal(0, 4.0, len(hz))
    kind = rng.random()
    if kind < 0.2:
        gains -= rng.uniform(10, 30) * (hz > rng.uniform(4500, 7500))
    waveform = filtered(waveform, hz, gains)
    if kind > 0.92:  # a low bit rate, yet better than a telephone's
        waveform = narrowed(waveform, rng.uniform(5_000, 7_500))
    elif kind > 0.85:  # a low sample rate
        waveform = through(waveform, int(rng.choice([11_025, 12_000])))
    return waveform


def record(
    waveform: np.ndarray, condition: Condition, others: list[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Record speech under a condition; `others` are clips for babble (none: noise only)."""
    clip = waveform / (np.abs(waveform).max() + 1e-9)
    if rng.random() < 0.7:
        clip = colour(clip, rng)
    if condition.reverb:
        clip = reverberate(clip, rng)
    if condition.noise != "clean":
        noise = (
            babble(len(clip), others, rng)
            if others and rng.random() < 0.45
            else coloured_noise(len(clip), 0.0 if rng.random() < 0.3 else rng.uniform(0, 2), rng)
        )
        snr_db = rng.uniform(*(NOISY_SNR_DB if condition.noise == "noisy" else SLIGHT_SNR_DB))
        clip = add_noise(clip, noise, snr_db)
    elif rng.random() < 0.85:
        floor = coloured_noise(len(clip), rng.uniform(0, 2), rng)
        clip = add_noise(clip, floor, rng.uniform(*FLOOR_SNR_DB))
    if condition.telephone:
        clip = telephone(clip, rng)
    return set_level(clip, rng.uniform(*DRAWN_DBFS[condition.level]))
