"""What the ledger says of runs: how far each is, how fast, how long it will take.

A run stands here from its first committed chunk on. One that ended early says so, where it could.
Whether one that says nothing still goes on, no table can know: it is taken to have stopped when
nothing came for much longer than its chunks take. Knows nothing of processes or terminals.
"""

from datetime import UTC, datetime
from typing import Any

from pipelines.errors import QueryError
from pipelines.lake import Lake
from pipelines.query import arrow, connect

SILENT_S = 900.0  # a run without a commit for so long, and for SILENT_CHUNKS of its chunks, is over
SILENT_CHUNKS = 5

RUNS = """
    WITH l AS (FROM runs WHERE kind IN ('chunk', 'run', 'stopped')),
    told AS (
        SELECT run_id, max(archive) AS archive, max(model_key) AS model_key,
               bool_or(kind = 'run') AS finished, bool_or(kind = 'stopped') AS stopped,
               min(started_at) AS started_at, max(committed_at) AS last_commit,
               count(*) FILTER (kind = 'chunk') AS chunks,
               coalesce(sum(files) FILTER (kind = 'chunk'), 0)::BIGINT AS files,
               max(planned_files) AS planned_files,
               coalesce(sum(tagged) FILTER (kind = 'chunk'), 0)::BIGINT AS tagged,
               coalesce(sum(failed) FILTER (kind = 'chunk'), 0)::BIGINT AS failed,
               coalesce(sum(gone) FILTER (kind = 'chunk'), 0)::BIGINT AS gone,
               max(unchanged) FILTER (kind = 'run') AS unchanged,
               max(pending) FILTER (kind = 'run') AS pending,
               coalesce(sum(segments) FILTER (kind = 'chunk'), 0)::BIGINT AS segments,
               coalesce(sum(audio_s) FILTER (kind = 'chunk'), 0) AS audio_s,
               epoch(max(committed_at) - min(started_at)) AS seconds,
               max(seq) AS seq
        FROM l GROUP BY run_id)
    SELECT * EXCLUDE (seq, finished, stopped), finished, stopped,
           CASE WHEN seconds > 0 THEN audio_s / seconds END AS audio_s_per_s,
           CASE WHEN seconds > 0 THEN files / seconds END AS files_per_s
    FROM told"""


def runs(lake: Lake, limit: int | None = None, now: datetime | None = None) -> list[dict[str, Any]]:
    """Runs that committed anything, latest first. `state`: finished, running or stopped; of one
    that is running, `left_s`, where it is known how much was planned."""
    now = now or datetime.now(UTC)
    with connect(lake, of=("runs",)) as db:
        rows = arrow(db, f"{RUNS} ORDER BY seq DESC LIMIT ?", 2**62 if limit is None else limit)
    return [_judged(row, now) for row in rows.to_pylist()]


def run_of(lake: Lake, run_id: str) -> dict[str, Any]:
    """One run: `run`, its `chunks` as they were committed, and its `failures` by kind.

    Raises QueryError where there is none of that id.
    """
    found = [row for row in runs(lake) if row["run_id"] == run_id]
    if not found:
        raise QueryError(f"no run {run_id!r} has committed anything: see `clsp runs`")
    with connect(lake, of=("runs", "history")) as db:
        chunks = arrow(
            db,
            """SELECT chunk_id, started_at, committed_at, files, tagged, failed,
                      coalesce(gone, 0) AS gone, segments, audio_s,
                      epoch(committed_at - started_at) AS seconds
               FROM runs WHERE run_id = ? AND kind = 'chunk' ORDER BY seq""",
            run_id,
        ).to_pylist()
        failures = arrow(
            db,
            """SELECT error_kind, count(*) AS files FROM history
               WHERE run_id = ? AND state = 'failed' GROUP BY 1 ORDER BY 2 DESC, 1""",
            run_id,
        ).to_pylist()
    return {"run": found[0], "chunks": chunks, "failures": failures}


def _judged(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    """With `state` and `left_s`, in place of `finished` and `stopped`."""
    silent_s = (now - row["last_commit"]).total_seconds()
    most_s = max(SILENT_S, SILENT_CHUNKS * row["seconds"] / max(1, row["chunks"]))
    row["left_s"] = None
    finished, stopped = row.pop("finished"), row.pop("stopped")
    if finished:
        row["state"] = "finished"
    elif stopped or silent_s > most_s:
        row["state"] = "stopped"
    else:
        row["state"] = "running"
        if row["planned_files"] and row["files_per_s"]:
            # What is being done now is not in the ledger yet: the time since counts.
            left_s = (row["planned_files"] - row["files"]) / row["files_per_s"] - silent_s
            row["left_s"] = max(0.0, left_s)
    return row
