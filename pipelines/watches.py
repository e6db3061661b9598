"""Watches: SQL conditions kept in the lake. A query that answers with one number, and a threshold.

Set and removed by rows that are only ever added, so that they travel with the lake; each check adds
a row with what it found. Knows SQL; knows nothing of events, of who is told, or of when to check.
"""

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from pipelines import schemas
from pipelines.errors import QueryError, SettingsError
from pipelines.lake import Lake
from pipelines.query import arrow, ask, connect

ACTIONS = ("alert", "reprocess")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
REMIND_S = 86_400.0  # one that goes on firing is announced again after so long
PRESET_DAYS = 7.0
PRESETS = {
    "unsure-share": "share of segments without a sure label of an attribute",
    "failure-rate": "share of files that could not be tagged",
    "label-drift": "population stability index of an attribute's labels: these days, those before",
}


@dataclass(frozen=True)
class Watch:
    """Fires where `sql` answers with a number over `above`, or under `below`: one is None."""

    name: str
    sql: str
    above: float | None
    below: float | None
    action: str  # alert | reprocess
    revision: int
    changed_at: datetime

    def fires(self, value: float | None) -> bool:
        if value is None:
            return False
        return value > self.above if self.above is not None else value < (self.below or 0.0)


@dataclass(frozen=True)
class Checked:
    """What a check found. `value` is None where the query has no answer or failed: see `error`."""

    watch: Watch
    value: float | None
    fires: bool
    announced: bool  # in this check
    error: str | None = None


def never(checked: Checked) -> bool:
    """Announces nothing."""
    return False


def preset_sql(preset: str, attribute: str | None = None, days: float = PRESET_DAYS) -> str:
    """The query of a ready-made watch. Raises SettingsError."""
    if preset not in PRESETS:
        raise SettingsError(f"no preset {preset!r}: expected one of {', '.join(PRESETS)}")
    if not (math.isfinite(days) and days > 0):
        raise SettingsError(f"days is {days!r}: expected a number over 0")
    if preset == "failure-rate":
        if attribute is not None:
            raise SettingsError(f"preset {preset!r} asks of files: it takes no attribute")
        return (
            "SELECT count(*) FILTER (state = 'failed') / count(*) FROM recordings "
            f"WHERE state <> 'gone' AND processed_at > now() - INTERVAL 1 DAY * {days!r}"
        )
    if attribute is None:
        raise SettingsError(f"preset {preset!r} asks of an attribute: name one, such as gender")
    quoted = "'" + attribute.replace("'", "''") + "'"
    if preset == "label-drift":
        return f"SELECT label_drift({quoted}, {days!r})"
    return (
        "SELECT avg(l.unsure::INT) FROM labels_long l JOIN recordings r USING (archive, uri) "
        f"WHERE l.attribute = {quoted} AND r.processed_at > now() - INTERVAL 1 DAY * {days!r}"
    )


def require_attribute(lake: Lake, attribute: str) -> None:
    """Raises SettingsError where no segment was ever asked: what it answers would be no answer."""
    with connect(lake) as db:
        rows = db.execute("SELECT DISTINCT attribute FROM labels_long ORDER BY 1").fetchall()
    names = [name for (name,) in rows]
    if attribute not in names:
        has = f"it has {', '.join(names)}" if names else "nothing is tagged in it yet"
        raise SettingsError(f"lake {lake.root}: no attribute {attribute!r}; {has}")


def add(
    lake: Lake,
    name: str,
    sql: str,
    above: float | None = None,
    below: float | None = None,
    action: str = "alert",
    replace: bool = False,
) -> Checked:
    """Set a watch, and say what it answers now; that is no check of it.

    Raises SettingsError, also where one of that name is there (unless `replace`), and QueryError
    for a query that fails, writes, or does not answer with one number.
    """
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"a watch cannot be named {name!r}: expected up to 64 letters, digits, '_', '-' and "
            "'.', a letter or digit first"
        )
    given = [limit for limit in (above, below) if limit is not None]
    if len(given) != 1 or not math.isfinite(given[0]):
        raise SettingsError(f"watch {name!r}: expected one number, above or below, found {given}")
    if action not in ACTIONS:
        raise SettingsError(f"watch {name!r}: no action {action!r}, expected one of {ACTIONS}")
    with connect(lake) as db:
        value = answer(db, sql)
    with lake.locked():
        if not replace and name in {watch.name for watch in watches(lake)}:
            raise SettingsError(
                f"watch {name!r} is there already: replace it (--replace), or name it otherwise"
            )
        _write(lake, "set", watch=name, sql=sql, above=above, below=below, action=action)
        [watch] = watches(lake, [name])
    return Checked(watch, value, watch.fires(value), announced=False)


def remove(lake: Lake, name: str) -> None:
    """Its checks stay. Raises SettingsError where there is none of that name."""
    with lake.locked():
        [last] = watches(lake, [name])
        _write(
            lake, "removed", watch=name, sql=last.sql, above=last.above, below=last.below,
            action=last.action,
        )  # fmt: skip


def watches(lake: Lake, names: Collection[str] = ()) -> list[Watch]:
    """Those that are set, by name: all, or these. Raises SettingsError for a name of none."""
    if not lake.exists("watches"):
        found = []
    else:
        with connect(lake, of=("watches",)) as db:
            rows = arrow(db, "FROM watches ORDER BY watch").to_pylist()
        found = [Watch(row.pop("watch"), **row) for row in rows]
    missing = set(names) - {watch.name for watch in found}
    if missing:
        has = ", ".join(watch.name for watch in found) or "none"
        raise SettingsError(
            f"lake {lake.root}: no watch {', '.join(sorted(missing))}; there is: {has}"
        )
    return [watch for watch in found if not names or watch.name in names]


def check(
    lake: Lake, names: Collection[str] = (), announce: Callable[[Checked], bool] = never
) -> list[Checked]:
    """Ask all watches, or these, of the lake as it is now; record what each answers.

    `announce` is called for one that has begun to fire, and again every day that it goes on; it
    returns whether somebody was told, else it is called at the next check. A watch whose query
    fails has its error, and keeps no other from being checked. Raises SettingsError for a name of
    none, and LakeError.
    """
    asked = watches(lake, names)
    if not asked:
        return []
    now, done, rows = datetime.now(UTC), [], []
    with connect(lake) as db:
        seq = db.execute("SELECT coalesce(max(seq), 0) FROM runs").fetchall()[0][0]
        for watch in asked:
            found = _asked(db, watch)
            announced = found.fires and _due(db, watch, now) and announce(found)
            done.append(Checked(watch, found.value, found.fires, announced, found.error))
            rows.append(
                {
                    "watch": watch.name,
                    "revision": watch.revision,
                    "checked_at": now,
                    "seq": seq,
                    "value": found.value,
                    "fires": None if found.error else found.fires,
                    "announced": announced,
                    "error": found.error,
                }
            )
    with lake.locked():
        lake.append("watch_checks", pa.Table.from_pylist(rows, schemas.WATCH_CHECKS))
    return done


def last_checks(lake: Lake) -> dict[str, dict[str, Any]]:
    """By name, of each watch as it is now: when it was last checked, and what was found."""
    with connect(lake, of=("watches", "watch_checks")) as db:
        rows = arrow(
            db,
            """SELECT watch, checked_at, value, fires, error FROM watch_checks
               JOIN watches USING (watch, revision)
               QUALIFY row_number() OVER (PARTITION BY watch ORDER BY checked_at DESC) = 1""",
        ).to_pylist()
    return {row.pop("watch"): row for row in rows}


def answer(db: duckdb.DuckDBPyConnection, sql: str) -> float | None:
    """A query's one number; None for NULL and NaN. Raises QueryError, as `query.ask` does, and for
    any other answer."""
    table = ask(db, sql)
    kinds = [field.type for field in table.schema]
    number = len(kinds) == 1 and (
        pa.types.is_integer(kinds[0])
        or pa.types.is_floating(kinds[0])
        or pa.types.is_decimal(kinds[0])
    )
    if not number or table.num_rows != 1:
        found = ", ".join(f"{field.name} ({field.type})" for field in table.schema)
        raise QueryError(
            f"expected one number, found {table.num_rows} rows of {found}. Ask for a count, a "
            "share or the like: SELECT avg(gender_margin) FROM speech"
        )
    value = table.column(0)[0].as_py()
    return None if value is None or math.isnan(value) else float(value)


def _asked(db: duckdb.DuckDBPyConnection, watch: Watch) -> Checked:
    try:
        value = answer(db, watch.sql)
    except QueryError as error:
        return Checked(watch, None, fires=False, announced=False, error=str(error))
    return Checked(watch, value, watch.fires(value), announced=False)


def _due(db: duckdb.DuckDBPyConnection, watch: Watch, now: datetime) -> bool:
    """Whether nobody was told since it began to fire, or for long."""
    [(told_s,)] = db.execute(
        """SELECT epoch(max(checked_at)) FROM watch_checks c
           WHERE watch = $watch AND revision = $revision AND announced AND NOT EXISTS (
             FROM watch_checks l WHERE l.watch = $watch AND l.revision = $revision
               AND NOT l.fires AND l.checked_at > c.checked_at)""",
        {"watch": watch.name, "revision": watch.revision},
    ).fetchall()
    return told_s is None or now.timestamp() - told_s >= REMIND_S


def _write(lake: Lake, state: str, **row: Any) -> None:
    with connect(lake, of=("watches",)) as db:
        [(newest,)] = db.execute("SELECT coalesce(max(revision), 0) FROM stored.watches").fetchall()
    row |= {"revision": newest + 1, "state": state, "changed_at": datetime.now(UTC)}
    lake.append("watches", pa.Table.from_pylist([row], schemas.WATCHES))
