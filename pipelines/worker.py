"""The fat worker: files in; decode threads, length-sorted batches, embeddings, labels; tables out.

One class for every executor, so the answers cannot depend on which one runs it. Audio never leaves
it. Knows nothing of lakes, plans or Ray.
"""

import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines import schemas
from pipelines.archive import FileEntry, content_hash, open_local
from pipelines.audio import AudioInfo, Loudness, loudness, open_recording, to_16k
from pipelines.errors import FailureKind, RecordingError
from pipelines.segments import Segment, SegmentPolicy, cut
from pipelines.taxonomy import Taxonomy

# Bump when the same file would give other features: part of the model key.
PREPROCESSING = "p1"  # channel mean, one segment resampled alone by torchaudio's sinc, fbank

WINDOW_S = 600.0  # audio held as features while it is sorted by length: about 30 MB
QUEUED_SEGMENTS = 4  # per file that a thread decodes ahead


@dataclass(frozen=True)
class Job:
    """All a worker must know besides the files. Small and picklable: it travels to other nodes."""

    archive: str
    model: str  # what clsp.load takes
    model_key: str  # what the driver resolved it to; a worker that finds another refuses to start
    taxonomy: Taxonomy
    policy: SegmentPolicy
    run_id: str
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    batch_s: float = 60.0  # audio in one batch, padding included
    threads: int | None = None  # torch's; None leaves torch's own choice
    decode_threads: int = 2


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


@dataclass
class Outcome:
    """What became of one file."""

    entry: FileEntry
    content_hash: str | None = None
    info: AudioInfo | None = None
    duration_s: float = 0.0
    spans: list[tuple[Segment, Loudness]] = field(default_factory=list)  # samples dropped
    embeddings: dict[int, np.ndarray] = field(default_factory=dict)  # by segment index
    error: RecordingError | None = None
    copy_of: "Outcome | None" = None  # the same bytes under another name in this chunk


def model_key(name: str, revision: str, precision: str = "float32") -> str:
    """Everything that an embedding depends on besides the audio."""
    return f"{name}@{revision[:16]}+{precision}+{PREPROCESSING}"


def segment_id(content: str, start_sample: int, end_sample: int) -> str:
    """32 hex digits naming a span of a content, whatever policy cut it."""
    return blake2b(f"{content}:{start_sample}:{end_sample}".encode(), digest_size=16).hexdigest()


class Worker:
    """Holds the model. `process` may be called any number of times, from one thread."""

    def __init__(self, job: Job) -> None:
        import torch

        import clsp
        from pipelines.label import Labeller

        if job.threads:
            torch.set_num_threads(job.threads)
        self.job = job
        device = job.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = clsp.load(job.model, device=device)
        self.dim = self.model.config.joint_dim
        found = model_key(self.model.checkpoint.name, self.model.checkpoint.revision)
        if found != job.model_key:
            from clsp.errors import CheckpointMismatch

            raise CheckpointMismatch(
                f"model {job.model!r} is {found} here; the driver planned with {job.model_key}. "
                "Give every node the same files"
            )
        self.labeller = Labeller(self.model, job.taxonomy)

    def ping(self) -> str:
        """Proof of life for whoever started this worker elsewhere."""
        return self.job.model_key

    def process(
        self, chunk: Chunk, on_file: Callable[[float], None] = lambda audio_s: None
    ) -> ChunkResult:
        """Every file of the chunk ends as rows or as a recorded failure.

        on_file is called after each file with the audio seconds it held.
        """
        started = datetime.now(UTC)
        outcomes: list[Outcome] = []
        window: list[tuple[Outcome, int, np.ndarray]] = []
        held_s = 0.0
        for outcome, segments in self._decoded(chunk.entries):
            outcomes.append(outcome)
            try:
                for index, (duration_s, features) in enumerate(segments):
                    window.append((outcome, index, features))
                    held_s += duration_s
                    if held_s >= WINDOW_S:
                        self._embed(window)
                        window, held_s = [], 0.0
            except RecordingError as error:
                outcome.error = error
            on_file(outcome.duration_s)
        self._embed(window)
        return self._result(chunk, outcomes, started)

    # ---- decoding ---------------------------------------------------------------------------

    def _decoded(
        self, entries: Iterable[FileEntry]
    ) -> Iterator[tuple[Outcome, Iterator[tuple[float, np.ndarray]]]]:
        """Files in order, each with its segments' features, decoded ahead in threads.

        A long recording is never held: its thread waits once a few segments are queued.
        """
        stop = Event()
        first: dict[str, Outcome] = {}
        with ThreadPoolExecutor(self.job.decode_threads, "decode") as pool:
            try:
                ahead: list[tuple[Outcome, queue.Queue[Any]]] = []
                for entry in entries:
                    outcome = Outcome(entry)
                    ready: queue.Queue[Any] = queue.Queue(maxsize=QUEUED_SEGMENTS)
                    pool.submit(self._decode, outcome, ready, stop)
                    ahead.append((outcome, ready))
                    if len(ahead) > 2 * self.job.decode_threads:
                        yield self._next(*ahead.pop(0), first)
                while ahead:
                    yield self._next(*ahead.pop(0), first)
            finally:
                stop.set()

    def _next(
        self, outcome: Outcome, ready: "queue.Queue[Any]", first: dict[str, Outcome]
    ) -> tuple[Outcome, Iterator[tuple[float, np.ndarray]]]:
        def segments() -> Iterator[tuple[float, np.ndarray]]:
            while (item := ready.get()) is not None:
                if isinstance(item, RecordingError):
                    raise item
                yield item

        def drained() -> Iterator[tuple[float, np.ndarray]]:
            for _ in segments():
                pass
            yield from ()

        head = ready.get()  # the content hash, or the error that kept it from being read
        if isinstance(head, RecordingError):
            outcome.error = head
            return outcome, iter(())
        if head in first:
            outcome.copy_of = first[head]
            return outcome, drained()
        first[head] = outcome
        return outcome, segments()

    def _decode(self, outcome: Outcome, ready: "queue.Queue[Any]", stop: Event) -> None:
        """Runs in a thread. Puts the content hash, then (seconds, features) each, then None; or a
        RecordingError instead of what it could not give."""

        def put(item: Any) -> None:
            while not stop.is_set():
                try:
                    return ready.put(item, timeout=0.2)
                except queue.Full:
                    continue
            raise _Stopped

        import torch

        from clsp.features import fbank

        try:
            with open_local(outcome.entry) as path:
                outcome.content_hash = content_hash(path)
                put(outcome.content_hash)
                with open_recording(path) as recording:
                    outcome.info = recording.info
                    for segment in cut(self.job.policy, recording):
                        samples, rate = segment.samples, segment.sample_rate
                        features = fbank(torch.from_numpy(to_16k(samples, rate)))
                        outcome.spans.append((segment.without_samples(), loudness(samples, rate)))
                        outcome.duration_s = segment.end_s
                        put((segment.end_s - segment.start_s, features.numpy()))
            put(None)
        except _Stopped:
            return
        except RecordingError as error:
            _put_last(ready, error, stop)
        except Exception as error:  # the boundary of one file: whatever it is, it costs that file
            kind = FailureKind.UNREADABLE if isinstance(error, OSError) else FailureKind.INTERNAL
            _put_last(ready, RecordingError(kind, f"{type(error).__name__}: {error}"), stop)

    # ---- embedding --------------------------------------------------------------------------

    def _embed(self, window: list[tuple[Outcome, int, np.ndarray]]) -> None:
        """Fill in the embeddings of segments gathered over many files, longest first, in batches
        of like lengths."""
        import torch

        order = sorted(range(len(window)), key=lambda i: -len(window[i][2]))  # stable
        budget = self.job.batch_s * 100  # frames of 10 ms
        with torch.inference_mode():
            for batch in batches([len(window[i][2]) for i in order], budget):
                members = [window[order[i]] for i in batch]
                vectors = self.model.embed_features([torch.from_numpy(f) for _, _, f in members])
                for (outcome, index, _), vector in zip(
                    members, vectors.float().cpu().numpy(), strict=True
                ):
                    outcome.embeddings[index] = vector

    # ---- tables -----------------------------------------------------------------------------

    def _result(self, chunk: Chunk, outcomes: list[Outcome], started: datetime) -> ChunkResult:
        from pipelines.label import labels_table, pack

        good = [o for o in outcomes if o.error is None and o.copy_of is None]
        spans = [(o, i) for o in good for i in range(len(o.spans))]
        ids = [
            segment_id(str(o.content_hash), o.spans[i][0].start_sample, o.spans[i][0].end_sample)
            for o, i in spans
        ]
        vectors = np.array([o.embeddings[i] for o, i in spans], np.float32).reshape(-1, self.dim)
        n, key = len(spans), self.job.model_key
        tables = {
            "recordings": recordings_table(self.job, chunk.chunk_id, outcomes),
            "segments": pa.Table.from_pylist(
                [
                    {
                        "segment_id": id_,
                        "content_hash": o.content_hash,
                        "segments_policy": self.job.policy.key,
                        "start_s": o.spans[i][0].start_s,
                        "end_s": o.spans[i][0].end_s,
                        **asdict(o.spans[i][1]),
                        "chunk_id": chunk.chunk_id,
                    }
                    for id_, (o, i) in zip(ids, spans, strict=True)
                ],
                schemas.SEGMENTS,
            ),
            "embeddings": pa.Table.from_pydict(
                {
                    "segment_id": ids,
                    "model_key": [key] * n,
                    "embedding": pack(vectors),
                    "chunk_id": [chunk.chunk_id] * n,
                },
                schemas.EMBEDDINGS,
            ),
            "labels": labels_table(self.labeller, vectors, ids, key, chunk.chunk_id),
        }
        failed = sum(_error(o) is not None for o in outcomes)
        return ChunkResult(
            chunk=chunk,
            tables=tables,
            tagged=len(outcomes) - failed,
            failed=failed,
            segments=n,
            audio_s=float(sum(o.duration_s for o in good)),
            started_at=started,
        )


class _Stopped(Exception):
    """The consumer went away; a decode thread ends quietly."""


def _put_last(ready: "queue.Queue[Any]", item: RecordingError, stop: Event) -> None:
    while not stop.is_set():
        try:
            return ready.put(item, timeout=0.2)
        except queue.Full:
            continue


def _error(outcome: Outcome) -> RecordingError | None:
    return outcome.copy_of.error if outcome.copy_of else outcome.error


def recordings_table(job: Job, chunk_id: str, outcomes: Iterable[Outcome]) -> pa.Table:
    """One row per file, tagged or failed."""
    now = datetime.now(UTC)
    rows = []
    for outcome in outcomes:
        told = outcome.copy_of or outcome
        info, error = told.info, told.error
        rows.append(
            {
                "archive": job.archive,
                "uri": outcome.entry.uri,
                "version": outcome.entry.version,
                "size_bytes": outcome.entry.size_bytes,
                "content_hash": outcome.content_hash,
                "container": info and info.container,
                "codec": info and info.codec,
                "sample_rate": info and info.sample_rate,
                "channels": info and info.channels,
                "duration_s": told.duration_s if error is None else info and info.duration_s,
                "state": "tagged" if error is None else "failed",
                "error_kind": error and str(error.kind),
                "error_message": error and error.message,
                "segments_policy": job.policy.key,
                "model_key": job.model_key,
                "taxonomy_key": job.taxonomy.key,
                "processed_at": now,
                "run_id": job.run_id,
                "chunk_id": chunk_id,
            }
        )
    return pa.Table.from_pylist(rows, schemas.RECORDINGS)


def batches(lengths: list[int], budget: float) -> Iterator[range]:
    """Cut lengths sorted downwards into runs whose padded size stays within the budget; one that
    is longer than the budget goes alone."""
    start = 0
    while start < len(lengths):
        size = max(1, int(budget // max(1, lengths[start])))
        end = min(len(lengths), start + size)
        yield range(start, end)
        start = end
