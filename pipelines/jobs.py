"""What travels between the driver and its workers: jobs, chunks, what became of files, rows.

Small, picklable, quick to import. Knows nothing of how work is done or where.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from pipelines import schemas
from pipelines.archive import FileEntry
from pipelines.audio_info import AudioInfo, Limits
from pipelines.errors import FailureKind, RecordingError
from pipelines.redaction import redacted
from pipelines.samples import Loudness
from pipelines.segments import Segment, SegmentPolicy
from pipelines.taxonomy import Taxonomy

# Bump when the same file would give other features: part of the model key.
PREPROCESSING = "p1"  # channel mean, one segment resampled alone by torchaudio's sinc, fbank


@dataclass(frozen=True)
class Job:
    """All a worker must know besides the files. Small and picklable: it travels to other nodes."""

    archive: str
    model: str  # what clsp.load takes
    model_key: str  # what the driver resolved it to; a worker that finds another refuses to start
    taxonomy: Taxonomy
    policy: SegmentPolicy
    run_id: str
    precision: str = "float32"  # one of clsp.checkpoint.PRECISIONS, part of the model key
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    batch_s: float | None = None  # audio in one batch, padding included; None: by device
    threads: int | None = None  # torch's; None leaves torch's own choice
    decode_threads: int = 2
    limits: Limits = field(default_factory=Limits)  # of one file
    known: frozenset[bytes] = frozenset()  # contents whose segments and embeddings the lake holds


@dataclass(frozen=True)
class Chunk:
    """Files processed, committed and retried together: minutes of work."""

    chunk_id: str
    entries: tuple[FileEntry, ...]


@dataclass
class ChunkResult:
    """A chunk's rows, ready to commit. tables: by name, in the lake's schemas."""

    chunk: Chunk
    tables: dict[str, pa.Table]
    tagged: int
    failed: int
    segments: int
    audio_s: float
    started_at: datetime
    known: tuple[tuple[FileEntry, str], ...] = ()  # no rows yet: files whose content job.known has
    gone: int = 0
    since: int | None = None  # no row of it was in the lake at this commit; None: ask the plan


@dataclass
class Outcome:
    """What became of one file."""

    entry: FileEntry
    content_hash: str | None = None
    info: AudioInfo | None = None
    duration_s: float = 0.0
    spans: list[tuple[Segment, Loudness]] = field(default_factory=list)  # samples dropped
    embeddings: dict[int, np.ndarray] = field(default_factory=dict)  # by segment index
    error: RecordingError | None = None  # why there is nothing of it
    truncated: RecordingError | None = None  # why there is only a part of it
    copy_of: "Outcome | None" = None  # the same bytes under another name in this chunk
    known: bool = False  # the same bytes are in the lake already
    resized: bool = False  # not as many bytes as listed

    @property
    def failure(self) -> RecordingError | None:
        """Why there are no rows; a copy shares the fate of what it copies."""
        return self.copy_of.error if self.copy_of else self.error

    @property
    def told(self) -> RecordingError | None:
        """What its row says: the failure, or the warning of what is tagged all the same."""
        return self.failure or (self.copy_of or self).truncated


def model_key(name: str, revision: str, precision: str = "float32") -> str:
    """Everything that an embedding depends on besides the audio."""
    return f"{name}@{revision[:16]}+{precision}+{PREPROCESSING}"


def parts_of(key: str) -> tuple[str, str, str]:
    """Name, revision and precision that `model_key` made a key of."""
    version, precision, _ = key.rsplit("+", 2)
    name, _, revision = version.rpartition("@")
    return name, revision, precision


def segment_id(content: str, start_sample: int, end_sample: int, channel: int | None = None) -> str:
    """32 hex digits naming a span of a content or of one of its channels, whatever cut it."""
    name = f"{content}:{start_sample}:{end_sample}"
    if channel is not None:
        name = f"{name}:{channel}"
    return blake2b(name.encode(), digest_size=16).hexdigest()


def told_of(uri: str, message: str | None, copied: str) -> str | None:
    """What was said of the file `copied`, by its name, as said of a copy of it."""
    was, name = (repr(PurePosixPath(each).name) for each in (copied, uri))
    return name + message.removeprefix(was) if message and message.startswith(was) else message


def _message(outcome: Outcome, error: RecordingError) -> str | None:
    """As said of the file itself; but of what it copies, where that could not be had."""
    message, copied = redacted(error.message), outcome.copy_of
    if copied is None or error.kind == FailureKind.UNREACHABLE:
        return message
    return told_of(outcome.entry.uri, message, copied.entry.uri)


def recordings_table(job: Job, chunk_id: str, outcomes: Iterable[Outcome]) -> pa.Table:
    """One row per file, tagged or failed."""
    now = datetime.now(UTC)
    rows = []
    for outcome in outcomes:
        told, failed = outcome.copy_of or outcome, outcome.failure is not None
        error = outcome.told
        info = told.info
        rows.append(
            {
                "archive": job.archive,
                "uri": outcome.entry.uri,
                "version": outcome.entry.version,
                "size_bytes": outcome.entry.size_bytes,
                "metadata": outcome.entry.metadata,
                "content_hash": outcome.content_hash,
                "container": info and info.container,
                "codec": info and info.codec,
                "sample_rate": info and info.sample_rate,
                "channels": info and info.channels,
                "duration_s": info and info.duration_s if failed else told.duration_s,
                "state": "failed" if failed else "tagged",
                "error_kind": error and str(error.kind),
                "error_message": error and _message(outcome, error),
                "limits": job.limits.key,
                "attempts": int(failed),  # those before are added where they are known: on commit
                "segments_policy": job.policy.key,
                "model_key": job.model_key,
                "taxonomy_key": job.taxonomy.key,
                "processed_at": now,
                "run_id": job.run_id,
                "chunk_id": chunk_id,
            }
        )
    return pa.Table.from_pylist(rows, schemas.RECORDINGS)


def halves(chunk: Chunk) -> list[Chunk]:
    """To find the file that kills whoever is given it."""
    middle = len(chunk.entries) // 2
    return [
        Chunk(f"{chunk.chunk_id}{side}", entries)
        for side, entries in (("a", chunk.entries[:middle]), ("b", chunk.entries[middle:]))
    ]


def lost(
    job: Job, chunk: Chunk, how: str, kind: FailureKind = FailureKind.WORKER_LOST
) -> ChunkResult:
    """The one file that killed its worker, alone, twice or more: a failure row."""
    text = (
        f"the worker died each time it was given this file ({how}); look at the file, or give "
        "workers more memory"
    )
    outcome = Outcome(chunk.entries[0], error=RecordingError(kind, text))
    rows = {"recordings": recordings_table(job, chunk.chunk_id, [outcome])}
    return ChunkResult(chunk, rows, 0, 1, 0, 0.0, datetime.now(UTC))
