"""lhotse manifests (JSONL, maybe gzipped): the files of recordings, or of the recordings of cuts.

Sources of type `file` and `url` are listed; others (`command`, `memory`, `shar`) are refused,
never run. A file is listed once, whole and as it is: transforms are not applied, and segments
follow the run's own setting, not the cuts. What cuts say is metadata. Knows no lhotse, and nothing
of where files are.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.errors import FailureKind
from pipelines.sources.lists import json_objects
from pipelines.sources.rows import FILE, Row, Rows, refused

CUTS_BYTES = 48 << 10  # what cuts may say of one recording, as JSON
SOURCES = ("file", "url")


def is_manifest(value: dict[str, Any] | None) -> bool:
    """Whether the first object of a JSONL is a recording or a cut, which have no column of a
    list that names a file."""
    return (
        value is not None
        and value.keys().isdisjoint(FILE)
        and (isinstance(value.get("sources"), list) or _recordings(value) is not None)
    )


def rows(path: Path, called: str) -> Rows:
    """The files of a manifest, in its order. Holds the recordings of cuts, but no more than
    CUTS_BYTES of what is said of each."""

    def read() -> Iterator[Row]:
        found: dict[str, _Cuts] = {}
        for where, value in json_objects(path, called):
            if isinstance(value, Row):
                yield value
            elif isinstance(value.get("sources"), list):
                yield from _files(value, where, {})
            elif pieces := _recordings(value):
                for cut, recording in pieces:
                    key = repr(recording.get("sources"))
                    found.setdefault(key, _Cuts(recording)).add(cut)
            else:
                reason = "expected a recording with `sources`, or a cut with a recording"
                yield refused(where, FailureKind.UNSUPPORTED, reason, {})
        for each in found.values():
            yield from _files(each.recording, called, each.metadata())

    return read


@dataclass
class _Cuts:
    """A recording, and what its cuts say."""

    recording: dict[str, Any]
    said: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    left_out: int = 0

    def add(self, cut: dict[str, Any]) -> None:
        said = _said(cut)
        self.size += len(json.dumps(said))
        if self.size <= CUTS_BYTES:
            self.said.append(said)
        else:
            self.left_out += 1

    def metadata(self) -> dict[str, Any]:
        return {"cuts": self.said, **({"cuts_left_out": self.left_out} if self.left_out else {})}


def _recordings(value: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]] | None:
    """(cut, recording) of a cut, or of each track of a mixed one; None where it is no cut."""
    if isinstance(value.get("recording"), dict):
        return [(value, value["recording"])]
    tracks = value.get("tracks")
    if not isinstance(tracks, list):
        return None
    cuts = [track.get("cut") for track in tracks if isinstance(track, dict)]
    return [
        (cut, cut["recording"])
        for cut in cuts
        if isinstance(cut, dict) and isinstance(cut.get("recording"), dict)
    ] or None


def _files(recording: dict[str, Any], where: str, said: dict[str, Any]) -> Iterator[Row]:
    """One row for each source of a recording: several where channels lie in files of their own."""
    said = {"recording_id": recording.get("id"), **said}
    if recording.get("custom"):
        said["custom"] = recording["custom"]
    called = str(recording.get("id") or where)
    sources = recording.get("sources")
    if not isinstance(sources, list) or not sources:
        yield refused(called, FailureKind.UNSUPPORTED, "the recording has no sources", said)
        return
    for source in sources:
        source = source if isinstance(source, dict) else {}
        kind, name = source.get("type"), source.get("source")
        if kind not in SOURCES:
            reason = (
                f"a source of type {str(kind)[:40]!r}, which is never run or unpacked: expected "
                "'file' or 'url'. Save the audio to files first (lhotse: cuts.save_audios)"
            )
            yield refused(called, FailureKind.UNSUPPORTED, reason, said)
        elif not isinstance(name, str) or not name.strip():
            yield refused(called, FailureKind.UNREADABLE, "the source names no file", said)
        else:
            yield Row(name, said)


def _said(cut: dict[str, Any]) -> dict[str, Any]:
    """A cut in a recording's metadata: only what is set."""
    supervisions = cut.get("supervisions")
    spoken = [
        {key: each[key] for key in ("speaker", "text") if each.get(key) is not None}
        for each in (supervisions if isinstance(supervisions, list) else [])
        if isinstance(each, dict)
    ]
    said = {key: cut.get(key) for key in ("id", "start", "duration")}
    return {**said, **({"supervisions": spoken} if any(spoken) else {})}
