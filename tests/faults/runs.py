"""Tagging runs in processes of their own, quick to start and free to be killed.

A helper process imports everything once; each run is a fork of it, so that a case costs no
imports. Also what the archives of these tests hold, and how two lakes are compared. Knows nothing
of which faults there are.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipelines import query
from pipelines.lake import Lake
from pipelines.settings import TagSettings
from pipelines.verify import verify

ROOT = Path(__file__).parents[2]
RATE = 16_000
# Of the helper, and of a Ray cluster of our own: the token is made here, and only for it.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "CLSP_FAULTS"} | {
    "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "",
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32),
    "PYTHONPATH": str(ROOT),
}  # fmt: skip
# One segment to a batch: its numbers do not depend on what else a chunk holds.
SETTINGS = {"chunk_files": 3, "batch_s": 0.01, "segments": "windows:1"}
MOOD = "attributes:\n  mood: {labels: {calm: A calm voice., tense: A tense voice.}}\n"
PATIENCE_S = 300.0  # for a run; a busy machine is no failure


# ---- archives -----------------------------------------------------------------------------------


def tone(path: Path, hertz: float, seconds: float = 0.6) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    at = np.arange(round(RATE * seconds)) * 2 * np.pi / RATE
    soundfile.write(path, 0.1 * np.sin(at * hertz) * np.sin(at * 3), RATE)


def make_archive(root: Path) -> None:
    """Good, damaged and copied files."""
    for number, name in enumerate(("a/1", "a/2", "a/3", "b/moves", "b/goes", "b/changes")):
        tone(root / f"{name}.wav", 150 + 10 * number)
    tone(root / "b/long.wav", 290, 2.5)
    shutil.copy(root / "a/1.wav", root / "b/copy.wav")
    (root / "bad").mkdir()
    (root / "bad/words.wav").write_text("no audio")


def change_archive(root: Path) -> None:
    """Every way in which an archive changes between runs."""
    for number, name in enumerate(("n/1", "n/2", "n/3", "n/4")):
        tone(root / f"{name}.wav", 310 + 10 * number)
    tone(root / "b/changes.wav", 400, 0.7)
    shutil.copy(root / "n/1.wav", root / "n/z-copy.wav")
    shutil.copy(root / "a/2.wav", root / "n/z-known.wav")
    (root / "b/moves.wav").rename(root / "b/moved.wav")
    (root / "b/goes.wav").unlink()
    os.utime(root / "a/3.wav", (1, 1))
    (root / "bad/empty.wav").touch()
    (root / "bad/nowhere").symlink_to(root / "nowhere")


# ---- runs ---------------------------------------------------------------------------------------


class Run:
    """One `tag` in a process of its own."""

    def __init__(self, runs: Runs, pid: int, log: Path) -> None:
        self.runs, self.pid, self.log = runs, pid, log

    def poll(self) -> bool | None:
        """True once it has ended."""
        return True if self.runs.ask("ended", self.pid) else None

    def wait(self) -> int:
        """Exit status: 0; 1 where it raised; negative, the signal that ended it."""
        return int(self.runs.ask("wait", self.pid))

    def kill(self) -> None:
        """Does nothing to one that has ended: the helper has not collected it yet."""
        os.kill(self.pid, signal.SIGKILL)

    @property
    def said(self) -> str:
        return self.log.read_text()


class Runs:
    """The helper process. with Runs(folder) as runs: runs.start(settings).wait()"""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.helper = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.runs"],
            cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *_: object) -> None:
        self.helper.stdin.close()
        self.helper.wait(PATIENCE_S)

    def ask(self, *what: Any) -> Any:
        print(json.dumps(what), file=self.helper.stdin, flush=True)
        return json.loads(self.helper.stdout.readline())

    def start(self, settings: TagSettings, faults: str = "") -> Run:
        self.count += 1
        log = self.folder / f"run-{self.count}.log"
        return Run(self, self.ask("start", asdict(settings), faults, str(log)), log)

    def tag(self, settings: TagSettings, faults: str = "") -> int:
        return self.start(settings, faults).wait()

    def finish(self, settings: TagSettings) -> None:
        """A run that must end well."""
        run = self.start(settings)
        if status := run.wait():
            raise AssertionError(f"a run ended with {status}:\n{run.said}")


def serve() -> None:
    """Start and wait for runs, as asked for on standard input."""
    import torch  # noqa: F401

    import clsp
    import pipelines.label
    import pipelines.relabel
    import pipelines.worker  # noqa: F401
    from clsp import features, model  # noqa: F401
    from pipelines import faults
    from pipelines.tagging import tag

    loaded = clsp.load("tiny", device="cpu", precision="float32")
    clsp.load = lambda *_, **__: loaded  # each fork has its own copy
    for line in sys.stdin:
        what, *given = json.loads(line)
        if what == "start":
            answer: Any = os.fork()
            if not answer:
                settings, points, log = given
                status = 1
                try:
                    out = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
                    nothing = os.open(os.devnull, os.O_RDONLY)
                    for ours, theirs in ((0, nothing), (1, out), (2, out)):
                        os.dup2(theirs, ours)
                    faults.arm(points)
                    lists = {k: tuple(v) for k, v in settings.items() if isinstance(v, list)}
                    print(tag(TagSettings(**settings | lists)))
                    status = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(status)
        elif what == "ended":
            answer = os.waitid(os.P_PID, *given, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(*given, 0)[1])
        print(json.dumps(answer), flush=True)


def until(condition: Any, process: Run | subprocess.Popen | None = None) -> None:
    """Wait for what another process does, and no longer than that process lives."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        ended = process and process.poll() is not None
        if (ended and not condition()) or time.monotonic() > end:
            said = process.said if isinstance(process, Run) else ""
            why = "its process ended" if ended else f"not in {PATIENCE_S:.0f} s"
            raise AssertionError(f"what was waited for did not come: {why}\n{said}")
        time.sleep(0.01)


# ---- comparing ----------------------------------------------------------------------------------

# All columns but those that say which run wrote a row, and when.
ROWS = {
    "recordings": "SELECT * EXCLUDE (run_id, chunk_id, processed_at) FROM recordings",
    "history":
        "SELECT * EXCLUDE (run_id, chunk_id, processed_at, seq, committed_at) FROM history",
    "segments": "SELECT * EXCLUDE (chunk_id) FROM segments",
    "embeddings": "SELECT * EXCLUDE (chunk_id) FROM embeddings",
    "labels": "SELECT * EXCLUDE (chunk_id) FROM labels",
    "speech": "SELECT * EXCLUDE (processed_at) FROM speech",
}  # fmt: skip


def rows(lake: Path, tables: dict[str, str] = ROWS) -> dict[str, Counter[str]]:
    """How often each row stands in each table."""
    found = {}
    with query.connect(Lake(lake)) as db:
        for name, sql in tables.items():
            table = query.arrow(db, sql)
            names = sorted(table.column_names)  # their order is that of the files
            each = table.select(names).to_pylist()
            # Null is as good as no column: labels of an earlier taxonomy leave theirs.
            found[name] = Counter(
                repr({key: value for key, value in row.items() if value is not None})
                for row in each
            )
    return found


def difference(
    found: dict[str, Counter[str]], wanted: dict[str, Counter[str]]
) -> tuple[Counter[str], Counter[str]]:
    """By table, how many rows are lost, and how many are there too often or should not be."""
    lost = {name: (wanted[name] - found[name]).total() for name in wanted}
    more = {name: (found[name] - wanted[name]).total() for name in wanted}
    return +Counter(lost), +Counter(more)


def harm(lake: Path) -> list[str]:
    """What `clsp verify` finds wrong, and sequence numbers that were given twice."""
    found = [f"{f.table}: {f.check}: {f.examples}" for f in verify(Lake(lake)) if f.count
             and f.harmful]  # fmt: skip
    seqs = query.run(Lake(lake), "SELECT seq FROM runs GROUP BY seq HAVING count(*) > 1")
    return [*found, *(f"seq {seq} twice" for seq in seqs["seq"].to_pylist())]


if __name__ == "__main__":
    serve()
