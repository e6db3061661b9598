"""What a planned run would do and about how long it would take, by what this lake has seen.

Processes nothing and writes nothing.
"""

from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pipelines.lake import Lake
from pipelines.planning import Plan, plan
from pipelines.query import arrow, connect
from pipelines.settings import TagSettings

if TYPE_CHECKING:
    from pipelines.reprocess import Step


@dataclass(frozen=True)
class Share:
    """Some of the listed files."""

    files: int
    size_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What a run would do. Of those to process, some may turn out to be known by their content:
    that is seen on reading them."""

    archive: str
    lake: str
    model_key: str
    taxonomy_key: str
    segments_policy: str
    listed: int
    unlisted: int
    process: Share
    relabel: Share
    unchanged: Share
    failing: Share  # of those unchanged: known failures
    pending: Share
    gone: Share
    missing: int
    audio_s: float | None  # of those to process
    seconds: float | None  # of work
    because: str | None  # there is no estimate

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def forecast(settings: TagSettings) -> Forecast:
    """Plan, and no more: not even the lake's folder is made. Raises what `plan` does."""
    planned = plan(settings, create=False)
    lake = Lake(settings.lake, absent_ok=True)
    sizes = planned.size_bytes_of

    def share(what: str, files: int) -> Share:
        return Share(files, sizes.get(what, 0))

    audio_s, why_no_audio = _audio_s(lake, planned)
    per_s, why_no_speed = _seconds_per_audio_second(lake, planned.job.model_key)
    return Forecast(
        archive=planned.job.archive,
        lake=str(lake.root),
        model_key=planned.job.model_key,
        taxonomy_key=planned.job.taxonomy.key,
        segments_policy=planned.job.policy.key,
        listed=planned.listed,
        unlisted=len(planned.unlisted) + planned.still_unlisted,
        process=share("process", planned.files),
        relabel=share("relabel", len(planned.relabel)),
        unchanged=share("unchanged", planned.unchanged),
        failing=share("failing", planned.failing),
        pending=share("pending", planned.pending),
        gone=share("gone", len(planned.gone)),
        missing=planned.missing,
        audio_s=audio_s,
        seconds=None if audio_s is None or per_s is None else audio_s * per_s,
        because=why_no_audio or why_no_speed,
    )


def _audio_s(lake: Lake, planned: Plan) -> tuple[float | None, str | None]:
    """Seconds of audio in the files to process: their bytes times what a byte of such a file held
    in the archive's tagged recordings (or the lake's, for an archive that has none)."""
    size: dict[str, int] = defaultdict(int)
    for chunk in planned.chunks:
        for entry in chunk.entries:
            size[_ending(entry.uri)] += entry.size_bytes
    if not size:
        return 0.0, None
    with connect(lake, of=("recordings",)) as db:
        held = arrow(
            db,
            """SELECT archive = ? AS own, lower(regexp_extract(uri, '\\.[^./]*$')) AS ending,
                      sum(duration_s) AS audio_s, sum(size_bytes)::DOUBLE AS size_bytes
               FROM recordings WHERE state <> 'failed' AND duration_s > 0 AND size_bytes > 0
               GROUP BY ALL""",
            planned.job.archive,
        ).to_pylist()
    if not held:
        return None, "the lake holds no tagged recording to go by"
    held = [row for row in held if row["own"]] or held

    def per_byte(rows: list[dict[str, Any]]) -> float:
        rows = rows or held
        return float(sum(r["audio_s"] for r in rows) / sum(r["size_bytes"] for r in rows))

    found = sum(n * per_byte([r for r in held if r["ending"] == e]) for e, n in size.items())
    return found, None


def _ending(uri: str) -> str:
    return PurePosixPath(uri).suffix.lower()


def _seconds_per_audio_second(lake: Lake, model_key: str) -> tuple[float | None, str | None]:
    """Of the last ten runs with this model that read audio: start-up and listing are in it."""
    with connect(lake, of=("runs",)) as db:
        [found] = arrow(
            db,
            """SELECT sum(epoch(committed_at) - epoch(started_at)) / sum(audio_s) AS per_s FROM
                 (FROM runs WHERE kind = 'run' AND model_key = ? AND audio_s > 0
                  ORDER BY seq DESC LIMIT 10)""",
            model_key,
        ).to_pylist()
    if found["per_s"] is None:
        return None, "no finished run of this lake read audio with this model"
    return float(found["per_s"]), None


# ---- of reprocessing --------------------------------------------------------------------------


def seconds_of(lake: Lake, wanted: "list[Step]") -> dict[str, float | None]:
    """About how long the steps of each kind take, by what this lake has seen; None where it has
    seen nothing like it."""
    with connect(lake, of=("runs",)) as db:
        speeds = {
            what: db.execute(
                f"""SELECT sum(epoch(committed_at) - epoch(started_at)) / sum({unit}) FROM
                      (FROM runs WHERE {which} AND {unit} > 0 ORDER BY seq DESC LIMIT 10)"""
            ).fetchall()[0][0]
            for what, unit, which in (
                ("relabel", "segments", "kind = 'chunk' AND files = 0"),
                ("re-embed", "audio_s", "kind = 'run'"),
            )
        }
    units = {
        "relabel": sum(step.segments for step in wanted if step.what == "relabel"),
        "re-embed": sum(step.audio_s for step in wanted if step.what == "re-embed"),
    }
    return {
        what: 0.0 if not units[what] else None if speed is None else units[what] * speed
        for what, speed in speeds.items()
    }
