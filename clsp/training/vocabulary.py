"""The words for each value of each attribute: wide, so that any reasonable wording works.

The tables are in the vocabulary_*.py modules; this one joins them. It knows nothing of grammar (see
captions.py), audio or the model. What is in heldout_wording.py is kept out of all of them.
"""

from clsp.training.vocabulary_emotion import EMOTION
from clsp.training.vocabulary_manner import MANNER
from clsp.training.vocabulary_people import PEOPLE
from clsp.training.vocabulary_recording import RECORDING
from clsp.training.vocabulary_voice import VOICE
from clsp.training.wording import Words

WORDS: dict[tuple[str, str], Words] = {**PEOPLE, **EMOTION, **VOICE, **MANNER, **RECORDING}
