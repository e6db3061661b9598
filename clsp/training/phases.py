"""The phases of training, each a function of a model, data and a seed.

Order matters: (1) attributes from pooled audio, (2) attributes from text alone, (3) the two heads
meet on frozen audio, (4) all of it together at a low rate. It knows no files and no arguments.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clsp.embedder import Embedder
from clsp.training import captions
from clsp.training.captions import COLUMNS, FACTS, paraphrase
from clsp.training.dataset import Clips
from clsp.training.heads import NormedHead
from clsp.training.losses import (
    IMPORTANCE,
    attribute_loss,
    class_weights,
    contrastive_loss,
    measure_loss,
    order_by_measures,
    order_loss,
    prompt_loss,
)
from clsp.training.measures import MEASURES
from clsp.training.updates import Log, draws, optimiser
from clsp.training.wording import BARE, PROMPTS

CROP_FRAMES = (120, 380)  # of 10 ms, drawn per batch
# In phase 4, so many clips of a batch are also heard slower and faster: whatever a clip's own rate,
# the latter shall be nearer to "fast".
PACED = 8
SLOWER, FASTER = (0.6, 0.85), (1.2, 1.6)
RATES = list(PROMPTS["rate"])
PROMPT_SETS = 2  # wordings of every question that a batch is asked
Encode = Callable[[list[str]], tuple[Tensor, Tensor]]


def hear(model: Embedder, clips: Clips, chosen: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Pooled audio (n, dim) of random crops.

    In single precision: under bfloat16 autocast more steps taught less of whispers and intonation
    (linear heads on the dev voices: .77 for .92, .62 for .76).
    """
    return model.model.pooled_audio(*clips.batch(chosen, int(rng.integers(*CROP_FRAMES)), rng))


def at_tempo(features: Tensor, lengths: Tensor, tempo: float) -> tuple[Tensor, Tensor]:
    """Features (n, frames, 128) and lengths (n,) of clips spoken so many times as fast, at the same
    pitch: frames drawn together or apart."""
    frames = max(round(features.shape[1] / tempo), 1)
    drawn = F.interpolate(features.transpose(1, 2), size=frames, mode="linear").transpose(1, 2)
    return drawn, (lengths * frames // features.shape[1]).clamp(min=1)


def channels_last(model: Embedder) -> None:
    """Lay the front end out so that a step takes 14 to 19 % less on a CPU (depthwise convolutions,
    backward). A model that was read from files is not."""
    model.model.encoder_embed.to(memory_format=torch.channels_last)


def start_front_end(model: Embedder, mean: float, deviation: float) -> None:
    """Begin as if features were standardised: the first convolution absorbs mean and scale."""
    channels_last(model)
    first = model.model.encoder_embed.conv["0"]
    with torch.no_grad():
        first.weight /= deviation
        first.bias -= first.weight.sum(dim=(1, 2, 3)) * mean


# ---- phases ---------------------------------------------------------------------------------


def learn_attributes(model: Embedder, clips: Clips, steps: int, batch: int, seed: int) -> nn.Module:
    """Phase 1: the speech encoder, through linear heads: which label, and which measure. Returns
    those heads: columns first, then measures."""
    rng = draws(seed, 1)
    dim, asked = model.config.hidden_size, len(COLUMNS) + len(MEASURES)
    heads = nn.Sequential(nn.BatchNorm1d(dim), nn.Dropout(0.1), nn.Linear(dim, asked))
    encoder = [*model.model.encoder_embed.parameters(), *model.model.encoder.parameters()]
    update = optimiser([(encoder, 2e-3), (heads.parameters(), 4e-3)], steps)
    known, measured = torch.from_numpy(clips.known), torch.from_numpy(clips.measured)
    weights = class_weights(known)
    log = Log(f"seed {seed}: 1 attributes")
    model.train()
    for step in range(steps):
        chosen = rng.integers(len(clips), size=batch)
        answers = heads(hear(model, clips, chosen, rng))
        loss = attribute_loss(answers[:, : len(COLUMNS)], known[chosen], weights)
        loss = loss + measure_loss(answers[:, len(COLUMNS) :], measured[chosen])
        update(loss)
        log(step, loss)
    model.eval()
    return heads.eval()


def distract(text: str, words: list[str], rng: np.random.Generator) -> str:
    """Sometimes add a few words that mean nothing here, so that they are read past."""
    if rng.random() > 0.2:
        return text
    some = " ".join(words[i] for i in rng.integers(len(words), size=int(rng.integers(1, 4))))
    return f"{some} {text}" if rng.random() < 0.3 else f"{text} {some}"


def read(model: Embedder, encode: Encode, texts: list[str], groups: int = 4) -> Tensor:
    """Pooled texts (n, dim), read in groups of like length: most captions are short."""
    order = np.argsort([len(text) for text in texts], kind="stable")
    parts = [
        model.model.text_pooled(*encode([texts[place] for place in part]))
        for part in np.array_split(order, groups)
    ]
    return torch.cat(parts)[torch.from_numpy(np.argsort(order))]


def learn_text(
    model: Embedder, encode: Encode, words: list[str], steps: int, batch: int, seed: int
) -> None:
    """Phase 2: the text encoder, from captions of imagined clips: which facts are claimed?"""
    rng = draws(seed, 2)
    sizes = [len(values) + 1 for values in FACTS.values()]  # the last class: not spoken of
    heads = nn.Linear(model.config.text_encoder_dim, sum(sizes))
    encoder = model.model.text_encoder
    update = optimiser([(encoder.parameters(), 1e-3), (heads.parameters(), 3e-3)], steps)
    log = Log(f"seed {seed}: 2 text")
    model.train()
    for step in range(steps):
        drawn = [captions.caption(captions.random_claims(rng), rng) for _ in range(batch)]
        texts = [distract(c.text, words, rng) for c in drawn]
        logits = heads(read(model, encode, texts))
        losses = []
        for part, (attribute, values) in zip(logits.split(sizes, 1), FACTS.items(), strict=True):
            index = {value: place for place, value in enumerate(values)}
            said = [_said(c.claims).get(attribute) for c in drawn]
            target = torch.tensor([index[v] if v is not None else len(values) for v in said])
            losses.append(F.cross_entropy(part, target))
        loss = torch.stack(losses).sum()
        update(loss)
        log(step, loss)
    model.eval()


def _said(claims: captions.Claims) -> captions.Claims:
    """Claims by one name for each fault of the recording."""
    return dict(captions.SAME_WORDS.get(claim, claim) for claim in claims.items())


@torch.inference_mode()
def pool(model: Embedder, clips: Clips, rounds: int = 1, seed: int = 0) -> Tensor:
    """Pooled audio of whole clips (1, n, dim); more rounds add random crops: (rounds, n, dim)."""
    rng = draws(seed, 9)
    pooled = torch.zeros(rounds, len(clips), model.config.hidden_size)
    for chosen, features, lengths in clips.batches(48):
        pooled[0, chosen] = model.model.pooled_audio(features, lengths)
        for extra in range(1, rounds):
            cropped = clips.batch(chosen, int(rng.integers(150, 400)), rng)
            pooled[extra, chosen] = model.model.pooled_audio(*cropped)
    return pooled.clone()


def normed_heads(model: Embedder) -> tuple[NormedHead, NormedHead]:
    """The audio and the text head of a model, with BatchNorm around them while they train."""
    inner = model.model
    audio = NormedHead(
        inner.audio_projection, inner.audio_transform.sequential, model.config.hidden_size
    )
    text = NormedHead(
        inner.text_projection, inner.text_transform.sequential, model.config.text_encoder_dim
    )
    return audio, text


def plain_heads(model: Embedder) -> tuple[NormedHead, NormedHead]:
    """The same without BatchNorm: once the heads have met, nothing collapses any more."""
    heads = normed_heads(model)
    for head in heads:
        head.without_norm()
    return heads


def prompts_of_all(rng: np.random.Generator) -> tuple[list[str], dict[str, slice]]:
    """One text per class of every attribute with prompts, and where each attribute's lie: all of
    them canonical, in one word, or each in some wording."""
    drawn = rng.random()
    fixed = PROMPTS if drawn < 0.3 else BARE if drawn < 0.42 else None
    texts: list[str] = []
    places = {}
    for attribute, classes in PROMPTS.items():
        places[attribute] = slice(len(texts), len(texts) + len(classes))
        for value in classes:
            texts.append(fixed[attribute][value] if fixed else paraphrase(attribute, value, rng))
    return texts, places


def align(
    model: Embedder, clips: Clips, encode: Encode, words: list[str], steps: int, batch: int,
    seed: int, pooled: Tensor | None, importance: Mapping[str, float] = IMPORTANCE,
) -> None:  # fmt: skip
    """Phase 3: heads and text meet `pooled`, frozen audio (rounds, n, dim), with BatchNorm around
    the heads, folded away at the end. Phase 4, without it: everything learns, at a low rate, and
    some clips are also heard slower and faster. In both, clips are put in order by what is measured
    of them, too.

    `importance`: how much each attribute's prompts count (1 where it says nothing).
    """
    inner, frozen = model.model, pooled is not None
    rng = draws(seed, 3 if frozen else 4)
    audio_head, text_head = normed_heads(model) if frozen else plain_heads(model)
    rate = 1e-3 if frozen else 2e-4
    groups: list[tuple[Iterable[nn.Parameter], float]] = [
        ([*audio_head.parameters(), *text_head.parameters()], rate),
        (inner.text_encoder.parameters(), rate / 2),
        ([inner.logit_scale], rate),
    ]
    if not frozen:
        encoder = [*inner.encoder_embed.parameters(), *inner.encoder.parameters()]
        groups.append((encoder, 2 * rate))
    update = optimiser(groups, steps)
    states, measured = torch.from_numpy(clips.known), torch.from_numpy(clips.measured)
    weights = class_weights(states)
    log = Log(f"seed {seed}: " + ("3 align" if frozen else "4 joint"))
    model.train()
    audio_head.train()
    text_head.train()
    for step in range(steps):
        chosen = rng.integers(len(clips), size=batch)
        known = states[chosen]
        drawn = []
        for clip in chosen:
            said = captions.speakable(clips.rows[clip]["attributes"])
            drawn.append(captions.caption(captions.draw_claims(said, rng), rng))
        claims = np.stack([captions.claimed(c.claims) for c in drawn])
        truth = torch.from_numpy(captions.agreement(claims, clips.known[chosen]))
        sets = [prompts_of_all(rng) for _ in range(PROMPT_SETS)]
        texts = [distract(c.text, words, rng) for c in drawn]
        for prompts, _ in sets:
            texts += prompts
        text = text_head(read(model, encode, texts))
        if pooled is not None:
            heard = pooled[torch.from_numpy(rng.integers(len(pooled), size=batch)), chosen]
        else:
            heard = hear(model, clips, chosen, rng)
        audio = audio_head(heard)
        scale = inner.logit_scale.exp().clamp(max=60)
        loss = contrastive_loss(audio, text[: len(drawn)], scale, truth)
        parts = text[len(drawn) :].chunk(PROMPT_SETS)
        asked = [
            {attribute: part[place] for attribute, place in places.items()}
            for part, (_, places) in zip(parts, sets, strict=True)
        ]
        for by_attribute in asked:
            told = prompt_loss(audio, by_attribute, scale, known, weights, importance)
            order = order_by_measures(audio, by_attribute, scale, measured[chosen], known, PROMPTS)
            loss = loss + (told + order) / PROMPT_SETS
        if not frozen:
            clip = clips.batch(chosen[:PACED], int(rng.integers(*CROP_FRAMES)), rng)
            slower, faster = (
                audio_head(inner.pooled_audio(*at_tempo(*clip, rng.uniform(*tempi))))
                for tempi in (SLOWER, FASTER)
            )
            rates = asked[-1]["rate"]
            towards = scale * (rates[RATES.index("fast")] - rates[RATES.index("slow")])
            loss = loss + order_loss(faster @ towards, slower @ towards)
        update(loss)
        log(step, loss)
    model.eval()
    audio_head.eval().fold()
    text_head.eval().fold()
