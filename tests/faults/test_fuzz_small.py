"""A small part of the fuzzing of decoders, and that the fuzzer finds what it is there to find."""

from pathlib import Path

import pytest

from pipelines.errors import FailureKind
from pipelines.segments import SegmentPolicy
from tests.faults import fuzz_decoder
from tests.faults.fuzz_decoder import case, outcome, run_batch, seeds

CASES, SEED, SECONDS = 150, 7, 120.0

# A child whose decoder crashes at one case and hangs at another.
BROKEN = """
import os, time
from tests.faults import fuzz_decoder as fuzz
right = fuzz.case
def wrong(seed, number):
    if "--child" in " ".join(__import__("sys").argv):
        fuzz.outcome = {3: lambda *_: os.abort(), 5: lambda *_: time.sleep(600)}.get(
            number, lambda *_: "read")
    return right(seed, number)
fuzz.case = wrong
fuzz.main()
"""


@pytest.mark.parametrize("name", fuzz_decoder.SEEDS)
def test_every_seed_can_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "seed").write_bytes(seeds()[name])
    assert outcome(tmp_path / "seed", SegmentPolicy(30, 30)) == "read"
    assert fuzz_decoder.SEEDS[name]() == seeds()[name]  # a case's number says all about it


def test_damaged_recordings_end_in_segments_or_with_a_reason() -> None:
    results = run_batch(SEED, range(CASES), SECONDS)
    assert sorted(number for number, *_ in results) == list(range(CASES))
    found = {what for _, _, what, _ in results}
    assert [result for result in results if result[2].startswith("BUG")] == []
    assert found <= {"read", "read in part", *FailureKind} - {"internal"}
    assert {"read", "read in part", "unreadable", "unsupported", "truncated"} <= found


def test_an_error_of_another_kind_is_a_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("of ours")

    (tmp_path / "seed").write_bytes(seeds()["flac"])
    monkeypatch.setattr(fuzz_decoder, "open_recording", broken)
    found = outcome(tmp_path / "seed", SegmentPolicy())
    assert found == "BUG: ZeroDivisionError: of ours"


def test_a_crash_and_a_hang_are_laid_at_the_door_of_their_case() -> None:
    results = run_batch(SEED, range(8), 1.0, ("-c", BROKEN))
    found = {number: what for number, _, what, _ in results}
    assert sorted(found) == list(range(8))
    assert found[3].startswith("BUG: crash")
    assert found[5].startswith("BUG: hang")
    assert {found[n] for n in (0, 1, 2, 4, 6, 7)} == {"read"}


def test_a_case_is_the_same_each_time() -> None:
    for number in range(20):
        assert case(SEED, number) == case(SEED, number)
