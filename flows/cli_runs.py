"""`clsp runs` and `clsp status`: what runs did, what one that goes on still has to do, and what the
lake holds. Knows how to ask and how to show."""

from typing import Annotated, Any

import typer

from flows.options import MOST, JsonOption, LakeOption

SHOWN = ("run_id", "state", "archive", "files", "tagged", "failed", "gone", "audio_s", "seconds")


def runs(
    lake: LakeOption,
    run: Annotated[
        str | None, typer.Option("--run", help="One run: its chunks, and its failures by kind.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST, help="Most runs shown.")] = 20,
    json: JsonOption = False,
) -> None:
    """Runs, latest first: how far, how fast, files by state. A run is seen from its first committed
    chunk on. `stopped` is one that ended early; one that was killed is `running` until it has been
    silent for too long.
    """
    from flows.console import out, print_json, print_rows
    from pipelines.lake import Lake
    from pipelines.ledger import run_of
    from pipelines.ledger import runs as find

    if run is not None:
        found = run_of(Lake(lake), run)
        if json:
            return print_json(found)
        print_rows([_short(found["run"])])
        print_rows(found["chunks"], title="Chunks")
        if found["failures"]:
            print_rows(found["failures"], title="Failures")
        return
    rows = find(Lake(lake), limit)
    if json:
        return print_json(rows)
    print_rows([_short(row) for row in rows])
    for row in rows:
        if row["state"] == "running":
            out.print(_progress(row), markup=False)


def status(lake: LakeOption, json: JsonOption = False) -> None:
    """What the lake holds: recordings by archive and state, models, taxonomies, the last runs; and
    of a run that goes on, how far it is."""
    from flows.console import duration, out, print_json, print_rows
    from pipelines.lake import Lake
    from pipelines.ledger import runs as find
    from pipelines.query import arrow, connect

    tables = Lake(lake)
    with connect(tables, of=("runs", "recordings", "speech")) as db:

        def rows(query: str) -> list[dict[str, Any]]:
            return arrow(db, query).to_pylist()

        archives = rows(
            """SELECT archive, count(*) FILTER (state = 'tagged') AS tagged,
                      count(*) FILTER (state = 'failed') AS failed,
                      count(*) FILTER (state = 'gone') AS gone,
                      coalesce(sum(duration_s) FILTER (state = 'tagged'), 0) AS audio_s
               FROM recordings GROUP BY 1 ORDER BY 1"""
        )
        keys = rows(
            """SELECT model_key, taxonomy_key, segments_policy, count(*) AS recordings
               FROM recordings WHERE state = 'tagged' GROUP BY ALL ORDER BY 4 DESC"""
        )
        finished = rows(
            """SELECT run_id, committed_at, archive, files, tagged, failed, unchanged,
                      coalesce(pending, 0) AS pending, coalesce(gone, 0) AS gone, audio_s,
                      epoch(committed_at) - epoch(started_at) AS seconds
               FROM runs WHERE kind = 'run' ORDER BY seq DESC LIMIT 5"""
        )
        segments = rows("SELECT count(*) AS n FROM speech")[0]["n"]
    for row in finished:
        row["audio_s_per_s"] = row["audio_s"] / row["seconds"] if row["seconds"] > 0 else None
    running = [row for row in find(tables) if row["state"] == "running"]
    held = {
        "lake": str(tables.root),
        "size_bytes": tables.size_bytes(),
        "segments": segments,
        "archives": archives,
        "keys": keys,
        "running": running,
        "runs": finished,
    }
    if json:
        return print_json(held)
    audio_s = sum(row["audio_s"] for row in archives)
    out.print(
        f"[bold]{tables.root}[/bold]: {segments} segments, {duration(audio_s)} of audio, "
        f"{held['size_bytes'] / 1e6:.1f} MB"
    )
    print_rows(archives, title="Archives")
    print_rows(keys, title="Current labels come from")
    print_rows(finished, title="Last runs")
    for row in running:
        out.print(_progress(row), markup=False)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """What fits a terminal."""
    return {name: row[name] for name in SHOWN} | {"x real time": row["audio_s_per_s"]}


def _progress(row: dict[str, Any]) -> str:
    from flows.console import duration

    planned = "?" if row["planned_files"] is None else row["planned_files"]
    text = f"{row['run_id']}: {row['files']} of {planned} files"
    if row["audio_s_per_s"]:
        text += f", {row['audio_s_per_s']:.1f}x real time"
    if row["left_s"] is not None:
        text += f", about {duration(row['left_s'])} left"
    return text
