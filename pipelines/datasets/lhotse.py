"""Captioned speech in lhotse cut manifests (JSONL, maybe gzipped), as ParaSpeechCaps and FCaps have
it: one cut a line, captions in the first supervision's `custom`.

Captions are `global_captions` and `finegrained_captions`; in older manifests `short_captions` and
`long_captions`. The published retrieval takes the FIRST global and the LAST fine-grained caption of
a clip; the order is kept. Reads JSON only: no lhotse, no pickles, no tars or Shar archives. Of a
cut with several supervisions it reads the first, as the authors do. It knows no channels: a cut of
one of several is skipped, since they are averaged where audio is read.
"""

import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

from clsp.errors import InputError
from pipelines.datasets.files import (
    NO_FILE,
    LeftOut,
    brief,
    in_order,
    is_file,
    json_lines,
    label,
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
# A whole word of the file's name, as it stands there; `latest`, `validated` and `trained` are none.
SPLITS = ("train", "dev", "valid", "validation", "val", "test", "eval", "holdout")
SPLIT = re.compile(rf"(?<![^\W\d_])({'|'.join(SPLITS)})(?![^\W\d_])")
WHOLE_S = 0.001  # a cut this close to its recording's duration is the whole of it


def read(root: str | Path, *, audio_root: str | Path | None = None) -> Dataset:
    """A manifest, or all `*.jsonl` and `*.jsonl.gz` in a folder; of two that differ by `.gz` alone,
    the one without. A cut that comes twice in a split is read once.

    Relative audio paths are taken below `audio_root`, else below the manifest's folder. In FCaps
    they begin with `download/`, so there it is the folder that holds `data/` and `download/`.
    """
    path = local_path(root)
    manifests, copies = [path], list[Path]()
    if path.is_dir():
        plain, packed = sorted(path.glob("*.jsonl")), sorted(path.glob("*.jsonl.gz"))
        copies = [file for file in packed if file.with_suffix("") in plain]
        manifests = sorted({*plain, *packed} - {*copies})
    if not manifests or not all(map(is_file, manifests)):
        raise InputError(
            f"no manifest at {str(root)!r}: expected a .jsonl or .jsonl.gz file of lhotse cuts, "
            "or a folder of such files"
        )
    seen: dict[Hashable, str] = {}
    found: list[Item | Skipped] = [
        Skipped(shown(file), f"packed: {file.stem} beside it is read. Remove one, or rename it")
        for file in copies
    ]
    for manifest in manifests:
        found += stream(manifest, audio_root, seen)
    return in_order(path.name.split(".jsonl")[0], found, f"{path}: no line in it")


def stream(
    manifest: Path,
    audio_root: str | Path | None = None,
    seen: dict[Hashable, str] | None = None,
) -> Iterator[Item | Skipped]:
    """The cuts of one manifest in its own order, one line in memory at a time; last, which values
    were left out. `seen` knows the cuts that were met, and where: here, and in other manifests."""
    if audio_root is None:
        base = manifest.absolute().parent
    else:
        base = local_folder(audio_root, "the folder that the manifest's audio paths start from")
    split = match[1] if (match := SPLIT.search(manifest.name.lower())) else None
    seen = {} if seen is None else seen
    left_out = LeftOut()
    for where, cut in json_lines(manifest):
        if isinstance(cut, Skipped):
            yield cut
            continue
        try:
            item, unfit = _item(cut, base, split)
        except InputError as error:
            yield Skipped(where, str(error))
            continue
        if not is_file(Path(item.uri)):
            hint = f"{NO_FILE}; relative paths are taken below {shown(base)} (audio_root=FOLDER)"
            yield Skipped(shown(item.uri), hint)
            continue
        if cut.get("id") is not None:
            key = str(cut["id"]), item.uri, item.start_s, item.end_s, split
            if (first := seen.setdefault(key, where)) != where:
                yield Skipped(where, f"cut {brief(cut['id'])} of the same audio is in {first} too")
                continue
        for name, reason in unfit.items():
            left_out.add(name, where, reason)
        yield item
    yield from left_out.told()


def _item(cut: Any, base: Path, split: str | None) -> tuple[Item, dict[str, str]]:
    """One cut, and why a label is left out, by its name. Raises InputError, saying what is wrong
    with the cut."""
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
    values = {
        key: first.get(key) if custom.get(key) in (None, "", [], {}) else custom[key]
        for key in LABELS
    }
    labels, unfit = dict[str, str](), dict[str, str]()
    for key, value in {**values, "speaker": first.get("speaker")}.items():
        try:
            if found := label(value, key):
                labels[key] = found
        except InputError as error:
            unfit[key] = str(error)
    speaker = labels.pop("speaker", None)
    if "gender" in labels:
        gender = labels["gender"].lower()
        labels["gender"] = GENDERS.get(gender, gender)
    if not captions and not labels:
        raise InputError("no captions and no labels")
    start_s, end_s = _times(cut, recording)
    item = Item(
        uri=str(base / _source(recording, cut.get("channel"))),
        labels=labels,
        captions=captions,
        speaker=speaker,
        split=split,
        start_s=start_s,
        end_s=end_s,
    )
    return item, unfit


def _source(recording: dict[str, Any], channel: Any) -> str:
    sources = recording.get("sources")
    if not isinstance(sources, list) or len(sources) != 1:
        raise InputError(f"the recording's sources are {brief(sources)}: expected a list of one")
    source = _mapping(sources[0], "the recording's source")
    if source.get("type") != "file":
        raise InputError(f"a source of type {brief(source.get('type'))}: expected 'file'")
    if not (path := text(source.get("source"), "the source's path")):
        raise InputError("the source has no path")
    there = source.get("channels")
    there = there if isinstance(there, list) else [there]
    chosen = channel if isinstance(channel, list) else [channel]
    if len(there) > 1 and channel is not None and not all(each in chosen for each in there):
        raise InputError(
            f"channel {brief(channel)} of a recording with channels {brief(there)}: all are "
            "averaged here. Write the channel to a file of its own, and name that"
        )
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
