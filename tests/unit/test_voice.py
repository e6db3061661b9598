"""Voice activity: the library's own numbers, the same in any portions and at any rate."""

import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from clsp.features import resample
from pipelines import voice
from pipelines.audio import open_recording
from pipelines.errors import FailureKind, RecordingError, WorkerNotStarted
from pipelines.segments import SegmentPolicy, cut
from pipelines.voice import FRAME, Resampler, VoiceActivity


@pytest.fixture(scope="module")
def speech(sample_archive: Path) -> np.ndarray:
    """Some seconds of speech with pauses: (samples,) at 16 kHz."""
    heard = []
    for path in sorted(sample_archive.rglob("*.wav")):
        if path.parent.name == "damaged":
            continue
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        heard.append(resample(torch.from_numpy(samples.mean(axis=1)), rate).numpy())
    return np.concatenate([np.zeros(8000, np.float32), *heard])[: 25 * 16000]


def heard(samples: np.ndarray, rate: int, portion: int = 65_536) -> np.ndarray:
    """(samples, channels) to (frames, channels)."""
    activity = VoiceActivity(rate, samples.shape[1])
    parts = [activity.push(samples[at : at + portion]) for at in range(0, len(samples), portion)]
    return np.concatenate([*parts, activity.finish()])


def test_it_is_the_librarys_network(speech: np.ndarray) -> None:
    found = find_spec("silero_vad")
    assert found and found.origin
    theirs = torch.jit.load(str(Path(found.origin).parent / voice.WEIGHTS))
    padded = np.pad(speech, (0, -len(speech) % FRAME))
    with torch.inference_mode():
        expected = [
            theirs(torch.from_numpy(padded[at : at + FRAME])[None], 16_000).item()
            for at in range(0, len(padded), FRAME)
        ]
    likely = heard(speech[:, None], 16_000)
    assert 0.2 < np.mean(np.array(expected) > 0.5) < 0.99  # there is speech, and there are pauses
    np.testing.assert_allclose(likely[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("portion", [777, 20_000, 1 << 20])
def test_portions_and_other_channels_do_not_matter(speech: np.ndarray, portion: int) -> None:
    alone = heard(speech[:, None], 16_000)
    both = heard(np.stack([speech, speech[::-1]], axis=1), 16_000, portion)
    np.testing.assert_allclose(both[:, :1], alone, atol=1e-5)
    np.testing.assert_array_equal(heard(speech[:, None], 16_000, portion), alone)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_resampling_by_stretches_is_resampling_the_whole(speech: np.ndarray, rate: int) -> None:
    samples = np.resize(speech, 17 * rate + 123)
    by_stretches = Resampler(rate)
    parts = [
        by_stretches.push(samples[None, at : at + 9999]) for at in range(0, len(samples), 9999)
    ]
    parts.append(by_stretches.finish())
    whole = resample(torch.from_numpy(samples), rate)
    assert parts[1].shape[1] == 0  # nothing is given before 8 s are there
    np.testing.assert_allclose(torch.cat(parts, dim=1)[0].numpy(), whole.numpy(), atol=1e-6)


def test_a_rate_that_cannot_be_resampled_is_a_reason() -> None:
    with pytest.raises(RecordingError, match="16002 Hz") as caught:
        heard(np.zeros((32_000, 2), np.float32), 16_002)
    assert caught.value.kind == FailureKind.UNSUPPORTED


@pytest.mark.parametrize("seconds", [0.01, 0.032, 0.3, 8.0, 8.001])
def test_every_sample_is_in_a_frame(seconds: float) -> None:
    samples = np.zeros((round(seconds * 44_100), 1), np.float32)
    frames = heard(samples, 44_100)
    assert len(frames) == int(np.ceil(np.ceil(len(samples) * 16_000 / 44_100) / FRAME))


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    voice.network.cache_clear()
    monkeypatch.setattr(voice, "WEIGHTS", "data/silero_vad_16k.safetensors")
    with pytest.raises(WorkerNotStarted, match="sha256"):
        voice.network()
    monkeypatch.setattr(voice, "WEIGHTS", "data/none")
    with pytest.raises(WorkerNotStarted, match="not there"):
        voice.network()


def test_torch_keeps_its_threads() -> None:
    """Importing the library would leave it with one."""
    before = torch.get_num_threads()
    voice.network()
    assert torch.get_num_threads() == before


# ---- segments -----------------------------------------------------------------------------------

RATES = [8000, 16_000, 44_100]


def placed(speech: np.ndarray, rate: int, channels: int = 1) -> np.ndarray:
    """4 s of noise floor, 4 s of speech, 5 s, 4 s of speech, 6 s: each channel 1.5 s later."""
    from torchaudio.functional import resample as to

    spoken = to(torch.from_numpy(speech[24_000:88_000]), 16_000, rate).numpy()
    out = np.random.default_rng(0).normal(0, 1e-4, (23 * rate, channels)).astype(np.float32)
    for channel in range(channels):
        for at in (4, 13):
            begin = round((at + 1.5 * channel) * rate)
            out[begin : begin + len(spoken), channel] += spoken
    return out


@pytest.mark.parametrize("rate", RATES)
def test_segments_are_where_somebody_speaks(tmp_path: Path, speech: np.ndarray, rate: int) -> None:
    path = tmp_path / "call.wav"
    samples = placed(speech, rate)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    with open_recording(path) as recording:
        segments = list(cut(SegmentPolicy.parse("vad"), recording))
    for segment in segments:
        expected = samples[segment.start_sample : segment.end_sample, 0]
        np.testing.assert_array_equal(segment.samples, expected)  # exact to the sample
        assert 1 <= segment.end_s - segment.start_s <= 30
    for at in (4, 13):  # all but what is quiet at the ends of the speech
        assert any(s.start_s < at + 1 and s.end_s > at + 3 for s in segments)
    outside = [s for s in segments if not (s.start_s > 3 and s.end_s < 8.7)]
    assert all(s.start_s > 12 and s.end_s < 17.7 for s in outside)


def test_each_channel_is_heard_by_itself(tmp_path: Path, speech: np.ndarray) -> None:
    both, one = placed(speech, 8000, 2), tmp_path / "one.wav"
    soundfile.write(tmp_path / "both.wav", both, 8000, subtype="FLOAT")
    spans = {}
    with open_recording(tmp_path / "both.wav") as recording:
        found = list(cut(SegmentPolicy.parse("vad", "split"), recording))
    for channel in (0, 1):
        soundfile.write(one, both[:, channel], 8000, subtype="FLOAT")
        with open_recording(one) as recording:
            spans[channel] = [
                (s.start_sample, s.end_sample) for s in cut(SegmentPolicy.parse("vad"), recording)
            ]
        assert [(s.start_sample, s.end_sample) for s in found if s.channel == channel] == spans[
            channel
        ]
    assert spans[0] != spans[1]


def test_segments_do_not_depend_on_the_blocks(tmp_path: Path, speech: np.ndarray) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, placed(speech, 11_025), 11_025)

    def spans(frames: int) -> list[tuple[int, int]]:
        with open_recording(path) as recording:
            blocks = recording.channel_blocks("mix", frames)
            recording.channel_blocks = lambda channels: blocks  # type: ignore[method-assign,assignment]
            return [
                (s.start_sample, s.end_sample) for s in cut(SegmentPolicy.parse("vad:3"), recording)
            ]

    assert spans(1000) == spans(65_536) == spans(1 << 20)


def test_memory_stays_flat(speech: np.ndarray) -> None:
    """What is held of an endless speaker is two segments and a block."""
    from pipelines.audio import Recording
    from pipelines.audio_info import AudioInfo

    given = 0

    def pieces():
        nonlocal given
        for _ in range(60):  # ten minutes
            given += 160_000
            yield speech[:160_000, None]

    recording = Recording(Path("talk.wav"), AudioInfo("wav", "float", 16_000, 1, None), pieces())
    behind = [
        given - segment.start_sample for segment in cut(SegmentPolicy.parse("vad:10"), recording)
    ]
    assert len(behind) >= 60
    assert max(behind) <= 16_000 * (2 * 10 + 8 + 2 * 10 + 5)  # two segments, a stretch, two pieces


@pytest.mark.parametrize(
    ("level", "kind"), [(0.0, FailureKind.SILENT), (0.02, FailureKind.NO_SPEECH)]
)
def test_where_nobody_speaks_it_says_so(tmp_path: Path, level: float, kind: FailureKind) -> None:
    path = tmp_path / "line.wav"
    noise = np.random.default_rng(1).normal(0, level, 16_000 * 20)
    soundfile.write(path, noise, 16_000, subtype="FLOAT")
    with open_recording(path) as recording, pytest.raises(RecordingError) as caught:
        list(cut(SegmentPolicy.parse("vad"), recording))
    assert caught.value.kind == kind


def test_threads_cut_alike(tmp_path: Path, speech: np.ndarray) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, placed(speech, 16_000), 16_000)
    found: list[list[tuple[int, int]]] = []

    def spans() -> None:
        with open_recording(path) as recording:
            found.append(
                [(s.start_sample, s.end_sample) for s in cut(SegmentPolicy.parse("vad"), recording)]
            )

    threads = [threading.Thread(target=spans) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(one == found[0] and one for one in found)
