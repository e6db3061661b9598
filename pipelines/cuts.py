"""Clips of a data set as files: whole files as they are, spans of longer ones cut out of them.

A longer file is read once, up to the end of its last span; the spans are float WAV files in a
temporary folder, sample for sample. Knows nothing of labels or models.
"""

import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import numpy as np

from pipelines.archive import FileEntry, open_local
from pipelines.audio import open_recording
from pipelines.errors import FailureKind, RecordingError
from pipelines.segments import MAX_WHOLE_S

HELD_S = 1800.0  # of spans kept as files at once: some 350 MB at 48 kHz
TOLERANCE_S = 0.25  # a span may end this much past its file: data sets round

Key = tuple[str, float | None, float | None]  # uri, start_s, end_s: what a clip is known by
Failed = tuple[str, str]  # kind, message
File = tuple[Key, str]  # a clip, and the file that holds it and nothing else


@dataclass
class _Span:
    key: Key
    start_s: float
    end_s: float  # inf: to the end of the file
    parts: list[np.ndarray] = field(default_factory=list)

    def take(self, block: np.ndarray, at: int, rate: int) -> None:
        """Keep what lies in the span of a block that begins at sample `at`."""
        first, last = round(self.start_s * rate), self.last(rate)
        # One sample past the most is enough to know that it is too long.
        last = int(min(last, first + MAX_WHOLE_S * rate + 1))
        self.parts.append(block[max(0, first - at) : max(0, last - at)])

    def last(self, rate: int) -> float:
        return inf if self.end_s == inf else round(self.end_s * rate)


def files(
    clips: Iterable[Key],
    failed: dict[Key, Failed],
    on_failed: Callable[[float], None] = lambda seconds: None,
) -> Iterator[list[File]]:
    """The clips as files, in batches: a batch's files are gone when the next is asked for.

    Spans that cannot be had are put into `failed`; what whole files hold is not looked at here.
    """
    whole: list[File] = []
    spans: dict[str, list[Key]] = defaultdict(list)
    for key in clips:
        if key[1] is None and key[2] is None:
            whole.append((key, key[0]))
        else:
            spans[key[0]].append(key)
    if whole:
        yield whole
    waiting = list(spans.items())[::-1]
    while waiting:
        with tempfile.TemporaryDirectory(prefix="clsp-") as folder:
            batch: list[File] = []
            held_s = 0.0
            while waiting and held_s < HELD_S:
                uri, wanted = waiting.pop()
                place = Path(folder) / str(len(waiting))
                place.mkdir()
                try:
                    cut, seconds = _cut(uri, wanted, place, failed)
                except RecordingError as error:  # what was cut before it broke off is dropped
                    failed |= {key: (str(error.kind), error.message) for key in wanted}
                    cut, seconds = [], 0.0
                batch += cut
                held_s += seconds
                for _ in range(len(wanted) - len(cut)):
                    on_failed(0.0)
            if batch:
                yield batch


def _cut(
    uri: str, keys: Sequence[Key], folder: Path, failed: dict[Key, Failed]
) -> tuple[list[File], float]:
    """Spans of one file, and their seconds. Raises RecordingError where it cannot be read so far
    as the spans want it."""
    spans = []
    for key in keys:
        start_s, end_s = key[1] or 0.0, inf if key[2] is None else key[2]
        if 0 <= start_s < end_s:
            spans.append(_Span(key, start_s, end_s))
        else:
            failed[key] = str(FailureKind.EMPTY), f"a span from {start_s} s to {end_s} s is none."
    spans.sort(key=lambda span: span.start_s)
    done: list[File] = []
    seconds, at = 0.0, 0
    if not spans:
        return done, seconds
    with open_local(FileEntry(uri, uri, 0, "")) as path, open_recording(path) as recording:
        rate = recording.info.sample_rate

        def write(span: _Span) -> None:
            nonlocal seconds
            samples = np.concatenate([np.empty(0, np.float32), *span.parts])
            span.parts.clear()
            if why := _wrong(span, len(samples) / rate, at / rate):
                failed[span.key] = str(why[0]), f"{path.name!r}: {why[1]}."
                return
            # The message of a failure later on names this file. A name has at most 255 bytes.
            stem = os.fsencode(path.stem)[-120:].decode(errors="ignore")
            file = folder / f"{stem} {span.start_s:g}-{span.end_s:g} s {len(done)}"
            _write(file, samples, rate)
            done.append((span.key, str(file)))
            seconds += len(samples) / rate

        for block in recording.blocks():
            for span in spans:
                if span.start_s * rate > at + len(block):
                    break
                span.take(block, at, rate)
            at += len(block)
            for span in [span for span in spans if span.last(rate) <= at]:
                write(span)
                spans.remove(span)
            if not spans:
                break
        for span in spans:
            write(span)
    return done, seconds


def _write(file: Path, samples: np.ndarray, rate: int) -> None:
    import soundfile

    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")


def _wrong(span: _Span, held_s: float, read_s: float) -> tuple[FailureKind, str] | None:
    if held_s > MAX_WHOLE_S:
        return FailureKind.TOO_LONG, f"a span of more than {MAX_WHOLE_S:g} s, the most for a clip"
    if not held_s:
        return FailureKind.EMPTY, f"it ends after {read_s:.2f} s, the span begins later"
    if span.end_s < inf and read_s + TOLERANCE_S < span.end_s:
        text = f"it ends after {read_s:.2f} s, the span after {span.end_s:.2f} s"
        return FailureKind.TRUNCATED, text
    return None
