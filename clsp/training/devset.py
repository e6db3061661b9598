"""How good a model is on clips it does not learn from: loss and retrieval, all against all.

Knows a model and examples; nothing of training, epochs or files.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch

from clsp.embedder import Embedder
from clsp.errors import InputError
from clsp.retrieval import both_directions
from clsp.training import contrastive
from clsp.training.batches import Example, Lost, whole
from clsp.training.options import TrainOptions

TEXTS = 64  # read at once


def measure(
    model: Embedder, dev: Sequence[Example], options: TrainOptions, lost: Lost,
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> dict[str, float]:  # fmt: skip
    """loss: symmetric InfoNCE of all clips at once. recall_at_1 and _10: mean of both directions.

    Of each clip: its first `max_s`, and its last fine caption (the published choice), or its first
    global one where there is no fine. Clips of one caption are all right answers to it. `autocast`
    is around the encoders alone: in bfloat16, cosines of different clips would be the same number.
    The model is in eval mode, without gradients: the caller's part.
    """
    texts = [(one.fine_captions[-1:] or one.global_captions[:1])[0] for one in dev]
    order: list[int] = []
    heard = []
    for numbers, features, lengths in whole(dev, options, lost):
        order += numbers
        with autocast():
            pooled = model.model.pooled_audio(features.to(model.device), lengths.to(model.device))
        heard.append(model.model.audio_head(pooled.float()))
    if len(order) < 2:
        raise InputError(f"of {len(dev)} dev clips, {len(order)} can be loaded: {lost.reasons}")
    unique = {text: place for place, text in enumerate(dict.fromkeys(texts[i] for i in order))}
    written = list(unique)
    read = []
    for start in range(0, len(written), TEXTS):
        with autocast():
            pooled = model.model.text_pooled(*model.tokens(written[start : start + TEXTS]))
        read.append(model.model.text_head(pooled.float()))
    audio, text = torch.cat(heard), torch.cat(read)
    own = torch.tensor([unique[texts[number]] for number in order])
    ways = both_directions(audio, text, torch.stack([torch.arange(len(own)), own], dim=1))
    recall = {k: sum(way.recall[k] for way in ways.values()) / 2 for k in (1, 10)}
    scale = model.model.logit_scale.exp().float()
    loss = contrastive.info_nce(audio, text[own.to(text.device)], scale)
    return {"loss": float(loss), "recall_at_1": recall[1], "recall_at_10": recall[10]}
