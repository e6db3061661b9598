"""What a lake's recordings shall be tagged with: taxonomy, model, precision and cut, declared once
and kept in the lake.

`clsp tag` takes from here what it is not given, and `clsp reprocess` brings to it what is not so:
what remains to be done is asked of the tables, not remembered. Knows lakes and settings; nothing
of how work is done.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from clsp.checkpoint import resolve
from pipelines import schemas, taxonomy
from pipelines.errors import SettingsError, TaxonomyError
from pipelines.lake import Lake
from pipelines.query import arrow, connect
from pipelines.segments import SegmentPolicy
from pipelines.settings import TagSettings, check_precision
from pipelines.taxonomy import Taxonomy

# Where neither user nor lake says.
MODEL, SEGMENTS, CHANNELS, PRECISION = "tiny", "windows", "mix", "float32"


@dataclass(frozen=True)
class Target:
    """What is declared; None is left to whoever tags."""

    taxonomy: str | None = None  # the YAML text itself
    model: str | None = None  # as TagSettings.model
    segments: str | None = None
    channels: str | None = None
    precision: str | None = None

    @property
    def labels(self) -> Taxonomy | None:
        """Raises TaxonomyError for one that this version cannot read."""
        if self.taxonomy is None:
            return None
        return taxonomy.parse(self.taxonomy, "the taxonomy that the lake declares")


@dataclass(frozen=True)
class Wanted:
    """What a run is to tag with, wherever that is said."""

    model: str
    taxonomy: Taxonomy
    policy: SegmentPolicy
    precision: str


def declared(lake: Lake) -> Target:
    """The lake's target; of a lake that declares nothing, one of nothing."""
    return _latest(lake)[0]


def _latest(lake: Lake) -> tuple[Target, datetime | None]:
    """With when it was declared."""
    if not lake.exists("targets"):  # every run asks: most lakes have none
        return Target(), None
    with connect(lake, of=("targets",)) as db:
        [row] = arrow(
            db,
            """SELECT taxonomy_yaml AS taxonomy, model, segments, channels, precision, declared_at
               FROM targets ORDER BY declared_at DESC LIMIT 1""",
        ).to_pylist()
    declared_at = row.pop("declared_at")
    return Target(**row), declared_at


def declare(lake: Lake, **given: str | None) -> Target:
    """Declare some of taxonomy (a YAML file), model, segments, channels and precision; what is not
    given stays as it is. Nothing is written where nothing changes.

    Raises TaxonomyError, ModelNotFound, SettingsError, LakeError.
    """
    new = {name: value for name, value in given.items() if value is not None}
    if "taxonomy" in new:
        new["taxonomy"] = taxonomy.text_of(new["taxonomy"])
    if "model" in new:
        resolve(new["model"])  # is it there?
        folder = Path(new["model"]).expanduser()
        new["model"] = str(folder.resolve()) if folder.is_dir() else new["model"]
    SegmentPolicy.parse(new.get("segments", SEGMENTS), new.get("channels", CHANNELS))
    check_precision(new.get("precision"))
    with lake.locked():
        before = declared(lake)
        target = replace(before, **new)
        if target != before:
            _write(lake, target)
    return target


def withdraw(lake: Lake) -> None:
    """Declare nothing any more."""
    with lake.locked():
        if declared(lake) != Target():
            _write(lake, Target())


def wanted(settings: TagSettings, lake: Lake) -> Wanted:
    """What the settings say; else what the lake declares; else the built-in taxonomy, `tiny`,
    `windows`, `mix`, `float32`. Raises TaxonomyError, SettingsError."""
    target = declared(lake)
    labels = taxonomy.load(settings.taxonomy) if settings.taxonomy else target.labels
    return Wanted(
        settings.model or target.model or MODEL,
        labels or taxonomy.load(),
        SegmentPolicy.parse(
            settings.segments or target.segments or SEGMENTS,
            settings.channels or target.channels or CHANNELS,
        ),
        settings.precision or target.precision or PRECISION,
    )


def same_labels(path: str | None, key: str, target: Target) -> str | None:
    """How settings name the labels of this key: by `path`, where they came from, if its file still
    holds them; by None, if they are what a run takes that is told nothing; else by the built-in
    file. Raises SettingsError where they are none of these any more."""
    if path and _holds(path, key):
        return path
    if (target.labels or taxonomy.load()).key == key:
        return None
    if _holds(taxonomy.DEFAULT, key):
        return str(taxonomy.DEFAULT)
    raise SettingsError(
        f"labels of the key {key}, which {path or 'what the lake declared'} held, are neither "
        "there now nor built in. Say which to take with --taxonomy, or put them back"
    )


def _holds(path: str | Path, key: str) -> bool:
    try:
        return taxonomy.load(path).key == key
    except TaxonomyError:
        return False


def _write(lake: Lake, target: Target) -> None:
    """The lock is held. Each is later than the one before, whatever the clocks of the machines say
    that declared them."""
    labels, (_, before), now = target.labels, _latest(lake), datetime.now(UTC)
    row = {
        "declared_at": now if before is None else max(now, before + timedelta(microseconds=1)),
        "taxonomy_key": labels and labels.key,
        "taxonomy_yaml": target.taxonomy,
        "model": target.model,
        "segments": target.segments,
        "channels": target.channels,
        "precision": target.precision,
    }
    lake.append("targets", pa.Table.from_pylist([row], schemas.TARGETS))
