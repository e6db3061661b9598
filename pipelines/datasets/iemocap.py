"""IEMOCAP (Busso et al. 2008): turns of ten speakers, with the emotion the annotators agreed on.

`SessionN/dialog/EmoEvaluation/DIALOG.txt` has one line a turn, `[start - end]\\tTURN\\temotion\\t
[valence, activation, dominance]`; its audio is `SessionN/sentences/wav/DIALOG/TURN.wav`. In
`Ses01F_impro01_M003` the first letter tells who wore the markers, the last one who speaks: M.
It reads no transcripts, and not what single annotators said.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from clsp.errors import InputError
from pipelines.datasets.files import NO_FILE, in_order, is_file, local_folder, shown
from pipelines.datasets.items import Dataset, Item, Skipped

TIME = r"([0-9]+\.[0-9]+)"
LINE = re.compile(rf"\[{TIME} - {TIME}\]\t(\S+)\t([a-z]{{3}})\t\[.*\]")
TURN = re.compile(r"(Ses0[1-5])[FM]_\w+_([FM])[0-9]+", re.ASCII)
EMOTIONS = {"ang": "angry", "hap": "happy", "exc": "excited", "sad": "sad", "neu": "neutral"}
OTHERS = {
    "fru": "frustrated",
    "fea": "fear",
    "sur": "surprised",
    "dis": "disgust",
    "oth": "other",
}
UNDECIDED = "xxx"
GENDERS = {"F": "female", "M": "male"}


def read(
    root: str | Path,
    *,
    merge_excited: bool = True,
    other_emotions: bool = False,
    from_dialogs: bool = False,
) -> Dataset:
    """The turns of the published four classes (angry, happy, sad, neutral) in Session1 to Session5.

    merge_excited: excited turns are labelled happy, as published. other_emotions: keep frustrated,
    fear, surprised, disgust and other too. from_dialogs: cut turns out of `dialog/wav/DIALOG.wav`
    by their times, as the authors of CLSP did (they took its first channel; here channels are
    averaged).
    """
    folder = local_folder(root, "IEMOCAP_full_release, with Session1 to Session5 in it")
    files = sorted(folder.glob("Session[1-5]/dialog/EmoEvaluation/Ses*.txt"))
    if not files:
        raise InputError(
            f"no Session1/dialog/EmoEvaluation/Ses*.txt in {str(folder)!r}: expected the folder "
            "IEMOCAP_full_release as it is unpacked"
        )
    emotions = {**EMOTIONS, **(OTHERS if other_emotions else {})}
    if merge_excited:
        emotions["exc"] = "happy"
    found = (turn for file in files for turn in _turns(file, emotions, from_dialogs))
    return in_order("iemocap", found, f"{folder}: its EmoEvaluation files hold no turns")


def _turns(file: Path, emotions: dict[str, str], from_dialogs: bool) -> Iterator[Item | Skipped]:
    session = file.parents[2]
    # Replaced, not refused: only the comments of annotators are not ASCII.
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        yield Skipped(shown(file), f"cannot be read: {error.strerror}")
        return
    for number, line in enumerate(lines, 1):
        if not line.startswith("["):  # a comment, or one annotator's own opinion
            continue
        match = LINE.fullmatch(line.rstrip())
        turn = match and TURN.fullmatch(match[3])
        if not match or not turn or float(match[1]) >= float(match[2]):
            yield Skipped(f"{shown(file)}:{number}", "not a line as IEMOCAP has them")
            continue
        start, end, name, code = match.groups()
        start_s: float | None
        end_s: float | None
        if from_dialogs:
            audio = session / "dialog" / "wav" / f"{file.stem}.wav"
            start_s, end_s = float(start), float(end)
        else:
            audio = session / "sentences" / "wav" / file.stem / f"{name}.wav"
            start_s = end_s = None
        if code not in emotions:
            yield Skipped(f"{shown(file)}:{number}", _why(code))
        elif not is_file(audio):
            yield Skipped(shown(audio), NO_FILE)
        else:
            labels = {"emotion": emotions[code], "gender": GENDERS[turn[2]]}
            speaker = f"iemocap-{turn[1]}{turn[2]}"
            yield Item(str(audio), labels, speaker=speaker, start_s=start_s, end_s=end_s)


def _why(code: str) -> str:
    if code == UNDECIDED:
        return "the annotators did not agree on an emotion"
    if code in OTHERS:
        return f"{OTHERS[code]}: not one of the four classes; other_emotions=True keeps these"
    return f"unknown emotion {code!r}"
