"""Robustness on a folder of recordings: which clips are heard, and what could not be used.

Knows files and how they are opened; the measuring is done in clsp/robustness.py. Knows nothing of
terminals.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from clsp.errors import InputError
from clsp.robustness import Row, Worded, embed, perturbed, worded
from pipelines.archive import FileEntry, list_archive, open_local
from pipelines.audio import open_recording
from pipelines.errors import FailureKind, RecordingError
from pipelines.models import load
from pipelines.samples import SILENT_DBFS, loudness, to_16k
from pipelines.segments import SegmentPolicy, cut

HEARD_S = 10  # from the start of each recording: its first segment under this policy
MIN_S = 1.0  # half of less says little
MANIFEST = "manifest.jsonl"
DEFAULT_DATA = "data/tiny-heldout"


@dataclass(frozen=True)
class Perturbation:
    """clips: how many were heard; failures: uri, error_kind, error_message of those that could not
    be."""

    rows: tuple[Row, ...]
    clips: int
    failures: tuple[dict[str, str], ...]


def perturbation(
    paths: Sequence[str],
    model: str = "tiny",
    seed: int = 0,
    limit: int = 200,
    on_clip: Callable[[], object] = lambda: None,
    precision: str = "float32",
) -> Perturbation:
    """Up to `limit` recordings of the files and folders, drawn with the seed, the first 10 s each.

    Recordings of under a second, silent ones and copies of one already heard are passed over and
    told. Raises ArchiveNotFound, ModelNotFound, and InputError where nothing is left, or for a
    precision that there is not.
    """
    if limit < 1:
        raise InputError(f"limit {limit}: expected at least 1")
    loaded = load(model, precision=precision)
    named = {entry.path: (uri, entry) for path in paths for uri, entry in _entries(path)}
    order = sorted(named.values(), key=lambda item: item[0])
    clips: dict[str, np.ndarray] = {}
    samples: dict[bytes, str] = {}
    failures: dict[str, dict[str, str]] = {}
    for place in np.random.default_rng(seed).permutation(len(order)):
        uri, entry = order[int(place)]
        try:
            clip = hear(entry)
            first = samples.setdefault(sha256(clip.tobytes()).digest(), uri)
            if first != uri:
                text = f"the same samples as {first!r}"
                raise RecordingError(FailureKind.UNSUPPORTED, text)
            clips[uri] = clip
        except RecordingError as error:
            failures[uri] = {
                "uri": uri,
                "error_kind": error.kind.value,
                "error_message": error.message,
            }
        if len(clips) == limit:
            break
    if not clips:
        raise InputError(
            f"{len(order)} files in {list(paths)}, and none with {MIN_S:g} s of sound: expected "
            "recordings of speech"
        )
    heard = [clips[uri] for uri in sorted(clips)]
    rows = perturbed(loaded, heard, seed, on_clip)
    return Perturbation(tuple(rows), len(clips), tuple(failures[uri] for uri in sorted(failures)))


def _entries(path: str) -> Iterator[tuple[str, FileEntry]]:
    """By the path as given: two folders may hold a file of one name."""
    for entry in list_archive(path):
        yield path if Path(path).is_file() else f"{path.rstrip('/')}/{entry.uri}", entry


def hear(entry: FileEntry) -> np.ndarray:
    """The first 10 s as float32 (samples,) at 16 kHz. Raises RecordingError: also for under a
    second, and for silence."""
    with open_local(entry) as path, open_recording(path) as recording:
        segment = next(cut(SegmentPolicy(HEARD_S, HEARD_S), recording))
        if recording.truncated is not None:
            raise recording.truncated
    seconds = len(segment.samples) / segment.sample_rate
    if seconds < MIN_S:
        raise RecordingError(FailureKind.TOO_SHORT, f"{entry.uri!r}: {seconds:.2f} s long")
    if loudness(segment.samples, segment.sample_rate).rms_dbfs < SILENT_DBFS:
        raise RecordingError(FailureKind.SILENT, f"{entry.uri!r}: its first {HEARD_S} s are silent")
    return to_16k(segment.samples, segment.sample_rate)


def wording(
    model: str = "tiny", data: str = DEFAULT_DATA, seed: int = 0, precision: str = "float32"
) -> list[Worded]:
    """Every question in many wordings on labelled clips: a folder with `manifest.jsonl`, a line per
    clip: {"file": ..., "speaker": ..., ATTRIBUTE: CLASS ...}. The default folder is made where it
    is missing. Raises InputError for a manifest that cannot be used, or a precision that there is
    not."""
    folder = Path(data)
    if not (folder / MANIFEST).is_file():
        if data != DEFAULT_DATA:
            raise InputError(f"{folder / MANIFEST} is missing: expected a line of JSON per clip")
        from clsp.training.heldout import ensure

        folder = ensure(folder)
    loaded = load(model, precision=precision)
    rows = _manifest(folder / MANIFEST)
    clips = [_whole(folder / row["file"]) for row in rows]
    results = worded(loaded, embed(loaded, clips), rows, [row.get("speaker") for row in rows], seed)
    if not results:
        raise InputError(f"{folder / MANIFEST} has no attribute with two classes")
    return results


def _manifest(path: Path) -> list[dict[str, str]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict) or not isinstance(row.get("file"), str):
            raise InputError(f'{path}, line {number}: expected {{"file": ..., ATTRIBUTE: CLASS}}')
        rows.append(row)
    if not rows:
        raise InputError(f"{path} is empty: expected a line of JSON per clip")
    return rows


def _whole(path: Path) -> np.ndarray:
    with open_recording(path) as recording:
        samples = np.concatenate(list(recording.blocks()))
    return to_16k(samples, recording.info.sample_rate)
