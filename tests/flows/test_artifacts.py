"""Markdown that a run leaves in Prefect."""

import pytest

from flows.artifacts import label_shares, progress, summary
from pipelines.lake import Lake
from pipelines.ledger import runs
from pipelines.query import run


@pytest.fixture(scope="module")
def report(sample_lake) -> dict:
    """As `tag` would have returned it."""
    lake = Lake(sample_lake)
    [told] = runs(lake)
    [keys] = run(lake, "SELECT DISTINCT taxonomy_key FROM speech").to_pylist()
    return {
        **told, **keys, "lake": str(sample_lake), "known": 0, "relabelled": 0,
        "failures": {"too_short": 1, "empty": 1}, "warnings": {"truncated": 1},
    }  # fmt: skip


def test_shares_are_those_of_the_archives_segments(sample_lake, report):
    shares = label_shares(Lake(sample_lake), report["archive"])
    assert {sum(labels.values()) for labels in shares.values()} == {17}
    sql = "SELECT count(*) AS n FROM speech WHERE whisper = 'whispered'"
    [whispered] = run(Lake(sample_lake), sql).to_pylist()
    assert shares["whisper"]["whispered"] == whispered["n"]
    assert label_shares(Lake(sample_lake), "/elsewhere") == {}


def test_the_summary_says_what_was_done_why_files_failed_and_what_was_heard(sample_lake, report):
    text = summary(report, Lake(sample_lake))
    lines = text.splitlines()
    for wanted in ("| tagged | 17 |", "| failed | 3 |", "| too_short | 1 |", "| truncated | 1 |"):
        assert wanted in lines
    [whisper] = [line for line in lines if line.startswith("| whisper |")]
    assert "whispered 6%" in whisper
    assert report["run_id"] in text
    assert "relabelled" not in text  # none were


def test_names_do_not_break_the_markdown(sample_lake, report):
    odd = {**report, "archive": "/a`b``c", "failures": {"a|b\nc": 1}}
    text = summary(odd, Lake(sample_lake))
    assert "``` /a`b``c ```" in text
    assert "| a\\|b c | 1 |" in text


def test_progress_in_percent_and_words():
    assert progress(200, 50, 3600.0, 60.0) == (
        25.0,
        "50 of 200 files, 60.0x real time, about 3 min 00 s left",
    )
    assert progress(0, 0, 0.0, 0.0) == (100.0, "0 of 0 files")
    assert progress(10, 10, 0.0, 1.0) == (100.0, "10 of 10 files")
