"""What workers count, for Prometheus: through Ray's own exporter, on each node of a cluster.

Without Ray nothing is counted. Ray writes `ray_` before each name, and `_total` after counters'.
Knows nothing of what is counted, nor who reads it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

BATCH_S = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # upper ends of the histogram's bins


def file_done(state: str, audio_s: float, failure: str | None = None) -> None:
    """A file is `tagged`, `known` by its content, or `failed`, for that kind of failure."""
    if counting():
        _counter("clsp_files", "Files done, by state.", "state").inc(1, {"state": state})
        if audio_s > 0:
            _counter("clsp_audio_seconds", "Seconds of audio decoded.").inc(audio_s)
        if failure is not None:
            failures = _counter("clsp_failures", "Files that failed, by kind.", "kind")
            failures.inc(1, {"kind": failure})


@contextmanager
def batch() -> Iterator[None]:
    """Around the embedding of a batch."""
    began = time.perf_counter()
    yield
    if counting():
        _histogram().observe(time.perf_counter() - began)


def queued(depth: int) -> None:
    """So much that was decoded waits for the model: nothing, and decoding holds up the work."""
    if counting():
        _gauge().set(depth)


def counting() -> bool:
    """Whether this process belongs to a Ray that runs."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


@cache
def _counter(name: str, what: str, *tags: str) -> Any:
    from ray.util.metrics import Counter

    return Counter(name, what, tag_keys=tags)


@cache
def _histogram() -> Any:
    from ray.util.metrics import Histogram

    return Histogram(
        "clsp_batch_seconds", "Seconds to embed a batch of segments.", boundaries=list(BATCH_S)
    )


@cache
def _gauge() -> Any:
    from ray.util.metrics import Gauge

    return Gauge("clsp_queue_depth", "What was decoded and waits for the model.")
