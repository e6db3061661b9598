"""A model gets as many threads as cores that its process may use, whatever the machine has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipelines import models

QUOTAS = Path("/sys/fs/cgroup/cpu")  # version 1, where a test may make a group
COUNTED = "import torch; from pipelines.models import cores, load; print(cores())"
LOADED = f"{COUNTED}; load('tiny'); print(torch.get_num_threads())"


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def counted(code: str, **more) -> list[int]:
    given = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True, **more
    )
    return list(map(int, done.stdout.split()))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux ties processes to cores")
def test_a_process_tied_to_one_core_has_one_thread():
    [one, *_] = os.sched_getaffinity(0)
    assert counted(LOADED, preexec_fn=lambda: os.sched_setaffinity(0, {one})) == [1, 1]


@pytest.mark.skipif(
    not os.access(QUOTAS / "tasks", os.W_OK), reason="needs control groups, version 1, and root"
)
def test_a_process_with_a_quota_has_no_more_threads_than_that():
    group = QUOTAS / f"clsp-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no group can be made: {error}")
    try:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text("100000")

        def join() -> None:
            (group / "tasks").write_text(str(os.getpid()))

        assert counted(LOADED, preexec_fn=join) == [1, 1]
    finally:
        group.rmdir()


def test_a_quota_of_version_2_is_seen_as_well():
    """In a view of the file system that has one as a container has it."""
    code = "from pipelines.models import cores; print(cores())"
    made = """mount -t tmpfs none /sys/fs/cgroup && echo "100000 100000" > /sys/fs/cgroup/cpu.max"""
    view = ["unshare", "--mount", "sh", "-c"]
    if subprocess.run([*view, made], capture_output=True, check=False).returncode:
        pytest.skip("needs Linux, and the right to mount")
    done = subprocess.run(
        [*view, f'{made} && exec "$@"', "sh", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1"]


def test_threads_that_are_told_are_taken(threads):
    models.load("tiny", threads=3)
    assert torch.get_num_threads() == 3
    models.load("tiny")
    assert torch.get_num_threads() == min(3, models.cores())
