"""Captioned speech in lhotse cut manifests (JSONL, maybe gzipped), as ParaSpeechCaps and FCaps have
it: one cut a line, captions in the first supervision's `custom`.

Captions are `global_captions` and `finegrained_captions`; in older manifests `short_captions` and
`long_captions`. The published retrieval takes the FIRST global and the LAST fine-grained caption of
a clip; the order is kept. Reads JSON only: no lhotse, no pickles, no tars or Shar archives. Of a
cut with several supervisions it reads the first, as the authors do.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clsp.errors import InputError
from pipelines.datasets.files import (
    NO_FILE,
    brief,
    in_order,
    is_file,
    json_lines,
    local_folder,
    local_path,
    number,
    shown,
    span,
    text,
    texts,
)
from pipelines.datasets.items import Dataset, Item, Skipped

CAPTIONS = {
    "global": ("global_captions", "short_captions"),
    "fine": ("finegrained_captions", "long_captions"),
}
LABELS = ("gender", "accent", "pitch", "speaking_rate", "emotion")  # kept as they are written
GENDERS = {"m": "male", "f": "female"}
SPLIT = re.compile(r"(?:^|[^a-z])(train|dev|valid|test|holdout)(?:[^a-z]|$)")
WHOLE_S = 0.001  # a cut this close to its recording's duration is the whole of it


def read(root: str | Path, *, audio_root: str | Path | None = None) -> Dataset:
    """A manifest, or all `*.jsonl` and `*.jsonl.gz` in a folder.

    Relative audio paths are taken below `audio_root`, else below the manifest's folder. In FCaps
    they begin with `download/`, so there it is the folder that holds `data/` and `download/`.
    """
    path = local_path(root)
    if path.is_dir():
        manifests = sorted([*path.glob("*.jsonl"), *path.glob("*.jsonl.gz")])
    else:
        manifests = [path]
    if not manifests or not all(map(is_file, manifests)):
        raise InputError(
            f"no manifest at {str(root)!r}: expected a .jsonl or .jsonl.gz file of lhotse cuts, "
            "or a folder of such files"
        )
    found = (each for manifest in manifests for each in stream(manifest, audio_root))
    return in_order(path.name.split(".jsonl")[0], found, f"{path}: no line in it")


def stream(manifest: Path, audio_root: str | Path | None = None) -> Iterator[Item | Skipped]:
    """The cuts of one manifest in its own order, one line in memory at a time."""
    if audio_root is None:
        base = manifest.absolute().parent
    else:
        base = local_folder(audio_root, "the folder that the manifest's audio paths start from")
    split = match[1] if (match := SPLIT.search(manifest.name.lower())) else None
    for where, cut in json_lines(manifest):
        if isinstance(cut, Skipped):
            yield cut
            continue
        try:
            item = _item(cut, base, split)
        except InputError as error:
            yield Skipped(where, str(error))
            continue
        if is_file(Path(item.uri)):
            yield item
        else:
            hint = f"{NO_FILE}; relative paths are taken below {shown(base)} (audio_root=FOLDER)"
            yield Skipped(shown(item.uri), hint)


def _item(cut: Any, base: Path, split: str | None) -> Item:
    """One cut. Raises InputError, saying what is wrong with it."""
    kind = _mapping(cut, "the line").get("type", "MonoCut")
    if kind not in ("MonoCut", "MultiCut"):
        raise InputError(f"a cut of type {brief(kind)}: expected a piece of one recording")
    recording = _mapping(cut.get("recording"), "recording")
    supervisions = cut.get("supervisions") or [{}]
    if not isinstance(supervisions, list):
        raise InputError(f"supervisions is {brief(supervisions)}: expected a list")
    first = _mapping(supervisions[0], "the first supervision")
    custom = {
        **_mapping(cut.get("custom") or {}, "the cut's custom"),
        **_mapping(first.get("custom") or {}, "the supervision's custom"),
    }
    captions = {
        kind: wordings
        for kind, keys in CAPTIONS.items()
        if (wordings := next(filter(None, (texts(custom.get(key), key) for key in keys)), ()))
    }
    labels = {
        key: found
        for key in LABELS
        if (found := text(custom.get(key) or first.get(key), key)) is not None
    }
    if "gender" in labels:
        gender = labels["gender"].lower()
        labels["gender"] = GENDERS.get(gender, gender)
    if not captions and not labels:
        raise InputError("no captions and no labels")
    start_s, end_s = _times(cut, recording)
    return Item(
        uri=str(base / _source(recording)),
        labels=labels,
        captions=captions,
        speaker=text(first.get("speaker"), "speaker"),
        split=split,
        start_s=start_s,
        end_s=end_s,
    )


def _source(recording: dict[str, Any]) -> str:
    sources = recording.get("sources")
    if not isinstance(sources, list) or len(sources) != 1:
        raise InputError(f"the recording's sources are {brief(sources)}: expected a list of one")
    source = _mapping(sources[0], "the recording's source")
    if source.get("type") != "file":
        raise InputError(f"a source of type {brief(source.get('type'))}: expected 'file'")
    if not (path := text(source.get("source"), "the source's path")):
        raise InputError("the source has no path")
    # A resampled recording is the same sound; one that is sped up or convolved is not its file.
    transforms = recording.get("transforms") or []
    for transform in transforms if isinstance(transforms, list) else [transforms]:
        name = transform.get("name") if isinstance(transform, dict) else transform
        if name != "Resample":
            raise InputError(
                f"the recording is changed ({brief(name)}): expected it as its file is"
            )
    return path


def _times(cut: dict[str, Any], recording: dict[str, Any]) -> tuple[float | None, float | None]:
    start = number(cut.get("start"), "start") or 0.0
    duration = number(cut.get("duration"), "duration")
    whole = number(recording.get("duration"), "the recording's duration")
    if duration is None:
        raise InputError("the cut has no duration")
    span(start, start + duration)
    if start == 0.0 and whole is not None and abs(duration - whole) < WHOLE_S:
        return None, None
    return start, round(start + duration, 6)


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{what} is {brief(value)}: expected an object")
    return value
