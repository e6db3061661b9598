"""The fat worker: files in; decode threads, length-sorted batches, embeddings, labels; tables out.

One class for every executor, so the answers cannot depend on which one runs it. Audio never leaves
it. Knows nothing of lakes, plans or Ray.
"""

import errno
import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa

from clsp.errors import CheckpointMismatch, TransientError
from pipelines import faults, memory, metrics, schemas
from pipelines.archive import FileEntry, content_hash
from pipelines.audio import open_recording
from pipelines.errors import FailureKind, RecordingError
from pipelines.feed import BATCH_COST_S, BATCH_S, Feed, batches, cheapest
from pipelines.fetching import fetched
from pipelines.jobs import (
    Chunk,
    ChunkResult,
    Job,
    Outcome,
    model_key,
    recordings_table,
    segment_id,
)
from pipelines.models import load
from pipelines.samples import loudness, to_16k
from pipelines.segments import cut

WINDOW_S = 1200.0  # audio held while it is sorted by length: 61 MB as features
# For a GPU, as waveforms: 922 MB, and as much again while the window before is embedded. Padding of
# clips lognormal about 5 s (sigma 0.5, 1 to 20 s) in batches of BATCH_S, simulated: 2.9 %; in
# windows of 9,600 s 3.8 %, of 4,800 s 5.7 %, of 1,280 s, as a chunk of 256 files has, 9.7 %.
GPU_WINDOW_S = 14_400.0
QUEUED_SEGMENTS = 4  # per file that a thread decodes ahead

Window = list[tuple[Outcome, int, np.ndarray]]  # segments: file, number, as the feed takes them


class Worker:
    """Holds the model. `process` may be called any number of times, from one thread."""

    def __init__(self, job: Job) -> None:
        memory.keep_one_arena()  # before torch and the decoders make their threads
        import torch

        from pipelines.label import Labeller

        self.job = job
        device = job.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = load(job.model, device, job.precision, job.threads)
        self.dim = self.model.config.joint_dim
        self.feed = Feed(self.model)
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
        window: Window = []
        held_s, window_s = 0.0, GPU_WINDOW_S if self.feed.as_gpu else WINDOW_S
        with self._embedding() as embed:
            for outcome, segments in self._decoded(chunk.entries):
                outcomes.append(outcome)
                for index, (duration_s, clip) in enumerate(segments):
                    window.append((outcome, index, clip))
                    held_s += duration_s
                    if held_s >= window_s:
                        embed(window)
                        window, held_s = [], 0.0
                failed = outcome.failure
                state = "failed" if failed else "known" if outcome.known else "tagged"
                metrics.file_done(state, outcome.duration_s, str(failed.kind) if failed else None)
                on_file(outcome.duration_s)
            embed(window)
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
                        if metrics.counting():  # each asks for a lock that its thread wants
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
        """The content hash, then each segment, in seconds and as the feed takes it, then None;
        sooner, when `outcome.error` says why the rest could not be had. Known content is not
        decoded."""
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
                            clip = self.feed.made_of(to_16k(samples, rate))
                            level = loudness(samples, rate)
                            outcome.spans.append((segment.without_samples(), level))
                            yield segment.end_s - segment.start_s, clip
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

    @contextmanager
    def _embedding(self) -> Iterator[Callable[[Window], None]]:
        """`_embed`; where a GPU does the work, in a thread, so that decoding is never held up while
        the window before is computed."""
        if not self.feed.as_gpu:
            yield self._embed
            return
        with ThreadPoolExecutor(1, "embed") as pool:
            running: list[Future[None]] = []

            def embed(window: Window) -> None:
                if running:
                    running.pop().result()
                running.append(pool.submit(self._embed, window))

            yield embed
            for last in running:
                last.result()

    def _embed(self, window: Window) -> None:
        """Fill in the embeddings of segments gathered over many files, longest first, in batches
        of like lengths."""
        order = sorted(range(len(window)), key=lambda i: -len(window[i][2]))  # stable
        lengths = [len(window[i][2]) for i in order]
        budget = (self.job.batch_s or BATCH_S[self.model.device.type]) * self.feed.per_s
        cost = BATCH_COST_S * self.feed.per_s
        cuts = cheapest(lengths, budget, cost) if self.feed.as_gpu else batches(lengths, budget)
        groups = [[window[order[i]] for i in batch] for batch in cuts]
        made = self.feed.embedded([clip for _, _, clip in members] for members in groups)
        for members in groups:
            with metrics.batch():
                vectors = next(made)
            for (outcome, index, _), vector in zip(members, vectors, strict=True):
                outcome.embeddings[index] = vector
            faults.reach("worker.embedded")
        memory.give_back()

    # ---- tables -----------------------------------------------------------------------------

    def _result(self, chunk: Chunk, outcomes: list[Outcome], started: datetime) -> ChunkResult:
        from pipelines.label import labels_table
        from pipelines.packing import pack

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
                        **vars(o.spans[i][1]),
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


# What this machine is out of, for now: room in its folder for temporary files, or open files.
SHORT_OF = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)


def _kind(error: Exception) -> FailureKind:
    """What an error of no class of ours means for the file it came from."""
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, TransientError) or code in SHORT_OF:
        return FailureKind.UNREACHABLE
    # torch has no class of its own for it on the CPU.
    if (
        code == errno.ENOMEM
        or isinstance(error, MemoryError)
        or "not enough memory" in (text := str(error))
    ):
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and "can't allocate memory" in text:
        return FailureKind.OUT_OF_MEMORY
    return FailureKind.UNREADABLE if isinstance(error, OSError) else FailureKind.INTERNAL
