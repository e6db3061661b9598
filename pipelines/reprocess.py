"""Brings what a lake holds to another taxonomy, model, precision or cut: just what is not so.

Asks the tables what remains to be done, so a run that was cut off is continued by running it again,
and one that was never started is not missed. New labels alone read no audio and need no archive.
Knows lakes and plans; nothing of how files are read.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from clsp.checkpoint import resolve
from clsp.errors import ModelNotFound
from pipelines import taxonomy
from pipelines.archive import EVERYTHING, FileEntry
from pipelines.audio_info import Limits
from pipelines.errors import SettingsError
from pipelines.goal import Goal, words_of
from pipelines.jobs import Job, model_key, parts_of
from pipelines.lake import Lake
from pipelines.planning import Plan, new_run_id, plan
from pipelines.query import arrow, ask, connect
from pipelines.retry import latest_runs, run_on
from pipelines.segments import SegmentPolicy
from pipelines.settings import TagSettings
from pipelines.targets import PRECISION, Target, declared, same_labels
from pipelines.taxonomy import Taxonomy

ONLY = ("relabel", "re-embed")
OWN = ("where", "only")  # settings that TagSettings has none of
HOW = (
    "executor", "ray_address", "workers", "worker_cpus", "worker_gpus", "device", "batch_s",
    "decode_threads", "chunk_files", "chunk_mib",
)  # fmt: skip


@dataclass(frozen=True)
class ReprocessSettings:
    """What to bring the recordings of a lake to, which of them, and how.

    | setting   | meaning                                                       | default       |
    | --------- | ------------------------------------------------------------- | ------------- |
    | lake      | folder of the tables                                          |               |
    | taxonomy  | YAML file of attributes and styles                            | lake's target |
    | model     | `tiny`, `yfyeung/CLSP` or a folder                            | lake's target |
    | segments  | as of TagSettings                                             | lake's target |
    | channels  | as of TagSettings                                             | lake's target |
    | precision | as of TagSettings                                             | lake's target |
    | where     | SQL condition on the columns of `speech`: recordings of which | all           |
    |           | any segment fits                                              |               |
    | only      | `relabel` (what needs no audio) or `re-embed` (what does)     | both          |

    And executor, ray_address, workers, worker_cpus, worker_gpus, device, batch_s, decode_threads,
    chunk_files and chunk_mib, as of TagSettings.

    What neither says stays as it is with each recording. Raises SettingsError.
    """

    lake: str
    taxonomy: str | None = None
    model: str | None = None
    segments: str | None = None
    channels: str | None = None
    precision: str | None = None
    where: str | None = None
    only: str | None = None
    executor: str = "local"
    ray_address: str | None = None
    workers: int | None = None
    worker_cpus: float | None = None
    worker_gpus: float | None = None
    device: str = "auto"
    batch_s: float | None = None
    decode_threads: int = 2
    chunk_files: int | None = None
    chunk_mib: int | None = None

    def __post_init__(self) -> None:
        if self.only is not None and self.only not in ONLY:
            raise SettingsError(f"only {self.only!r}: expected one of {list(ONLY)}")
        shared = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in OWN}
        TagSettings(source="each archive", **shared)  # refuses what means nothing


@dataclass(frozen=True)
class Step:
    """Recordings of one archive that are brought to the goal in the same way. `plan` lists the
    archive where audio is needed: call it when the step's turn has come."""

    what: str  # relabel | re-embed
    archive: str
    recordings: int
    segments: int
    audio_s: float
    size_bytes: int
    plan: Callable[[], Plan]


def has_goal(settings: ReprocessSettings) -> bool:
    """Whether these settings, or the lake, say what to bring its recordings to."""
    names = ("taxonomy", "model", "segments", "channels", "precision")
    given = any(getattr(settings, name) for name in names)
    return given or declared(Lake(settings.lake, absent_ok=True)) != Target()


def require_goal(settings: ReprocessSettings) -> None:
    """Raises LakeError where there is no lake, SettingsError where there is no goal."""
    Lake(settings.lake)
    if not has_goal(settings):
        raise SettingsError(
            f"nothing says what to bring the lake {settings.lake} to: give --taxonomy, --model, "
            "--precision, --segments or --channels, or declare them with `clsp target`"
        )


def steps(settings: ReprocessSettings) -> list[Step]:
    """What is to be done, labels first: they are quick.

    Raises SettingsError where nothing says what to bring the lake to, QueryError for a bad `where`,
    TaxonomyError, ModelNotFound, LakeError.
    """
    lake = Lake(settings.lake)
    require_goal(settings)
    target = declared(lake)
    goal = _goal(settings, target)
    groups: dict[tuple[str, str, str, str, SegmentPolicy], _Group] = defaultdict(_Group)
    with connect(lake) as db:
        latest, named = latest_runs(db), _named(db)
        for row in _recordings(db, settings.where):
            what, policy = goal.lacking(row)
            if what is not None and settings.only in (None, what):
                like = row
                if row["state"] == "failed":  # it has no embeddings: as others of its archive
                    like = run_on(latest, row["archive"], row["kind"])
                key = goal.model_key(like["model_key"])
                groups[what, row["archive"], row["kind"], key, policy].add(row)
    found = []
    for (what, archive, kind, key, policy), group in groups.items():
        like_run = run_on(latest, archive, kind)
        options = json.loads(like_run["options_json"])
        options |= {"lake": settings.lake, "include": EVERYTHING, "exclude": ()}
        options |= {name: getattr(settings, name) for name in HOW}
        options["segments"], options["channels"] = words_of(policy.key)
        name, revision, options["precision"] = parts_of(key)
        if goal.taxonomy:
            options["taxonomy"] = settings.taxonomy  # None is then what the lake declares
        tagged = TagSettings(**options)
        names = [goal.model] if goal.model else [*named[name, revision], name]
        count = len(group.entries)
        if what == "relabel":
            assert goal.taxonomy
            make = _relabelling(tagged, archive, names, key, policy, goal.taxonomy, group)
        else:
            labels_key = None if goal.taxonomy else like_run["taxonomy_key"]
            make = _embedding(tagged, names, key, group, labels_key, target)
        found.append(
            Step(what, archive, count, group.segments, group.audio_s, group.size_bytes, make)
        )
    return sorted(found, key=lambda step: (step.what != "relabel", step.archive))


# ---- what there is ----------------------------------------------------------------------------


def _goal(settings: ReprocessSettings, target: Target) -> Goal:
    model = settings.model or target.model
    return Goal(
        taxonomy.load(settings.taxonomy) if settings.taxonomy else target.labels,
        model,
        resolve(model) if model else None,
        settings.precision or target.precision,
        settings.segments or target.segments,
        settings.channels or target.channels,
    )


@dataclass
class _Group:
    """Recordings that are brought to the goal in the same way."""

    entries: list[FileEntry] = field(default_factory=list)
    segments: int = 0
    audio_s: float = 0.0
    size_bytes: int = 0

    def add(self, row: dict[str, Any]) -> None:
        size_bytes = row["size_bytes"] or 0
        self.entries.append(
            FileEntry(row["uri"], "", size_bytes, row["version"], metadata=row["metadata"])
        )
        self.segments += row["segments"]
        self.audio_s += row["duration_s"] or 0.0
        self.size_bytes += size_bytes


def _recordings(db: duckdb.DuckDBPyConnection, where: str | None) -> Iterator[dict[str, Any]]:
    """The recordings with how many segments they have, those that are chosen: where there is a
    condition, that is none that failed."""
    chosen = None
    if where is not None:
        chosen = ask(db, f"SELECT DISTINCT archive, uri FROM speech WHERE (\n{where}\n)")
        db.register("chosen", chosen)
    some = "" if chosen is None else "AND (r.archive, r.uri) IN (SELECT (archive, uri) FROM chosen)"
    found = arrow(
        db,
        f"""SELECT r.archive, r.uri, r.version, r.metadata, r.size_bytes, r.duration_s, r.model_key,
                   r.segments_policy, r.taxonomy_key, r.state, r.error_kind,
                   coalesce(s.n, 0) AS segments,
                   coalesce(l.options_json->>'kind', 'folder') AS kind
            FROM recordings r JOIN runs l ON l.chunk_id = r.chunk_id AND l.kind = 'chunk'
            LEFT JOIN (SELECT content_hash, segments_policy, count(*) AS n FROM segments
                       GROUP BY ALL) s ON s.content_hash = r.content_hash
                                      AND s.segments_policy = r.segments_policy
            WHERE r.state <> 'gone' {some} ORDER BY r.archive, r.uri""",
    )
    for batch in found.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


# ---- plans ------------------------------------------------------------------------------------


def _relabelling(
    settings: TagSettings,
    archive: str,
    names: list[str],
    key: str,
    policy: SegmentPolicy,
    labels: Taxonomy,
    group: _Group,
) -> Callable[[], Plan]:
    """All that is needed is in the lake, whatever has become of the archive."""

    def made() -> Plan:
        now, model = datetime.now(UTC), _model(names, key)
        job = Job(
            archive=archive,
            model=model,
            model_key=key,
            taxonomy=labels,
            policy=policy,
            run_id=new_run_id(now),
            precision=settings.precision or PRECISION,
            device=settings.device,
            limits=Limits(settings.max_duration_s, settings.max_bytes, settings.file_timeout_s),
        )
        entries = tuple(group.entries)
        return Plan(replace(settings, model=model), job, (), entries, (), len(entries), 0, 0, now)

    return made


def _named(db: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], list[str]]:
    """By name and revision of a model: what runs with it, and declarations, called it."""
    rows = db.execute(
        """SELECT DISTINCT model_key, model FROM (
               SELECT model_key, options_json->>'model' AS model FROM runs
               UNION ALL SELECT r.model_key, t.model FROM runs r, targets t)
           WHERE model IS NOT NULL ORDER BY model"""
    ).fetchall()
    named: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key, model in rows:
        name, revision, _ = parts_of(key)
        named[name, revision].append(model)
    return named


def _model(names: list[str], key: str) -> str:
    """The name by which this very model is loaded."""
    *_, precision = parts_of(key)
    for name in dict.fromkeys(names):
        try:
            checkpoint = resolve(name)
        except ModelNotFound:
            continue
        if model_key(checkpoint.name, checkpoint.revision, precision) == key:
            return name
    raise SettingsError(
        f"recordings were embedded with {key}, and there is no such model by the names {names}: "
        "put it where it was, or name it with --model; or bring them to another model with it"
    )


def _embedding(
    settings: TagSettings,
    names: list[str],
    key: str,
    group: _Group,
    labels_key: str | None,
    target: Target,
) -> Callable[[], Plan]:
    """The files are read again: those that are still there. labels_key: of the labels that they
    get, where nobody asks for others."""
    uris = frozenset(entry.uri for entry in group.entries)

    def made() -> Plan:
        labels = settings.taxonomy
        if labels_key is not None:
            labels = same_labels(labels, labels_key, target)
        return plan(replace(settings, model=_model(names, key), taxonomy=labels), retry=uris)

    return made


def counted(wanted: list[Step]) -> pa.Table:
    """The steps as rows."""
    names = ("what", "archive", "recordings", "segments", "audio_s", "size_bytes")
    return pa.table({name: [getattr(step, name) for step in wanted] for name in names})
