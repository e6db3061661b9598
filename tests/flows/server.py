"""A real Prefect server and real workers, each a process of its own, ended by its id.

Two settings differ from Prefect's own, so that tests wait less: how often things are looked for.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

PREFECT = str(Path(sys.executable).with_name("prefect"))
PATIENCE_S = 240.0  # a busy machine; a test that goes well waits for seconds
SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
}
WORKER = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_LOGGING_LEVEL": "WARNING"}
Found = TypeVar("Found")


def wait_for(look: Callable[[], Found | None], what: str) -> Found:
    """What `look` finds at last. A test that waits in vain fails; one that is slow does not."""
    end = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < end, f"waited {PATIENCE_S:g} s in vain for {what}"
        time.sleep(0.1)
    return found


def _environment(home: Path, more: dict[str, str]) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**ours, "PREFECT_HOME": str(home), **more}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def prefect_server(home: Path, database: str | None = None) -> Iterator[str]:
    """The address of a server with this home, on SQLite or the database at this URL."""
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    more = SERVER | ({"PREFECT_SERVER_DATABASE_CONNECTION_URL": database} if database else {})
    command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, env=_environment(home, more), stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}/api"

    def healthy() -> bool:
        assert process.poll() is None, (home / "server.log").read_text()
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        wait_for(healthy, "the server")
        yield url
    finally:
        end(process)


def start_worker(url: str, home: Path, pool: str = "clsp", faults: str = "") -> subprocess.Popen:
    """A worker of a pool, its log in its home. `faults`: see pipelines/faults.py."""
    home.mkdir(parents=True, exist_ok=True)
    more = WORKER | {"PREFECT_API_URL": url} | ({"CLSP_FAULTS": faults} if faults else {})
    command = [PREFECT, "worker", "start", "--pool", pool, "--type", "process"]
    with (home / "worker.log").open("ab") as log:
        return subprocess.Popen(
            command, env=_environment(home, more), stdout=log, stderr=log, start_new_session=True
        )


def prefect(url: str, home: Path, *command: str) -> None:
    """A command of Prefect's own, against this server."""
    environment = _environment(home, {"PREFECT_API_URL": url})
    subprocess.run([PREFECT, "--no-prompt", *command], check=True, env=environment)


def end(process: subprocess.Popen) -> None:
    """As Ctrl-C or a service manager would; by force after a while."""
    children = descendants(process.pid)
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    kill_all(children)


def kill(process: subprocess.Popen) -> None:
    """The machine goes down: the worker and the runs it had started, at once, without a word."""
    children = descendants(process.pid)
    process.kill()
    process.wait()
    kill_all(children)


def kill_all(pids: list[int]) -> None:
    """Some of these processes may have ended by themselves."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Ids of the processes that a process started, and so on."""
    found = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in listing.read_text().split()]
        except OSError:  # it has ended
            continue
        found += [each for child in children for each in (child, *descendants(child))]
    return found


def expire_leases(home: Path) -> None:
    """As if 300 s had gone by since they were renewed: what Prefect waits for before it takes a
    slot back from a process that says nothing any more."""
    past = datetime(2000, 1, 1, tzinfo=UTC).isoformat()
    folder = home / "concurrency_leases"
    for file in folder.glob("*.json"):
        lease = json.loads(file.read_text())
        told = dict.fromkeys(lease, past) if file.name == "expirations.json" else lease
        file.write_text(json.dumps(told if told is not lease else {**lease, "expiration": past}))


@contextmanager
def postgres() -> Iterator[str]:
    """A Postgres of our own, as the URL that Prefect takes. Skips where there is none.

    initdb refuses root: as root, the user `postgres` runs it, in a folder that it can reach.
    """
    import pytest

    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("Postgres is not installed here: apt-get install postgresql")
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="clsp-postgres-") as folder:
        if user:
            shutil.chown(folder, "postgres")
        data, port = f"{folder}/data", free_port()
        _quietly(*user, initdb, "-D", data, "-U", "prefect", "--auth=trust", "-E", "UTF8")
        control = [*user, str(Path(initdb).with_name("pg_ctl")), "-D", data, "-w"]
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        _quietly(*control, "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
        finally:
            _quietly(*control, "-m", "fast", "stop")


def _quietly(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
