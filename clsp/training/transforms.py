"""WORLD transforms: one synthetic recording becomes many manners of speaking, each with its labels.

It knows how pitch, formants, tempo, tilt, breath and tremor are changed and which label follows.
It does not know real emotions or real ageing: "angry" or "elder" here are rules, written below.

Labels follow from numbers, with a gap between classes (a value inside a gap is left unlabelled):
    pitch  median F0:  low <= 128 Hz, medium 145-195 Hz, high >= 215 Hz
    rate   syllables per second of speech:  slow <= 3.2, moderate 3.8-4.8, fast >= 5.7
    expressiveness  spread of F0:  monotone <= 1.1 semitones, expressive >= 3.3
"""

import warnings
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from clsp.errors import InputError
from clsp.training.voices import Voice

SAMPLE_RATE = 16_000
FRAME_MS = 5.0
F0_FLOOR_HZ, F0_CEIL_HZ = 60.0, 500.0

PITCH_HZ = {"low": (0.0, 128.0), "medium": (145.0, 195.0), "high": (215.0, 900.0)}
RATE_SYLLABLES = {"slow": (0.0, 3.2), "moderate": (3.8, 4.8), "fast": (5.7, 20.0)}
SPREAD_SEMITONES = {"monotone": (0.0, 1.1), "expressive": (3.3, 24.0)}
NEUTRAL_RATE = 4.3

# Vocal tracts, as formant spacing in Hz (mean, deviation): men's are about 17 cm long and women's
# 14.5 cm (Fitch & Giedd 1999, doi 10.1121/1.427148), with sound at 350 m/s 1,029 and 1,207 Hz; the
# training voices of recorded men and women, as formants.py measures them, 1,013 and 1,151. Between
# these. Children's by 20-45 % over men's (Hillenbrand et al. 1995, doi 10.1121/1.411872).
TRACT_HZ = {"male": (1_020.0, 40.0), "female": (1_185.0, 44.0), "child": (1_345.0, 65.0)}
TRACT_RANGE_HZ = {
    "male": (915.0, 1_088.0),
    "female": (1_105.0, 1_300.0),
    "child": (1_260.0, 1_480.0),
}
# Median F0 of speakers in Hz and its deviation in semitones (Traunmueller & Eriksson 1995); the
# second mode, drawn by this share, is lively or high speech of men, low speech of women; more than
# people's, so that the tract decides.
SPEAKER_F0 = {"male": (122.0, 3.4), "female": (205.0, 2.9), "child": (275.0, 3.0)}
OTHER_F0_HZ = {"male": (165.0, 265.0), "female": (135.0, 170.0), "child": (220.0, 420.0)}
OTHER_F0_SHARE = {"male": 0.35, "female": 0.2, "child": 0.2}
F0_RANGE_HZ = {"male": (70.0, 280.0), "female": (125.0, 340.0), "child": (200.0, 430.0)}

Attributes = dict[str, str | None]


@dataclass(frozen=True)
class Speech:
    """What WORLD hears in a clip. Shapes: f0 (frames,), the others (frames, bins)."""

    f0: np.ndarray
    envelope: np.ndarray
    aperiodicity: np.ndarray


@dataclass(frozen=True)
class Manner:
    """How a clip is to be spoken; the defaults say it plainly."""

    f0_hz: float = 150.0  # median
    spread: float = 2.0  # standard deviation of F0, semitones
    slope: float = 0.0  # F0 at the end relative to the start, semitones
    final_rise: float = 0.0  # over the last fifth, semitones
    warp: float = 1.0  # formants move up by this factor
    bend: float = 0.0  # high formants move further (> 0) or less far (< 0): share at 6 kHz
    tempo: float = 1.0  # > 1 is faster
    tilt: float = 0.0  # dB per octave about 500 Hz: > 0 is a harder, more pressed voice
    breath: float = 0.0  # 0..1
    tremor: float = 0.0  # depth, share of F0
    jitter: float = 0.0  # depth, share of F0
    whisper: bool = False


@dataclass(frozen=True)
class EmotionRule:
    """A made-up prosody for one emotion word: ranges to draw from. Not learnt from people."""

    pitch: tuple[float, float]  # times the speaker's F0
    spread: tuple[float, float]  # semitones
    rate: tuple[float, float]  # times the neutral rate
    levels: tuple[str, ...]
    tilt: tuple[float, float] = (0.0, 0.0)
    slope: tuple[float, float] = (-2.0, -0.5)
    final_rise: tuple[float, float] = (0.0, 0.0)
    breath: tuple[float, float] = (0.0, 0.1)
    tremor: tuple[float, float] = (0.0, 0.0)
    jitter: tuple[float, float] = (0.0, 0.005)


EMOTIONS: dict[str, EmotionRule] = {
    "neutral": EmotionRule((0.95, 1.05), (1.5, 2.4), (0.9, 1.08), ("normal",), (-0.5, 0.5)),
    "happy": EmotionRule(
        (1.15, 1.35), (3.2, 4.6), (1.08, 1.28), ("normal", "loud"), (0.5, 1.5), (0.0, 2.0), (1, 3)
    ),
    "excited": EmotionRule(
        (1.3, 1.6), (4.4, 6.2), (1.3, 1.6), ("loud",), (1.0, 2.0), (-1.0, 1.0), (0.0, 2.0)
    ),
    "angry": EmotionRule(
        (1.0, 1.15), (3.4, 5.0), (1.2, 1.45), ("loud",), (2.5, 4.0), (-5.0, -2.5),
        jitter=(0.01, 0.03),
    ),
    "sad": EmotionRule(
        (0.8, 0.9), (0.6, 1.1), (0.62, 0.78), ("quiet",), (-3.5, -2.0), (-4.0, -2.0),
        breath=(0.2, 0.5),
    ),
    "calm": EmotionRule(
        (0.9, 1.0), (1.0, 1.6), (0.74, 0.86), ("normal",), (-2.5, -1.2), (-1.5, 0.0),
        breath=(0.1, 0.3),
    ),
    "disgust": EmotionRule(
        (0.82, 0.92), (2.4, 3.4), (0.62, 0.76), ("normal",), (0.5, 1.5), (-6, -4),
        jitter=(0.03, 0.06),
    ),
    "fear": EmotionRule(
        (1.3, 1.55), (1.0, 1.8), (1.2, 1.45), ("quiet", "normal"), (-1.5, 0.0), (0.0, 2.0),
        breath=(0.3, 0.6), tremor=(0.05, 0.09),
    ),
    "surprised": EmotionRule(
        (1.2, 1.45), (3.8, 5.2), (0.9, 1.1), ("normal",), (0.0, 1.0), (-1.0, 1.0), (5.0, 9.0)
    ),
}  # fmt: skip


def _world() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pyworld still imports pkg_resources
            import pyworld
    except ImportError as error:
        raise InputError(
            "pyworld is needed to make training data: pip install clsp-pipelines[train]"
        ) from error
    return pyworld


def label(value: float | None, classes: dict[str, tuple[float, float]]) -> str | None:
    """The class whose range holds the value, or None in a gap."""
    if value is None:
        return None
    return next((name for name, (low, high) in classes.items() if low <= value <= high), None)


def analyse(waveform: np.ndarray) -> Speech:
    """Take a 16 kHz clip, shape (samples,), apart into pitch, envelope and breathiness."""
    world = _world()
    signal = np.ascontiguousarray(waveform, dtype=np.float64)
    rough, times = world.dio(
        signal, SAMPLE_RATE, f0_floor=F0_FLOOR_HZ, f0_ceil=F0_CEIL_HZ, frame_period=FRAME_MS
    )
    f0 = world.stonemask(signal, rough, times, SAMPLE_RATE)
    envelope = world.cheaptrick(signal, f0, times, SAMPLE_RATE)
    return Speech(f0, envelope, world.d4c(signal, f0, times, SAMPLE_RATE))


def pitch_and_spread(f0: np.ndarray) -> tuple[float | None, float | None]:
    """Median F0 in Hz and its spread in semitones; None where hardly anything is voiced."""
    voiced = f0[f0 > 0]
    if len(voiced) < 20:
        return None, None
    median = float(np.median(voiced))
    semitones = 12 * np.log2(voiced / median)
    return median, float(np.std(np.clip(semitones, -12, 12)))


def _contour(f0: np.ndarray, manner: Manner, rng: np.random.Generator) -> np.ndarray:
    """A new F0 contour with the wanted median, spread, slope, tremor and jitter."""
    median, spread = pitch_and_spread(f0)
    if median is None or spread is None:
        return f0
    voiced = f0 > 0
    semitones = np.zeros_like(f0)
    semitones[voiced] = np.clip(12 * np.log2(f0[voiced] / median), -9, 9)
    semitones *= np.clip(manner.spread / max(spread, 0.3), 0.05, 6.0)
    place = np.linspace(0, 1, len(f0))
    semitones += manner.slope * (place - 0.5)
    semitones += manner.final_rise * np.clip((place - 0.8) / 0.2, 0, 1)
    semitones -= np.median(semitones[voiced])
    time_s = np.arange(len(f0)) * FRAME_MS / 1000
    wave = manner.tremor * np.sin(2 * np.pi * rng.uniform(4, 7) * time_s + rng.uniform(0, 6))
    shake = manner.jitter * rng.standard_normal(len(f0))
    contour = manner.f0_hz * 2 ** (semitones / 12) * (1 + wave + shake)
    return np.where(voiced, np.clip(contour, 55, 700), 0.0)


def render(speech: Speech, manner: Manner, rng: np.random.Generator) -> np.ndarray:
    """Speak the clip again in this manner: float32, shape (samples,), loudness not yet set."""
    frames, bins = speech.envelope.shape
    count = max(round(frames / manner.tempo), 20)
    place = np.linspace(0, frames - 1, count)
    nearest = np.round(place).astype(int)
    low = np.minimum(place.astype(int), frames - 2)
    share = (place - low)[:, None]
    power = np.log(speech.envelope + 1e-12)
    power = power[low] * (1 - share) + power[low + 1] * share
    f0 = _contour(speech.f0[nearest], manner, rng)
    aperiodicity = speech.aperiodicity[nearest].copy()

    hz = np.maximum(np.arange(bins) * SAMPLE_RATE / 2 / (bins - 1), 80.0)
    warp = manner.warp * (1 + manner.bend * np.clip(np.log2(hz / 1500) / 2, -1, 1))
    source = np.clip(np.arange(bins) / warp, 0, bins - 1.001)
    left, part = source.astype(int), source % 1
    power = power[:, left] * (1 - part) + power[:, left + 1] * part
    decibel = np.log(10) / 10
    power += decibel * manner.tilt * np.clip(np.log2(hz / 500), -2.5, 3.5)
    if manner.breath > 0:
        share_of_noise = manner.breath * np.clip(np.log2(hz / 300) / 3, 0.1, 1)
        aperiodicity = 1 - (1 - aperiodicity) * (1 - share_of_noise)
    if manner.tremor > 0:
        wobble = np.sin(2 * np.pi * rng.uniform(4, 7) * np.arange(count) * FRAME_MS / 1000)
        power += (decibel * 30 * manner.tremor * wobble)[:, None]
    if manner.whisper:
        voiced = f0 > 0
        power -= decibel * rng.uniform(0, 16) * np.clip(np.log2(900 / hz), 0, 2)
        power[voiced] -= decibel * rng.uniform(0, 12)
        f0, aperiodicity = np.zeros_like(f0), np.ones_like(aperiodicity)
    voice = _world().synthesize(
        np.ascontiguousarray(f0), np.ascontiguousarray(np.exp(power)),
        np.ascontiguousarray(aperiodicity), SAMPLE_RATE, FRAME_MS,
    )  # fmt: skip
    return voice.astype(np.float32)


def _tract_hz(gender: str, rng: np.random.Generator) -> float:
    """A vocal tract's formant spacing in Hz."""
    return float(np.clip(rng.normal(*TRACT_HZ[gender]), *TRACT_RANGE_HZ[gender]))


def _speaker_f0(gender: str, rng: np.random.Generator) -> float:
    """A median F0 in Hz; the ranges of men and women overlap, as they do in people."""
    if rng.random() < OTHER_F0_SHARE[gender]:
        return float(rng.uniform(*OTHER_F0_HZ[gender]))
    median, deviation = SPEAKER_F0[gender]
    return float(
        np.clip(median * 2 ** (deviation * rng.standard_normal() / 12), *F0_RANGE_HZ[gender])
    )


def draw_manner(
    voice: Voice, natural_rate: float, rng: np.random.Generator, convert: bool
) -> tuple[Manner, Attributes, tuple[str, ...]]:
    """Draw a manner of speaking with its labels, and the levels that go with it.

    `natural_rate` is the clip's own syllables per second. With `convert`, the voice gets a vocal
    tract (and F0) of either gender, whatever its own; without, it keeps its tract within 5 %.
    """
    gender, warp = voice.gender, float(rng.uniform(0.95, 1.05))
    age = "child"
    if voice.gender != "child":
        if convert:
            gender = str(rng.choice(["male", "female"]))
            warp = _tract_hz(gender, rng) / voice.formant_hz
        age = str(rng.choice(["adult", "child", "middle", "elder"], p=[0.54, 0.20, 0.12, 0.14]))
        if age == "child":
            gender, warp = "child", _tract_hz("child", rng) / voice.formant_hz
    manner = Manner(f0_hz=_speaker_f0(gender, rng), warp=warp, bend=float(rng.uniform(-0.05, 0.05)))
    rate = _within(RATE_SYLLABLES[str(rng.choice(list(RATE_SYLLABLES)))], rng, 2.2, 7.2)
    kind = rng.random()
    whisper, emotional = kind < 0.2, kind >= 0.55
    emotion: str | None = None
    levels: tuple[str, ...] = ("quiet", "normal", "loud")
    if whisper:
        levels = ("quiet", "quiet", "normal", "normal", "loud")
        spread = 2.0
    elif emotional:
        emotion = str(rng.choice(list(EMOTIONS)))
        rule = EMOTIONS[emotion]
        spread, levels = float(rng.uniform(*rule.spread)), rule.levels
        rate = NEUTRAL_RATE * float(rng.uniform(*rule.rate))
        manner = replace(
            manner,
            f0_hz=float(np.clip(manner.f0_hz * rng.uniform(*rule.pitch), 70, 460)),
            tilt=float(rng.uniform(*rule.tilt)), slope=float(rng.uniform(*rule.slope)),
            final_rise=float(rng.uniform(*rule.final_rise)),
            breath=float(rng.uniform(*rule.breath)), tremor=float(rng.uniform(*rule.tremor)),
            jitter=float(rng.uniform(*rule.jitter)),
        )  # fmt: skip
    else:
        low, high = ((0.2, 1.0), (1.4, 2.8), (3.4, 5.0))[int(rng.integers(3))]
        spread = float(rng.uniform(low, high))
        breathy = rng.random() < 0.2
        manner = replace(
            manner,
            tilt=float(rng.uniform(-2, 2)), slope=float(rng.uniform(-3, 1)),
            breath=float(rng.uniform(0.6, 0.95) if breathy else rng.uniform(0, 0.2)),
        )  # fmt: skip
    if age in ("elder", "middle"):
        depth = 1.0 if age == "elder" else 0.4
        manner = replace(
            manner,
            tremor=manner.tremor + depth * float(rng.uniform(0.04, 0.07)),
            jitter=manner.jitter + depth * float(rng.uniform(0.015, 0.03)),
            breath=max(manner.breath, depth * float(rng.uniform(0.2, 0.4))),
            tilt=manner.tilt - 1.5 * depth,
        )
        rate *= 1 - 0.12 * depth
    tempo = float(np.clip(rate / natural_rate, 0.5, 2.0))
    manner = replace(manner, spread=spread, tempo=tempo, whisper=whisper)
    attributes: Attributes = {
        "gender": gender if gender in ("male", "female") else None,
        "age": age,
        "whisper": "yes" if whisper else "no",
        "emotion": emotion,
        "rate": label(natural_rate * tempo, RATE_SYLLABLES),
        "breathy": "yes" if manner.breath >= 0.5 and not whisper else None,
    }
    return manner, attributes, levels


def _within(
    bounds: tuple[float, float], rng: np.random.Generator, floor: float, ceiling: float
) -> float:
    return float(rng.uniform(max(bounds[0], floor), min(bounds[1], ceiling)))
