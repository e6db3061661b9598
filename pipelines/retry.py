"""Failures of a lake, and which of them to process again, with what.

Knows the tables; knows nothing of how files are read.
"""

import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import duckdb

from pipelines.archive import EVERYTHING, archive_id
from pipelines.errors import CURABLE, LakeError, SettingsError
from pipelines.goal import words_of
from pipelines.jobs import parts_of
from pipelines.lake import Lake
from pipelines.planning import Plan
from pipelines.query import arrow, connect
from pipelines.settings import TagSettings
from pipelines.targets import declared, same_labels


@dataclass(frozen=True)
class Retry:
    """Failed files of one archive: what to plan with, and their uris."""

    settings: TagSettings
    uris: frozenset[str]
    model_key: str
    taxonomy_key: str
    segments_policy: str

    def check(self, plan: Plan) -> None:
        """Raises SettingsError where the plan is for another model, taxonomy or cut than the
        archive's latest run: its rows would not be like the others."""
        for what, then, now in (
            ("model", self.model_key, plan.job.model_key),
            ("taxonomy", self.taxonomy_key, plan.job.taxonomy.key),
            ("cut", self.segments_policy, plan.job.policy.key),
        ):
            if then != now:
                raise SettingsError(
                    f"the {what} of {plan.job.archive!r} has changed since its latest run (then "
                    f"{then}, now {now}). Run `clsp tag` with it first, then retry"
                )


def failures(
    lake: Lake, kinds: Collection[str] = (), archive: str | None = None, limit: int | None = None
) -> dict[str, list[dict[str, Any]]]:
    """`counts` by archive and kind, and the `rows` themselves, latest first (at most `limit`)."""
    where = "FROM failures WHERE (? OR error_kind IN (SELECT unnest(?))) AND (? OR archive = ?)"
    given = (not kinds, list(kinds), archive is None, archive and archive_id(archive))
    with connect(lake, of=("failures",)) as db:
        counts = arrow(
            db,
            f"""SELECT archive, error_kind, count(*) AS files {where}
                GROUP BY ALL ORDER BY archive, files DESC, error_kind""",
            *given,
        )
        rows = arrow(
            db,
            f"""SELECT archive, uri, error_kind, error_message, processed_at, attempts {where}
                ORDER BY processed_at DESC, archive, uri LIMIT ?""",
            *given,
            2**62 if limit is None else limit,
        )
    return {"counts": counts.to_pylist(), "rows": rows.to_pylist()}


def latest_runs(db: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], dict[str, Any]]:
    """By archive and kind of source: options_json and keys of its last run."""
    rows = arrow(
        db,
        """SELECT archive, options_json->>'kind' AS kind, options_json, model_key, taxonomy_key,
                  segments_policy
           FROM runs WHERE kind <> 'evaluation' AND options_json IS NOT NULL
           QUALIFY row_number() OVER (
               PARTITION BY archive, options_json->>'kind' ORDER BY seq DESC) = 1""",
    )
    return {(row["archive"], row["kind"]): row for row in rows.to_pylist()}


def run_on(
    latest: dict[tuple[str, str], dict[str, Any]], archive: str, kind: str
) -> dict[str, Any]:
    """One of these. Raises LakeError where there is none."""
    if found := latest.get((archive, kind)):
        return found
    raise LakeError(
        f"the runs on {archive!r} left no options in the ledger: they are from before there was "
        "`clsp retry`. Run `clsp tag` on it once"
    )


def retries(
    lake: Lake,
    kinds: Sequence[str] = (),
    archive: str | None = None,
    source: str | None = None,
    **given: Any,
) -> list[Retry]:
    """What there is to try again, by archive and kind of source, with the options of the latest
    run there; `given` replaces some of them, `source` (of one archive) is what its URL needs that
    no table holds.

    Without `kinds`, CURABLE ones. Raises LakeError where that run left no options.
    """
    if source is not None:
        archive = source
    with connect(lake, of=("recordings",)) as db:
        rows = arrow(
            db,
            """SELECT f.archive, coalesce(l.options_json->>'kind', 'folder') AS kind,
                      list(f.uri) AS uris
               FROM recordings f JOIN runs l ON l.chunk_id = f.chunk_id AND l.kind = 'chunk'
               WHERE f.state = 'failed' AND f.error_kind IN (SELECT unnest(?))
                 AND (? OR f.archive = ?) GROUP BY ALL ORDER BY 1, 2""",
            list(kinds or map(str, CURABLE)),
            archive is None,
            archive and archive_id(archive),
        ).to_pylist()
        latest = latest_runs(db)
    target = declared(lake)
    found = []
    for row in rows:
        run = run_on(latest, row["archive"], row["kind"])
        options = json.loads(run["options_json"]) | {
            k: v for k, v in given.items() if v is not None
        }
        options |= {"lake": str(lake.root), "include": EVERYTHING, "exclude": ()}
        # As that run had them, wherever it had them from: what the lake declares may be another.
        options["segments"], options["channels"] = words_of(run["segments_policy"])
        *_, options["precision"] = parts_of(run["model_key"])
        with suppress(SettingsError):  # then the plan has others, and `check` tells
            options["taxonomy"] = same_labels(options.get("taxonomy"), run["taxonomy_key"], target)
        if source is not None:
            options["source"] = source
        keys = {key: run[key] for key in ("model_key", "taxonomy_key", "segments_policy")}
        found.append(Retry(TagSettings(**options), frozenset(row["uris"]), **keys))
    return found
