"""Retrieval metrics between speech and text, in both directions.

By default item i of one side belongs to item i of the other, as in the published evaluation. Where
one text fits several clips or one clip has several texts, `relevance` says which belong together.
Knows only matrices of similarities and embeddings.

Ties count against the right answer, so that a collapsed model, to which all is alike, comes out
last; NaN counts against it too.
"""

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clsp.errors import InputError

KS = (1, 5, 10)
CELLS = 1 << 21  # similarities held at once: some 50 MB with what is worked out from them


@dataclass(frozen=True)
class Retrieval:
    """One direction. ranks: (n,), 0 is first: where the best right answer comes, counting wrong
    answers only. recall: share ranked in the first k. map10: mean of `precision`. precision: (n,),
    the average precision in the first 10: with one right answer 1 / (rank + 1), or 0 past the
    tenth place.
    """

    ranks: Tensor
    precision: Tensor
    recall: dict[int, float]
    map10: float
    median_rank: float  # 1 is first, as papers count it


def ranks(similarity: Tensor, relevance: Tensor | None = None) -> Tensor:
    """Rank (n,) of the best right answer: how many wrong ones score at least as high.

    similarity: (n, m), queries in rows. relevance: (n, m) bool; by default the diagonal of (n, n).
    """
    _require_fit(similarity, relevance)
    return _places(similarity, _diagonal(similarity) if relevance is None else relevance)[0]


def evaluate(
    similarity: Tensor, ks: tuple[int, ...] = KS, relevance: Tensor | None = None
) -> Retrieval:
    """Queries in rows: (n, m), with the right answers of row i where relevance (n, m) is true;
    by default (n, n) with the right answer of row i in column i."""
    _require_fit(similarity, relevance)
    right = _diagonal(similarity) if relevance is None else relevance
    return _summary(*_places(similarity, right), ks)


def both_directions(
    audio: Tensor, text: Tensor, relevance: Tensor | None = None, rows: int | None = None
) -> dict[str, Retrieval]:
    """Embeddings of clips (n, dim) and texts (m, dim): `audio_to_text` and `text_to_audio`.

    relevance: (n, m) bool; or, where that would not fit in memory, integers (p, 2): the pairs of
    clip and text that belong together. By default clip i and text i. rows: queries compared at once
    with all candidates; by default as many as memory stays small with. Raises InputError for a
    relevance that does not fit, and where a clip or a text belongs to nothing.
    """
    if relevance is None:
        if len(audio) != len(text) or not len(audio):
            raise InputError(
                f"{len(audio)} clips, {len(text)} texts: expected as many, or their relevance"
            )
        relevance = torch.arange(len(audio)).repeat(2, 1).T
    if rows is not None and rows < 1:
        raise InputError(f"rows={rows}: expected at least 1 query at once, or None")
    if relevance.dtype == torch.bool:
        if relevance.shape != (len(audio), len(text)):
            raise InputError(
                f"relevance of shape {tuple(relevance.shape)}: expected {len(audio), len(text)}"
            )
        relevance = relevance.nonzero()
    pairs = relevance.cpu()
    _require_pairs(pairs, len(audio), len(text))
    pairs = pairs.long()
    return {
        "audio_to_text": _by_rows(audio, text, pairs, rows),
        "text_to_audio": _by_rows(text, audio, pairs.flip(1), rows),
    }


def draws(
    pairs: Sequence[tuple[int, int]],
    alike: Sequence[Hashable],
    pool: int,
    count: int,
    seed: int = 0,
) -> Iterator[Tensor]:
    """`count` times `pool` pairs of clip and text drawn at random, (pool, 2), to be retrieved
    among each other: no clip twice, and no two texts of one description. alike: by text, what it
    describes. Raises InputError where there are not so many descriptions.
    """
    if pool < 2:
        raise InputError(f"a pool of {pool}: expected at least 2 pairs, to tell one from another")
    rng = np.random.default_rng(seed)
    for _ in range(count):
        chosen: dict[Hashable, tuple[int, int]] = {}
        clips: set[int] = set()
        order = [pairs[int(place)] for place in rng.permutation(len(pairs))]
        for clip, text in order:
            if clip not in clips and alike[text] not in chosen:
                chosen[alike[text]] = clip, text
                clips.add(clip)
            if len(chosen) == pool:
                break
        if len(chosen) < pool:
            _make_room(chosen, order, alike, pool)
        if len(chosen) < pool:
            raise InputError(
                f"a pool of {pool}: expected 2 to {len(chosen)}, the clips of different "
                "descriptions that could be drawn"
            )
        yield torch.tensor(list(chosen.values()))


def _make_room(
    chosen: dict[Hashable, tuple[int, int]],
    order: Sequence[tuple[int, int]],
    alike: Sequence[Hashable],
    pool: int,
) -> None:
    """Add to what was drawn, by description, until there are `pool` or no more can be: clips that
    were drawn first may have to take others of their texts (a maximum matching, by shortest
    augmenting paths)."""
    own: dict[int, list[tuple[int, int]]] = {}
    for clip, text in order:
        own.setdefault(clip, []).append((clip, text))
    drawn_for = {clip: description for description, (clip, _) in chosen.items()}
    blind: set[Hashable] = set()  # descriptions whose clips have nothing else to take
    for start in own:
        if len(chosen) == pool:
            return
        reached: dict[Hashable, tuple[int, int]] = {}
        free = None
        clips = deque([] if start in drawn_for else [start])
        while clips and free is None:
            for pair in own[clips.popleft()]:
                description = alike[pair[1]]
                if description in reached or description in blind:
                    continue
                reached[description] = pair
                if description not in chosen:
                    free = description
                    break
                clips.append(chosen[description][0])
        if free is None:
            blind |= reached.keys()
        while free is not None:  # each clip on the way hands its description on
            clip = reached[free][0]
            chosen[free] = reached[free]
            drawn_for[clip], free = free, drawn_for.get(clip)


def _by_rows(queries: Tensor, candidates: Tensor, pairs: Tensor, rows: int | None) -> Retrieval:
    rows = rows or max(1, CELLS // len(candidates))
    pairs = pairs[pairs[:, 0].argsort(stable=True)]
    starts = torch.searchsorted(pairs[:, 0].contiguous(), torch.arange(len(queries) + 1))
    # Filled in place: small results kept between large ones make the heap grow without end.
    places = torch.empty(len(queries), dtype=torch.long)
    precision = torch.empty(len(queries), dtype=torch.double)
    for start in range(0, len(queries), rows):
        end = min(start + rows, len(queries))
        similarity = queries[start:end] @ candidates.T
        own = pairs[starts[start] : starts[end]].to(similarity.device)
        right = torch.zeros_like(similarity, dtype=torch.bool)
        right[own[:, 0] - start, own[:, 1]] = True
        places[start:end], precision[start:end] = _places(similarity, right)
    return _summary(places, precision, KS)


def _places(similarity: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Rank of the best right answer (n,), and the average precision in the first 10 (n,)."""
    if not bool(right.any(1).all()):
        raise InputError("a query has no right answer: leave it out, or say what belongs to it")
    lost = similarity.isnan()
    good = similarity.masked_fill(~right | lost, -torch.inf)
    wrong = similarity.masked_fill(lost, torch.inf).masked_fill(right, -torch.inf)
    best = good.amax(1, keepdim=True)
    # What is right and so masked counts for -inf, where a right answer may be that low itself.
    n_wrong = (~right).sum(1)
    place = torch.minimum((wrong >= best).sum(1), n_wrong)
    # The first 10 of the right and of the wrong ones say all about the first 10 places.
    top = min(10, similarity.shape[1])
    highest, rivals = good.topk(top, 1).values, wrong.topk(top, 1).values
    ahead = (rivals[:, None, :] >= highest[:, :, None]).sum(2)
    number = torch.arange(1, top + 1, device=right.device)
    places = number + torch.minimum(ahead, n_wrong[:, None])
    n_right = right.sum(1, keepdim=True)
    counted = (number <= n_right) & (places <= 10)
    gains = torch.where(counted, number.double() / places, 0.0)
    return place, gains.sum(1) / n_right[:, 0].clamp(max=10)


def _summary(place: Tensor, precision: Tensor, ks: tuple[int, ...]) -> Retrieval:
    return Retrieval(
        ranks=place,
        precision=precision,
        recall={k: (place < k).double().mean().item() for k in ks},
        map10=precision.mean().item(),
        median_rank=place.double().quantile(0.5).item() + 1.0,
    )


def _diagonal(similarity: Tensor) -> Tensor:
    return torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)


def _require_pairs(pairs: Tensor, clips: int, texts: int) -> None:
    whole = not pairs.is_floating_point() and not pairs.is_complex()
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not whole:
        raise InputError(
            f"relevance of shape {tuple(pairs.shape)}, {pairs.dtype}: expected bool "
            f"{clips, texts}, or whole numbers (p, 2), pairs of clip and text"
        )
    outside = ((pairs < 0) | (pairs >= torch.tensor([clips, texts]))).any(1)
    if outside.any():
        raise InputError(
            f"relevance holds the pair {pairs[outside][0].tolist()}: expected clips from 0 to "
            f"{clips - 1} and texts from 0 to {texts - 1}"
        )


def _require_fit(similarity: Tensor, relevance: Tensor | None) -> None:
    shape = tuple(similarity.shape)
    if relevance is None and (similarity.ndim != 2 or shape[0] != shape[1] or not shape[0]):
        raise InputError(f"similarity of shape {shape}: expected (n, n), n >= 1, or a relevance")
    if relevance is not None and (
        similarity.ndim != 2 or relevance.shape != similarity.shape or not similarity.numel()
    ):
        raise InputError(
            f"similarity of shape {shape}, relevance of {tuple(relevance.shape)}: expected the "
            "same (n, m), n and m >= 1"
        )
