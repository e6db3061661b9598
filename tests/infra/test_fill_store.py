"""The demo's archive gets into an S3 store as it is, odd names and all (moto, on this machine)."""

import runpy
import subprocess
import sys

from moto.server import ThreadedMotoServer

from pipelines.archive import list_archive
from tests.infra.described import INFRA


def test_every_file_is_in_the_store_under_its_own_name(sample_archive, monkeypatch):
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, INFRA / "fill_store.py", sample_archive, "s3://demo-archive/v1"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        again = runpy.run_path(str(INFRA / "fill_store.py"))["fill"]
        again(sample_archive, "s3://demo-archive/v1")  # nothing is in the way
        stored = {entry.uri: entry.size_bytes for entry in list_archive("s3://demo-archive/v1")}
        local = {entry.uri: entry.size_bytes for entry in list_archive(str(sample_archive))}
        assert stored == local and local
        assert done.stdout.startswith(f"{len(local)} files of ")
    finally:
        server.stop()
