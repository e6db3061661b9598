"""The fat worker: files in; decode threads, length-sorted batches, embeddings, labels; tables out.

One class for every executor, so the answers cannot depend on which one runs it. Audio never leaves
it. Knows nothing of lakes, plans or Ray.
"""

import queue
import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa

from clsp.errors import CheckpointMismatch, TransientError
from pipelines import faults, memory, metrics, schemas
from pipelines.archive import FileEntry, content_hash, open_local
from pipelines.audio import open_recording
from pipelines.errors import ArchiveUnreachable, FailureKind, RecordingError
from pipelines.jobs import (
    Chunk,
    ChunkResult,
    Job,
    Outcome,
    model_key,
    recordings_table,
    segment_id,
)
from pipelines.samples import loudness, to_16k
from pipelines.segments import cut

# Seconds of audio in a batch where nobody says. A CPU gains nothing from larger ones, and loses by
# padding; a GPU is idle below.
BATCH_S = {"cpu": 30.0, "cuda": 240.0}
WINDOW_S = 1200.0  # audio held as features while it is sorted by length: 61 MB
QUEUED_SEGMENTS = 4  # per file that a thread decodes ahead
FETCH_ATTEMPTS = 3  # of one file from a store that does not answer
FETCH_WAIT_S = 0.5  # before the second; twice as long before each that follows


class Worker:
    """Holds the model. `process` may be called any number of times, from one thread."""

    def __init__(self, job: Job) -> None:
        memory.keep_one_arena()  # before torch and the decoders make their threads
        import torch

        import clsp
        from pipelines.label import Labeller

        if job.threads:
            torch.set_num_threads(job.threads)
        self.job = job
        device = job.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = clsp.load(job.model, device=device, precision=job.precision)
        self.dim = self.model.config.joint_dim
        checkpoint = self.model.checkpoint
        found = model_key(checkpoint.name, checkpoint.revision, job.precision)
        if found != job.model_key:
            raise CheckpointMismatch(
                f"model {job.model!r} is {found} here; the driver planned with {job.model_key}. "
                "Give every node the same files"
            )
        self.labeller = Labeller(self.model, job.taxonomy)
        faults.reach("worker.ready")

    def process(
        self, chunk: Chunk, on_file: Callable[[float], None] = lambda audio_s: None
    ) -> ChunkResult:
        """Every file of the chunk ends as rows or as a recorded failure.

        on_file is called after each file with the audio seconds it held.
        """
        faults.reach("worker.chunk")
        started = datetime.now(UTC)
        outcomes: list[Outcome] = []
        window: list[tuple[Outcome, int, np.ndarray]] = []
        held_s = 0.0
        for outcome, segments in self._decoded(chunk.entries):
            outcomes.append(outcome)
            for index, (duration_s, features) in enumerate(segments):
                window.append((outcome, index, features))
                held_s += duration_s
                if held_s >= WINDOW_S:
                    self._embed(window)
                    window, held_s = [], 0.0
            failed = outcome.failure
            state = "failed" if failed else "known" if outcome.known else "tagged"
            metrics.file_done(state, outcome.duration_s, str(failed.kind) if failed else None)
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
                        metrics.queued(sum(items.qsize() for _, items in ahead))
                        yield self._next(*ahead.pop(0), first)
                while ahead:
                    yield self._next(*ahead.pop(0), first)
            finally:
                stop.set()

    def _next(
        self, outcome: Outcome, ready: "queue.Queue[Any]", first: dict[str, Outcome]
    ) -> tuple[Outcome, Iterator[tuple[float, np.ndarray]]]:
        def drained() -> Iterator[Any]:
            for _ in segments:
                pass
            yield from ()

        segments = iter(ready.get, None)
        content = next(segments, None)
        if content is None:
            return outcome, iter(())
        if outcome.known:
            return outcome, drained()
        if content in first:
            outcome.copy_of = first[content]
            return outcome, drained()
        first[content] = outcome
        return outcome, segments

    def _decode(self, outcome: Outcome, ready: "queue.Queue[Any]", stop: Event) -> None:
        """Runs in a thread, until the file is done or nobody wants it any more."""
        for item in self._items(outcome):
            while not stop.is_set():
                try:
                    ready.put(item, timeout=0.2)
                    break
                except queue.Full:
                    continue
            else:
                return

    def _items(self, outcome: Outcome) -> Iterator[Any]:
        """The content hash, then (seconds, features) of each segment, then None; sooner, when
        `outcome.error` says why the rest could not be had. Known content is not decoded."""
        import torch

        from clsp.features import fbank

        try:
            # Before a long download; some stores tell no size.
            self.job.limits.check_bytes(outcome.entry.uri, outcome.entry.size_bytes)
            with fetched(outcome.entry) as path:
                outcome.content_hash = content_hash(path)
                outcome.resized = path.stat().st_size != outcome.entry.size_bytes
                outcome.known = bytes.fromhex(outcome.content_hash) in self.job.known
                faults.reach("worker.fetched")
                yield outcome.content_hash
                if not outcome.known:
                    with open_recording(path, self.job.limits) as recording:
                        outcome.info = recording.info
                        for segment in cut(self.job.policy, recording):
                            samples, rate = segment.samples, segment.sample_rate
                            features = fbank(torch.from_numpy(to_16k(samples, rate)))
                            level = loudness(samples, rate)
                            outcome.spans.append((segment.without_samples(), level))
                            yield segment.end_s - segment.start_s, features.numpy()
                        outcome.duration_s = recording.decoded_s
                        outcome.truncated = recording.truncated
                        faults.reach("worker.decoded")
        except RecordingError as error:
            # Not itself: its traceback holds the frames it passed, and they the samples, in a
            # cycle that only the garbage collector would end.
            error.__traceback__ = None
            outcome.error = RecordingError(error.kind, error.message)
        except Exception as error:  # the boundary of one file: whatever it is, it costs that file
            outcome.error = RecordingError(_kind(error), f"{type(error).__name__}: {error}")
        yield None

    # ---- embedding --------------------------------------------------------------------------

    def _embed(self, window: list[tuple[Outcome, int, np.ndarray]]) -> None:
        """Fill in the embeddings of segments gathered over many files, longest first, in batches
        of like lengths."""
        import torch

        order = sorted(range(len(window)), key=lambda i: -len(window[i][2]))  # stable
        budget = (self.job.batch_s or BATCH_S[self.model.device.type]) * 100  # frames of 10 ms
        with torch.inference_mode():
            for batch in batches([len(window[i][2]) for i in order], budget):
                members = [window[order[i]] for i in batch]
                with metrics.batch():
                    made = self.model.embed_features([torch.from_numpy(f) for _, _, f in members])
                    vectors = made.float().cpu().numpy()  # a GPU is waited for here
                for (outcome, index, _), vector in zip(members, vectors, strict=True):
                    outcome.embeddings[index] = vector
                faults.reach("worker.embedded")
        memory.give_back()

    # ---- tables -----------------------------------------------------------------------------

    def _result(self, chunk: Chunk, outcomes: list[Outcome], started: datetime) -> ChunkResult:
        from pipelines.label import labels_table, pack

        known = tuple((o.entry, str(o.content_hash)) for o in outcomes if o.known)
        resized = any(o.resized for o in outcomes)
        outcomes = [o for o in outcomes if not o.known]
        good = [o for o in outcomes if o.error is None and o.copy_of is None]
        spans = [(o, i) for o in good for i in range(len(o.spans))]
        ids = [
            segment_id(str(o.content_hash), span.start_sample, span.end_sample, span.channel)
            for o, i in spans
            for span in [o.spans[i][0]]
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
                        "channel": o.spans[i][0].channel,
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
        failed = sum(o.failure is not None for o in outcomes)
        faults.reach("worker.result")
        return ChunkResult(
            chunk=chunk,
            tables=tables,
            tagged=len(outcomes) - failed,
            failed=failed,
            segments=n,
            audio_s=float(sum(o.duration_s for o in good)),
            started_at=started,
            known=known,
            since=0 if resized else None,  # job.known was not made for it
        )


@contextmanager
def fetched(entry: FileEntry) -> Iterator[Path]:
    """`open_local`; a store that does not answer is asked again, waiting longer each time.

    Raises RecordingError: also unreachable, when it never did.
    """
    waits = random.Random(entry.uri)  # many files must not come back at the same moment
    with ExitStack() as stack:
        for attempt in range(1, FETCH_ATTEMPTS + 1):
            try:
                path = stack.enter_context(open_local(entry))
                break
            except ArchiveUnreachable as error:
                if attempt == FETCH_ATTEMPTS:
                    text = f"{error} It was asked {attempt} times; the next run asks again."
                    raise RecordingError(FailureKind.UNREACHABLE, text) from error
            time.sleep(FETCH_WAIT_S * 2 ** (attempt - 1) * waits.uniform(0.5, 1.5))
        yield path


def _kind(error: Exception) -> FailureKind:
    """What an error of no class of ours means for the file it came from."""
    if isinstance(error, TransientError):
        return FailureKind.UNREACHABLE
    # torch has no class of its own for it on the CPU.
    if isinstance(error, MemoryError) or "not enough memory" in (text := str(error)):
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and "can't allocate memory" in text:
        return FailureKind.OUT_OF_MEMORY
    return FailureKind.UNREADABLE if isinstance(error, OSError) else FailureKind.INTERNAL


def batches(lengths: list[int], budget: float) -> Iterator[range]:
    """Cut lengths sorted downwards into runs whose padded size stays within the budget; one that
    is longer than the budget goes alone."""
    start = 0
    while start < len(lengths):
        size = max(1, int(budget // max(1, lengths[start])))
        end = min(len(lengths), start + size)
        yield range(start, end)
        start = end
