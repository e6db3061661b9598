"""Seconds from an event to a run and to committed rows, on a real Prefect server with one worker.

`python -m tests.benchmarks.events` (2 minutes); with `--kill`, also from `kill -9` of the worker to
the next run (10 minutes more). All intervals are Prefect's own.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.flows import server as processes
from tests.flows.commands import clsp
from tests.flows.server import end, kill, prefect_server, start_worker, wait_for
from tests.flows.test_server import Server
from tests.places import SAMPLE_ARCHIVE

ARCHIVE = SAMPLE_ARCHIVE / "voicemail"
MOOD = 'attributes: {mood: {labels: {calm: "A calm voice.", upset: "A shout."}}}'
ROUNDS = 3


def told(server: Server, flow: str, lake: Path, began: float) -> None:
    """Wait for the run; print when it came into each of its states."""
    [run] = wait_for(lambda: server.runs(flow, lake), "the run")
    server.ended(run.id)
    with server.client() as client:
        states = client.read_flow_run_states(run.id)
    marks = {state.name: state.timestamp.timestamp() - began for state in states}
    print(flow, ", ".join(f"{name} {at:.1f} s" for name, at in marks.items()), flush=True)


def events(server: Server, folder: Path) -> None:
    taxonomy = folder / "mood.yaml"
    taxonomy.write_text(MOOD)
    for number in range(ROUNDS):
        lake = folder / f"lake-{number}"
        clsp("deploy", "--lake", lake)
        began = time.time()
        clsp("announce", ARCHIVE, "--lake", lake)
        told(server, "tag_archive", lake, began)
        began = time.time()
        clsp("target", "--lake", lake, "--taxonomy", taxonomy)
        told(server, "reprocess", lake, began)


def death(server: Server, folder: Path) -> None:
    lake, paused = folder / "doomed", folder / "paused"
    clsp("deploy", "--lake", lake, "--work-pool", "doomed")
    doomed = start_worker(server.url, folder / "worker", "doomed", f"commit.begin=pause@{paused}")
    clsp("announce", ARCHIVE, "--lake", lake)
    wait_for(paused.exists, "the run's work")
    clsp("announce", ARCHIVE, "--lake", lake)
    kill(doomed)
    began = time.time()

    def runs(has: str) -> list[Any]:
        return [run for run in server.runs("tag_archive", lake) if getattr(run.state, has)()]

    worker = start_worker(server.url, folder / "worker", "doomed")
    wait_for(lambda: server.slots(lake) == 0, "the slot")
    print(f"slot free {time.time() - began:.1f} s after kill -9", flush=True)
    wait_for(lambda: runs("is_crashed"), "the dead run to be found")
    print(f"dead run Crashed after {time.time() - began:.1f} s", flush=True)
    wait_for(lambda: len(runs("is_completed")) == 2, "both runs")
    print(f"its work and the next run's done after {time.time() - began:.1f} s", flush=True)
    end(worker)


def main() -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    processes.PATIENCE_S = 900.0
    for settings in (processes.SERVER, processes.WORKER):
        for name in [name for name in settings if name.endswith("_SECONDS")]:
            del settings[name]
    with (
        tempfile.TemporaryDirectory() as name,
        prefect_server((folder := Path(name)) / "server") as url,
        temporary_settings({PREFECT_API_URL: url}),
    ):
        server = Server(url, folder / "server")
        worker = start_worker(url, folder / "worker")
        events(server, folder)
        end(worker)
        if "--kill" in sys.argv:
            death(server, folder)


if __name__ == "__main__":
    main()
