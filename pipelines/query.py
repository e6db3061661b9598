"""SQL over a lake: a DuckDB connection with the views, locked to the lake's own files.

`speech` is the view to query: current recordings x segments x labels. Others: `recordings`,
`failures`, `warnings`, `segments`, `embeddings`, `labels`, `labels_long`, `styles_long`,
`history`, `runs`, `evaluations`, `targets`, `watches`, `watch_checks`. The macro
`speech_by(taxonomy_key)` is `speech` with the labels of another taxonomy, where there are any.
Knows nothing of how rows came to be.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from pipelines import schemas
from pipelines.drift import LABEL_DRIFT
from pipelines.errors import QueryError
from pipelines.lake import Lake
from pipelines.schemas import BEST_SUFFIX

VIEWS = {
    "speech": "one row per segment of the current recordings, with labels and styles",
    "recordings": "one row per file as it is now: what it is, tagged, failed or gone",
    "failures": "the files that could not be tagged, and why",
    "warnings": "the files that were tagged, but only in part, and why",
    "labels_long": "speech, one row per segment and attribute; unsure ones have no label",
    "styles_long": "speech, one row per segment and style",
    "history": "every time a file was processed, or found gone",
    "runs": "the ledger: one row per committed chunk, one of kind `run` per finished run",
    "segments": "spans and measures that need no model",
    "embeddings": "one row per segment and model, float16 bytes",
    "labels": "one row per segment, model and taxonomy, old taxonomies too",
    "evaluations": "one row per evaluation, question and metric, with its interval",
    "watches": "SQL conditions that are checked after every run",
    "watch_checks": "every value that a watch has had",
    "targets": "what the recordings shall be tagged with, each time that was declared",
}

WRITES = ("copy", "insert", "update", "delete", "merge")
RUNS_TEXT = ("query", "json_execute_serialized_sql")


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with nothing in it."""
    with duckdb.connect(":memory:") as db:
        # A bar, whatever its default is said to be, is drawn on standard output amid answers; and
        # a connection as short as ours reads nothing twice.
        db.execute("SET enable_progress_bar = false; SET enable_external_file_cache = false")
        yield db


@contextmanager
def connect(lake: Lake, at: datetime | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees the lake as it is now, or was (`at`, with its time zone), and no other
    file on this machine."""
    # The ledger first, as it is written last: of a chunk that it names, every row is there.
    names = sorted(schemas.TABLES, key=lambda name: name != "runs")
    stored = {name: lake.stored(name) for name in names}
    with database() as db:
        db.execute("CREATE SCHEMA stored; CREATE SCHEMA empty")
        for name, schema in schemas.TABLES.items():
            _raw_view(db, name, *stored[name], schema)
        _views(db, at)
        db.execute(f"SET allowed_directories = [{_text(f'{lake.root}/')}]")
        db.execute("SET enable_external_access = false")
        db.execute("SET python_enable_replacements = false")  # no variable of ours is a table
        db.execute("SET lock_configuration = true")
        yield db


def arrow(db: duckdb.DuckDBPyConnection, sql: str, *values: Any) -> pa.Table:
    """One query, its `?` filled with values, to an Arrow table (no rows for a mere statement)."""
    answer = db.sql(sql, params=list(values))
    return pa.table({}) if answer is None else answer.to_arrow_table()


def one_of(column: str, query: str) -> str:
    """SQL for `column IN (query)` in a WHERE over wide rows that are to be streamed. DuckDB takes
    the plain form for a join, and may hold the wide rows in memory rather than the query's."""
    return f"CASE WHEN {column} IN ({query}) THEN true ELSE false END"


def run(lake: Lake, sql: str, at: datetime | None = None) -> pa.Table:
    """One SQL query to an Arrow table; `at`, of the lake as it was then. It can only read.

    Raises QueryError for anything but one query, or with DuckDB's reason.
    """
    with connect(lake, at) as db:
        return ask(db, sql)


def ask(db: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """`run`, on a connection that is there."""
    try:
        _require_query(db, sql)
        return arrow(db, sql)
    except duckdb.Error as error:
        raise QueryError(f"{error}\nThe views are: {', '.join(VIEWS)}") from error


def _require_query(db: duckdb.DuckDBPyConnection, sql: str) -> None:
    """DuckDB may write wherever it may read: a COPY could overwrite the lake's own files."""
    kinds = [statement.type.name for statement in db.extract_statements(sql)]
    if kinds == ["EXPLAIN"]:  # EXPLAIN ANALYZE runs what it explains
        inner = re.sub(r"^\s*EXPLAIN(\s*\(.*?\))?(\s+ANALYZE)?\b", "", sql, flags=re.I | re.S)
        kinds = [statement.type.name for statement in db.extract_statements(inner)]
    written = _written(sql)
    if kinds not in (["SELECT"], ["MULTI"]) or written:  # MULTI is what a PIVOT becomes
        found = ", ".join([*kinds, *written]) or "nothing"
        raise QueryError(
            f"expected one query that reads, found {found}. To keep an answer, redirect it: "
            f"clsp sql ... --format parquet > FILE\nThe views are: {', '.join(VIEWS)}"
        )


def _written(sql: str) -> list[str]:
    """What would write from within a query: a COPY or the like in a WITH clause, where alone DuckDB
    takes one; and what runs SQL out of text, where one could hide."""
    text = sql.encode()
    marks = [(at, kind.name) for at, kind in duckdb.tokenize(sql)]
    ends = [*(at for at, _ in marks), len(text)][1:]
    words = [
        text[at:end].decode().strip().strip('"').lower()
        for (at, kind), end in zip(marks, ends, strict=True)
        if kind != "comment"
    ]
    found = [
        word
        for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False)
        if (word in WRITES and before.endswith("("))
        or (word in RUNS_TEXT and after.startswith("("))
    ]
    return [f"{word.upper()} within it" for word in found]


def _raw_view(
    db: duckdb.DuckDBPyConnection, name: str, files: list[str], stored: pa.Schema, ours: pa.Schema
) -> None:
    """`stored.NAME`: all of a table's rows, of committed chunks and of those cut off half-way.

    Rows from before a column was thought of lack it: it is NULL there. DuckDB is told the columns,
    so that it need not open every file to find them.
    """
    db.register("shape", pa.unify_schemas([stored, ours]).empty_table())
    types = db.execute("DESCRIBE shape").fetchall()
    source = f"empty.{name}"
    if files:
        columns = ", ".join(
            f"{_text(column)}: {{name: {_text(column)}, type: {_text(type_)}, default_value: NULL}}"
            for column, type_, *_ in types
        )
        quoted = ", ".join(map(_text, files))
        source = f"read_parquet([{quoted}], schema = MAP {{{columns}}})"
    else:
        db.execute(f"CREATE TABLE {source} AS FROM shape")
    db.execute(f"CREATE VIEW stored.{name} AS FROM {source}")
    db.unregister("shape")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _views(db: duckdb.DuckDBPyConnection, at: datetime | None) -> None:
    def then(column: str) -> str:
        return f"{column} <= {_text(at.isoformat())}::TIMESTAMPTZ" if at else "true"

    # Rows are never changed: those of then are those that were written up to then. All views but
    # three go by the ledger's.
    db.execute(f"CREATE VIEW runs AS SELECT * FROM stored.runs WHERE {then('committed_at')}")
    selected = {"labels": _label_columns(_columns(db, "stored.labels"))}
    for name in ("segments", "embeddings", "labels"):
        db.execute(
            f"""CREATE VIEW {name} AS SELECT {selected.get(name, "*")} FROM stored.{name}
                WHERE chunk_id IN (SELECT chunk_id FROM runs WHERE kind = 'chunk')"""
        )
    db.execute(
        """CREATE VIEW evaluations AS SELECT * FROM stored.evaluations
           WHERE chunk_id IN (SELECT chunk_id FROM runs WHERE kind = 'evaluation')"""
    )
    db.execute(f"CREATE VIEW targets AS FROM stored.targets WHERE {then('declared_at')}")
    db.execute(
        """CREATE VIEW history AS SELECT r.*, l.seq, l.committed_at FROM stored.recordings r
           JOIN runs l ON l.chunk_id = r.chunk_id AND l.kind = 'chunk'"""
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
    taxonomy = [c for c in _columns(db, "labels") if c not in schemas.LABELS.names]
    fixed = [f"{expr} AS {name}" for name, expr in schemas.SPEECH_COLUMNS.items()]
    where = list(schemas.SPEECH_COLUMNS).index("rms_dbfs")  # after what names the segment
    columns = [*fixed[:where], *(f"l.{name}" for name in taxonomy), *fixed[where:]]
    labelled = f"""SELECT {", ".join(columns)} FROM recordings r
        JOIN segments s ON s.content_hash = r.content_hash
                       AND s.segments_policy = r.segments_policy
        JOIN labels l ON l.segment_id = s.segment_id AND l.model_key = r.model_key
        WHERE r.state = 'tagged'"""
    db.execute(f"CREATE VIEW speech AS {labelled} AND l.taxonomy_key = r.taxonomy_key")
    db.execute(f"CREATE MACRO speech_by(key) AS TABLE {labelled} AND l.taxonomy_key = key")
    span = "archive, uri, start_s, end_s, channel, segment_id, model_key, taxonomy_key"
    _long_view(
        db,
        "labels_long",
        f"""SELECT {span}, '' AS attribute, '' AS label, 0::FLOAT AS p, 0::FLOAT AS margin,
            false AS unsure, '' AS best""",
        [
            f"""SELECT {span}, '{c}', {c}, {c}_p, {c}_margin, {c} IS NULL,
                coalesce({c}, {c}{BEST_SUFFIX}) FROM speech WHERE {c}_p IS NOT NULL"""
            for c in _attributes(taxonomy)
        ],
    )
    styles = [c for c in taxonomy if c.startswith("style_")]
    _long_view(
        db,
        "styles_long",
        f"SELECT {span}, '' AS style, 0::FLOAT AS similarity",
        [
            f"SELECT {span}, '{c.removeprefix('style_')}', {c} FROM speech WHERE {c} IS NOT NULL"
            for c in styles
        ],
    )
    db.execute(LABEL_DRIFT)


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


def _long_view(db: duckdb.DuckDBPyConnection, name: str, shape: str, parts: list[str]) -> None:
    """A union of parts; `shape` names and types its columns, so that no parts make no rows."""
    empty = f"{shape} FROM speech WHERE false"
    db.execute(f"CREATE VIEW {name} AS {' UNION ALL '.join([empty, *parts])}")


def _columns(db: duckdb.DuckDBPyConnection, view: str) -> list[str]:
    return [row[0] for row in db.execute(f"DESCRIBE {view}").fetchall()]
