"""What a chunk held is given back when it is done, whatever was in it. (How much a whole run holds:
`python -m tests.faults.memory`.)"""

import gc
import shutil
from collections.abc import Callable
from types import FrameType

import pytest

from pipelines.planning import plan
from pipelines.settings import TagSettings
from pipelines.worker import Worker
from tests.faults.fuzz_decoder import case


def left_behind(work: Callable[[], object]) -> list[str]:
    """Frames of calls that only the garbage collector gives back."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        work()
        gc.collect()
        return [f"{x.f_code.co_name}:{x.f_lineno}" for x in gc.garbage if isinstance(x, FrameType)]
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
    planned = plan(TagSettings(str(archive), str(tmp_path / "lake"), segments=segments))
    [chunk], worker = planned.chunks, Worker(planned.job)
    assert worker.process(chunk).failed  # imports, too, leave frames behind
    assert left_behind(lambda: worker.process(chunk)) == []
