"""Zero-shot labels and style scores equal what can be worked out by hand from the embeddings."""

from pathlib import Path

import pytest
import soundfile
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clsp import CLSPModel
from clsp.errors import InputError
from clsp.style import similarity
from clsp.zero_shot import classifier, classify, expand

GENDER = {"male": ["A male speaker."], "female": ["A female speaker."]}
EMOTIONS = ("happy", "angry", "sad", "neutral")
AGES = ("A child or young teenager speaker.", "An adult speaker.", "An older or elder speaker.")


def directions(n: int, dim: int = 16, seed: int = 0) -> Tensor:
    """Random L2-normalised rows (n, dim), all different."""
    return F.normalize(torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)), dim=-1)


# ---- prompts --------------------------------------------------------------------------------


def test_each_label_words_itself_unless_told_otherwise() -> None:
    assert expand(["low", "high"]) == {"low": ["low"], "high": ["high"]}
    assert expand(GENDER) == GENDER


def test_every_wording_goes_into_every_template() -> None:
    found = expand({"happy": ["glad", "merry"], "sad": ["sad"]}, ["A {} tone.", "{}: a {} voice."])
    assert found == {
        "happy": ["A glad tone.", "A merry tone.", "glad: a glad voice.", "merry: a merry voice."],
        "sad": ["A sad tone.", "sad: a sad voice."],
    }


@torch.inference_mode()
def test_a_labels_row_is_the_renormalised_mean_of_its_prompts(tiny: CLSPModel) -> None:
    prompts = expand(
        {"happy": ["happy", "cheerful"], "sad": ["sad"]},
        ["A speaker in a {} tone.", "Whispering quickly on a noisy telephone line, {}."],
    )
    matrix = classifier(tiny, prompts)
    assert matrix.shape == (2, tiny.config.joint_dim)
    for row, words in zip(matrix, prompts.values(), strict=True):
        mean = sum(tiny.embed_text([prompt])[0] for prompt in words) / len(words)
        shorter_by = 1 - mean.norm()  # the mean of different directions: so normalise
        assert shorter_by > 2e-6
        assert abs(row.norm() - 1) < shorter_by / 5
        torch.testing.assert_close(row, mean / mean.norm(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("prompts", [{}, {"happy": []}, {"happy": ["A happy voice."], "sad": []}])
def test_a_label_without_a_prompt_is_refused(tiny: CLSPModel, prompts: dict) -> None:
    with pytest.raises(InputError, match="at least one prompt"):
        classifier(tiny, prompts)


def test_a_bare_string_is_not_taken_for_a_list_of_prompts(tiny: CLSPModel) -> None:
    with pytest.raises(InputError):
        classifier(tiny, {"male": "A male speaker.", "female": "A female speaker."})


# ---- scores ---------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(2, 7), st.floats(0.1, 100), st.integers(0, 2**32))
def test_scores_follow_from_cosines_and_scale(n: int, k: int, scale: float, seed: int) -> None:
    audio, matrix = directions(n, seed=seed), directions(k, seed=seed + 1)
    scores = classify(audio, matrix, scale)
    for i in range(n):
        cosines = [float(audio[i] @ row) for row in matrix]
        powers = (torch.tensor(cosines, dtype=torch.float64) * scale).exp()
        first, second = sorted(cosines, reverse=True)[:2]
        assert scores.cosine[i].tolist() == pytest.approx(cosines, abs=1e-6)
        expected = (powers / powers.sum()).tolist()
        assert scores.probability[i].tolist() == pytest.approx(expected, abs=1e-4)
        assert cosines[scores.best[i]] == pytest.approx(first, abs=1e-6)
        assert scores.margin[i].item() == pytest.approx(first - second, abs=1e-6)


def test_the_only_label_is_certain() -> None:
    scores = classify(directions(3), directions(1, seed=1), scale=14.0)
    assert scores.best.tolist() == [0, 0, 0]
    assert scores.probability.tolist() == [[1.0]] * 3
    assert scores.margin.tolist() == [2.0] * 3


def test_opposite_labels_are_as_far_apart_as_can_be() -> None:
    row = directions(1)
    scores = classify(row, torch.cat([-row, row]), scale=1.0)
    assert scores.best.tolist() == [1]
    assert scores.margin.item() == pytest.approx(2.0)


# ---- with a model ---------------------------------------------------------------------------


def clip(path: Path) -> tuple[Tensor, Tensor]:
    """One 16 kHz clip as a batch (1, samples), and its length (1,)."""
    samples, sample_rate = soundfile.read(path, dtype="float32")
    assert sample_rate == 16_000
    return torch.from_numpy(samples)[None], torch.tensor([len(samples)])


@pytest.mark.parametrize(
    "prompts",
    [
        expand(EMOTIONS, ["A speaker in a {} tone."]),
        GENDER,
        {prompt: [prompt] for prompt in AGES},
    ],
    ids=["emotion", "gender", "age"],
)
@torch.inference_mode()
def test_classify_picks_what_the_published_zero_shot_example_picks(
    tiny: CLSPModel, real_audio: Path, prompts: dict[str, list[str]]
) -> None:
    audio, audio_lens = clip(real_audio / "00099.wav")
    _, text_features, _ = tiny(text=[prompt for words in prompts.values() for prompt in words])
    audio_features, _, logit_scale = tiny(audio=audio, audio_lens=audio_lens)
    logits = audio_features @ text_features.T
    scores = classify(audio_features, classifier(tiny, prompts), tiny.scale)
    assert scores.best.tolist() == logits.argmax(dim=1).tolist()
    torch.testing.assert_close(scores.probability, (logits * logit_scale).softmax(dim=1))


@torch.inference_mode()
def test_style_similarity_is_the_cosine_of_clip_and_description(tiny: CLSPModel) -> None:
    descriptions = [
        "A female speaker talking quickly.",
        "A male speaker talking slowly and quietly.",
        "A soft, breathy whisper.",
    ]
    audio = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(5)) * 0.1
    speech, text, _ = tiny(audio, torch.tensor([16_000, 12_000]), descriptions)
    cosine = F.cosine_similarity(speech[:, None], text[None], dim=-1)
    found = similarity(tiny, speech, descriptions)
    assert found.shape == (2, 3)
    torch.testing.assert_close(found, cosine, atol=1e-6, rtol=0)


def test_a_bare_string_is_no_list_of_descriptions(tiny: CLSPModel) -> None:
    with pytest.raises(InputError, match="list of strings"):
        similarity(tiny, directions(1, tiny.config.joint_dim), "A soft, breathy whisper.")
