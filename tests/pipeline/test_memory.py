"""What a chunk held is given back when it is done, whatever was in it. (How much a whole run holds:
`python -m tests.faults.memory`.)"""

import gc
import shutil
import subprocess
import sys
from collections.abc import Callable
from types import FrameType

import numpy as np
import pytest
import soundfile

from pipelines.planning import plan
from pipelines.settings import TagSettings
from pipelines.worker import Worker
from tests.faults.fuzz_decoder import case
from tests.places import ROOT

OURS = tuple(str(ROOT / floor) for floor in ("clsp", "pipelines"))


def left_behind(work: Callable[[], object]) -> list[str]:
    """Frames of calls of ours that only the garbage collector gives back: threads that other tests
    left, such as Prefect's, may leave their own in the meantime."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        work()
        gc.collect()
        frames = [x for x in gc.garbage if isinstance(x, FrameType)]
        ours = [x for x in frames if x.f_code.co_filename.startswith(OURS)]
        return [f"{x.f_code.co_name}:{x.f_lineno}" for x in ours]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("segments", ["whole", "windows:2", "vad"])
def test_failures_do_not_hold_samples_until_the_garbage_collector_runs(
    sample_archive, tmp_path, segments
):
    """A traceback holds every local variable on its way."""
    archive = tmp_path / "archive"
    shutil.copytree(sample_archive, archive)
    for number in range(60):
        _, damaged, _ = case(8, number)
        (archive / f"{number}.wav").write_bytes(damaged)
    for sample_rate in (16_000, 44_100):
        part = archive / f"{sample_rate}.mp3"
        soundfile.write(part, 0.1 * np.sin(np.arange(2 * sample_rate) / 30), sample_rate)
    both = [(archive / f"{sample_rate}.mp3").read_bytes() for sample_rate in (16_000, 44_100)]
    (archive / "both.mp3").write_bytes(b"".join(both))
    planned = plan(TagSettings(str(archive), str(tmp_path / "lake"), segments=segments))
    [chunk], worker = planned.chunks, Worker(planned.job)
    assert worker.process(chunk).failed  # imports, too, leave frames behind
    assert left_behind(lambda: worker.process(chunk)) == []


def test_what_is_freed_is_given_back(tmp_path):
    """In a process of its own, for the allocator is the whole process's. Blocks this small never
    come from the system one by one, and the last one holds the heap's end."""
    code = """
import platform
from pipelines import memory

def resident_mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20

memory.keep_one_arena()
blocks = [bytearray(60_000) for _ in range(4000)]
held = resident_mib()
last = blocks[-1]
del blocks
before = resident_mib()
memory.give_back()
print(platform.libc_ver()[0], held, before, resident_mib())
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells resident memory like this")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    libc, held, before, after = told.stdout.split()
    if libc != "glibc":
        pytest.skip("another C library's allocator")
    assert int(held) - int(before) < 50  # or there would be nothing to show
    assert int(held) - int(after) > 150
