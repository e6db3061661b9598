"""How well clips and captions find each other: retrieval over a data set, in both directions.

Knows no data set by name, and nothing of lakes or terminals.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from clsp.bootstrap import Bootstrap, Estimate
from clsp.metrics import mean
from pipelines.clips import OnClip, embed, ignore_clip
from pipelines.datasets.items import Dataset, Item
from pipelines.errors import SettingsError
from pipelines.evaluation import Published, Result, left_out, passed_over, summary

if TYPE_CHECKING:
    from torch import Tensor

    from clsp.retrieval import Retrieval

KS = (1, 5, 10)
DIRECTIONS = ("audio_to_text", "text_to_audio")


def evaluate_retrieval(
    dataset: Dataset,
    captions: str = "fine",
    model: str = "tiny",
    *,
    pool: int | None = None,
    draws: int = 20,
    all_texts: bool = False,
    describe: Callable[[Item], Hashable] | None = None,
    published: Published | None = None,
    resamples: int = 1000,
    seed: int = 0,
    device: str = "auto",
    precision: str = "float32",
    on_clip: OnClip = ignore_clip,
) -> Result:
    """Clips and captions of one kind ("global" or "fine") found by each other, both directions.

    One caption per clip, as published: the first global, the last fine one; `all_texts`: all of
    them. A text that several clips have is right for each. pool: among so many clips of different
    descriptions (`describe`; by default the text), the mean over `draws` draws; else among all.
    Intervals draw queries anew, with the candidates as they are. Raises SettingsError where there
    are fewer than two captions; where no more than one clip or caption is left by those that could
    not be read, there are no figures.
    """
    which = slice(None) if all_texts else slice(1) if captions == "global" else slice(-1, None)
    asked = [item for item in dataset.items if item.captions.get(captions)]
    if len({text for item in asked for text in item.captions[captions][which]}) < 2:
        kinds = sorted({kind for item in dataset.items for kind in item.captions})
        raise SettingsError(
            f"{dataset.name} has fewer than two different {captions!r} captions to choose from; it "
            f"has captions of the kinds {kinds}{passed_over(dataset)}"
        )
    clips = embed(asked, model, device, on_clip, precision)
    chosen = [item.captions[captions][which] for item in clips.items]
    texts = list(dict.fromkeys(text for own in chosen for text in own))
    number = {text: i for i, text in enumerate(texts)}
    pairs = [(clip, number[text]) for clip, own in enumerate(chosen) for text in dict.fromkeys(own)]
    alike: list[Hashable] = list(texts)
    if describe is not None:
        for clip, text in pairs:
            alike[text] = describe(clips.items[clip])
    speakers = [item.speaker for item in clips.items]
    metrics: dict[str, dict[str, Any]] = {direction: {} for direction in DIRECTIONS}
    if len(texts) > 1 and len(clips.items) > 1:  # else whatever is asked for is found
        metrics = _retrieve(
            clips.audio(), clips.text(texts), pairs, alike, speakers, (pool, draws), resamples, seed
        )
    boot = Bootstrap(len(clips.items), speakers, 0)
    return {
        **summary("retrieval", dataset, asked, clips, resamples, seed),
        "captions": captions,
        "texts": len(texts),
        "pool": pool,
        "draws": draws if pool else None,
        "all_texts": all_texts,
        "questions": [
            {
                "name": direction,
                "n": len(clips.items if direction == "audio_to_text" else texts),
                "n_failed": len(clips.failures),
                "clusters": boot.clusters,
                "resampled_by": "speaker" if boot.by_speaker else "clip",
                "metrics": found,
                "published": dict((published or {}).get(direction, {})),
            }
            for direction, found in metrics.items()
        ],
        **left_out(dataset, clips),
    }


def _retrieve(
    audio: "Tensor",
    text: "Tensor",
    pairs: list[tuple[int, int]],
    alike: Sequence[Hashable],
    speakers: Sequence[str | None],
    pooled: tuple[int | None, int],
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Direction -> metric -> figure with interval; a text's speaker is its first clip's."""
    import torch

    from clsp.retrieval import both_directions
    from clsp.retrieval import draws as drawn

    first = {text_: clip for clip, text_ in reversed(pairs)}
    who: dict[str, list[str | None]] = {
        "audio_to_text": list(speakers),
        "text_to_audio": [speakers[first[i]] or f"clip {first[i]}" for i in range(len(text))],
    }
    # For each query: sums over draws of R@1, R@5, R@10 and average precision, and its draws.
    sums = {name: np.zeros((len(names), len(KS) + 1)) for name, names in who.items()}
    tries = {name: np.zeros(len(names)) for name, names in who.items()}
    medians: dict[str, list[float]] = {name: [] for name in who}

    def add(found: Mapping[str, "Retrieval"], places: Mapping[str, np.ndarray]) -> None:
        for name, one in found.items():
            hits = np.stack([(one.ranks < k).cpu().numpy() for k in KS], 1)
            scores = np.concatenate([hits, one.precision.cpu().numpy()[:, None]], 1)
            np.add.at(sums[name], places[name], scores)
            np.add.at(tries[name], places[name], 1)
            medians[name].append(one.median_rank)

    pool, draws = pooled
    if pool is None:
        found = both_directions(audio, text, torch.tensor(pairs))
        add(found, {name: np.arange(len(names)) for name, names in who.items()})
    else:
        belongs = set(pairs)
        for sample in drawn(pairs, alike, pool, draws, seed):
            a, t = sample[:, 0], sample[:, 1]
            right = torch.tensor([[(i, j) in belongs for j in t.tolist()] for i in a.tolist()])
            add(
                both_directions(audio[a], text[t], right),
                {"audio_to_text": a.numpy(), "text_to_audio": t.numpy()},
            )
    names = (*(f"R@{k}" for k in KS), "mAP@10")
    result: dict[str, dict[str, Any]] = {}
    for name in who:
        means = mean(sums[name], tries[name], speakers=who[name], resamples=resamples, seed=seed)
        rank = Estimate(float(np.mean(medians[name])))
        figures = dict(zip((*names, "median rank"), (*means, rank), strict=True))
        result[name] = {metric: asdict(figure) for metric, figure in figures.items()}
    return result
