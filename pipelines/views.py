"""The views of a lake, over its raw tables in DuckDB: which rows exist for readers, which of them
count now, and how they are joined. `speech` is recordings x segments x labels. Knows nothing of
files.
"""

from collections.abc import Iterable
from datetime import datetime

import duckdb

from pipelines import schemas
from pipelines.drift import label_drift
from pipelines.schemas import BEST_SUFFIX

SPAN = "archive, uri, start_s, end_s, channel, segment_id, model_key, taxonomy_key"


READY = f"stored.{schemas.READY}"
ROW = "file_row_number"  # DuckDB's name for a row's place in its file, of READY


def create(
    db: duckdb.DuckDBPyConnection,
    at: datetime | None,
    ready: int | None = None,
    whole: bool = True,
) -> None:
    """All views, over `stored.NAME`, as of now or a time. `ready`: the commit as of which
    `stored.speech` is; it is dropped where it is not the newest, or has other columns. But for
    `whole`, those that only people's queries ask for are left out: half of the work."""

    def then(column: str) -> str:
        return f"{column} <= {text(at.isoformat())}::TIMESTAMPTZ" if at else "true"

    # Rows are never changed: those of then are those that were written up to then. All views but
    # three go by the ledger's.
    db.execute(f"CREATE VIEW runs AS SELECT * FROM stored.runs WHERE {then('committed_at')}")
    # What each view asks of the ledger, read once: it may lie in a thousand files.
    db.execute(
        """CREATE TABLE stored.ledger AS
           SELECT chunk_id, kind, seq, committed_at FROM runs ORDER BY seq"""
    )
    selected = {"labels": _label_columns(_columns(db, "stored.labels"))}
    for name in ("segments", "embeddings", "labels"):
        db.execute(
            f"""CREATE VIEW {name} AS SELECT {selected.get(name, "*")} FROM stored.{name}
                WHERE chunk_id IN (SELECT chunk_id FROM stored.ledger WHERE kind = 'chunk')"""
        )
    db.execute(
        """CREATE VIEW evaluations AS SELECT * FROM stored.evaluations
           WHERE chunk_id IN (SELECT chunk_id FROM stored.ledger WHERE kind = 'evaluation')"""
    )
    db.execute(f"CREATE VIEW targets AS FROM stored.targets WHERE {then('declared_at')}")
    db.execute(
        """CREATE VIEW history AS SELECT r.*, l.seq, l.committed_at FROM stored.recordings r
           JOIN stored.ledger l ON l.chunk_id = r.chunk_id AND l.kind = 'chunk'"""
    )
    db.execute(
        """CREATE VIEW recordings AS SELECT * EXCLUDE (seq, committed_at) FROM history
           QUALIFY row_number() OVER (PARTITION BY archive, uri ORDER BY seq DESC) = 1"""
    )
    db.execute(
        """CREATE VIEW failures AS
           SELECT archive, uri, error_kind, error_message, size_bytes, content_hash, processed_at,
                  attempts
           FROM recordings WHERE state = 'failed'"""
    )
    db.execute(
        """CREATE VIEW warnings AS
           SELECT archive, uri, error_kind, error_message, duration_s, content_hash, processed_at
           FROM recordings WHERE state = 'tagged' AND error_kind IS NOT NULL"""
    )
    db.execute(
        f"""CREATE VIEW watches AS SELECT * EXCLUDE (state) FROM stored.watches
           WHERE {then("changed_at")}
           QUALIFY row_number() OVER (PARTITION BY watch ORDER BY revision DESC) = 1
               AND state = 'set'"""
    )
    db.execute(f"CREATE VIEW watch_checks AS FROM stored.watch_checks WHERE {then('checked_at')}")
    taxonomy = _taxonomy(db)
    columns = _names(taxonomy)
    if ready is not None and (
        ready != newest(db) or _columns(db, READY) != [schemas.AS_OF, *columns, ROW]
    ):
        db.execute(f"DROP VIEW {READY}")
        ready = None
    of_copy = f"SELECT * EXCLUDE ({schemas.AS_OF}, {ROW}) FROM {READY}"
    db.execute(f"CREATE VIEW speech AS {_speech(taxonomy) if ready is None else of_copy}")
    if not whole:
        return
    db.execute(
        f"CREATE MACRO speech_by(key) AS TABLE {_labelled(taxonomy)} AND l.taxonomy_key = key"
    )
    _long_views(db, taxonomy, ready is not None)
    db.execute(label_drift(_attributes(taxonomy)))


def newest(db: duckdb.DuckDBPyConnection) -> int | None:
    """The newest commit of a chunk (`runs.seq`): none but these change what `speech` has."""
    [(seq,)] = db.execute("SELECT max(seq) FROM stored.ledger WHERE kind = 'chunk'").fetchall()
    return seq


def is_ready(db: duckdb.DuckDBPyConnection) -> bool:
    """Whether `speech` is read from its copy."""
    [(count,)] = db.execute(
        "SELECT count(*) FROM duckdb_views() WHERE schema_name = 'stored' AND view_name = ?",
        [schemas.READY],
    ).fetchall()
    return bool(count)


def joined(db: duckdb.DuckDBPyConnection) -> str:
    """SQL for the rows of `speech`, from the tables that they are joined from."""
    return _speech(_taxonomy(db))


def speech_of(
    db: duckdb.DuckDBPyConnection, segment_ids: Iterable[str], rows: Iterable[int] = ()
) -> str:
    """SQL for the rows of `speech` of a few segments. Of each table that they are joined from,
    DuckDB reads little but the ids: a condition on the view it hands to one of them only. Of a
    copy they have ROW too; where that is known of them, `rows` tells it, and the rest is skipped.
    """
    told = ", ".join(map(text, segment_ids))
    if is_ready(db):
        numbers = ", ".join(map(str, rows))
        these = f"{ROW} IN ({numbers})" if numbers else f"segment_id IN ({told})"
        return f"SELECT * EXCLUDE ({schemas.AS_OF}) FROM {READY} WHERE {these if told else 'false'}"
    few = f"s.segment_id IN ({told}) AND l.segment_id IN ({told})" if told else "false"
    return f"{_speech(_taxonomy(db))} AND {few}"


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


def _long_views(db: duckdb.DuckDBPyConnection, taxonomy: list[str], ready: bool) -> None:
    _long(
        db,
        "labels_long",
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
    _long(
        db,
        "styles_long",
        {c.removeprefix("style_"): {"similarity": c} for c in taxonomy if c.startswith("style_")},
        {"style": "VARCHAR", "similarity": "FLOAT"},
        "similarity",
        ready,
    )


def _long(
    db: duckdb.DuckDBPyConnection,
    view: str,
    parts: dict[str, dict[str, str]],
    types: dict[str, str],
    present: str,
    ready: bool,
) -> None:
    """A view of speech with a row for each segment and part, where column `present` has a value;
    `parts` tell the columns of each, after its name. Where speech is a join, it is made once."""
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
    db.execute(f"CREATE VIEW {view} AS {' UNION ALL '.join(selects)}")


def _attributes(columns: list[str]) -> list[str]:
    """Which columns of labels are an attribute's own, whatever taxonomy it came from."""
    return [
        c
        for c in columns
        if f"{c}_p" in columns and f"{c}_margin" in columns and not c.startswith("style_")
    ]


def _label_columns(stored: list[str]) -> str:
    """What `labels` selects: all that is stored. NAME_best is NAME in rows from before there was
    one, and stands after NAME_margin."""
    attributes = _attributes(stored)
    best = {c: f"{c}{BEST_SUFFIX}" for c in attributes}
    best = {c: name for c, name in best.items() if name not in attributes}  # once a free name
    parts = [c for c in stored if c not in best.values()]
    for c, name in best.items():
        value = f"coalesce({name}, {c})" if name in stored else c
        parts.insert(parts.index(f"{c}_margin") + 1, f"{value} AS {name}")
    return ", ".join(parts)


def _columns(db: duckdb.DuckDBPyConnection, view: str) -> list[str]:
    return [row[0] for row in db.execute(f"DESCRIBE {view}").fetchall()]


def text(value: str) -> str:
    """A literal of SQL."""
    return "'" + value.replace("'", "''") + "'"
