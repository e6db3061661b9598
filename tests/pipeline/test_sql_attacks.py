"""`clsp sql` against someone who wants more than the lake's tables: each attack is refused, shows
nothing of what lies outside, and changes no file."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import QueryError
from pipelines.lake import Lake
from pipelines.query import ask, connect

OUTSIDE, SECRET = "PLANTED-OUTSIDE-THE-LAKE", "PLANTED-IN-THE-ENVIRONMENT"
TO = "'{lake}/planted.csv'"
HIDDEN = f"WITH x AS (COPY (SELECT 1) TO {TO}) SELECT 1"
QUOTED = HIDDEN.replace("'", "''")

READS = [
    "FROM read_csv('/etc/passwd', header = false, sep = ':')", "FROM '/etc/passwd'",
    'FROM "/etc/passwd"', "FROM '{root}/outside.csv'", "FROM '{lake}/../outside.csv'",
    "FROM read_text('{lake}/runs/../../outside.csv')", "FROM read_text('{lake}//../outside.csv')",
    "FROM read_text('{lake}2/outside.csv')", "FROM read_text('file://{root}/outside.csv')",
    "FROM read_text('{lake}/link.csv')", "FROM read_csv('{lake}/folder/outside.csv')",
    "FROM read_text('{lake}/*/../../outside.csv')", "FROM glob('{root}/*')",
    "FROM glob('{lake}/../*')", "FROM read_blob('/etc/passwd')", "FROM read_json('/etc/passwd')",
    "FROM read_parquet('{lake}/../*.parquet')", "FROM sniff_csv('{root}/outside.csv')",
    "FROM parquet_metadata('/etc/passwd')", "FROM read_duckdb('/etc/passwd')",
    "FROM 'https://127.0.0.1:9/x.csv'", "FROM 's3://bucket/x.parquet'",
    "FROM sqlite_scan('/etc/passwd', 'x')", "FROM delta_scan('{lake}/runs')",
    "FROM query('FROM read_text(''{root}/outside.csv'')')", "FROM query_table('/etc/passwd')",
    "FROM query_table(['{root}/outside.csv'])",
    "FROM read_text(concat('{lake}', '/../outside.csv'))",
    "FROM read_text(['{lake}/link.csv', '/etc/passwd'])",
    "SUMMARIZE FROM read_text('{root}/outside.csv')", "DESCRIBE FROM read_csv('/etc/passwd')",
    "PIVOT (FROM read_text('{root}/outside.csv')) ON filename",
    "SELECT getenv('AWS_SECRET_ACCESS_KEY')", "SELECT current_setting('s3_secret_access_key')",
    "FROM duckdb_secrets()", "FROM load_aws_credentials()", "FROM lake", "FROM os.environ",
    "FROM arrow_scan(0, 0, 0)", "FROM pandas_scan(1)",
]  # fmt: skip
STATEMENTS = [
    f"COPY speech TO {TO}", f"/* SELECT */ COPY speech TO {TO} -- SELECT",
    "EXPORT DATABASE '{lake}/x'",
    f"SELECT 1; COPY speech TO {TO}", f"EXPLAIN ANALYZE COPY speech TO {TO}",
    f"/**/ EXPLAIN ANALYZE COPY (SELECT 1) TO {TO}", f"EXPLAIN (ANALYZE) COPY (SELECT 1) TO {TO}",
    f"EXPLAIN/**/ANALYZE/**/COPY (SELECT 1) TO {TO}",
    f"EXPLAIN ANALYZE SELECT 1; COPY runs TO {TO}",
    f"PREPARE p AS COPY speech TO {TO}", "EXECUTE p", "ATTACH '{lake}/planted.csv' AS x",
    "ATTACH '/etc/passwd' AS x", "INSTALL httpfs", "LOAD httpfs", "LOAD '{lake}/evil.so'",
    "SET enable_external_access = true", "RESET lock_configuration", "PRAGMA database_list",
    "PRAGMA profiling_output = '{lake}/planted.csv'", "CALL enable_logging()", "CHECKPOINT",
    "IMPORT DATABASE '/tmp'", "CREATE VIEW v AS FROM read_text('/etc/passwd')",
    "CREATE MACRO m() AS TABLE FROM read_text('/etc/passwd')", "DELETE FROM runs",
    "DROP VIEW speech", "", "-- SELECT 1",
    "UPDATE runs SET files = 0", "INSERT INTO stored.runs FROM stored.runs", "BEGIN", "VACUUM",
    "SET VARIABLE x = 1", "USE empty", "DETACH memory",
    f"PIVOT (SELECT 1 a) ON a; COPY speech TO {TO}",
]  # fmt: skip
WITHIN = [
    HIDDEN, HIDDEN.lower().replace("'{lake}", "'{lake}"), f"({HIDDEN})",
    f"EXPLAIN ANALYZE {HIDDEN}", HIDDEN.replace("AS (", "AS MATERIALIZED ("),
    HIDDEN.replace("(COPY", "( /* ( */\n-- SELECT\n cOpY"),
    HIDDEN.replace("(COPY", "(/* /* */ COPY"), HIDDEN.replace("WITH", "WITH RECURSIVE"),
    HIDDEN.replace("WITH x", "WITH y AS (SELECT '(ä' AS \"ü(\"), x"),
    HIDDEN.replace("SELECT 1) TO", "SELECT $$($$) TO"),
    HIDDEN.replace("WITH x", 'WITH "(" AS (SELECT 1), x'),
    f"WITH x AS (COPY (SELECT 1) TO {TO}) PIVOT labels_long ON label USING count(*)",
    f"PIVOT ({HIDDEN}) ON \"1\"", f"SELECT * FROM ({HIDDEN})", f"SELECT ({HIDDEN})",
    f"FROM query('{QUOTED}')", f'FROM system.main."query"(\'{QUOTED}\')',
    f"FROM query /**/ ('{QUOTED}')",
    f"FROM json_execute_serialized_sql(json_serialize_sql('{QUOTED}'))",
    f'FROM "JSON_execute_serialized_sql" (json_serialize_sql(\'{QUOTED}\'))',
    "FROM query('FROM json_execute' || '_serialized_sql(json_serialize_sql(''x''))')",
    "WITH x AS (INSERT INTO empty.evaluations(run_id) VALUES ('a') RETURNING *) FROM x",
    "WITH x AS (DELETE FROM empty.evaluations RETURNING *) FROM x",
    "WITH x AS (UPDATE empty.evaluations SET run_id = 'a' RETURNING *) FROM x",
]  # fmt: skip


@pytest.fixture(scope="module")
def lake(sample_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A copy of the sample lake, with things to reach for around it and links to them in it."""
    root = tmp_path_factory.mktemp("attacked")
    shutil.copytree(sample_lake, root / "lake")
    (root / "lake2").mkdir()
    for place in ("outside.csv", "lake2/outside.csv"):
        (root / place).write_text(f"column\n{OUTSIDE}\n")
    (root / "lake/link.csv").symlink_to(root / "outside.csv")
    (root / "lake/folder").symlink_to(root / "lake2")
    return Lake(root / "lake")


@pytest.fixture(scope="module")
def db(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """One connection as `clsp sql` makes it: a refused attack leaves nothing behind in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.chdir(tmp_path_factory.mktemp("empty"))
        with connect(lake) as connection:
            yield connection
        assert not list(Path.cwd().iterdir())


def files(lake: Lake) -> dict[Path, int]:
    found = [path for path in lake.root.parent.rglob("*") if not path.is_symlink()]
    return {path: path.stat().st_mtime_ns for path in found if path.is_file()}


@pytest.mark.parametrize("attack", [*READS, *STATEMENTS, *WITHIN])
def test_every_attack_is_refused_and_nothing_is_written(lake, db, attack):
    sql = attack.replace("{lake}", str(lake.root)).replace("{root}", str(lake.root.parent))
    before = files(lake)
    with pytest.raises(QueryError) as refused:
        ask(db, sql)
    assert OUTSIDE not in str(refused.value) and SECRET not in str(refused.value)
    assert "root:x:" not in str(refused.value)
    assert files(lake) == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT uri FROM speech WHERE uri NOT LIKE '%(copy%' LIMIT 1",
        "WITH copy AS (SELECT 1 AS insert) SELECT copy.insert FROM copy",
        "SELECT 1 AS query /* (COPY x) */ -- ; (DELETE FROM y)",
        "SELECT '; COPY x TO y', $$ (COPY x TO y) $$, \"query\" FROM (SELECT 1 AS query)",
        "SELECT count(*) FROM read_parquet('{lake}/runs/*.parquet')",  # the lake's own: harmless
    ],
)
def test_a_query_that_only_looks_like_an_attack_is_answered(lake, db, sql):
    assert ask(db, sql.replace("{lake}", str(lake.root))).num_rows == 1
