"""What a run leaves in Prefect for people: markdown from its report and its lake, and how far it is
while it goes on.

Makes texts and numbers only; flows put them where they belong. Knows nothing of Prefect.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flows.console import duration
from pipelines.lake import Lake
from pipelines.query import arrow, connect

MOST_LABELS = 8  # of an attribute that are named; the rest are counted together

SHARES = """
    SELECT attribute, coalesce(label, 'unsure') AS label, count(*) AS segments
    FROM labels_long WHERE archive = ? GROUP BY ALL ORDER BY attribute, segments DESC, label"""


def summary(report: Mapping[str, Any], lake: Lake) -> str:
    """Markdown: what the run did (a RunReport as a dictionary), why files failed, and how often
    each label is given in its archive now."""
    counts = ("tagged", "known", "relabelled", "unchanged", "failed", "pending", "gone")
    done = [(name, f"{report[name]:,}") for name in counts if report[name]]
    if report["segments"]:
        speed = report["audio_s"] / report["seconds"] if report["seconds"] else 0.0
        done.append(("segments", f"{report['segments']:,}"))
        done.append(("audio", f"{duration(report['audio_s'])} ({speed:.1f}x real time)"))
    done.append(("time", duration(report["seconds"])))
    parts = [
        f"{_code(report['archive'])} into {_code(report['lake'])}",
        _table(("what", "how many"), done),
    ]
    for name, title in (("failures", "Failed"), ("warnings", "Tagged in part")):
        if report[name]:
            kinds = [(kind, f"{count:,}") for kind, count in report[name].items()]
            parts.append(f"### {title}\n\n{_table(('why', 'files'), kinds)}")
    if shares := label_shares(lake, report["archive"]):
        rows = [(name, _shares(labels)) for name, labels in shares.items()]
        parts.append(f"### Labels, by segments\n\n{_table(('attribute', 'share'), rows)}")
    parts.append(
        f"Run {_code(report['run_id'])}, model {_code(report['model_key'])}, "
        f"taxonomy {_code(report['taxonomy_key'])}"
    )
    return "\n\n".join(parts) + "\n"


def label_shares(lake: Lake, archive: str) -> dict[str, dict[str, int]]:
    """Segments of the archive by attribute and label (`unsure`: none), most frequent first."""
    with connect(lake, of=("labels_long",)) as db:
        rows = arrow(db, SHARES, archive).to_pylist()
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["attribute"], {})[row["label"]] = row["segments"]
    return found


def progress(planned_files: int, files: int, audio_s: float, seconds: float) -> tuple[float, str]:
    """Percent of the planned files that are committed, and a line that says so: for a progress
    artifact, after each chunk. `seconds`: since the run began."""
    percent = 100.0 * files / planned_files if planned_files else 100.0
    text = f"{files:,} of {planned_files:,} files"
    if audio_s and seconds:
        text += f", {audio_s / seconds:.1f}x real time"
    if 0 < files < planned_files:
        text += f", about {duration(seconds * (planned_files - files) / files)} left"
    return min(100.0, percent), text


def _shares(labels: Mapping[str, int]) -> str:
    whole = sum(labels.values())
    named = [f"{label} {count / whole:.0%}" for label, count in [*labels.items()][:MOST_LABELS]]
    rest = sum([*labels.values()][MOST_LABELS:])
    return ", ".join(
        [*named, *([f"{len(labels) - MOST_LABELS} others {rest / whole:.0%}"] if rest else [])]
    )


def _table(header: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    lines = [header, ("---", "---:" if header[1] in ("files", "how many") else "---"), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """Labels and names are anybody's: none of them ends its cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def _code(text: str) -> str:
    """As it is, in backticks: one more than it has itself."""
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks} {text} {ticks}" if len(ticks) > 1 else f"`{text}`"
