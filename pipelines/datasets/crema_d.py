"""CREMA-D (Cao et al. 2014): emotion in the file name, age and sex of the actors in a table.

`AudioWAV/1001_DFA_ANG_XX.wav` is actor_sentence_emotion_level; `VideoDemographics.csv` has the
columns ActorID, Age, Sex, Race and Ethnicity, of which the last two are not read. Labels are what
the actor was told to play; it knows nothing of the crowd's ratings.
"""

import csv
import re
from collections import Counter
from pathlib import Path

from clsp.errors import InputError
from pipelines.datasets.files import in_order, is_file, local_file, local_folder, shown, wav_files
from pipelines.datasets.items import Dataset, Item, Skipped

DEMOGRAPHICS = "VideoDemographics.csv"
# One file of the published set is called 1040_ITH_SAD_X.
NAME = re.compile(r"([0-9]{4})_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)")
EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
# The publication calls it the level of the emotion; here `level` is how loud a voice is.
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high"}  # XX: unspecified
AGES = ((20, "child"), (40, "adult"), (60, "middle"))  # years, exclusive; beyond: elder


def age_class(years: int) -> str:
    """The bins of the published evaluation (arXiv 2601.03065)."""
    return next((name for limit, name in AGES if years < limit), "elder")


def read(root: str | Path, *, demographics: str | Path | None = None) -> Dataset:
    """The clips below `root`; `demographics` where VideoDemographics.csv lies elsewhere.

    An actor whom the table lacks keeps emotion only, and is named in `skipped`.
    """
    folder = local_folder(root, "CREMA-D: AudioWAV/1001_DFA_ANG_XX.wav and so on")
    source = _demographics(folder, demographics)
    actors = _actors(source)
    items: dict[str, Item] = {}
    skipped: list[Skipped] = []
    unknown: Counter[str] = Counter()
    for entry in wav_files(folder, skipped):
        stem = Path(entry.path).stem
        match = NAME.fullmatch(stem)
        if not match or stem in items:
            reason = "a second copy of the same recording" if match else "not a CREMA-D name"
            skipped.append(Skipped(shown(entry.path), reason))
            continue
        actor, _, emotion, intensity = match.groups()
        labels = {"emotion": EMOTIONS[emotion], **actors.get(actor, {})}
        if intensity in INTENSITIES:
            labels["intensity"] = INTENSITIES[intensity]
        unknown[actor] += actor not in actors
        items[stem] = Item(entry.path, labels, speaker=f"crema-d-{actor}")
    skipped += [
        Skipped(shown(source), f"no row for actor {actor}: {count} clips without gender and age")
        for actor, count in sorted(unknown.items())
        if count
    ]
    found: list[Item | Skipped] = [*items.values(), *skipped]
    return in_order("crema-d", found, f"{folder}: expected CREMA-D's .wav files")


def _demographics(folder: Path, given: str | Path | None) -> Path:
    if given is not None:
        return local_file(given, f"CREMA-D's {DEMOGRAPHICS}")
    for place in (folder, folder.parent):  # `root` may be AudioWAV itself
        if is_file(place / DEMOGRAPHICS):
            return place / DEMOGRAPHICS
    raise InputError(
        f"no {DEMOGRAPHICS} in {str(folder)!r} or the folder above: expected CREMA-D's table of "
        "actors, for gender and age. Take it from github.com/CheyneyComputerScience/CREMA-D, or "
        "say where it is (demographics=PATH)."
    )


def _actors(path: Path) -> dict[str, dict[str, str]]:
    """Actor -> gender and age class, each only where the table says it."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if missing := {"ActorID", "Age", "Sex"} - set(rows.fieldnames or ()):
                raise InputError(
                    f"{path} has the columns {rows.fieldnames}: expected {sorted(missing)} too. "
                    f"Is it CREMA-D's {DEMOGRAPHICS}?"
                )
            return {(row["ActorID"] or "").strip(): _labels(row) for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}): expected a CSV in UTF-8") from error


def _labels(row: dict[str, str | None]) -> dict[str, str]:
    labels = {}
    if (sex := (row["Sex"] or "").strip().lower()) in ("male", "female"):
        labels["gender"] = sex
    if re.fullmatch("[0-9]{1,3}", years := (row["Age"] or "").strip()):
        labels["age"] = age_class(int(years))
    return labels
