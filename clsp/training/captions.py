"""Attributes into words: canonical prompts, paraphrases, tags and captions of several attributes.

It knows the grammar that joins the words of vocabulary.py, and when a caption is true of a clip. It
knows nothing of audio or the model. Everything is drawn from the generator it is handed.
"""

from dataclasses import dataclass

import numpy as np

from clsp.training.vocabulary import WORDS
from clsp.training.wording import (
    ACTIVITIES,
    NEUTRAL_NOUNS,
    NEUTRAL_TAILS,
    OPENINGS,
    PROMPTS,
    Words,
)

# Facts of a clip that captions speak of, in the order of their columns in `states`. "quality" is
# the recording's single fault, or "clean" where it has none.
FACTS: dict[str, tuple[str, ...]] = {
    "gender": ("male", "female"),
    "age": ("child", "adult", "middle", "elder"),
    "emotion": tuple(PROMPTS["emotion"]),
    "pitch": ("low", "medium", "high"),
    "rate": ("slow", "moderate", "fast"),
    "level": ("quiet", "normal", "loud"),
    "whisper": ("yes", "no"),
    "noise": ("clean", "noisy"),
    "telephone": ("yes", "no"),
    "reverb": ("yes", "no"),
    "quality": ("clean", "noisy", "telephone", "reverberant"),
    "expressive": ("monotone", "expressive"),
    "breathy": ("yes", "no"),
}
SAME_WORDS = {
    ("quality", "noisy"): ("noise", "noisy"),
    ("quality", "telephone"): ("telephone", "yes"),
    ("quality", "reverberant"): ("reverb", "yes"),
}
Claims = dict[str, str]


@dataclass(frozen=True)
class Caption:
    """A text and what it claims: attribute -> value."""

    text: str
    claims: Claims


def words(attribute: str, value: str) -> Words | None:
    """How this value is said, or None where it is not spoken of (no telephone, no reverb)."""
    key = (attribute, value)
    return WORDS.get(SAME_WORDS.get(key, key))


def canonical(attribute: str) -> dict[str, str]:
    """The prompt of each class of one attribute, as used for zero-shot classification."""
    return PROMPTS[attribute]


def _pick(options: list[str] | tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _with_article(phrase: str, rng: np.random.Generator) -> str:
    kind = rng.random()
    if phrase == "someone" or kind < 0.1:
        return phrase
    if kind < 0.2:
        return f"the {phrase}"
    return _a(phrase)


def _a(phrase: str) -> str:
    return f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}"


def paraphrase(attribute: str, value: str, rng: np.random.Generator) -> str:
    """One value said in some way: a bare word, a tag, a phrase or a sentence."""
    known = words(attribute, value)
    if known is None:
        raise KeyError(f"no words for {attribute}={value}")
    prompt = PROMPTS.get(attribute, {}).get(value)
    if prompt and rng.random() < 0.2:
        return prompt
    forms = {
        "tags": 1.6, "sentences": 1.2, "adjectives": 1.2, "nouns": 1.6, "voices": 1.2,
        "adverbs": 1.2, "verbs": 0.8, "clauses": 1.2,
    }  # fmt: skip
    kinds = [kind for kind in forms if known.get(kind)]
    weights = np.array([forms[kind] for kind in kinds])
    kind = str(rng.choice(kinds, p=weights / weights.sum()))
    if kind in ("tags", "sentences"):
        return _pick(known.get(kind), rng)
    return compose({attribute: value}, rng, {attribute: kind})


def compose(claims: Claims, rng: np.random.Generator, kinds: dict[str, str] | None = None) -> str:
    """One phrase that says all the claims; `kinds` fixes which word class an attribute uses."""
    chosen: dict[str, list[str]] = {
        kind: [] for kind in ("adjectives", "nouns", "voices", "adverbs", "verbs", "clauses")
    }
    extra: list[str] = []
    for attribute, value in claims.items():
        known = words(attribute, value)
        if known is None:
            continue
        kind = (kinds or {}).get(attribute)
        if kind is None:
            free = [
                k for k in chosen if known.get(k) and not (k in ("nouns", "verbs") and chosen[k])
            ]
            if attribute in ("gender", "age") and "nouns" in free and rng.random() < 0.7:
                kind = "nouns"
            elif not free:
                extra.append(_pick(known.get("sentences"), rng))
                continue
            else:
                kind = _pick(free, rng)
        chosen[kind].append(_pick(known.get(kind), rng))
    noun = chosen["nouns"][0] if chosen["nouns"] else _pick(NEUTRAL_NOUNS, rng)
    subject = _with_article(" ".join([*chosen["adjectives"], noun]), rng)
    if noun == "someone" and chosen["adjectives"]:
        subject = f"someone {' and '.join(chosen['adjectives'])}"
    verb = chosen["verbs"][0] if chosen["verbs"] else _pick(ACTIVITIES, rng)
    adverbs = ", ".join(chosen["adverbs"]) if rng.random() < 0.3 else " ".join(chosen["adverbs"])
    voice = ", ".join(chosen["voices"]) if rng.random() < 0.5 else " ".join(chosen["voices"])
    tail = " ".join(chosen["clauses"])
    if voice and not any(chosen[kind] for kind in ("adverbs", "verbs", "nouns", "adjectives")):
        forms = [
            _a(voice) + " voice", f"{voice} voice", f"the voice is {voice}",
            f"speaking in {_a(voice)} voice", f"{subject} with {_a(voice)} voice",
        ]  # fmt: skip
        text = _pick(forms, rng)
    else:
        bare = not (chosen["adverbs"] or chosen["verbs"]) and rng.random() < 0.45
        parts = [subject, "" if bare else _pick(["", "", "is "], rng) + verb, adverbs]
        if voice:
            parts.insert(
                int(rng.choice([1, 3])), _pick(["with", "in"], rng) + f" {_a(voice)} voice"
            )
        text = " ".join(part for part in parts if part)
    if tail:
        text = f"{tail}, {text}" if rng.random() < 0.15 else f"{text} {tail}"
    if rng.random() < 0.12:
        text += " " + _pick(NEUTRAL_TAILS, rng)
    if rng.random() < 0.12:
        text = _pick(OPENINGS, rng) + " " + text
    return _finish(". ".join([text, *(sentence.rstrip(".") for sentence in extra)]), rng)


def _finish(text: str, rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    return text + "." if rng.random() < 0.5 else text


def caption(claims: Claims, rng: np.random.Generator) -> Caption:
    """Some text that makes exactly these claims."""
    known = {a: v for a, v in claims.items() if words(a, v)}
    if len(known) == 1:
        ((attribute, value),) = known.items()
        return Caption(paraphrase(attribute, value, rng), known)
    kind = rng.random()
    items = list(known.items())
    order = rng.permutation(len(items))
    if kind < 0.12:
        tags = [_pick(words(*items[i]).get("tags"), rng) for i in order]  # type: ignore[union-attr]
        return Caption(_finish(_pick([", ", " "], rng).join(tags), rng), known)
    if kind < 0.24:
        said = [_pick(words(*items[i]).get("sentences"), rng) for i in order]  # type: ignore[union-attr]
        return Caption(" ".join(said), known)
    return Caption(compose(dict(items[i] for i in order), rng), known)


def speakable(attributes: dict[str, str | None]) -> Claims:
    """What can be said of a clip: its labelled facts, less those nobody mentions.

    Noise is said once: a clip with one fault, or none, has it as "quality"; else fault by fault.
    """
    claims = {a: v for a, v in attributes.items() if v is not None and a in FACTS and words(a, v)}
    if "quality" in claims:
        for single in ("noise", "telephone", "reverb"):
            claims.pop(single, None)
    return claims


def draw_claims(claims: Claims, rng: np.random.Generator, count: int | None = None) -> Claims:
    """Some of what can be said of a clip: one to six facts, one most often."""
    if count is None:
        count = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.34, 0.24, 0.18, 0.12, 0.07, 0.05]))
    unremarkable = {("whisper", "no"), ("level", "normal"), ("rate", "moderate"), ("age", "adult")}
    names = [a for a, v in claims.items() if (a, v) not in unremarkable or rng.random() < 0.5]
    names = names or list(claims)
    kept = rng.permutation(len(names))[:count]
    return {names[i]: claims[names[i]] for i in sorted(kept)}


def random_claims(rng: np.random.Generator) -> Claims:
    """Claims about an imagined clip, for training the text side alone."""
    imagined: dict[str, str | None] = {a: _pick(values, rng) for a, values in FACTS.items()}
    if rng.random() < 0.8:
        for single in ("noise", "telephone", "reverb"):
            imagined[single] = None
    else:
        imagined["quality"] = None
    return draw_claims(speakable(imagined), rng)


def fine(attributes: dict[str, str | None], rng: np.random.Generator) -> Caption:
    """A caption of all that can be said of a clip, for retrieval."""
    return caption(speakable(attributes), rng)


COLUMNS: tuple[tuple[str, str], ...] = tuple((a, v) for a, vs in FACTS.items() for v in vs)
_COLUMN = {column: place for place, column in enumerate(COLUMNS)}
YES, NO, OPEN = 1, 0, -1


def states(attributes: dict[str, str | None]) -> np.ndarray:
    """What is known of a clip: YES, NO or OPEN for each of COLUMNS, int8.

    A fault of the recording is a fact whatever the other faults are; "clean" is NO with any fault.
    """
    known = np.full(len(COLUMNS), OPEN, np.int8)
    for attribute, values in FACTS.items():
        value = attributes.get(attribute)
        if value is not None:
            for option in values:
                known[_COLUMN[attribute, option]] = YES if option == value else NO
    for said, fact in SAME_WORDS.items():
        known[_COLUMN[said]] = known[_COLUMN[fact]]
    faults = [known[_COLUMN[fact]] for fact in SAME_WORDS.values()]
    if YES in faults:
        known[_COLUMN["quality", "clean"]] = NO
    return known


def claimed(claims: Claims) -> np.ndarray:
    """Which of COLUMNS a caption claims, bool."""
    wanted = np.zeros(len(COLUMNS), bool)
    for column in claims.items():
        wanted[_COLUMN[column]] = True
    return wanted


def agreement(claims: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Are captions (m, columns) true of clips (n, columns)? YES, NO or OPEN, shape (n, m)."""
    asked = claims.T.astype(np.int32)
    wrong = (known == NO).astype(np.int32) @ asked
    right = (known == YES).astype(np.int32) @ asked
    return np.where(wrong > 0, NO, np.where(right == claims.sum(1), YES, OPEN)).astype(np.int8)
