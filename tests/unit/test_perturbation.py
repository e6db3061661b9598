"""What each perturbation does to a clip, measured on the clip; and the arithmetic of the scores."""

import itertools

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from clsp import perturbation as change
from clsp.robustness import PROBES, perturbed, wilson, worded
from clsp.training.augment import active_level
from clsp.training.heldout_wording import QUESTIONS, bare, heldout, taught_texts
from clsp.training.wording import PROMPTS
from pipelines.samples import to_16k

RATE = change.SAMPLE_RATE
ALL = {
    "level": lambda clip, rng: change.level(clip, -20),
    "noise": lambda clip, rng: change.noise(clip, 5, rng),
    "babble": lambda clip, rng: change.babble(clip, [clip[::-1].copy()], 5, rng),
    "tempo": lambda clip, rng: change.tempo(clip, 1.5),
    "pitch": lambda clip, rng: change.pitch(clip, 400),
    "kept": lambda clip, rng: change.pitch_kept_formants(clip, -400),
    "telephone": lambda clip, rng: change.telephone(clip),
    "reverberate": change.reverberate,
    "whisper": change.whisper,
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def read(path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return to_16k(samples.mean(1), rate)


@pytest.fixture(scope="module")
def speech(sample_archive) -> np.ndarray:
    return read(sample_archive / "podcast/outro.flac")


@pytest.fixture(scope="module")
def voices(speech, sample_archive) -> list[np.ndarray]:
    """A man and a woman, synthesised."""
    return [speech, read(sample_archive / "field-notes/bird count.flac")]


def periodicity(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F0 in Hz, and how periodic each loud frame of 40 ms is: normalised autocorrelation."""
    size, low, high = 640, RATE // 500, RATE // 65
    starts = np.arange(0, len(clip) - 2 * size, 160)
    f0, strength, power = [], [], []
    for start in starts:
        first = clip[start : start + size].astype(float)
        later = clip[start : start + size + high].astype(float)
        dot = np.correlate(later, first, "valid")[low:]
        energy = np.convolve(later**2, np.ones(size), "valid")[low:]
        score = dot / np.sqrt(energy * (first @ first) + 1e-12)
        best = int(np.flatnonzero(score >= 0.9 * score.max())[0])  # not an octave below
        while best + 1 < len(score) and score[best + 1] > score[best]:
            best += 1
        f0.append(RATE / (low + best))
        strength.append(score[best])
        power.append(first @ first)
    loud = np.array(power) > max(power) / 300
    return np.array(f0)[loud], np.array(strength)[loud]


def median_f0(clip: np.ndarray) -> float:
    f0, strength = periodicity(clip)
    return float(np.median(f0[strength > 0.8]))


def spectrum_db(clip: np.ndarray, low: float, high: float) -> float:
    power = np.abs(np.fft.rfft(clip.astype(float))) ** 2
    hz = np.fft.rfftfreq(len(clip), 1 / RATE)
    return float(10 * np.log10(power[(hz >= low) & (hz < high)].sum() + 1e-12))


@pytest.mark.parametrize("snr_db", [5, 10])
def test_noise_is_as_far_below_the_active_speech_as_asked(speech, snr_db):
    noisy = change.noise(speech, snr_db, rng())
    added = noisy - speech
    assert active_level(speech) - 10 * np.log10((added**2).mean()) == pytest.approx(snr_db, abs=0.1)
    halves = [spectrum_db(added, 0, 4000), spectrum_db(added, 4000, 8000)]
    assert halves[0] == pytest.approx(halves[1], abs=0.3)  # white


def test_babble_is_made_of_the_other_clips_at_the_level_asked(voices):
    clip, other = voices
    added = change.babble(clip, [other], 5, rng()) - clip
    assert active_level(clip) - 10 * np.log10((added**2).mean()) == pytest.approx(5, abs=0.2)
    assert added.argmax() != other[: len(added)].argmax()  # from a random place
    assert np.median(periodicity(added)[1]) > 0.7  # speech, not hiss


@pytest.mark.parametrize("factor", [1.5, 0.65])
def test_tempo_changes_the_duration_and_not_the_pitch(voices, factor):
    for clip in voices:
        done = change.tempo(clip, factor)
        assert len(done) == round(len(clip) / factor)
        assert abs(1200 * np.log2(median_f0(done) / median_f0(clip))) < 60
        assert active_level(done) == pytest.approx(active_level(clip), abs=1.0)


def test_tempo_keeps_the_order_of_what_is_said(speech):
    def envelope(clip):
        return np.array([np.abs(part).mean() for part in np.array_split(clip, 40)])

    for factor in (1.5, 0.65):
        done = change.tempo(speech, factor)
        assert np.corrcoef(envelope(speech), envelope(done))[0, 1] > 0.85


@pytest.mark.parametrize("move", [change.pitch, change.pitch_kept_formants])
@pytest.mark.parametrize("cents", [400, -400])
def test_pitch_moves_f0_by_the_cents_asked_and_keeps_the_duration(voices, move, cents):
    for clip in voices:
        done = move(clip, cents)
        assert len(done) == len(clip)
        assert 1200 * np.log2(median_f0(done) / median_f0(clip)) == pytest.approx(cents, abs=70)


def test_pitch_moves_f0_on_real_voices(real_audio):
    for path in sorted(real_audio.glob("*.wav")):
        clip = read(path)
        for move in (change.pitch, change.pitch_kept_formants):
            ratio = median_f0(move(clip, 400)) / median_f0(move(clip, -400))
            assert 1200 * np.log2(ratio) == pytest.approx(800, abs=160), path.name


def test_kept_formants_keep_the_envelope_better_than_resampling(speech):
    def envelope(clip):
        edges = np.geomspace(200, 7000, 25)
        pairs = itertools.pairwise(edges)
        return np.array([spectrum_db(clip, low, high) for low, high in pairs])

    kept, moved = change.pitch_kept_formants(speech, 400), change.pitch(speech, 400)
    away = [np.abs(envelope(clip) - envelope(speech)).mean() for clip in (kept, moved)]
    assert away[0] < away[1] * 0.8


@pytest.mark.parametrize("dbfs", [-14, -38])
def test_level_arrives(speech, dbfs):
    assert active_level(change.level(speech, dbfs)) == pytest.approx(dbfs, abs=0.5)


def test_a_telephone_passes_its_band_and_nothing_else(speech):
    done = change.telephone(speech)
    inside = spectrum_db(done, 400, 3000)
    assert spectrum_db(done, 4000, 8000) < inside - 60
    assert spectrum_db(done, 0, 150) < inside - 30
    tilt = [spectrum_db(x, 500, 1500) - spectrum_db(x, 1500, 3000) for x in (speech, done)]
    assert tilt[0] == pytest.approx(tilt[1], abs=1)  # even within


def test_a_hall_takes_some_0_8_s_to_fall_by_60_db(speech):
    click = np.zeros(2 * RATE, np.float32)
    click[100] = 0.5
    response = change.reverberate(click, rng())[100:].astype(float)
    left = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / (response**2).sum() + 1e-12)
    fall = [int(np.argmax(left < db)) / RATE for db in (-5, -25)]  # T20, as ISO 3382 has it
    assert 0.5 < 3 * (fall[1] - fall[0]) < 1.1
    assert (
        change.reverberate(speech, rng(1)).tolist() != change.reverberate(speech, rng(2)).tolist()
    )


def test_a_whisper_has_no_voice_but_the_same_sounds(voices):
    for clip in voices:
        done = change.whisper(clip, rng())
        assert np.mean(periodicity(clip)[1] > 0.8) > 0.4
        assert np.mean(periodicity(done)[1] > 0.8) < 0.1
        low = [spectrum_db(x, 0, 300) - spectrum_db(x, 1500, 6000) for x in (clip, done)]
        assert low[1] < low[0] - 9

        def bands(signal):
            frames = signal[: len(signal) // 800 * 800].reshape(-1, 800).astype(float)
            power = np.abs(np.fft.rfft(frames)) ** 2  # 20 Hz a bin
            parts = [power[:, a:b].sum(1) for a, b in ((50, 100), (100, 200), (200, 400))]
            return np.log10(np.stack(parts) + 1e-4)

        for before, after in zip(bands(clip), bands(done), strict=True):
            assert np.corrcoef(before, after)[0, 1] > 0.75  # loud where the clip was, band by band


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("level", "noise", "babble")])
def test_loudness_gives_no_change_away(speech, name):
    done = ALL[name](speech, rng())
    assert active_level(done) == pytest.approx(active_level(speech), abs=1.0)


@pytest.mark.parametrize("name", ALL)
@given(
    samples=st.integers(0, 9000),
    size=st.sampled_from([0.0, 1e-9, 0.1, 1.0]),
    seed=st.integers(0, 3),
)
@settings(max_examples=25, deadline=None)
def test_any_length_and_silence_stay_finite_within_full_scale(name, samples, size, seed):
    clip = (size * rng(seed).uniform(-1, 1, samples)).astype(np.float32)
    kept = clip.copy()
    if name == "babble" and not samples:
        return
    done = ALL[name](clip, rng(seed))
    assert done.dtype == np.float32
    assert done.ndim == 1
    assert np.isfinite(done).all()
    assert np.abs(done).max(initial=0) <= 1
    assert len(done) == (round(samples / 1.5) if name == "tempo" else samples)
    assert (clip == kept).all()
    assert (ALL[name](clip, rng(seed)) == done).all()  # the same seed, the same samples


# --- scores --------------------------------------------------------------------------------------


class Loudness:
    """A fake model, to show the arithmetic: hears level alone, knows "loud" and "quiet"."""

    class config:
        joint_dim = 2

    def embed_audio(self, clips):
        import torch

        levels = [np.clip((active_level(np.asarray(clip)) + 40) / 40, 0, 1) for clip in clips]
        angles = np.array(levels) * np.pi / 2
        return torch.tensor(np.stack([np.sin(angles), np.cos(angles)], axis=1)).float()

    def embed_text(self, texts):
        import torch

        return torch.tensor(
            [[1.0 * ("loud" in text.lower()), 1.0 * ("quiet" in text.lower())] for text in texts]
        )


def test_a_model_that_hears_level_alone_gets_level_right_and_nothing_else(voices):
    rows = {row.name: row for row in perturbed(Loudness(), voices)}
    level = rows["level −14 over −38 dBFS"]
    assert (level.n, level.share.value, level.named.value, level.auc.value) == (2, 1.0, 1.0, 1.0)
    assert level.prompts == (PROMPTS["level"]["loud"], PROMPTS["level"]["quiet"])
    tempo = rows["tempo ×1.5 over ×0.65"]
    assert (tempo.share.value, tempo.auc.value, tempo.shift) == (0.0, 0.5, 0.0)  # ties are wrong


def test_one_clip_has_no_babble_and_no_other_half(speech):
    rows = perturbed(Loudness(), [speech])
    undefined = {row.name for row in rows if row.n == 0}
    assert len(rows) == len(PROBES) + 1
    assert undefined == {"babble of other clips, 5 dB SNR", rows[-1].name}
    assert all(row.share.value is None for row in rows if row.n == 0)


def test_halves_are_found_by_what_they_share(speech):
    clips = [change.level(speech, dbfs) for dbfs in (-35, -20, -8)]
    halves = perturbed(Loudness(), clips)[-1]
    assert (halves.n, halves.chance) == (6, 1 / 5)
    assert halves.share.value == 1.0


def test_wilson_agrees_with_published_values():
    """81 of 263: .255 to .366 (Newcombe 1998, table I)."""
    share = wilson(81, 263)
    assert (share.low, share.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(7, 7).high == 1.0
    assert wilson(0, 0).value is None


def test_wordings_are_scored_by_mean_recall_and_compared_with_the_canonical_prompt():
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    labels = [{"level": name} for name in ("loud", "loud", "quiet", "quiet")]
    (result,) = worded(Loudness(), vectors, labels, ["a", "a", "b", "b"])
    assert (result.question, result.clips, result.speakers) == ("level", 4, 2)
    assert result.canonical.value == pytest.approx(0.75)  # loud 2 of 2, quiet 1 of 2
    assert result.difference.value == pytest.approx(result.mean.value - 0.75)
    by_wording = dict(result.sets)
    assert by_wording["quiet people", "people of average volume", "loud people"] == 0.75
    assert by_wording["low-level audio", "mid-level audio", "high-level audio"] == 0.5  # all alike
    assert result.worst.value == pytest.approx(min(by_wording.values()))


# --- wordings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUESTIONS)
def test_at_least_ten_wordings_of_each_question_are_not_in_training(name):
    question = QUESTIONS[name]
    kept, dropped = heldout(question)
    assert len(kept) >= 10, dropped
    taught = taught_texts()
    assert not [text for row in kept for text in row if bare(text) in taught]
    assert len(kept) + len(dropped) == len(question.sets) == len(set(question.sets))
    assert set(question.classes) <= set(PROMPTS[question.label])
    for row in (*question.sets, question.one_word):
        assert len({bare(text) for text in row}) == len(question.classes), row


def test_a_wording_that_training_holds_is_known_in_spite_of_case_and_marks():
    taught = taught_texts()
    assert bare("This is a MAN!") == bare("man")
    assert {bare("A male speaker"), bare("Whisper.")} <= taught
    assert bare("no man") != bare("man")
