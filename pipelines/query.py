"""SQL over a lake: a DuckDB connection with the views, locked to the lake's own files.

`speech` is the view to query: current recordings x segments x labels. Others: `recordings`,
`failures`, `warnings`, `segments`, `embeddings`, `labels`, `labels_long`, `styles_long`,
`history`, `runs`, `evaluations`, `targets`, `watches`, `watch_checks`. The macro
`speech_by(taxonomy_key)` is `speech` with the labels of another taxonomy, where there are any.
Knows nothing of how rows came to be.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from pipelines import schemas, views
from pipelines.errors import LakeError, QueryError
from pipelines.lake import Lake

VIEWS = {
    "speech": "one row per segment of the current recordings, with labels and styles",
    "recordings": "one row per file as it is now: what it is, tagged, failed or gone",
    "failures": "the files that could not be tagged, and why",
    "warnings": "the files that were tagged, but only in part, and why",
    "labels_long": "speech, one row per segment and attribute; unsure ones have no label",
    "styles_long": "speech, one row per segment and style",
    "history": "every time a file was processed, or found gone",
    "runs": "the ledger: one row per committed chunk, and one when a run ends, of kind `run`, or "
    "`stopped` if early",
    "segments": "spans and measures that need no model",
    "embeddings": "one row per segment and model, float16 bytes",
    "labels": "one row per segment, model and taxonomy, old taxonomies too",
    "evaluations": "one row per evaluation, question and metric, with its interval",
    "watches": "SQL conditions that are checked after every run",
    "watch_checks": "every value that a watch has had",
    "targets": "what the recordings shall be tagged with, each time that was declared",
}

# What the ledger counts of tables: a table that is not there although it does is lost.
LEDGERED = {"recordings": "files", "segments": "segments", "labels": "segments"}
WRITES = ("copy", "insert", "update", "delete", "merge")
RUNS_TEXT = ("query", "json_execute_serialized_sql")
# Types, by how DuckDB's names of them begin. Arrow has none for these, or loses something (of
# UHUGEINT, the upper half), or no format of ours has one.
LOST = ("bignum", "bit", "interval", "time with time zone", "uhugeint", "union", "variant")
TIMES = ("date", "time")
TYPES: dict[pa.Schema, list[tuple[str, str]]] = {}  # of columns, as DuckDB has told them


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with nothing in it."""
    with duckdb.connect(":memory:") as db:
        # A bar, whatever its default is said to be, is drawn on standard output amid answers; and
        # a connection as short as ours reads nothing twice.
        db.execute("SET enable_progress_bar = false; SET enable_external_file_cache = false")
        db.execute("SET parquet_metadata_cache = true")  # of 60 columns, more work than a count
        # Else, for one row of a row group all of it is read: 18 MB of the copy of `speech`.
        db.execute("SET disable_parquet_prefetching = true")
        yield db


@contextmanager
def connect(
    lake: Lake,
    at: datetime | None = None,
    spill: Path | None = None,
    memory_limit: str | None = None,
    of: Iterable[str] = views.NEEDS,
    threads_of_copy: int | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees the lake as it is now, or was (`at`, with its time zone), and no other
    file on this machine, but a folder to put into what is over the memory limit (as DuckDB writes
    it). `of`: the views that will be asked for, all unless told: each takes milliseconds to make.
    `threads_of_copy`: DuckDB's, where `speech` is read from its copy; else one for each core.

    Raises LakeError where a file of the tables is missing or damaged: here, or at its user's hands.
    """
    with database() as db:
        tables = _Tables(lake, db)
        with damage_told(lake, tables.files):
            db.execute("CREATE SCHEMA stored")
            views.create(db, tables, at, of)
            if threads_of_copy and views.is_ready(db):
                db.execute(f"SET threads = {threads_of_copy}")
            if spill:
                db.execute(f"SET temp_directory = {views.text(str(spill))}")
            if memory_limit:
                db.execute(f"SET memory_limit = {views.text(memory_limit)}")
            db.execute(f"SET allowed_directories = [{views.text(f'{lake.root}/')}]")
            db.execute("SET enable_external_access = false")
            db.execute("SET python_enable_replacements = false")  # no variable of ours is a table
            db.execute("SET lock_configuration = true")
            yield db


class _Tables:
    """A lake's tables as DuckDB's views of their files; `files` are those that it was told of."""

    def __init__(self, lake: Lake, db: duckdb.DuckDBPyConnection) -> None:
        self.lake, self.db, self.files = lake, db, list[str]()
        self.stored = cache(lake.stored)

    def columns(self, name: str) -> list[str]:
        return self._schema(name).names

    def make(self, name: str) -> None:
        """`stored.NAME`: all of a table's rows, of committed chunks and of those cut off half-way.

        Rows from before a column was thought of lack it: it is NULL there. DuckDB is told the
        columns, so that it need not open every file to find them.
        """
        files, _ = self.stored(name)
        types = self._types(self._schema(name))
        if files:
            self.files += files
            columns = ", ".join(
                f"{column}: {{name: {column}, type: {views.text(type_)}, default_value: NULL}}"
                for column, type_ in ((views.text(name), type_) for name, type_ in types)
            )
            source = f"FROM read_parquet([{_quoted(files)}], schema = MAP {{{columns}}})"
        else:
            if name in LEDGERED and not self.lake.exists(name):
                self._require_empty(name)
            columns = ", ".join(f"NULL::{type_} AS {_name(column)}" for column, type_ in types)
            source = f"SELECT {columns} WHERE false"
        self.db.execute(f"CREATE VIEW stored.{name} AS {source}")

    def _require_empty(self, name: str) -> None:
        """Raises LakeError where the ledger counts rows of a table that is not there."""
        if count := ledgered(self.db, name):
            raise LakeError(
                f"the lake {self.lake.root} has no table `{name}`, and its ledger counts {count} "
                f"{LEDGERED[name]}: expected the folder `{name}`, whole. Put it back from a backup"
            )

    def make_ready(self) -> int | None:
        if (ready := self.lake.ready()) is None:
            return None
        self.files += ready.files
        # Whose files have the same columns: to tell them takes longer than to look.
        source = f"read_parquet([{_quoted(ready.files)}])"
        self.db.execute(f"CREATE VIEW {views.READY} AS FROM {source}")
        return ready.seq

    def _schema(self, name: str) -> pa.Schema:
        return pa.unify_schemas([self.stored(name)[1], schemas.TABLES[name]])

    def _types(self, schema: pa.Schema) -> list[tuple[str, str]]:
        """Names of columns and DuckDB's types for them."""
        if schema not in TYPES:
            found = self.db.from_arrow(schema.empty_table()).types
            TYPES[schema] = list(zip(schema.names, map(str, found), strict=True))
        return TYPES[schema]


def ledgered(db: duckdb.DuckDBPyConnection, name: str) -> int:
    """What the ledger counts of a table of LEDGERED."""
    counted = f"SELECT coalesce(sum({LEDGERED[name]}), 0)::BIGINT FROM runs WHERE kind = 'chunk'"
    [(count,)] = db.execute(counted).fetchall()
    return int(count)


@contextmanager
def damage_told(lake: Lake, files: list[str]) -> Iterator[None]:
    """Raises LakeError for an error of DuckDB's or Arrow's, or a QueryError made of one, that names
    any of the files, which are the lake's: the SQL is not to blame. Nor is it where the error is
    of no class of DuckDB's, as from within a damaged page, nor where Arrow speaks of Parquet, which
    names no file."""
    try:
        yield
    except (duckdb.Error, pa.ArrowInvalid, OSError, QueryError) as error:
        told = str(error).split("\n", 1)[0].rstrip(".")
        unnamed = (
            duckdb.Error in (type(error), type(error.__cause__))
            or (isinstance(error, pa.ArrowInvalid) and "Parquet" in told)
            or (type(error) is OSError and error.errno is None)  # Arrow's, of a page
        )
        if not unnamed and not any(file in told for file in files):
            raise
        raise LakeError(
            f"a file of the lake {lake.root} is missing or damaged: {told}. Run `clsp verify "
            f"--deep --lake {lake.root}`: it names every such file, and says what to do"
        ) from error


def arrow(db: duckdb.DuckDBPyConnection, sql: str, *values: Any) -> pa.Table:
    """One query, its `?` filled with values, to an Arrow table (no rows for a mere statement)."""
    answer = db.sql(sql, params=list(values))
    return pa.table({}) if answer is None else answer.to_arrow_table()


def one_of(column: str, query: str) -> str:
    """SQL for `column IN (query)` in a WHERE over wide rows that are to be streamed. DuckDB takes
    the plain form for a join, and may hold the wide rows in memory rather than the query's."""
    return f"CASE WHEN {column} IN ({query}) THEN true ELSE false END"


def run(lake: Lake, sql: str, at: datetime | None = None) -> pa.Table:
    """One SQL query to an Arrow table; `at`, of the lake as it was then. It can only read. What
    Arrow cannot hold as it is, such as intervals, is text.

    Raises QueryError for anything but one query, or with DuckDB's reason.
    """
    with connect(lake, at) as db:
        return ask(db, sql, LOST)


def ask(db: duckdb.DuckDBPyConnection, sql: str, as_text: tuple[str, ...] = ()) -> pa.Table:
    """`run`, on a connection that is there; of these types, values become text."""
    if not sql.isascii() and (unfit := next((c for c in sql if "\ud800" <= c <= "\udfff"), "")):
        raise QueryError(f"the query holds {unfit!r}: expected SQL in UTF-8")
    try:
        _require_query(db, sql)
        return _as_text(db.sql(sql), as_text).to_arrow_table()
    except duckdb.Error as error:
        raise QueryError(f"{error}\nThe views are: {', '.join(VIEWS)}") from error


def presentable(table: pa.Table, in_python: bool) -> pa.Table:
    """An answer that other formats can hold: columns of one name are told apart by a number.
    `in_python`: times that Python has none for, such as `infinity`, are text."""
    table = table.rename_columns(_apart(table.column_names))
    unfit = [name for name in table.column_names if in_python and not _fits_python(table[name])]
    if not unfit:
        return table
    with database() as db:
        return _as_text(db.from_arrow(table), TIMES, unfit).to_arrow_table()


def _as_text(
    answer: duckdb.DuckDBPyRelation, types: tuple[str, ...], among: Collection[str] | None = None
) -> duckdb.DuckDBPyRelation:
    """The same columns, but values of these types are text, as DuckDB writes it, also those within
    lists and structs; `among`: in columns of these names alone."""
    columns, changed = [], False
    for at, (name, kind) in enumerate(zip(answer.columns, answer.types, strict=True), start=1):
        value, wanted = f"#{at}", _type(kind, types)  # by number: names may be there twice
        if (among is None or name in among) and wanted != _type(kind, ()):
            value, changed = f"CAST({value} AS {wanted})", True
        columns.append(f"{value} AS {_name(name)}")
    return answer.project(", ".join(columns)) if changed else answer


def _type(kind: DuckDBPyType, texts: tuple[str, ...]) -> str:
    """A type in SQL, VARCHAR in place of each whose name begins so."""
    if kind.id.startswith(texts):
        return "VARCHAR"
    match kind.id:
        case "list":
            [(_, child)] = kind.children
            return f"{_type(child, texts)}[]"
        case "array":
            (_, child), (_, size) = kind.children
            return f"{_type(child, texts)}[{size}]"
        case "struct":
            parts = [f"{_name(name)} {_type(part, texts)}" for name, part in kind.children]
        case "tuple" | "map":
            parts = [_type(part, texts) for _, part in kind.children]
        case _:
            return str(kind)
    return f"{kind.id}({', '.join(parts)})"


def _apart(names: list[str]) -> list[str]:
    """`a`, `a_1` for `a`, `a`, as DuckDB does it; to it, `A` is the same name."""
    given, found = {name.lower() for name in names}, dict[str, str]()
    for name in names:
        count, unlike = 0, name
        while unlike.lower() in found or (count and unlike.lower() in given):
            count += 1
            unlike = f"{name}_{count}"
        found[unlike.lower()] = unlike
    return list(found.values())


def _fits_python(column: pa.ChunkedArray) -> bool:
    if not (pa.types.is_temporal(column.type) or pa.types.is_nested(column.type)):
        return True
    try:
        column.to_pylist()
    except (OverflowError, ValueError):
        return False
    return True


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


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


def _quoted(files: list[str]) -> str:
    return ", ".join(map(views.text, files))
