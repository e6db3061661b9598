"""Batches through a model, in order, so that a GPU never waits for this process.

On a GPU the waveforms of a batch are laid out in pinned memory, copied at one stroke, and made into
features there, while the batch before it is computed; an answer is fetched when the next batch is
on its way. On a CPU a batch is computed when its turn comes. Knows nothing of files or tables.

What a GPU alone does (`_launch`) no test runs: they have none. The rest is tested on a CPU.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pipelines.errors import NoMemory

if TYPE_CHECKING:
    import torch

    from clsp.embedder import Embedder

# Seconds of audio in a batch, at most, where nobody says. A CPU gains nothing from larger ones, and
# loses by padding; of a GPU see GPU_WINDOW_S in pipelines/worker.py.
BATCH_S = {"cpu": 30.0, "cuda": 480.0}
# What a batch costs a GPU besides, in seconds of audio that it could embed meanwhile: an H200 did
# 6,091 times real time in batches of 240 s, 6,552 in batches of 960 s.
BATCH_COST_S = 20.0
SAMPLE_RATE, FRAMES_PER_S = 16_000, 100  # of waveforms, of features

Answer = Callable[[], np.ndarray]  # waits where it must

_log = logging.getLogger(__name__)


class Feed:
    """Embeds batches of clips: log-mel features (frames, 128); or, as on a GPU, waveforms
    (samples,) at 16 kHz. `as_gpu` has a CPU go the same way, but for what only a GPU can do."""

    def __init__(self, model: "Embedder", as_gpu: bool = False) -> None:
        self.model = model
        self._embed = model.embed_padded
        on_gpu = model.device.type == "cuda"
        self.as_gpu = as_gpu or on_gpu
        self._start = self._launch if on_gpu else self._compute
        self._halved = False

    @property
    def per_s(self) -> int:
        """How long a clip of a second is, in what it is given as."""
        return SAMPLE_RATE if self.as_gpu else FRAMES_PER_S

    def made_of(self, waveform: np.ndarray) -> np.ndarray:
        """What to give for a waveform (samples,) at 16 kHz. Raises InputError where it is too short
        or of another shape."""
        import torch

        from clsp.features import check, fbank

        clip = torch.from_numpy(waveform)
        if self.as_gpu:
            check(clip)
            return waveform
        return fbank(clip).numpy()

    def embedded(self, batches: Iterable[Sequence[np.ndarray]]) -> Iterator[np.ndarray]:
        """(n, dim) float32 of each batch. On a GPU the next is at work before it is told; and what
        it has no memory for at once is done in halves.

        Raises NoMemory where it has none for a clip alone.
        """
        waiting: Answer | None = None
        for batch in batches:
            started = self._begun(batch)
            if not self.as_gpu:
                yield started()
                continue
            if waiting is not None:
                yield waiting()
            waiting = started
        if waiting is not None:
            yield waiting()

    def _begun(self, batch: Sequence[np.ndarray]) -> Answer:
        import torch

        longest_s = max(map(len, batch)) / self.per_s
        try:
            with torch.inference_mode():
                return self._start(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise NoMemory(
                    f"{self.model.device} has no memory for one clip of {longest_s:.1f} s: "
                    f"{error}. End what else runs there, or use --precision bfloat16, or shorter "
                    "--segments"
                ) from error
            if not self._halved:  # once: there may be thousands
                _log.warning(
                    "%s has no memory for %s clips of up to %.1f s at once: batches as large are "
                    "done in halves. A lower --batch-s saves the vain tries",
                    self.model.device, len(batch), longest_s,
                )  # fmt: skip
            self._halved = True
        # Not in the handler: the error holds what was computed so far.
        middle = len(batch) // 2
        parts = [self._begun(half) for half in (batch[:middle], batch[middle:])]
        return lambda: np.concatenate([part() for part in parts])

    def _compute(self, batch: Sequence[np.ndarray]) -> Answer:
        made = self._embed(*self._padded(batch))
        return made.float().cpu().numpy

    def _padded(self, clips: Sequence[np.ndarray]) -> "tuple[torch.Tensor, torch.Tensor, bool]":
        """What `Embedder.embed_padded` takes, on the model's device."""
        import torch

        from clsp.features import fbank_batch, laid_out, pad_features

        device = self.model.device
        if self.as_gpu:
            # A GPU reads pinned memory when it comes to it; until then it is nobody else's.
            signal, places = laid_out(clips, pin_memory=device.type == "cuda")
            shortest, longest = int(places[1].min()), int(places[1].max())
            there, places = (made.to(device, non_blocking=True) for made in (signal, places))
            batch, lengths = fbank_batch(there, places, longest), places[1]
        else:
            batch, lengths = pad_features([torch.from_numpy(clip) for clip in clips])
            shortest, longest = min(map(len, clips)), batch.shape[1]
        return batch, lengths, shortest < longest

    def _launch(self, batch: Sequence[np.ndarray]) -> Answer:
        """Waits for no computation: copies and features go by a stream of their own."""
        import torch

        device = self.model.device
        compute, ahead = torch.cuda.current_stream(device), self._ahead
        with torch.cuda.stream(ahead):
            features, lengths, padded = self._padded(batch)
        compute.wait_stream(ahead)
        for tensor in (features, lengths):  # not given to another until they have been read
            tensor.record_stream(compute)
        made = self._embed(features, lengths, padded).float()
        back = torch.empty(made.shape, pin_memory=True)
        back.copy_(made, non_blocking=True)
        done = torch.cuda.Event(blocking=True)  # to spin takes a core from decoding
        done.record(compute)

        def answer() -> np.ndarray:
            done.synchronize()
            return back.numpy().copy()  # pinned memory is for the next

        return answer

    @cached_property
    def _ahead(self) -> "torch.cuda.Stream":
        import torch

        return torch.cuda.Stream(self.model.device)


def batches(lengths: list[int], budget: float) -> Iterator[range]:
    """Cut lengths sorted downwards into runs whose padded size stays within the budget; one that
    is longer than the budget goes alone."""
    start = 0
    while start < len(lengths):
        size = max(1, int(budget // max(1, lengths[start])))
        end = min(len(lengths), start + size)
        yield range(start, end)
        start = end


def cheapest(lengths: list[int], budget: float, cost: float) -> Iterator[range]:
    """Cut lengths sorted downwards into runs as `batches` does, but so that their padded sizes and
    `cost` for each run come to the least: where few clips are of about one length, runs are short.
    """
    count, each = len(lengths), np.array(lengths)
    least, ends = np.zeros(count + 1), [0] * count  # from here to the last; where the run here ends
    for start in range(count - 1, -1, -1):
        most = max(1, int(budget // max(1, lengths[start])))
        after = least[start + 1 : start + 1 + most]
        costs = np.arange(1, len(after) + 1) * each[start] + after
        run = int(costs.argmin())
        least[start], ends[start] = costs[run] + cost, start + 1 + run
    start = 0
    while start < count:
        yield range(start, ends[start])
        start = ends[start]
