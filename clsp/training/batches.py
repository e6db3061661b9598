"""Captioned clips to batches: which clips, which part of each, which captions, decoded ahead.

All of it follows from the seed, the epoch and the step, never from what was drawn before: a resumed
run sees what one that never stopped would see, and so does any number of processes. Knows nothing
of files or models: an Example brings its own loader.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from clsp.errors import InputError, TerminalError
from clsp.features import MIN_SAMPLES, SAMPLE_RATE, fbank, pad_features
from clsp.training import contrastive
from clsp.training.options import TrainOptions

DEFAULT_CLIPS = 32
WINDOW = 32  # batches: clips of like length are looked for among so many at most
NOISE_SNR_DB = (10.0, 30.0)
_ORDER, _TASK, _CLIP, _STAND_IN = 1, 2, 3, 4  # streams of random numbers


@dataclass(frozen=True)
class Example:
    """A clip and what is said of it. `load(offset_s, seconds)` gives that part of it as float32
    (samples,), 16 kHz mono; it may raise a TerminalError, and another clip takes its place."""

    name: str
    duration_s: float
    load: Callable[[float, float], np.ndarray]
    fine_captions: tuple[str, ...] = ()
    global_captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """One process's share of a step. `texts`: for each clip one text (stage 1) or two (stage 2).
    `place` is where the NEXT batch is: (epoch, number in it)."""

    features: Tensor  # (n, frames, 128), padded
    lengths: Tensor  # (n,) in frames
    texts: list[tuple[str, ...]]
    task: str
    place: tuple[int, int]


@dataclass
class Lost:
    """Clips that could not be loaded, with the reason; filled while training goes on."""

    reasons: dict[str, str] = field(default_factory=dict)


def plan(
    durations: np.ndarray, options: TrainOptions, epoch: int, multiple_of: int = 1
) -> list[np.ndarray]:
    """The batches of an epoch: clip numbers, of like length within a batch, in a random order.

    Every batch has a multiple of `multiple_of` clips, and two at least. What is left over waits for
    another epoch; it is drawn before clips are sorted by length, or it would always be the longest.
    Like lengths are looked for within random parts of the set, two at least where there are as many
    batches: so each epoch puts a clip among others.
    """
    rng = np.random.default_rng([options.seed, _ORDER, epoch])
    seconds = np.minimum(durations, options.max_s)
    count, most_s, least = len(durations), options.batch_s, max(2, multiple_of)
    clips = min(options.batch_clips or DEFAULT_CLIPS, count) // multiple_of * multiple_of
    unit = multiple_of if most_s else clips  # clips that stay together
    kept = count // unit * unit if unit else 0
    units = rng.permutation(count)[:kept].reshape(-1, unit or 1)
    usual = len(units)  # batches, about
    if most_s:
        one = count * float(seconds.max(initial=0)) <= most_s
        usual = 1 if one else max(2, round(float(seconds.sum()) / most_s))
        usual = min(usual, count // least)
    parts = max(1, min(usual, max(2, math.ceil(usual / WINDOW))))
    batches: list[np.ndarray] = []
    for part in map(np.ravel, np.array_split(units, parts)):
        if most_s:
            sizes = _sizes(np.sort(seconds[part]).tolist(), most_s, multiple_of)
            part = part[: sum(sizes)]  # where all are pairs, one at random may wait
        else:
            sizes = [clips] * (len(part) // clips) if clips else []
        part = part[np.argsort(seconds[part], kind="stable")]
        batches += np.split(part, np.cumsum(sizes, dtype=int)[:-1])
    batches = [batch for batch in batches if len(batch) >= least]
    if not batches:
        size = f"{most_s} s" if most_s else f"{options.batch_clips or DEFAULT_CLIPS} clips"
        raise InputError(
            f"{len(durations)} usable clips make no batch of {size} for {multiple_of} process(es): "
            "expected two clips at least, and as many as there are processes"
        )
    return [batches[i] for i in rng.permutation(len(batches))]


def _sizes(seconds: list[float], most_s: float, multiple_of: int) -> list[int]:
    """How many of these clips, by rising length, go in each batch: padded, it has `most_s` at most.
    In as few batches as that takes, each about as full: a last one of two clips teaches little."""
    sizes = _filled(seconds, most_s, multiple_of)
    low, high = 0.0, most_s
    for _ in range(10):
        middle = (low + high) / 2
        found = _filled(seconds, middle, multiple_of)
        if len(found) > len(sizes) or sum(found) < sum(sizes):
            low = middle
        else:
            high = middle
    return _filled(seconds, high, multiple_of)


def _filled(seconds: list[float], most_s: float, multiple_of: int) -> list[int]:
    """The same with one batch after the other filled. A clip is left over only among pairs."""
    sizes, first, least = [], 0, max(2, multiple_of)  # there is nothing to compare one clip with
    while len(seconds) - first >= least:
        size = 0
        while first + size < len(seconds) and seconds[first + size] * (size + 1) <= most_s:
            size += 1
        size = max(size // multiple_of * multiple_of, least)  # one clip may be over a batch's limit
        sizes.append(size)
        first += size
    more = [number for number, size in enumerate(sizes) if size > 2]
    if first < len(seconds) and more:  # the last one of these gives the last clip another
        sizes[more[-1]] -= 1
        sizes.append(2)
    return sizes


class Batches:
    """Endless batches from a place in the order on; `stop()` ends the threads.

    own: the share of each batch that this process takes, as `parallel.own_slice` says.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        options: TrainOptions,
        processes: int = 1,
        own: Callable[[int], slice] = lambda count: slice(0, count),
    ) -> None:
        self.examples, self.options, self.own, self.processes = examples, options, own, processes
        self.durations = np.array([example.duration_s for example in examples])
        self.schedule = contrastive.TaskSchedule(
            options.global_start, options.global_end, options.global_steps
        )
        self.lost = Lost()

    def from_place(self, step: int, epoch: int, number: int) -> Generator[Batch, None, None]:
        """Batches for `step` and all after it, loaded ahead by threads."""
        todo = self._todo(step, epoch, number)
        with ThreadPoolExecutor(self.options.workers, thread_name_prefix="clsp-load") as pool:
            ahead: deque[tuple[list[Future], str, tuple[int, int]]] = deque()
            try:
                while True:
                    while len(ahead) < self.options.prefetch:
                        at, batch, place = next(todo)
                        task = self._task(at)
                        share = batch[self.own(len(batch))]
                        loads = [
                            pool.submit(self.load, at, int(clip), task, batch) for clip in share
                        ]
                        ahead.append((loads, task, place))
                    loads, task, place = ahead.popleft()
                    loaded = [load.result() for load in loads]
                    features, lengths = pad_features([one for one, _ in loaded])
                    yield Batch(features, lengths, [texts for _, texts in loaded], task, place)
            finally:
                pool.shutdown(cancel_futures=True)

    def _todo(
        self, step: int, epoch: int, number: int
    ) -> Iterator[tuple[int, np.ndarray, tuple[int, int]]]:
        while True:
            batches = plan(self.durations, self.options, epoch, self.processes)
            while number < len(batches):
                after = (epoch, number + 1) if number + 1 < len(batches) else (epoch + 1, 0)
                yield step, batches[number], after
                step, number = step + 1, number + 1
            epoch, number = epoch + 1, 0

    def _task(self, step: int) -> str:
        rng = np.random.default_rng([self.options.seed, _TASK, step])
        return self.schedule.draw(step, rng) if self.options.stage == 2 else ""

    def load(
        self, step: int, clip: int, task: str, batch: np.ndarray
    ) -> tuple[Tensor, tuple[str, ...]]:
        """Features and texts of a clip; where it cannot be loaded, of one not in the batch, which
        stands in for no other clip of it where there are enough."""
        rng = np.random.default_rng([self.options.seed, _CLIP, step, clip])
        first, tries = clip, 0
        while True:
            example = self.examples[clip]
            try:
                return self._features(example, rng), self._texts(example, task, rng)
            except TerminalError as error:
                self.lost.reasons.setdefault(example.name, str(error))
                tries += 1
                if tries > 20:
                    raise InputError(
                        f"{tries} clips in a row cannot be loaded; the last is {example.name}: "
                        f"{error}. Look at the data first"
                    ) from error
                others = np.setdiff1d(np.arange(len(self.examples)), batch)
                pool = others if len(others) else batch[batch != first]
                order = np.random.default_rng([self.options.seed, _STAND_IN, step])
                place = int(np.flatnonzero(batch == first)[0]) + (tries - 1) * len(batch)
                clip = int(order.permutation(pool)[place % len(pool)])

    def _features(self, example: Example, rng: np.random.Generator) -> Tensor:
        longest = self.options.max_s
        offset = rng.uniform(0, max(example.duration_s - longest, 0.0))
        waveform = _checked(example.load(offset, longest), example)
        if rng.random() < self.options.colour:
            from clsp.training.augment import colour

            waveform = colour(waveform, rng)
        if rng.random() < self.options.noise:
            from clsp.training.augment import add_noise, coloured_noise

            noise = coloured_noise(len(waveform), rng.uniform(0, 2), rng)
            waveform = add_noise(waveform, noise, rng.uniform(*NOISE_SNR_DB))
        return fbank(torch.from_numpy(waveform))

    def _texts(self, example: Example, task: str, rng: np.random.Generator) -> tuple[str, ...]:
        fine, glob = example.fine_captions, example.global_captions
        if self.options.stage == 1:
            return contrastive.one_text(fine, glob, rng)
        return contrastive.two_texts(fine, glob, task, rng)


def whole(
    examples: Sequence[Example], options: TrainOptions, lost: Lost
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """For evaluation: the first `max_s` of every clip, in batches of like length, in the order of
    their lengths: (numbers, features, lengths). Clips that cannot be loaded are left out."""
    order = np.argsort([min(e.duration_s, options.max_s) for e in examples], kind="stable")

    def load(number: int) -> Tensor | None:
        example = examples[number]
        try:
            return beginning(example, options.max_s)
        except TerminalError as error:
            lost.reasons.setdefault(example.name, str(error))
            return None

    with ThreadPoolExecutor(options.workers) as pool:
        for start in range(0, len(order), DEFAULT_CLIPS):
            numbers = [int(number) for number in order[start : start + DEFAULT_CLIPS]]
            loaded = list(zip(numbers, pool.map(load, numbers), strict=True))
            if good := [(number, one) for number, one in loaded if one is not None]:
                yield [number for number, _ in good], *pad_features([one for _, one in good])


def beginning(example: Example, seconds: float) -> Tensor:
    """Features (frames, 128) of the first `seconds` of a clip. Raises TerminalError."""
    return fbank(torch.from_numpy(_checked(example.load(0.0, seconds), example)))


def _checked(waveform: np.ndarray, example: Example) -> np.ndarray:
    if waveform.ndim != 1 or len(waveform) < MIN_SAMPLES:
        raise InputError(
            f"{example.name}: {waveform.shape} samples; expected at least {MIN_SAMPLES} "
            f"({MIN_SAMPLES / SAMPLE_RATE * 1000:.0f} ms) at 16 kHz, mono"
        )
    if not np.isfinite(waveform).all():
        raise InputError(f"{example.name}: samples that are NaN or infinite; expected finite ones")
    return np.ascontiguousarray(waveform, dtype=np.float32)
