"""Loads a model for this process, and keeps torch to the cores that it may use.

In a container, torch counts the cores of the machine: of a node's 64 it would make 64 threads where
two may run, and they wait for each other. Knows nothing of audio or tables.
"""

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clsp.embedder import Embedder


@cache
def cores() -> int:
    """Cores that this process may use: fewer than the machine has in a control group with a quota
    (a container's limit), for which DuckDB looks, and where it is tied to some of them."""
    from pipelines.query import database

    with database() as db:
        [(threads,)] = db.execute("SELECT current_setting('threads')").fetchall()
    tied = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads
    return min(threads, tied)


def load(
    name: str, device: str = "cpu", precision: str | None = None, threads: int | None = None
) -> "Embedder":
    """`clsp.load`, and what it raises. threads: torch's, in this process from now on; else as many
    as it chose, but no more than there are cores for."""
    import torch

    import clsp

    torch.set_num_threads(threads or min(torch.get_num_threads(), cores()))
    return clsp.load(name, device=device, precision=precision)
