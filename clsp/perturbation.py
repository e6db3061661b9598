"""One thing about a clip changed on purpose: noise, tempo, pitch, level, line, room or voicing.

For measuring, not for training: the methods here (WSOLA, resampling, linear prediction, image
sources, a real 8 kHz mu-law line) are not those the embedded model was trained with (WORLD, noise
tails, filter curves: clsp/training/), so that a model cannot know them by their sound. Only the
level of active speech is defined once for both.

Knows signals only. Every function takes and gives float32 (samples,) at 16 kHz in [-1, 1], never
changes its input, and draws from the generator it is handed. Silence stays finite. But for `level`
and added noise, the result is as loud as the clip was: loudness must not give a change away. What
then goes over full scale is cut off, as in any file.
"""

from collections.abc import Sequence

import numpy as np

from clsp.training.augment import active_level

SAMPLE_RATE = 16_000  # Hz
MU = 255  # of the mu-law, ITU-T G.711
LINE_RATE = 8_000  # Hz, of a digital telephone line
BAND_HZ = (300.0, 3400.0)  # of the analogue part of a line, ITU-T G.712

STRETCH_FRAME = 512  # 32 ms: two periods of 62 Hz
STRETCH_SEARCH = 160  # +-10 ms: one period of 50 Hz

LPC_ORDER = 18  # one pole pair per kHz, and one for the slope: the rule of 2 + rate in kHz
LPC_FRAME, LPC_HOP, LPC_SIZE = 400, 160, 1024  # samples: 25 ms, 10 ms; of the Fourier transform
PRE_EMPHASIS = 0.97
BANDWIDTH = 0.98  # poles drawn in by this factor: no resonance under 100 Hz wide, no whistling
# Whispered vowels lack energy below some 1.5 kHz (Ito, Takeda & Itakura 2005, Analysis and
# recognition of whispered speech, Speech Communication 45); how much, here, is our own choice.
WHISPER_HZ = (100.0, 250.0, 500.0, 1000.0, 1500.0)
WHISPER_DB = (-24.0, -20.0, -13.0, -5.0, 0.0)

SOUND_M_S = 343.0
HALL_M = (11.0, 8.0, 4.0)
REFLECTION = 0.88  # of pressure, on every wall: falls by 60 dB in 0.8 s (Sabine)
DISTANCE_M = 4.0
TAIL_S = 0.8

MAX_TALKERS = 4


# --- level and what is added ---------------------------------------------------------------------


def level(clip: np.ndarray, dbfs: float) -> np.ndarray:
    """Scaled to this active level: dBFS rms of the frames within 30 dB of the loudest."""
    return _full_scale(clip * 10 ** ((dbfs - active_level(clip)) / 20))


def noise(clip: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """White noise this far below the active speech."""
    return _add(clip, rng.standard_normal(len(clip)), snr_db)


def babble(
    clip: np.ndarray, others: Sequence[np.ndarray], snr_db: float, rng: np.random.Generator
) -> np.ndarray:
    """Up to four of the other clips, equally loud, looped from random places, together this far
    below the active speech. `others` must hold at least one clip."""
    chosen = rng.permutation(len(others))[:MAX_TALKERS]
    total = np.zeros(len(clip))
    for place in chosen:
        other = others[int(place)]
        looped = np.resize(np.roll(other, -int(rng.integers(len(other)))), len(clip))
        total += looped / (_rms(looped) + 1e-9)
    return _add(clip, total, snr_db)


def _add(clip: np.ndarray, added: np.ndarray, snr_db: float) -> np.ndarray:
    gain = 10 ** ((active_level(clip) - snr_db) / 20) / (_rms(added) + 1e-12)
    return _full_scale(clip + gain * added)


def _rms(signal: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))) if len(signal) else 0.0


def _as_loud(changed: np.ndarray, clip: np.ndarray) -> np.ndarray:
    """At the clip's own active level."""
    return level(changed, active_level(clip))


def _full_scale(signal: np.ndarray) -> np.ndarray:
    return np.clip(signal, -1, 1).astype(np.float32)


# --- tempo and pitch -----------------------------------------------------------------------------


def tempo(clip: np.ndarray, factor: float) -> np.ndarray:
    """Faster by this factor (over 1) or slower, at the same pitch: round(samples / factor) samples.

    WSOLA (Verhelst & Roelands 1993): frames are laid out anew, each taken from where it best
    continues the one before, within 10 ms of its due place.
    """
    frame, hop, search = STRETCH_FRAME, STRETCH_FRAME // 2, STRETCH_SEARCH
    wanted = round(len(clip) / factor)
    count = wanted // hop + 2
    # The first frame starts half a frame early: every output sample lies under two windows.
    longest = round(count * hop * factor) + 2 * frame + 2 * search
    padded = np.zeros(max(longest, len(clip)) + frame + search)
    start = search + hop  # where the clip begins in `padded`
    padded[start : start + len(clip)] = clip
    energy = np.cumsum(np.concatenate([[0.0], padded**2]))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
    out = np.zeros(count * hop + frame)
    place = search
    for index in range(count):
        if index:
            due = search + round(index * hop * factor)
            wish = padded[place + hop : place + hop + frame]
            around = padded[due - search : due + search + frame]
            ends = np.arange(due - search, due + search + 1)
            size = np.sqrt(energy[ends + frame] - energy[ends] + 1e-9)
            place = due - search + int(np.argmax(np.correlate(around, wish, "valid") / size))
        out[index * hop : index * hop + frame] += window * padded[place : place + frame]
    return out[hop : hop + wanted].astype(np.float32)


def pitch(clip: np.ndarray, cents: float) -> np.ndarray:
    """Higher (cents over 0) or lower at the same tempo; formants move along, as on a tape played
    faster: a stretch, then resampling."""
    return _as_loud(_shifted(clip, cents), clip)


def pitch_kept_formants(clip: np.ndarray, cents: float) -> np.ndarray:
    """Higher or lower by moving the source alone: the vocal tract, as linear prediction sees it,
    stays as it was. Nearer to what a speaker does than `pitch`."""
    emphasised = _pre_emphasis(clip)
    inverse, _ = _predictors(emphasised)
    source = _filter_frames(emphasised, inverse)
    moved = _filter_frames(_shifted(source.astype(np.float32), cents), 1 / inverse)
    return _as_loud(_de_emphasis(moved), clip)


def _shifted(clip: np.ndarray, cents: float) -> np.ndarray:
    return _resized(tempo(clip, 2 ** (-cents / 1200)), len(clip))


def _resized(signal: np.ndarray, samples: int) -> np.ndarray:
    """The same waveform in another number of samples, band-limited, by its Fourier transform."""
    if len(signal) == 0:
        return np.zeros(samples, np.float32)
    spectrum = np.fft.rfft(signal)[: samples // 2 + 1]
    return (np.fft.irfft(spectrum, samples) * (samples / len(signal))).astype(np.float32)


# --- line and room -------------------------------------------------------------------------------


def telephone(clip: np.ndarray) -> np.ndarray:
    """A digital telephone line: 300 to 3400 Hz, 8 kHz, 8 bits by the mu-law of G.711."""
    if not len(clip):
        return clip.copy()
    narrow = np.clip(_resized(_band(clip), max(2, len(clip) // 2)), -1, 1)
    squeezed = np.sign(narrow) * np.log1p(MU * np.abs(narrow)) / np.log1p(MU)
    steps = np.round(squeezed * 127) / 127
    heard = np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(MU)) / MU
    return _as_loud(_resized(heard, len(clip)), clip)


def _band(clip: np.ndarray) -> np.ndarray:
    """Butterworth edges without phase: 4th order at 300 Hz, 16th at 3400 Hz."""
    hz = np.maximum(np.fft.rfftfreq(len(clip), 1 / SAMPLE_RATE), 1.0)
    low, high = BAND_HZ
    gain = 1 / np.sqrt((1 + (low / hz) ** 8) * (1 + (hz / high) ** 32))
    gain[hz > LINE_RATE / 2] = 0
    return np.fft.irfft(np.fft.rfft(clip) * gain, len(clip)).astype(np.float32)


def reverberate(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Heard from 4 m away in a bare hall of about 11 x 8 x 4 m: image sources (Allen & Berkley
    1979, doi:10.1121/1.382599), down by 60 dB after some 0.8 s. Size and places are drawn."""
    response = _hall(rng)
    size = 1 << (len(clip) + len(response)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(clip, size) * np.fft.rfft(response, size), size)
    return _as_loud(wet[: len(clip)], clip)


def _hall(rng: np.random.Generator) -> np.ndarray:
    """Impulse response (samples,) from the direct sound on."""
    room = np.array(HALL_M) * rng.uniform(0.85, 1.2, 3)
    middle = room * rng.uniform(0.4, 0.6, 3)
    way = np.array([np.cos(angle := rng.uniform(0, 2 * np.pi)), np.sin(angle), 0.1])
    step = way / np.linalg.norm(way) * DISTANCE_M / 2
    source, ear = middle - step, middle + step
    reach = TAIL_S * SOUND_M_S
    along, bounces = [], []
    for axis in range(3):
        n = np.arange(-int(reach / (2 * room[axis])) - 1, int(reach / (2 * room[axis])) + 2)
        straight, mirrored = 2 * n * room[axis] + source[axis], 2 * n * room[axis] - source[axis]
        along.append(np.concatenate([straight, mirrored]) - ear[axis])
        bounces.append(np.concatenate([np.abs(2 * n), np.abs(2 * n - 1)]))
    x, y, z = np.meshgrid(*along, indexing="ij", sparse=True)
    distance = np.sqrt(x**2 + y**2 + z**2)
    bx, by, bz = np.meshgrid(*bounces, indexing="ij", sparse=True)
    gain = REFLECTION ** (bx + by + bz) / distance
    place = np.round((distance - DISTANCE_M) / SOUND_M_S * SAMPLE_RATE).astype(int)
    heard = (place >= 0) & (place < TAIL_S * SAMPLE_RATE)
    response = np.bincount(place[heard], gain[heard], minlength=int(TAIL_S * SAMPLE_RATE))
    # Images only ever add up: what they pile up below 100 Hz is no sound of a room (ibid.).
    hz = np.fft.rfftfreq(len(response), 1 / SAMPLE_RATE)
    return np.fft.irfft(np.fft.rfft(response) * (1 - np.exp(-((hz / 100) ** 2))), len(response))


# --- whisper -------------------------------------------------------------------------------------


def whisper(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same words without voice: noise in place of what linear prediction leaves over, at each
    frame's energy, through that frame's vocal tract, low frequencies weakened as in whispers.
    """
    inverse, gain = _predictors(_pre_emphasis(clip))
    hz = np.maximum(np.fft.rfftfreq(LPC_SIZE, 1 / SAMPLE_RATE), 50.0)
    curve = 10 ** (np.interp(np.log2(hz), np.log2(WHISPER_HZ), WHISPER_DB) / 20)
    breath = rng.standard_normal(len(clip))
    spoken = _filter_frames(breath, gain[:, None] * curve / inverse)
    return _as_loud(_de_emphasis(spoken), clip)


def _pre_emphasis(clip: np.ndarray) -> np.ndarray:
    return np.append(clip[:1], clip[1:] - PRE_EMPHASIS * clip[:-1]).astype(np.float64)


def _de_emphasis(signal: np.ndarray) -> np.ndarray:
    """Undoes `_pre_emphasis`: a one-pole filter, by its Fourier transform on a padded signal."""
    size = 1 << (len(signal) + 2048).bit_length()  # 0.97 ** 2048 is nothing
    response = 1 - PRE_EMPHASIS * np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    return np.fft.irfft(np.fft.rfft(signal, size) / response, size)[: len(signal)]


def _frames(signal: np.ndarray) -> np.ndarray:
    """Windowed frames (frames, 400), the first starting a frame early, so that all is covered."""
    count = 1 + (len(signal) + LPC_FRAME) // LPC_HOP
    padded = np.zeros((count - 1) * LPC_HOP + LPC_FRAME)
    padded[LPC_FRAME : LPC_FRAME + len(signal)] = signal[: len(padded) - LPC_FRAME]
    starts = np.arange(count)[:, None] * LPC_HOP + np.arange(LPC_FRAME)
    return padded[starts] * np.hanning(LPC_FRAME)


def _predictors(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear prediction of each frame: the inverse filter's response (frames, 513), complex, and
    the rms of what it leaves over (frames,). Autocorrelation method, Levinson-Durbin."""
    framed = _frames(signal)
    power = np.abs(np.fft.rfft(framed, LPC_SIZE)) ** 2
    r = np.fft.irfft(power, LPC_SIZE)[:, : LPC_ORDER + 1]
    r[:, 0] = r[:, 0] * 1.0001 + 1e-9  # a floor 40 dB down keeps it well conditioned
    a = np.zeros((len(r), LPC_ORDER + 1))
    a[:, 0], error = 1.0, r[:, 0].copy()
    for order in range(1, LPC_ORDER + 1):
        k = -(a[:, :order] * r[:, order:0:-1]).sum(1) / error
        a[:, 1 : order + 1] += k[:, None] * a[:, order - 1 :: -1][:, :order]
        error *= 1 - k**2
    a *= BANDWIDTH ** np.arange(LPC_ORDER + 1)
    energy = np.maximum(error - 1e-9, 0.0) / np.sum(np.hanning(LPC_FRAME) ** 2)
    return np.fft.rfft(a, LPC_SIZE), np.sqrt(energy)


def _filter_frames(signal: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Each frame through its own filter, overlapped and added up again: (samples,)."""
    filtered = np.fft.irfft(np.fft.rfft(_frames(signal), LPC_SIZE) * responses, LPC_SIZE)
    out = np.zeros((len(filtered) - 1) * LPC_HOP + LPC_SIZE)
    weight = np.zeros_like(out)
    window = np.hanning(LPC_FRAME)
    for index, frame in enumerate(filtered):
        start = index * LPC_HOP
        out[start : start + LPC_SIZE] += frame
        weight[start : start + LPC_FRAME] += window
    inside = slice(LPC_FRAME, LPC_FRAME + len(signal))
    return out[inside] / np.maximum(weight[inside], 0.1)
