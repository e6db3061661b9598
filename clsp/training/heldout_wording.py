"""How users may word each question, kept out of training: to measure, never to train on.

Tables only: each line words every class of one question in the same way. Nothing here may be copied
into wording.py; what has found its way there (by other hands) is told by `heldout` and left out.
It knows nothing of audio or the model.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

from clsp.training.vocabulary import WORDS
from clsp.training.wording import OPENINGS, PROMPTS, Words


@dataclass(frozen=True)
class Question:
    """What is asked. label: the attribute that holds the answer; classes: those put to the vote,
    in the order of each wording set. one_word: as bare a wording as there is; in training too.
    """

    label: str
    classes: tuple[str, ...]
    one_word: tuple[str, ...]
    sets: tuple[tuple[str, ...], ...]

    def canonical(self) -> tuple[str, ...]:
        """The prompts that the others are measured against."""
        return tuple(PROMPTS[self.label][name] for name in self.classes)


def _question(label: str, classes: str, one_word: str, table: str) -> Question:
    def split(line: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in line.split("|"))

    sets = tuple(split(line) for line in table.strip().splitlines())
    names = split(classes)
    if wrong := [row for row in (*sets, split(one_word)) if len(row) != len(names)]:
        raise ValueError(f"{label}: {wrong} should word {list(names)}")
    return Question(label, names, split(one_word), sets)


QUESTIONS: dict[str, Question] = {
    "gender": _question(
        "gender", "male | female", "male | female",
        """
        is this a man? | is this a woman?
        some dude talking on tape | some gal talking on tape
        male speech | female speech
        gender: male | gender: female
        find recordings where men speak | find recordings where women speak
        somebody male is talking | somebody female is talking
        the person on this recording is a man | the person on this recording is a woman
        sounds like a guy to me | sounds like a lady to me
        spoken by a man | spoken by a woman
        he's the one who talks | she's the one who talks
        speaker is clearly male | speaker is clearly female
        clips of gentlemen | clips of ladies
        an audio clip with a male narrator | an audio clip with a female narrator
        which ones are men | which ones are women
        A man can be heard. | A woman can be heard.
        male, one person | female, one person
        """,
    ),
    "whisper": _question(
        "whisper", "yes | no", "whisper | voiced",
        """
        is the person whispering? | is the person using their full voice?
        whispered recording | recording of regular talking
        someone whispers into the microphone | someone talks out loud into the microphone
        whisper: yes | whisper: no
        all the words are whispered | all the words are spoken with voice
        a person who whispers | a person who does not whisper
        talking in a hushed whisper | talking in an everyday voice
        ASMR style whispering | usual talking, no whispering at all
        voiceless, breath only | with a voiced sound
        a secret told in a whisper | an ordinary conversation in a plain voice
        find whispered clips | find clips that are not whispers
        They whisper. | They speak up.
        only breath, the vocal cords are still | the vocal cords are sounding
        sounds whispered to me | sounds like common spoken language
        whispering people | people speaking in normal voices
        """,
    ),
    "level": _question(
        "level", "quiet | normal | loud", "quiet | normal | loud",
        """
        is it quiet? | is it of medium loudness? | is it loud?
        volume: low | volume: medium | volume: high
        very quiet recording | recording at an ordinary volume | very loud recording
        someone speaking very softly | someone speaking at an ordinary loudness | someone speaking very loudly
        I can hardly hear them | I can hear them fine | they are so loud it hurts
        low-level audio | mid-level audio | high-level audio
        the audio is too quiet | the audio level is about right | the audio is too loud
        quiet people | people of average volume | loud people
        turn it up, it is faint | no need to touch the volume | turn it down, it is loud
        speech with little volume | speech with average volume | speech with a lot of volume
        low loudness | medium loudness | high loudness
        The speaker talks quietly. | The speaker talks at a normal volume level. | The speaker talks loudly.
        too quiet to follow | easy to follow, not loud | blaring from the speakers
        find me quiet clips | find me clips of normal loudness | find me loud clips
        sounds far too soft | sounds normally loud | sounds deafening
        """,  # noqa: E501
    ),
    "pitch": _question(
        "pitch", "low | medium | high", "deep | medium | high",
        """
        is the pitch low? | is the pitch in the middle? | is the pitch high?
        pitch: low | pitch: medium | pitch: high
        a deep, low voice speaking | a voice of middling pitch speaking | a high, thin voice speaking
        someone who speaks with a deep voice | someone who speaks with a mid-range voice | someone who speaks with a high voice
        low tone of voice | middle tone of voice | high tone of voice
        low fundamental frequency | medium fundamental frequency | high fundamental frequency
        speaking down low | speaking neither high nor low | speaking up high
        deep voices | mid-pitch voices | high-pitched voices
        The person's pitch is quite low. | The person's pitch is average. | The person's pitch is quite high.
        low register | middle register | high register
        a voice pitched low | a voice pitched in between | a voice pitched high
        find the deepest voices | find voices of ordinary pitch | find the highest voices
        low F0 | mid F0 | high F0
        sounds rather deep | sounds moderately pitched | sounds rather high pitched
        like a bass singer | like a voice in the middle range | like a soprano
        """,  # noqa: E501
    ),
    "rate": _question(
        "rate", "slow | moderate | fast", "slow | moderate | fast",
        """
        is the speaker slow? | is the speaker at a medium pace? | is the speaker fast?
        speed: slow | speed: normal | speed: fast
        people who talk slow | people who talk neither slow nor fast | people who talk fast
        talks really slow | talks at an ordinary rate | talks really fast
        slow speaking rate | medium speaking rate | fast speaking rate
        few words per minute | an average number of words per minute | many words per minute
        someone who drags out every word | someone who keeps a steady middle pace | someone who rushes every word
        low tempo speech | mid tempo speech | high tempo speech
        The words come slowly. | The words come at a normal speed. | The words come quickly.
        slowed down | regular pace | sped up
        speech rate: low | speech rate: average | speech rate: high
        they take a long time to say it | they say it at a usual pace | they say it in a great rush
        slow delivery | moderate delivery | rapid delivery
        spoken at a snail's pace | spoken at an everyday pace | spoken at breakneck speed
        sounds slow to me | sounds like normal speed to me | sounds fast to me
        """,  # noqa: E501
    ),
    "quality": _question(
        "quality",
        "clean | noisy | telephone | reverberant",
        "clean | noisy | telephone | reverberant",
        """
        is the recording clean? | is the recording noisy? | is the recording from a telephone? | is the recording full of echo?
        quality: clean | quality: noisy | quality: telephone | quality: reverberant
        nice clean sound | lots of noise in the sound | sounds like a phone | sounds like a big empty room
        a recording without any noise | a recording with heavy noise | a recording made over a phone line | a recording made in an echoing room
        clean speech | speech in noise | telephone speech | reverberant speech
        clear sound | noise all over it | voices on a phone call | voices echoing in a church
        studio | background noise present | landline | echo chamber
        The sound is crisp and clean. | The sound is full of noise. | The sound comes through a telephone. | The sound comes with echo.
        recorded in a studio booth | recorded next to something noisy | recorded from a telephone call | recorded in a large hall
        clean files | noisy files | phone call files | echoing files
        undisturbed audio | audio disturbed by noise | narrowband telephone audio | audio with long reverberation
        no noise and no echo | a lot of hiss and noise | a caller on the telephone | a lot of echo
        good microphone, silent room | noisy place | handset of a telephone | bare room with echo
        professional clean recording | poor recording with noise | call center phone recording | roomy recording with reverb
        you hear only the voice | you hear noise behind the voice | you hear the voice through a phone | you hear the voice bounce off the walls
        """,  # noqa: E501
    ),
    "telephone": _question(
        "quality", "telephone | clean", "telephone | clean",
        """
        is someone on the phone? | is it a clean recording?
        phone audio | full-band clean audio
        this was recorded over a telephone line | this was recorded with a good microphone
        sounds like a phone call | sounds like a studio
        telephone: yes | clean: yes
        telephony speech | clean wideband speech
        a caller speaking over the line | a person speaking right at the microphone
        voicemail left by phone | clean voice recording
        The voice comes through a handset. | The voice comes through clearly.
        call center recording | professional recording
        find phone calls | find clean studio clips
        tinny telephone sound | full clean sound
        somebody calling in on the telephone | somebody recorded cleanly
        telephone bandwidth | full bandwidth
        speech on the phone line | speech with a clean sound
        """,
    ),
    "expressive": _question(
        "expressive", "monotone | expressive", "monotone | expressive",
        """
        is the speech monotone? | is the speech expressive?
        a flat, boring delivery | a lively, expressive delivery
        intonation: flat | intonation: lively
        reads without any melody | reads with a lot of melody
        speaks like a robot | speaks like an actor on stage
        the voice stays on one note | the voice goes up and down a lot
        someone droning on | someone talking in a very animated manner
        monotonous speech | expressive speech
        no variation in pitch | great variation in pitch
        dull reading | vivid reading
        little expression in the voice | much expression in the voice
        The speaker shows no expression. | The speaker is very expressive.
        flat prosody | rich prosody
        monotone speakers | animated speakers
        sounds monotonous to me | sounds expressive to me
        """,
    ),
    "child or adult": _question(
        "age", "child | adult", "child | adult",
        """
        is it a child? | is it an adult?
        a kid speaking | a grown person speaking
        age group: child | age group: adult
        children talking | adults talking
        the kid's own voice | the grown-up's own voice
        someone in primary school | someone in their thirties
        child speech | adult speech
        The person is just a kid. | The person is fully grown.
        sounds like a small child | sounds like a grown adult
        spoken by a child | spoken by an adult
        a kid of about eight years | a person of about thirty years
        find children | find adults
        boys and girls | grown men and women
        a little one is talking | an adult person is talking
        a pupil at school | a grown-up at work
        """,
    ),
    "age": _question(
        "age", "child | adult | middle | elder", "child | adult | middle-aged | elderly",
        """
        is it a child? | is it a young adult? | is it a middle-aged person? | is it an old person?
        age: child | age: adult | age: middle-aged | age: elderly
        a kid speaking | a young grown-up speaking | someone of middle age speaking | a senior speaking
        about ten years old | about thirty years old | about fifty years old | about eighty years old
        recordings of kids | recordings of young adults | recordings of middle-aged people | recordings of old people
        child speech | adult speech | middle-aged speech | elderly speech
        spoken by a child | spoken by an adult | spoken by a middle-aged person | spoken by an elderly person
        The talker is a child. | The talker is an adult. | The talker is middle-aged. | The talker is elderly.
        sounds like a kid | sounds like an adult | sounds middle-aged | sounds elderly
        a school kid | a person in their twenties | a person around fifty | a grandfather or grandmother
        find children | find adults | find middle-aged speakers | find elderly speakers
        a kid's voice, I think | a young adult's voice, I think | a middle-aged voice, I think | an old person's voice, I think
        under fifteen | between twenty and forty | between forty and sixty | more than seventy
        here talks a youngster | here talks a young adult | here talks somebody middle-aged | here talks somebody old
        someone still a child | someone in early adulthood | someone in mid-life | someone of old age
        """,  # noqa: E501
    ),
    "emotion": _question(
        "emotion", "happy | angry | sad | neutral", "happy | angry | sad | neutral",
        """
        is the speaker happy? | is the speaker angry? | is the speaker sad? | is the speaker neutral?
        emotion: happy | emotion: angry | emotion: sad | emotion: neutral
        happy speech | angry speech | sad speech | neutral speech
        someone full of joy | someone full of anger | someone full of sorrow | someone with no particular feeling
        a person in a good mood | a person in a rage | a person in low spirits | a person in no special mood
        happiness in the voice | anger in the voice | sadness in the voice | no emotion in the voice
        they sound happy | they sound angry | they sound sad | they sound neutral
        I am so happy about this | I am so angry about this | I am so sad about this | I have no feelings about this
        The feeling is joy. | The feeling is anger. | The feeling is sadness. | The feeling is neutral.
        joyful people | angry people | unhappy people | people without emotion
        spoken happily | spoken angrily | spoken sadly | spoken neutrally
        voices that are happy | voices that are angry | voices that are sad | voices that are neutral
        speaks with delight | speaks with fury | speaks with grief | speaks in an unemotional way
        find happy clips | find angry clips | find sad clips | find neutral clips
        sounds pleased and cheerful | sounds annoyed and mad | sounds down and depressed | sounds matter of fact
        """,  # noqa: E501
    ),
}  # fmt: skip


def heldout(question: Question) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The wording sets that training does not hold, and those it does: where any class's wording
    is an entry there."""
    taught = taught_texts()
    kept = [row for row in question.sets if not any(bare(text) in taught for text in row)]
    return kept, [row for row in question.sets if row not in kept]


def taught_texts() -> set[str]:
    """Every entry of wording.py, bare."""
    prompts = (text for classes in PROMPTS.values() for text in classes.values())
    return {bare(text) for text in (*prompts, *_entries(WORDS.values()))}


def _entries(tables: Iterable[Words]) -> Iterable[str]:
    return (text for words in tables for kind in fields(words) for text in words.get(kind.name))


def bare(text: str) -> str:
    """What two wordings have in common that differ in case, marks, an opening ("this is") or an
    article only."""
    words = re.sub(r"[^\w\s]", " ", text.casefold().replace("'", "")).split()
    for opening in OPENINGS:
        size = len(opening.split())
        if words[:size] == opening.split() and len(words) > size:
            words = words[size:]
            break
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words)
