"""What infra/real-meetings.py cuts out of a meeting: what one person says alone."""

import importlib.util
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

SCRIPT = Path(__file__).parents[2] / "infra" / "real-meetings.py"
spec = importlib.util.spec_from_file_location("real_meetings", SCRIPT)
assert spec and spec.loader
real_meetings = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real_meetings)

TURNS = st.tuples(st.integers(0, 30), st.integers(1, 15), st.sampled_from("ABC")).map(
    lambda drawn: (float(drawn[0]), float(drawn[0] + drawn[1]), drawn[2])
)


def seconds(parts: list[tuple[float, float]]) -> set[int]:
    return {second for start, end in parts for second in range(int(start), int(end))}


def test_what_others_say_at_the_same_time_is_cut_out() -> None:
    told = [(0.0, 10.0, "A"), (2.0, 3.0, "B"), (5.0, 7.0, "C"), (6.0, 8.0, "B"), (1.0, 9.0, "A")]
    assert list(real_meetings.alone(told[0], told)) == [(0.0, 2.0), (3.0, 5.0), (8.0, 10.0)]


@given(TURNS, st.lists(TURNS, max_size=6))
def test_nobody_else_speaks_in_what_is_kept_and_nothing_else_is_lost(
    turn: tuple[float, float, str], others: list[tuple[float, float, str]]
) -> None:
    kept = list(real_meetings.alone(turn, others))
    theirs = seconds([(start, end) for start, end, who in others if who != turn[2]])
    assert seconds(kept) == seconds([turn[:2]]) - theirs
    assert all(start < end for start, end in kept)


def test_turns_are_read_from_rttm(tmp_path: Path) -> None:
    path = tmp_path / "some.rttm"
    path.write_text("SPEAKER a 1 1.500 2.000 <NA> <NA> FEE001 <NA> <NA>\n")
    assert real_meetings.turns(path) == {"a": [(1.5, 3.5, "FEE001")]}
