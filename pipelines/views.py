"""The views of a lake, over its raw tables in DuckDB: which rows exist for readers, which of them
count now, and how they are joined. `speech` is recordings x segments x labels. Knows nothing of
files.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Protocol

import duckdb

from pipelines import schemas
from pipelines.drift import label_drift
from pipelines.schemas import BEST_SUFFIX

SPAN = "archive, uri, start_s, end_s, channel, segment_id, model_key, taxonomy_key"
# A macro's `_key`, or an error where no run has labelled by it: there would be no rows.
KNOWN_KEY = """coalesce(
    (SELECT taxonomy_key FROM runs WHERE taxonomy_key = _key LIMIT 1),
    error('no run here has labelled by the taxonomy ' || _key || ': expected one of '
          || (SELECT string_agg(DISTINCT taxonomy_key, ', ') FROM runs)))"""

READY = f"stored.{schemas.READY}"
IS_READY = "speech_is_copied"  # a variable: to look for a view of that name takes milliseconds
BEFORE = (schemas.AS_OF, schemas.PREFIX)  # what READY has before the columns of `speech`

# What there is to ask, and what each is made of: `stored.NAME` is a table's rows. Every one but
# three goes by the ledger as well.
JOINED = ("recordings", "segments", "labels")
NEEDS = {
    "runs": ("stored.runs",),
    "segments": ("stored.segments",),
    "embeddings": ("stored.embeddings",),
    "labels": ("stored.labels",),
    "evaluations": ("stored.evaluations",),
    "targets": ("stored.targets",),
    "history": ("stored.recordings",),
    "recordings": ("history",),
    "failures": ("recordings",),
    "warnings": ("recordings",),
    "watches": ("stored.watches",),
    "watch_checks": ("stored.watch_checks",),
    "speech": JOINED,  # where it has no copy
    "speech_by": JOINED,
    "labels_long": ("speech",),
    "styles_long": ("speech",),
    "label_drift": ("segments", "labels_long"),
}


class Tables(Protocol):
    """A lake's tables, of which only those are opened that are asked for."""

    def columns(self, name: str) -> list[str]:
        """Names of a table's columns."""

    def make(self, name: str) -> None:
        """Make `stored.NAME`: all of its rows."""

    def make_ready(self) -> int | None:
        """Make READY, where there is a copy of `speech`; returns the commit that it is as of."""


def create(
    db: duckdb.DuckDBPyConnection,
    tables: Tables,
    at: datetime | None,
    wanted: Iterable[str] = NEEDS,
) -> None:
    """These views and what they are made of, as of now or a time. `speech` is read from its copy
    where that is as of the newest commit and has its columns: then it is made of nothing else."""

    def then(column: str) -> str:
        return f"{column} <= {text(at.isoformat())}::TIMESTAMPTZ" if at else "true"

    # Rows are never changed: those of then are those that were written up to then. The ledger
    # first, as it is written last: of a chunk that it names, every row is there.
    tables.make("runs")
    db.execute(f"CREATE VIEW runs AS SELECT * FROM stored.runs WHERE {then('committed_at')}")
    # What each view asks of the ledger, read once: it may lie in a thousand files.
    db.execute(
        """CREATE TABLE stored.ledger AS
           SELECT chunk_id, kind, seq, committed_at, model_key FROM runs ORDER BY seq"""
    )
    told = _label_columns(tables.columns("labels"))
    taxonomy = [name for name in told if name not in schemas.LABELS.names]
    asked = _with_needs(wanted, {})
    ready = "speech" in asked and at is None and _is_newest(db, tables, taxonomy)
    asked = _with_needs(wanted, {"speech": ()} if ready else {})
    of_chunks = "WHERE chunk_id IN (SELECT chunk_id FROM stored.ledger WHERE kind = 'chunk')"
    of_copy = f"SELECT * EXCLUDE ({', '.join(BEFORE)}) FROM {READY}"
    views = {
        "segments": f"FROM stored.segments {of_chunks}",
        "embeddings": f"FROM stored.embeddings {of_chunks}",
        "labels": f"SELECT {', '.join(told.values())} FROM stored.labels {of_chunks}",
        "evaluations": """FROM stored.evaluations
            WHERE chunk_id IN (SELECT chunk_id FROM stored.ledger WHERE kind = 'evaluation')""",
        "targets": f"FROM stored.targets WHERE {then('declared_at')}",
        "history": """SELECT r.*, l.seq, l.committed_at FROM stored.recordings r
            JOIN stored.ledger l ON l.chunk_id = r.chunk_id AND l.kind = 'chunk'""",
        "recordings": """SELECT * EXCLUDE (seq, committed_at) FROM history
            QUALIFY row_number() OVER (PARTITION BY archive, uri ORDER BY seq DESC) = 1""",
        "failures": """SELECT archive, uri, error_kind, error_message, size_bytes, content_hash,
                   processed_at, attempts
            FROM recordings WHERE state = 'failed'""",
        "warnings": """SELECT archive, uri, error_kind, error_message, duration_s, content_hash,
                   processed_at
            FROM recordings WHERE state = 'tagged' AND error_kind IS NOT NULL""",
        "watches": f"""SELECT * EXCLUDE (state) FROM stored.watches WHERE {then("changed_at")}
            QUALIFY row_number() OVER (PARTITION BY watch ORDER BY revision DESC) = 1
                AND state = 'set'""",
        "watch_checks": f"FROM stored.watch_checks WHERE {then('checked_at')}",
        "speech": of_copy if ready else _speech(taxonomy),
        "labels_long": _labels_long(taxonomy, ready),
        "styles_long": _styles_long(taxonomy, ready),
    }
    macros = {
        "speech_by": f"""CREATE MACRO speech_by(_key) AS TABLE
            {_labelled(taxonomy)} AND l.taxonomy_key = {KNOWN_KEY}""",
        "label_drift": label_drift(_attributes(taxonomy)),
    }
    for name in asked:
        if name in views:
            db.execute(f"CREATE VIEW {name} AS {views[name]}")
        elif name in macros:
            db.execute(macros[name])
        elif name not in ("runs", "stored.runs"):
            tables.make(name.removeprefix("stored."))


def _with_needs(wanted: Iterable[str], instead: dict[str, tuple[str, ...]]) -> list[str]:
    """Views and tables that these are made of, and they, each after its own."""
    found: dict[str, None] = {}

    def add(name: str) -> None:
        for need in instead.get(name, NEEDS.get(name, ())):
            add(need)
        found[name] = None

    for name in wanted:
        add(name)
    return list(found)


def _is_newest(db: duckdb.DuckDBPyConnection, tables: Tables, taxonomy: list[str]) -> bool:
    """Whether READY is there now: the copy of `speech`, where that is as of the newest commit."""
    seq = tables.make_ready()
    if seq is None:
        return False
    found = seq == newest(db) and _columns(db, READY) == [*BEFORE, *_names(taxonomy)]
    db.execute(f"SET VARIABLE {IS_READY} = true" if found else f"DROP VIEW {READY}")
    return found


def newest(db: duckdb.DuckDBPyConnection) -> int | None:
    """The newest commit of a chunk (`runs.seq`): none but these change what `speech` has."""
    [(seq,)] = db.execute("SELECT max(seq) FROM stored.ledger WHERE kind = 'chunk'").fetchall()
    return seq


def is_ready(db: duckdb.DuckDBPyConnection) -> bool:
    """Whether `speech` is read from its copy."""
    [(found,)] = db.execute(f"SELECT getvariable('{IS_READY}')").fetchall()
    return bool(found)


def joined(db: duckdb.DuckDBPyConnection) -> str:
    """SQL for the rows of `speech`, from the tables that they are joined from."""
    return _speech(_taxonomy(db))


def speech_of(db: duckdb.DuckDBPyConnection, segment_ids: Collection[str]) -> str:
    """SQL for the rows of `speech` of a few segments, and of a copy now and then one more. Of what
    is not of them DuckDB reads little: of a copy one column, by which it skips the rest; of tables
    that are joined their ids, as a condition on the view it hands to one of them only."""
    told = ", ".join(map(text, segment_ids)) or "NULL"
    if is_ready(db):
        numbers = f"SELECT {prefix('name')} FROM (SELECT unnest([{told}]) AS name)"
        some = ", ".join(str(number) for (number,) in db.execute(numbers).fetchall())
        # The plain form, DuckDB takes for a join, and reads all columns of all rows.
        few = f"CASE WHEN {schemas.PREFIX} IN ({some}) THEN true ELSE false END"
        return f"SELECT * EXCLUDE ({', '.join(BEFORE)}) FROM {READY} WHERE {few}"
    few = f"s.segment_id IN ({told}) AND l.segment_id IN ({told})"
    return f"{_speech(_taxonomy(db))} AND {few}"


def prefix(segment_id: str) -> str:
    """SQL for PREFIX: of hexadecimal digits as many as fit. Of ten million segments, one in thirty
    shares it with another; every name that is none of ours has 0."""
    return f"coalesce(try_cast('0x' || left({segment_id}, 7) AS INTEGER), 0)"


def _taxonomy(db: duckdb.DuckDBPyConnection) -> list[str]:
    """The columns that taxonomies have made."""
    return [c for c in _columns(db, "labels") if c not in schemas.LABELS.names]


def _speech(taxonomy: list[str]) -> str:
    return f"{_labelled(taxonomy)} AND l.taxonomy_key = r.taxonomy_key"


def _names(taxonomy: list[str]) -> list[str]:
    """The columns of `speech`: those of taxonomies after what names the segment."""
    fixed = list(schemas.SPEECH_COLUMNS)
    where = fixed.index("rms_dbfs")
    return [*fixed[:where], *taxonomy, *fixed[where:]]


def _labelled(taxonomy: list[str]) -> str:
    """SQL for the segments of the current recordings with labels of any taxonomy, `r`, `s` and `l`;
    a condition on them may follow."""
    fixed = schemas.SPEECH_COLUMNS
    columns = (f"{fixed[name]} AS {name}" if name in fixed else f"l.{name}"
               for name in _names(taxonomy))  # fmt: skip
    return f"""SELECT {", ".join(columns)} FROM recordings r
        JOIN segments s ON s.content_hash = r.content_hash
                       AND s.segments_policy = r.segments_policy
        JOIN labels l ON l.segment_id = s.segment_id AND l.model_key = r.model_key
        WHERE r.state = 'tagged'"""


def _labels_long(taxonomy: list[str], ready: bool) -> str:
    return _long(
        {
            c: {"label": c, "p": f"{c}_p", "margin": f"{c}_margin", "unsure": f"{c} IS NULL",
                "best": f"coalesce({c}, {c}{BEST_SUFFIX})"}
            for c in _attributes(taxonomy)
        },
        {"attribute": "VARCHAR", "label": "VARCHAR", "p": "FLOAT", "margin": "FLOAT",
         "unsure": "BOOLEAN", "best": "VARCHAR"},
        "p",
        ready,
    )  # fmt: skip


def _styles_long(taxonomy: list[str], ready: bool) -> str:
    return _long(
        {c.removeprefix("style_"): {"similarity": c} for c in taxonomy if c.startswith("style_")},
        {"style": "VARCHAR", "similarity": "FLOAT"},
        "similarity",
        ready,
    )


def _long(
    parts: dict[str, dict[str, str]], types: dict[str, str], present: str, ready: bool
) -> str:
    """SQL of a view of speech with a row for each segment and part, where column `present` has a
    value; `parts` tell the columns of each, after its name. Where speech is a join, it is made
    once."""
    name, *columns = types
    empty = ", ".join(f"NULL::{kind} AS {column}" for column, kind in types.items())
    selects = [f"SELECT {SPAN}, {empty} FROM speech WHERE false"]
    if ready:  # no join: each part reads its own columns, and one that is not asked for none
        selects += [
            f"""SELECT {SPAN}, {text(part)} AS {name},
                       {", ".join(f"{given[column]} AS {column}" for column in columns)}
                FROM speech WHERE {given[present]} IS NOT NULL"""
            for part, given in parts.items()
        ]
    elif parts:
        rows = ", ".join(f"({text(part)})" for part in parts)
        cases = ", ".join(
            f"CASE part.{name} "
            + " ".join(f"WHEN {text(part)} THEN {given[column]}" for part, given in parts.items())
            + f" END AS {column}"
            for column in columns
        )
        selects.append(
            f"""FROM (SELECT {SPAN}, part.{name}, {cases} FROM speech
                      CROSS JOIN (VALUES {rows}) AS part({name}))
                WHERE {present} IS NOT NULL"""
        )
    return " UNION ALL ".join(selects)


def _attributes(columns: list[str]) -> list[str]:
    """Which columns of labels are an attribute's own, whatever taxonomy it came from."""
    return [
        c
        for c in columns
        if f"{c}_p" in columns and f"{c}_margin" in columns and not c.startswith("style_")
    ]


def _label_columns(stored: list[str]) -> dict[str, str]:
    """What `labels` selects, by its names: all that is stored. NAME_best is NAME in rows from
    before there was one, and stands after NAME_margin."""
    attributes = _attributes(stored)
    best = {c: f"{c}{BEST_SUFFIX}" for c in attributes}
    best = {c: name for c, name in best.items() if name not in attributes}  # once a free name
    parts = {}
    of_margin = {f"{c}_margin": c for c in best}
    for name in stored:
        if name in best.values():
            continue
        parts[name] = name
        if name in of_margin:
            c = of_margin[name]
            value = f"coalesce({best[c]}, {c})" if best[c] in stored else c
            parts[best[c]] = f"{value} AS {best[c]}"
    return parts


def _columns(db: duckdb.DuckDBPyConnection, view: str) -> list[str]:
    return [row[0] for row in db.execute(f"DESCRIBE {view}").fetchall()]


def text(value: str) -> str:
    """A literal of SQL."""
    return "'" + value.replace("'", "''") + "'"
