"""Retrieval metrics: the published numbers where scores differ, the worst case where they tie."""

import json
from pathlib import Path

import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from clsp import CLSPModel
from clsp.errors import InputError
from clsp.features import resample
from clsp.retrieval import both_directions, evaluate, ranks

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
