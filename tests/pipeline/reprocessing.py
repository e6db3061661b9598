"""Reprocessing in the tests: labels to ask for, what is to do, doing it, and what is there then."""

from pathlib import Path

from pipelines import tagging
from pipelines.lake import Lake
from pipelines.query import run
from pipelines.reprocess import ReprocessSettings, steps
from pipelines.tagging import carry_out

MOOD = """
attributes:
  mood: {labels: {calm: A calm voice., tense: A tense voice.}}
  gender: {labels: {man: A man speaks., woman: A woman speaks.}}
styles: {plain: A plain voice.}
"""


def rows(lake: Path, sql: str) -> list[dict]:
    return run(Lake(lake), sql).to_pylist()


def keys(lake: Path, column: str) -> list[str]:
    return [r["k"] for r in rows(lake, f"SELECT DISTINCT {column} AS k FROM speech ORDER BY 1")]


def done(lake: Path, **given) -> list[tagging.RunReport]:
    return [carry_out(step.plan()) for step in steps(ReprocessSettings(str(lake), **given))]


def told(lake: Path, **given) -> list[tuple[str, int, int]]:
    found = steps(ReprocessSettings(str(lake), **given))
    return [(step.what, step.recordings, step.segments) for step in found]
