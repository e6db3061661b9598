"""The canonical prompts, what kinds of words there are, and what carries no meaning here.

Tables only; the many other ways to say the same are in vocabulary.py. It knows nothing of grammar
(see captions.py), audio or the model.
`PROMPTS` holds the published prompts verbatim (arXiv 2601.03065) and our own for the rest, `BARE`
a word for each class.
"""

from dataclasses import dataclass

EMOTION_WORDS = (
    "happy", "excited", "angry", "sad", "neutral", "calm", "disgust", "fear", "surprised",
)  # fmt: skip

PROMPTS: dict[str, dict[str, str]] = {
    "gender": {"male": "A male speaker.", "female": "A female speaker."},
    "age": {
        "child": "A child or young teenager speaker.",
        "adult": "An adult speaker.",
        "middle": "A middle-aged speaker.",
        "elder": "An older or elder speaker.",
    },
    "emotion": {word: f"A speaker in a {word} tone." for word in EMOTION_WORDS},
    "pitch": {
        "low": "A speaker with a low-pitched voice.",
        "medium": "A speaker with a medium-pitched voice.",
        "high": "A speaker with a high-pitched voice.",
    },
    "rate": {
        "slow": "A speaker talking slowly.",
        "moderate": "A speaker talking at a moderate speed.",
        "fast": "A speaker talking quickly.",
    },
    "level": {
        "quiet": "A quiet voice.",
        "normal": "A voice of moderate volume.",
        "loud": "A loud voice.",
    },
    "whisper": {
        "yes": "A whispering voice.",
        "no": "A voice speaking normally, not whispering.",
    },
    "quality": {
        "clean": "A clean recording.",
        "noisy": "A noisy recording.",
        "telephone": "A telephone recording.",
        "reverberant": "A reverberant recording.",
    },
    "expressive": {"monotone": "A monotone voice.", "expressive": "An expressive voice."},
}
# As people type them. Some mean nothing by themselves ("normal"), and do beside the others.
BARE: dict[str, dict[str, str]] = {
    **{attribute: {value: value for value in classes} for attribute, classes in PROMPTS.items()},
    "age": {"child": "child", "adult": "adult", "middle": "middle-aged", "elder": "elderly"},
    "pitch": {"low": "deep", "medium": "medium", "high": "high"},
    "whisper": {"yes": "whisper", "no": "voiced"},
}


@dataclass(frozen=True)
class Words:
    """Ways to say one value. Each list is separated by `|`; an empty one is not used."""

    adjectives: str = ""  # a ___ speaker
    nouns: str = ""  # a ___ (instead of "speaker")
    voices: str = ""  # a ___ voice
    adverbs: str = ""  # speaking ___
    verbs: str = ""  # a speaker ___
    clauses: str = ""  # after the rest, with a comma or not
    sentences: str = ""  # whole ones
    tags: str = ""  # bare words, alone or in a list

    def get(self, kind: str) -> list[str]:
        text: str = getattr(self, kind)
        return [part.strip() for part in text.split("|") if part.strip()]


# Said of any clip: carries nothing, and has to be read past.
OPENINGS = (
    "this is", "here is", "i hear", "you can hear", "a recording of", "audio of", "a clip of",
    "the voice of", "the sound of", "we hear", "there is", "find me", "listen to", "a segment with",
    "speech from",
)  # fmt: skip
ACTIVITIES = (
    "talking", "speaking", "saying something", "telling a story", "reading aloud", "giving a talk",
    "chatting", "explaining something", "answering a question", "speaking to someone",
)  # fmt: skip
NEUTRAL_NOUNS = ("speaker", "person", "someone", "voice", "talker", "narrator")
NEUTRAL_TAILS = (
    "with an american accent", "with a british accent", "in english", "about the weather",
    "in a conversation", "in an interview", "with clear words", "in a podcast", "on the radio",
    "in a single phrase", "with short pauses", "in a natural way", "with crisp articulation",
    "with a foreign accent", "about politics", "about music and art", "about money",
    "on television",
    "about a long journey", "in german", "to a friend", "about science", "for an audience",
    "about food", "at work", "about sports and games", "in a meeting", "about history",
)  # fmt: skip
