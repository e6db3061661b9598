"""The way of batches to a GPU, as far as a CPU can go it: the same answers, one batch ahead."""

import threading
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clsp import Embedder
from clsp.errors import InputError
from clsp.features import MIN_SAMPLES, fbank, fbank_batch, laid_out
from pipelines import worker
from pipelines.errors import NoMemory
from pipelines.feed import Feed, cheapest
from pipelines.planning import plan
from pipelines.settings import TagSettings
from pipelines.worker import Worker
from tests.benchmarks import gpu

ATOL = 1e-5
BATCHES = ((20_000, 16_000, 9_000), (9_000,), (MIN_SAMPLES, MIN_SAMPLES))


def waves(*lengths: int) -> list[np.ndarray]:
    drawn = np.random.default_rng(sum(lengths))
    return [drawn.normal(0, 0.05, length).astype(np.float32) for length in lengths]


@given(
    st.lists(st.integers(MIN_SAMPLES, 3 * MIN_SAMPLES), min_size=1, max_size=6), st.integers(0, 9)
)
def test_features_of_many_clips_at_once_are_those_of_each(lengths: list[int], more: int) -> None:
    clips = waves(*lengths)
    signal, places = laid_out(clips)
    alone = [fbank(torch.from_numpy(clip)) for clip in clips]
    longest = max(map(len, alone)) + more
    batch = fbank_batch(signal, places, longest)
    assert batch.shape == (len(clips), longest, 128)
    assert places[1].tolist() == [len(each) for each in alone]
    for ours, each in zip(batch, alone, strict=True):
        torch.testing.assert_close(ours[: len(each)], each, atol=ATOL, rtol=0)
        assert not ours[len(each) :].any()


def cost_of(lengths: list[int], cuts: list[range], cost: float) -> float:
    return sum(len(cut) * lengths[cut.start] + cost for cut in cuts)


def all_cuts(start: int, end: int) -> Iterator[list[range]]:
    if start == end:
        yield []
    for middle in range(start + 1, end + 1):
        for rest in all_cuts(middle, end):
            yield [range(start, middle), *rest]


@given(
    st.lists(st.integers(1, 40), max_size=7), st.integers(1, 100), st.sampled_from([0.0, 7.0, 90.0])
)
def test_batches_for_a_gpu_cost_the_least_that_there_is(
    lengths: list[int], budget: int, cost: float
) -> None:
    lengths.sort(reverse=True)
    found = list(cheapest(lengths, budget, cost))
    assert [i for cut in found for i in cut] == list(range(len(lengths)))
    allowed = [
        cuts
        for cuts in all_cuts(0, len(lengths))
        if all(len(cut) == 1 or len(cut) * lengths[cut.start] <= budget for cut in cuts)
    ]
    assert found in allowed
    least = min(cost_of(lengths, cuts, cost) for cuts in allowed)
    assert cost_of(lengths, found, cost) == least


@pytest.mark.parametrize("as_gpu", [False, True])
def test_each_batch_gets_its_own_embeddings_in_order(tiny: Embedder, as_gpu: bool) -> None:
    feed = Feed(tiny, as_gpu)
    batches = [waves(*lengths) for lengths in BATCHES]
    found = list(feed.embedded([[feed.made_of(clip) for clip in batch] for batch in batches]))
    with torch.inference_mode():
        for ours, batch in zip(found, batches, strict=True):
            assert ours.dtype == np.float32
            wanted = tiny.embed_audio(batch).numpy()
            np.testing.assert_allclose(ours, wanted, atol=ATOL, rtol=0)
    assert list(feed.embedded([])) == []


def fills_up(feed: Feed, clips: int, tried: list[int]) -> None:
    """Stands in for a GPU, which there is none of: it has memory for so many clips at once."""
    embed = feed._embed

    def embed_or_not(batch: torch.Tensor, lengths: torch.Tensor, padded: bool) -> torch.Tensor:
        tried.append(len(batch))
        if len(batch) > clips:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return embed(batch, lengths, padded)

    feed._embed = embed_or_not


def test_what_a_gpu_has_no_memory_for_is_done_in_halves(tiny: Embedder, caplog) -> None:
    feed, tried = Feed(tiny, True), []
    fills_up(feed, 2, tried)
    batches = [waves(*lengths) for lengths in [(20_000, 16_000, 9_000, 8_000, 7_000), (9_000,) * 3]]
    found = list(feed.embedded(batches))
    assert tried == [5, 2, 3, 1, 2, 3, 1, 2]
    for ours, batch in zip(found, batches, strict=True):
        with torch.inference_mode():
            wanted = tiny.embed_audio(batch).numpy()
        np.testing.assert_allclose(ours, wanted, atol=ATOL, rtol=0)
    [told] = caplog.messages
    assert "no memory for 5 clips of up to 1.2 s" in told
    assert "--batch-s" in told


def test_a_gpu_without_memory_for_one_clip_is_told_with_what_to_do(tiny: Embedder) -> None:
    feed = Feed(tiny, True)
    fills_up(feed, 0, [])
    with pytest.raises(NoMemory, match=r"one clip of 1\.2 s: CUDA .*--precision bfloat16"):
        list(feed.embedded([waves(20_000, 16_000)]))


@pytest.mark.parametrize(("as_gpu", "ahead"), [(False, 0), (True, 1)])
def test_a_gpu_has_the_next_batch_before_the_last_is_told(
    tiny: Embedder, as_gpu: bool, ahead: int
) -> None:
    feed, given_out = Feed(tiny, as_gpu), 0

    def handed() -> Iterator[list[np.ndarray]]:
        nonlocal given_out
        for lengths in BATCHES:
            given_out += 1
            yield [feed.made_of(clip) for clip in waves(*lengths)]

    for told, _ in enumerate(feed.embedded(handed()), 1):
        assert given_out == min(told + ahead, len(BATCHES))
        assert not torch.is_inference_mode_enabled()  # it is the caller's thread


@pytest.mark.parametrize("as_gpu", [False, True])
def test_a_clip_too_short_is_refused_where_it_is_decoded(tiny: Embedder, as_gpu: bool) -> None:
    with pytest.raises(InputError, match="the model needs at least"):
        Feed(tiny, as_gpu).made_of(waves(MIN_SAMPLES - 1)[0])


@pytest.mark.parametrize("window_s", [3.0, 1_200.0])
def test_a_worker_writes_the_same_rows_whichever_way_it_goes(
    sample_archive, tmp_path, monkeypatch, window_s
):
    planned = plan(TagSettings(str(sample_archive), str(tmp_path / "lake"), segments="windows:2"))
    [chunk] = planned.chunks
    wanted = Worker(planned.job).process(chunk)
    monkeypatch.setattr(worker, "Feed", partial(Feed, as_gpu=True))
    monkeypatch.setattr(worker, "GPU_WINDOW_S", window_s)
    threads = set()
    embed = Worker._embed

    def seen(self: Worker, window: worker.Window) -> None:
        threads.add(threading.current_thread().name)
        embed(self, window)

    monkeypatch.setattr(Worker, "_embed", seen)
    found = Worker(planned.job).process(chunk)
    assert threads == {"embed_0"}
    assert (found.tagged, found.failed, found.segments) == (
        wanted.tagged, wanted.failed, wanted.segments
    )  # fmt: skip
    assert found.tables["segments"].equals(wanted.tables["segments"])
    ours, theirs = (
        np.array(
            [
                np.frombuffer(row, "<f2")
                for row in made.tables["embeddings"]["embedding"].to_pylist()
            ],
            np.float32,
        )
        for made in (found, wanted)
    )
    assert len(ours) == wanted.segments > 0
    np.testing.assert_allclose(ours, theirs, atol=2**-9, rtol=0)  # of half precision


def test_an_error_in_the_embedding_thread_is_the_runs(sample_archive, tmp_path, monkeypatch):
    planned = plan(TagSettings(str(sample_archive), str(tmp_path / "lake"), segments="windows:2"))
    monkeypatch.setattr(worker, "Feed", partial(Feed, as_gpu=True))
    monkeypatch.setattr(worker, "GPU_WINDOW_S", 3.0)
    made = Worker(planned.job)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("no such GPU")

    monkeypatch.setattr(made.feed, "embedded", broken)
    with pytest.raises(ZeroDivisionError):
        made.process(planned.chunks[0])


def test_the_encoder_does_the_same_told_of_padding_or_asked(tiny: Embedder) -> None:
    """Told that there may be padding where there is none: masks of nothing."""
    features = [fbank(torch.from_numpy(clip)) for clip in waves(9_000, 9_000)]
    batch, lengths = torch.stack(features), torch.tensor([len(clip) for clip in features])
    with torch.inference_mode():
        asked = tiny.model.pooled_audio(batch, lengths)
        for padded in (False, True):
            found = tiny.model.pooled_audio(batch, lengths, padded)
            torch.testing.assert_close(found, asked, atol=1e-6, rtol=0)


def test_what_measures_a_gpu_runs_anywhere(tiny: Embedder, tmp_path) -> None:
    clips = gpu.waves(6)
    found = gpu.encoder(tiny, clips, budget_s=20.0)
    assert all(value > 0 for value in found.values())
    one = gpu.operations(tiny, [[np.zeros(32_000, np.float32)]])
    assert 2.9 * one < gpu.operations(tiny, [[np.zeros(32_000, np.float32)] * 3]) <= 3 * one
    weights = sum(each.numel() for each in tiny.model.encoder.parameters())
    assert one < 2 * weights * 200  # no weight is used more than twice for each 10 ms
    assert gpu.product_rate("cpu", size=64, repeats=2) > 0
    assert gpu.archive("tiny", 2, "cpu", "float32") != 0
