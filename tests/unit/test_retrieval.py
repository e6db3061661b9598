"""Retrieval metrics: the published numbers where scores differ, the worst case where they tie."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from clsp import CLSPModel
from clsp.errors import InputError
from clsp.features import resample
from clsp.retrieval import both_directions, draws, evaluate, ranks

KS = (1, 5, 10)


def shuffled(n: int, seed: int) -> Tensor:
    """Similarities (n, n), no two of them alike."""
    order = torch.randperm(n * n, generator=torch.Generator().manual_seed(seed))
    return order.reshape(n, n).float() / (n * n)


def published(similarity: Tensor) -> tuple[list[int], dict[int, float], float]:
    """Ranks, R@k and mAP@10 by sorting every row, as the published example does."""
    places = [
        row.argsort(descending=True).tolist().index(i) for i, row in enumerate(similarity.cpu())
    ]
    n = len(places)
    recall = {k: sum(place < k for place in places) / n for k in KS}
    return places, recall, sum(1 / (place + 1) for place in places if place < 10) / n


@given(st.integers(1, 25), st.integers(0, 2**32))
def test_without_ties_the_metrics_are_the_published_ones(n: int, seed: int) -> None:
    similarity = shuffled(n, seed)
    places, recall, map10 = published(similarity)
    found = evaluate(similarity, KS)
    assert found.ranks.tolist() == places
    assert found.recall == pytest.approx(recall)
    assert found.map10 == pytest.approx(map10)


def test_a_perfect_model_finds_everything_first() -> None:
    found = evaluate(torch.eye(12))
    assert found.recall == {1: 1.0, 5: 1.0, 10: 1.0}
    assert (found.map10, found.median_rank) == (1.0, 1.0)


def test_an_answer_past_the_tenth_place_counts_for_nothing() -> None:
    similarity = torch.arange(12.0).repeat(12, 1)  # right answers come 12th, 11th, ... 1st
    found = evaluate(similarity)
    assert found.ranks.tolist() == list(range(11, -1, -1))
    assert found.recall == pytest.approx({1: 1 / 12, 5: 5 / 12, 10: 10 / 12})
    assert found.map10 == pytest.approx(sum(1 / place for place in range(1, 11)) / 12)
    assert found.median_rank == 6.5


def test_ties_count_against_the_right_answer() -> None:
    similarity = torch.tensor([[0.5, 0.5, 0.1], [0.2, 0.9, 0.1], [0.3, 0.3, 0.3]])
    assert ranks(similarity).tolist() == [1, 0, 2]


@pytest.mark.parametrize("value", [0.0, 1.0, float("nan")])
def test_a_collapsed_model_comes_out_last(value: float) -> None:
    found = evaluate(torch.full((20, 20), value))
    assert found.ranks.tolist() == [19] * 20
    assert found.recall == {1: 0.0, 5: 0.0, 10: 0.0}
    assert (found.map10, found.median_rank) == (0.0, 20.0)


def test_both_directions_ask_rows_and_columns() -> None:
    audio = torch.eye(3)
    text = torch.tensor([[0.9, 0.8, 0.0], [0.1, 0.5, 0.0], [0.0, 0.6, 0.7]])
    found = both_directions(audio, text)
    assert found["audio_to_text"].ranks.tolist() == [0, 2, 0]  # down each column of `text`
    assert found["text_to_audio"].ranks.tolist() == [0, 0, 0]  # along each row


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (4,), (2, 2, 2), (0, 0)])
def test_only_square_similarities_have_right_answers(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected \\(n, n\\)"):
        evaluate(torch.zeros(shape))


def test_more_clips_than_texts_are_refused() -> None:
    with pytest.raises(InputError):
        both_directions(torch.eye(3), torch.eye(3)[:2])


def average_precision(scores: list[float], right: list[bool]) -> float:
    """By the book: right ones last among equals, precision at each right one in the first 10."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], right[i]))
    hits = [right[i] for i in order]
    gains = [sum(hits[: k + 1]) / (k + 1) for k in range(min(10, len(hits))) if hits[k]]
    return sum(gains) / min(10, sum(right))


@given(st.integers(1, 15), st.integers(2, 30), st.integers(0, 2**32), st.booleans())
def test_with_many_right_answers_it_is_average_precision(n: int, m: int, seed: int, low: bool):
    rng = torch.Generator().manual_seed(seed)
    similarity = torch.randint(0, 8, (n, m), generator=rng).float()  # many ties
    if low:
        similarity[similarity == 0] = -torch.inf
    relevance = torch.rand(n, m, generator=rng) < 0.4
    relevance[:, 0] = True
    found = evaluate(similarity, relevance=relevance)
    for i in range(n):
        right, scores = relevance[i].tolist(), similarity[i].tolist()
        assert found.precision[i].item() == pytest.approx(average_precision(scores, right))
        best = max(score for score, good in zip(scores, right, strict=True) if good)
        wrong = [s for s, good in zip(scores, right, strict=True) if not good and s >= best]
        assert found.ranks[i].item() == len(wrong)
    assert found.map10 == pytest.approx(found.precision.mean().item())


def test_right_answers_do_not_stand_in_each_others_way() -> None:
    similarity = torch.tensor([[0.9, 0.9, 0.1, 0.8]])
    both = torch.tensor([[True, True, False, False]])
    found = evaluate(similarity, relevance=both)
    assert (found.ranks.item(), found.map10) == (0, 1.0)
    last = evaluate(similarity, relevance=torch.tensor([[False, False, True, False]]))
    assert (last.ranks.item(), last.map10) == (3, 0.25)


@pytest.mark.parametrize("rows", [1, 3, None])
def test_relevance_may_be_a_matrix_or_pairs_and_rows_come_in_any_chunks(rows: int | None) -> None:
    rng = torch.Generator().manual_seed(0)
    audio, text = torch.randn(9, 4, generator=rng), torch.randn(7, 4, generator=rng)
    relevance = torch.zeros(9, 7, dtype=torch.bool)
    pairs = [(i, i % 7) for i in range(9)] + [(0, 3), (5, 1)]
    for clip, text_ in pairs:
        relevance[clip, text_] = True
    plain = evaluate(audio @ text.T, relevance=relevance)
    back = evaluate(text @ audio.T, relevance=relevance.T)
    for given_ in (relevance, torch.tensor(pairs)):
        found = both_directions(audio, text, given_, rows=rows)
        assert found["audio_to_text"].ranks.tolist() == plain.ranks.tolist()
        assert found["audio_to_text"].map10 == pytest.approx(plain.map10)
        assert found["text_to_audio"].ranks.tolist() == back.ranks.tolist()
        assert found["text_to_audio"].recall == pytest.approx(back.recall)


def test_a_query_without_a_right_answer_is_refused() -> None:
    with pytest.raises(InputError, match="no right answer"):
        both_directions(torch.eye(3), torch.eye(3), torch.tensor([[0, 0], [1, 1]]))
    with pytest.raises(InputError, match="relevance of shape"):
        both_directions(torch.eye(3), torch.eye(3), torch.ones(2, 3, dtype=torch.bool))


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([[0, 0], [1, 1], [2, 2], [3, 3]], r"the pair \[3, 3\]: expected clips from 0 to 2"),
        ([[0, 0], [1, 1], [2, -1]], r"the pair \[2, -1\]"),
        ([[0, 0], [1, 1], [2, 3]], r"the pair \[2, 3\].*texts from 0 to 2"),
        ([0, 1, 2], r"shape \(3,\)"),
        ([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]], "float32: expected bool"),
    ],
)
def test_pairs_of_what_is_not_there_are_refused(pairs: list, told: str) -> None:
    with pytest.raises(InputError, match=told):
        both_directions(torch.eye(3), torch.eye(3), torch.tensor(pairs))


def test_a_pool_holds_no_clip_and_no_description_twice() -> None:
    pairs = [(clip, text) for clip in range(20) for text in (clip, (clip + 1) % 20)]
    alike = [text // 2 for text in range(20)]
    pools = list(draws(pairs, alike, pool=6, count=10, seed=3))
    assert len(pools) == 10
    for pool in pools:
        assert pool.shape == (6, 2)
        assert {tuple(pair) for pair in pool.tolist()} <= set(pairs)
        assert len({clip for clip, _ in pool.tolist()}) == 6
        assert len({alike[text] for _, text in pool.tolist()}) == 6
    again = list(draws(pairs, alike, pool=6, count=10, seed=3))
    assert all(torch.equal(a, b) for a, b in zip(pools, again, strict=True))
    assert not all(torch.equal(pools[0], pool) for pool in pools[1:])


def test_a_pool_larger_than_the_descriptions_says_how_many_there_are() -> None:
    with pytest.raises(InputError, match="expected 2 to 3"):
        list(draws([(i, i) for i in range(5)], ["a", "b", "c", "c", "c"], pool=4, count=1))
    with pytest.raises(InputError, match="a pool of 1: expected at least 2"):
        list(draws([(0, 0), (1, 1)], ["a", "b"], pool=1, count=1))


@given(st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=2), st.integers(0, 99))
def test_a_pool_that_there_is_is_found_whatever_is_drawn_first(pairs: set, seed: int) -> None:
    alike = [text // 2 for text in range(9)]
    graph = np.zeros((9, 5), int)
    for clip, text in pairs:
        graph[clip, alike[text]] = 1
    most = int((maximum_bipartite_matching(csr_array(graph)) >= 0).sum())
    if most >= 2:
        [found] = draws(sorted(pairs), alike, pool=most, count=1, seed=seed)
        assert {tuple(pair) for pair in found.tolist()} <= pairs
        assert len({clip for clip, _ in found.tolist()}) == most
        assert len({alike[text] for _, text in found.tolist()}) == most
    with pytest.raises(InputError, match=f"expected 2 to {most}"):
        list(draws(sorted(pairs), alike, pool=max(2, most + 1), count=1, seed=seed))


def test_one_clips_only_description_is_left_to_it() -> None:
    for seed in range(8):  # clip 1 has text 0 alone: clip 0 must take text 1
        [pool] = draws([(0, 0), (0, 1), (1, 0)], ["a", "b"], pool=2, count=1, seed=seed)
        assert sorted(pool.tolist()) == [[0, 1], [1, 0]]


@torch.inference_mode()
def test_the_published_retrieval_example_runs_on_ours(tiny: CLSPModel, real_audio: Path) -> None:
    pairs = json.loads((real_audio / "captions.json").read_text())
    clips = []
    for pair in pairs:
        samples, sample_rate = soundfile.read(real_audio / pair["file"], dtype="float32")
        clips.append(resample(torch.from_numpy(samples), sample_rate))
    audio, audio_lens = pad_sequence(clips, batch_first=True), torch.tensor([*map(len, clips)])
    audio_features, _, _ = tiny(audio=audio, audio_lens=audio_lens)
    for caption in ("global_caption", "finegrained_caption"):
        _, text_features, _ = tiny(text=[pair[caption] for pair in pairs])
        by_clip = audio_features @ text_features.T
        found = both_directions(audio_features, text_features)
        for direction, scores in {"audio_to_text": by_clip, "text_to_audio": by_clip.T}.items():
            places, recall, map10 = published(scores)
            assert found[direction].ranks.tolist() == places
            assert found[direction].recall == pytest.approx(recall)
            assert found[direction].map10 == pytest.approx(map10)
