"""The published zero-shot evaluations of CLSP: which data, which prompts, which results.

The figures are the authors' claims for their own model, in percent as printed. Nothing here was
measured by us, and the preset knows no model and runs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from clsp.errors import InputError
from clsp.training.wording import PROMPTS

PAPER = "arXiv 2601.03065 (CLSP)"
RECIPE = "yfyeung/icefall, branch clsp at ba0b41c0, egs/emilia/CLAP/clsp"


@dataclass(frozen=True)
class Question:
    """One thing asked of every clip: the best of `prompts` is the answer.

    label: the attribute of `Item.labels` that holds the truth. prompts: class -> its wordings.
    merge: class -> the class it counts as, for answers and for the truth alike.
    """

    name: str
    label: str
    prompts: Mapping[str, tuple[str, ...]]
    merge: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that are told apart in the end."""
        return tuple(dict.fromkeys(map(self.counts_as, self.prompts)))

    def counts_as(self, name: str) -> str:
        return self.merge.get(name, name)


@dataclass(frozen=True)
class Preset:
    """One published evaluation. published: question -> metric (as in clsp.metrics) -> percent."""

    name: str
    kind: str  # of pipelines.datasets.read
    questions: tuple[Question, ...]
    published: Mapping[str, Mapping[str, float]]
    source: str  # where the figures are from, and how their data differ from what we read


def _published(attribute: str, classes: str) -> dict[str, tuple[str, ...]]:
    return {name: (PROMPTS[attribute][name],) for name in classes.split()}


_IEMOCAP_EMOTION = Question(
    "emotion",
    "emotion",
    _published("emotion", "happy excited angry sad neutral"),
    merge={"excited": "happy"},  # five prompts, four classes
)
_RAVDESS_EMOTION = Question(
    "emotion",
    "emotion",
    _published("emotion", "angry calm disgust fear happy sad surprised neutral"),
)
_CREMA_D_EMOTION = Question(
    "emotion", "emotion", _published("emotion", "happy sad angry fear disgust neutral")
)
_GENDER = Question("gender", "gender", _published("gender", "male female"))
_AGE = Question("age", "age", _published("age", "child adult middle elder"))

_CREMA_D_TEST = (
    "on a test split whose files are not published with it, so that figures for all 7,442 clips "
    "compare only roughly"
)

PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "iemocap-emotion",
            "iemocap",
            (_IEMOCAP_EMOTION,),
            {"emotion": {"wa": 57.2, "uar": 56.1}},
            f"{PAPER}; {RECIPE}: turns of all five sessions, cut out of the first channel of the "
            "dialog recordings",
        ),
        Preset(
            "ravdess-emotion",
            "ravdess",
            (_RAVDESS_EMOTION,),
            {"emotion": {"wa": 46.8}},
            f"{PAPER}; {RECIPE}: four folds together",
        ),
        Preset(
            "ravdess-gender",
            "ravdess",
            (_GENDER,),
            {"gender": {"wa": 100.0}},
            f"{PAPER}; {RECIPE}: four folds together",
        ),
        Preset(
            "crema-d-emotion",
            "crema-d",
            (_CREMA_D_EMOTION,),
            {"emotion": {"wa": 35.1}},
            f"{PAPER}; {RECIPE}: {_CREMA_D_TEST}",
        ),
        Preset(
            "crema-d-age",
            "crema-d",
            (_AGE,),
            {"age": {"wa": 40.6}},
            f"{PAPER}; {RECIPE}: {_CREMA_D_TEST}; no actor is under 20",
        ),
    )
}

# Caption kind -> direction (as in clsp.retrieval) -> percent. On ParaSpeechCaps' test clips, one
# per combination of tags, with each clip's first global and last fine-grained caption.
PUBLISHED_RETRIEVAL: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "global": {"audio_to_text": {"R@1": 45.6}, "text_to_audio": {"R@1": 40.3}},
    "fine": {"audio_to_text": {"R@1": 68.1}, "text_to_audio": {"R@1": 67.2}},
}
# Kind of style -> Pearson r between cosines and mean human ratings, on ParaSpeechCaps' holdout.
PUBLISHED_STYLE: Mapping[str, float] = {"intrinsic": 0.893, "situational": 0.903}


def preset(name: str) -> Preset:
    """Raises InputError for an unknown name, listing the known."""
    if name not in PRESETS:
        raise InputError(f"no preset {name!r}: expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
