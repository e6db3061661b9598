"""RAVDESS (Livingstone & Russo 2018, doi 10.5281/zenodo.1188976): everything is in the file name.

`03-01-06-01-02-01-12.wav` is modality-vocal channel-emotion-intensity-statement-repetition-actor.
Reads the published tree (`Actor_01/...`), a flat folder, and any other arrangement of the same
names; a name met twice counts once (a well-known copy of the data holds every file twice).
Labels are what the actor was told to play. It knows nothing of listeners' ratings of the clips.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pipelines.datasets.files import in_order, local_folder, shown, wav_files
from pipelines.datasets.items import Dataset, Item, Skipped

MODALITIES = {"01": "audio and video", "02": "video", "03": "audio"}
CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fear",  # "fearful" in the publication
    "07": "disgust",
    "08": "surprised",
}
INTENSITIES = {"01": "normal", "02": "strong"}
NAME = re.compile(r"(0[1-3])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1[0-9]|2[0-4])")


@dataclass(frozen=True)
class Name:
    """What a file name says."""

    modality: str
    channel: str
    emotion: str
    intensity: str
    statement: int
    repetition: int
    actor: int  # 1 to 24

    @property
    def gender(self) -> str:
        return "male" if self.actor % 2 else "female"


def parse(stem: str) -> Name | None:
    """A file name without its ending; None where it is no RAVDESS name."""
    if not (match := NAME.fullmatch(stem)):
        return None
    modality, channel, emotion, intensity, *numbers = match.groups()
    return Name(
        MODALITIES[modality],
        CHANNELS[channel],
        EMOTIONS[emotion],
        INTENSITIES[intensity],
        *map(int, numbers),
    )


def read(root: str | Path, *, songs: bool = False) -> Dataset:
    """The 1,440 spoken clips below `root`, or what there is of them; `songs`: the sung ones too."""
    folder = local_folder(root, "RAVDESS, unpacked: Actor_01/03-01-01-01-01-01-01.wav and so on")
    items: dict[str, Item] = {}
    skipped: list[Skipped] = []
    for entry in wav_files(folder, skipped):
        stem = Path(entry.path).stem
        name = parse(stem)
        if name is None:
            reason = "not a RAVDESS name"
        elif name.modality != "audio":
            reason = f"the sound of a {name.modality} recording, not of the audio-only ones"
        elif name.channel == "song" and not songs:
            reason = "sung; songs=True reads these too"
        elif stem in items:
            reason = "a second copy of the same recording"
        else:
            labels = {"emotion": name.emotion, "gender": name.gender, "intensity": name.intensity}
            items[stem] = Item(entry.path, labels, speaker=f"ravdess-{name.actor:02}")
            continue
        skipped.append(Skipped(shown(entry.path), reason))
    found: list[Item | Skipped] = [*items.values(), *skipped]
    return in_order("ravdess", found, f"{folder}: expected RAVDESS's .wav files")
