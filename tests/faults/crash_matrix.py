"""Kills `clsp tag` at every fault point, runs it again, and compares with a run never killed.

    python -m tests.faults.crash_matrix --executor local --executor ray

A run with every kind of change to its archive is killed the first and the middle time that it
reaches each point of pipelines.faults; where workers are processes of their own (`process`, `ray`)
the middle time, and at few points of the driver. There a point within a worker costs the worker,
once, and the run itself must recover; at any other the run dies and is run again. Rows must be
equal, every column but which run wrote them and when, and `clsp verify` must find nothing. Exit
status 1 otherwise.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from pipelines.faults import MAINTENANCE, POINTS, WORKER
from pipelines.settings import EXECUTORS, TagSettings
from tests.faults.runs import (
    ENVIRONMENT,
    MOOD,
    ROOT,
    SETTINGS,
    Runs,
    change_archive,
    difference,
    harm,
    make_archive,
    rows,
)

# What tagging does not reach.
ELSEWHERE = {
    f"{when}.{name}"
    for when in ("append", "appended")
    for name in ("evaluations", "targets", "watches", "watch_checks")
} | MAINTENANCE.keys()
# Of the driver of workers apart these alone, unless asked: its steps are those of the local
# executor, and each run waits for a worker to import everything.
APART = ("process", "ray")
OF_THEM = {"commit.begin", "append.labels", "append.runs", "commit.done", "run.balanced"}


class Matrix:
    """An archive that changed since its lake was made; each case tags a copy of that lake."""

    def __init__(self, root: Path, runs: Runs, **settings: str | int) -> None:
        self.root, self.runs, self.settings = root, runs, settings
        self.archive, self.base = root / "archive", root / "base"
        if not self.archive.exists():
            make_archive(self.archive)
            runs.finish(self.tagging(self.base, taxonomy=None))
            change_archive(self.archive)
            (root / "mood.yaml").write_text(MOOD)
        shutil.copytree(self.base, root / "whole")
        log = root / "points"
        status = runs.tag(self.tagging(root / "whole"), f"*=log@{log}")
        assert status == 0, "a run without a fault failed"
        self.reached = Counter(log.read_text().split())
        self.wanted = rows(root / "whole")
        log.unlink()
        shutil.rmtree(root / "whole")

    def tagging(self, lake: Path, **given: str | None) -> TagSettings:
        more = {"taxonomy": str(self.root / "mood.yaml"), **self.settings, **given}
        return TagSettings(str(self.archive), str(lake), **SETTINGS | more)

    def cases(self, only: list[str] | None = None) -> Iterator[tuple[str, int]]:
        """Points, and which time they are reached: first and middle, or the middle alone."""
        apart = self.settings.get("executor") in APART
        every = WORKER.keys() | OF_THEM if apart else POINTS.keys() - ELSEWHERE
        for point in only or [point for point in POINTS if point in every]:
            middle = (self.reached[point] + 1) // 2
            for count in sorted({middle} if apart else {1, middle}):
                if count:
                    yield point, count

    def case(self, point: str, count: int) -> tuple[Counter[str], Counter[str], str]:
        """Rows lost, rows too many, and what else is wrong."""
        lake, marker = self.root / "lake", self.root / "marker"
        shutil.rmtree(lake, ignore_errors=True)
        shutil.copytree(self.base, lake)
        marker.unlink(missing_ok=True)
        run = self.runs.start(self.tagging(lake), f"{point}:{count}=kill@{marker}")
        status = run.wait()
        survives = self.settings.get("executor") in APART and point in WORKER
        wrong = ""
        if not marker.exists():
            wrong = "the point was not reached"
        elif status != (0 if survives else -signal.SIGKILL):
            wrong = f"the killed run ended with {status}:\n{run.said}"
        if not survives:
            again = self.runs.start(self.tagging(lake))
            if status := again.wait():
                wrong = f"the run after it ended with {status}:\n{again.said}"
                return Counter(), Counter(), wrong
        return *difference(rows(lake), self.wanted), wrong or "; ".join(harm(lake))


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A Ray cluster of our own, of one CPU: more threads would move the last bit of the numbers.
    Its address. `folder` must be short: sockets lie below it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray = Path(sys.executable).with_name("ray")
    head = subprocess.Popen(
        [ray, "start", "--head", "--block", f"--port={port}", "--node-ip-address=127.0.0.1",
         "--num-cpus=1", "--include-dashboard=false", "--disable-usage-stats",
         f"--temp-dir={folder}"],
        cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until_open(port, head)
        yield f"127.0.0.1:{port}"
    finally:
        head.terminate()
        head.wait()


def until_open(port: int, head: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while head.poll() is None and time.monotonic() < end:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError("no Ray cluster could be started")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--executor", action="append", choices=EXECUTORS)
    parser.add_argument("--point", action="append", help="these alone (default: all)")
    given = parser.parse_args()
    failed = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cluster ends with us
    with tempfile.TemporaryDirectory(prefix="clsp-crashes-") as temporary:
        root = Path(temporary)
        with Runs(root) as runs:
            for executor in given.executor or EXECUTORS:
                ray = cluster(root / "ray") if executor == "ray" else nullcontext()
                with ray as address:
                    more = {"executor": executor, "workers": 1}
                    more |= {"ray_address": address} if address else {}
                    failed |= judged(Matrix(root, runs, **more), executor, given.point)
    sys.exit(failed)


def judged(matrix: Matrix, executor: str, only: list[str] | None) -> bool:
    """Run all cases, print the counts. Whether anything is wrong."""
    started, lost, doubled, kills, wrong = time.monotonic(), 0, 0, 0, 0
    for point in sorted(POINTS.keys() - ELSEWHERE - matrix.reached.keys()):
        print(f"{executor:6} {point}: never reached")
        wrong += 1
    for point, count in matrix.cases(only):
        less, more, why = matrix.case(point, count)
        kills, lost, doubled = kills + 1, lost + less.total(), doubled + more.total()
        wrong += bool(less or more or why)
        what = f"lost {dict(less)}, too many {dict(more)} {why}" if less or more or why else "same"
        print(f"{executor:6} {point} ({count} of {matrix.reached[point]}): {what}", flush=True)
    points = len({point for point, _ in matrix.cases(only)})
    print(
        f"{executor}: {points} points, {kills} kills, {kills - wrong} survived, "
        f"{lost} rows lost, {doubled} rows too many, {time.monotonic() - started:.0f} s"
    )
    return wrong > 0


if __name__ == "__main__":
    main()
