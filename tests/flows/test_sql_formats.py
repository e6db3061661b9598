"""What `clsp sql` writes: every value of an answer once, in each format, or a sentence that says
why not."""

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from flows.cli import app
from flows.console import CONTROLS
from pipelines.errors import LakeError, QueryError
from pipelines.lake import Lake
from pipelines.query import connect, presentable, run
from tests.flows.commands import clsp

FORMATS = ("csv", "json", "parquet", "table")


def asked(lake: Path, query: str, format_: str) -> str:
    return clsp("sql", query, "--lake", lake, "--format", format_)


def parquet(lake: Path, query: str) -> pa.Table:
    given = ["sql", query, "--lake", str(lake), "--format", "parquet"]
    return pq.read_table(io.BytesIO(CliRunner().invoke(app, given).stdout_bytes))


def test_columns_of_one_name_are_told_apart_in_every_format(sample_lake):
    query = 'SELECT 1 AS a, 2 AS a, 3 AS b, 4 AS a_1, 5 AS "A"'
    wanted = {"a": 1, "a_2": 2, "b": 3, "a_1": 4, "A_3": 5}
    [header, row] = csv.reader(io.StringIO(asked(sample_lake, query, "csv")))
    assert dict(zip(header, map(int, row), strict=True)) == wanted
    assert json.loads(asked(sample_lake, query, "json")) == [wanted]
    assert parquet(sample_lake, query).to_pylist() == [wanted]
    assert all(f" {name} " in asked(sample_lake, query, "table") for name in wanted)
    join = "SELECT r.*, s.* FROM recordings r JOIN speech s USING (archive, uri) LIMIT 1"
    [header, row] = csv.reader(io.StringIO(asked(sample_lake, join, "csv")))
    assert len(header) == len(row) == len(set(header)) == parquet(sample_lake, join).num_columns


@given(st.lists(st.sampled_from(["a", "A", "a_1", "a_2", "b", "B_1"]), min_size=1, max_size=8))
def test_names_told_apart_keep_their_order_and_those_that_were_alone(names):
    table = pa.table([[i] for i in range(len(names))], names=names)
    found = presentable(table, in_python=True)
    assert [column.to_pylist() for column in found.columns] == [[i] for i in range(len(names))]
    lower = [name.lower() for name in found.column_names]
    assert len(set(lower)) == len(names)
    alone = [name for name in names if [n.lower() for n in names].count(name.lower()) == 1]
    assert [name for name in found.column_names if name in alone] == alone


def test_what_a_format_has_no_type_for_is_text(sample_lake):
    query = """SELECT INTERVAL '1 day 90 seconds' AS took, union_value(n := 7) AS either,
                      'infinity'::TIMESTAMP AS until, '294246-01-01'::DATE AS far"""
    wanted = {"took": "1 day 00:01:30", "either": "7", "until": "infinity", "far": "294246-01-01"}
    assert list(csv.DictReader(io.StringIO(asked(sample_lake, query, "csv")))) == [wanted]
    assert json.loads(asked(sample_lake, query, "json")) == [wanted]
    assert all(value in asked(sample_lake, query, "table") for value in wanted.values())
    kept = parquet(sample_lake, query)
    assert kept.select(["took", "either"]).to_pylist() == [
        {name: wanted[name] for name in ("took", "either")}
    ]
    assert pa.types.is_timestamp(kept["until"].type) and pa.types.is_date(kept["far"].type)


def test_so_is_what_lies_within_lists_and_structs(sample_lake):
    query = """SELECT [INTERVAL 1 DAY, NULL] AS l, {'a b': {'c': ['infinity'::DATE]}, 'n': 1} AS s,
                      MAP {'k': INTERVAL 2 DAY} AS m, row(INTERVAL 3 DAY, 4) AS r,
                      array_value(union_value(n := 7)) AS f"""
    wanted = {
        "l": ["1 day", None],
        "s": {"a b": {"c": ["infinity"]}, "n": 1},
        "m": [["k", "2 days"]],
        "r": {"element1": "3 days", "element2": 4},
        "f": ["7"],
    }
    assert json.loads(asked(sample_lake, query, "json")) == [wanted]
    [row] = csv.DictReader(io.StringIO(asked(sample_lake, query, "csv")))
    assert {name: json.loads(value) for name, value in row.items()} == wanted
    assert all(value in asked(sample_lake, query, "table") for value in ("'1 day'", "'infinity'"))
    kept = parquet(sample_lake, query)
    assert kept["l"].to_pylist() == [wanted["l"]]
    assert pa.types.is_date(kept["s"].type.field("a b").type.field("c").type.value_type)


def test_what_arrow_would_change_is_text(sample_lake):
    query = """SELECT 340282366920938463463374607431768211455::UHUGEINT AS u,
                      '12:00:00+05'::TIMETZ AS t, '10101'::BIT AS b, -(10::BIGNUM) AS n"""
    wanted = {"u": f"{2**128 - 1}", "t": "12:00:00+05", "b": "10101", "n": "-10"}
    assert list(csv.DictReader(io.StringIO(asked(sample_lake, query, "csv")))) == [wanted]
    assert parquet(sample_lake, query).to_pylist() == [wanted]


def test_text_in_place_of_values_keeps_the_order_of_rows(sample_lake):
    query = "SELECT INTERVAL (n) DAY AS d, n AS d FROM range(30) t(n) ORDER BY 1 DESC LIMIT 2"
    rows = json.loads(asked(sample_lake, query, "json"))
    assert rows == [{"d": "29 days", "d_1": 29}, {"d": "28 days", "d_1": 28}]


def test_what_does_not_fit_parquet_is_one_sentence(sample_lake):
    query = "SELECT 'infinity'::TIMESTAMP_S AS until"
    given = ["sql", query, "--lake", str(sample_lake), "--format", "parquet"]
    error = CliRunner().invoke(app, given).exception
    assert isinstance(error, QueryError) and "does not fit Parquet" in str(error)


def test_json_is_json_and_sums_are_numbers(sample_lake):
    query = "SELECT 1/0 AS x, -1.0/0 AS y, 'nan'::FLOAT AS z, sum(2) AS n FROM range(3)"

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    [row] = json.loads(asked(sample_lake, query, "json"), parse_constant=refuse)
    assert row == {"x": None, "y": None, "z": None, "n": 6}


def test_nested_values_are_json_in_csv(sample_lake):
    query = "SELECT [1, NULL, 3] AS l, {'a': 1, 'b': 'x'} AS s"
    [row] = csv.DictReader(io.StringIO(asked(sample_lake, query, "csv")))
    assert json.loads(row["l"]) == [1, None, 3]
    assert json.loads(row["s"]) == {"a": 1, "b": "x"}


def test_a_terminal_is_not_told_what_to_do_by_a_name(sample_lake):
    query = r"SELECT 'a' || chr(27) || '[31mred' || chr(155) AS uri, 'b' || chr(10) || 'c' AS two"
    shown = asked(sample_lake, query, "table")
    assert r"a\x1b[31mred\x9b" in shown
    assert not CONTROLS.search(shown)
    assert json.loads(asked(sample_lake, query, "json"))[0]["uri"][1] == "\x1b"


def test_names_are_shown_as_they_are(sample_lake):
    query = """SELECT 'x:key:y' AS "[red]a", 2 AS "[/red]", 3 AS "b\x1b[31m" """
    shown = asked(sample_lake, query, "table")
    assert all(text in shown for text in ("x:key:y", "[red]a", "[/red]", r"b\x1b[31m"))
    assert not CONTROLS.search(shown)


def typed(*given: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *map(str, given)],
        capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def test_letters_that_the_output_cannot_write_are_escaped(sample_lake):
    given = ("sql", "SELECT 'café' AS a", "--lake", sample_lake, "--format")
    for format_ in ("csv", "table"):
        done = typed(*given, format_, PYTHONIOENCODING="ascii")
        assert done.returncode == 0 and r"caf\xe9" in done.stdout, done.stderr
    done = typed(*given, "json", PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout) == [{"a": "café"}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("rows", [1, 100_000])
def test_an_answer_that_does_not_fit_on_the_disk_is_one_sentence(sample_lake, rows):
    query = f"SELECT * FROM range({rows})"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", "sql", query, "--lake", str(sample_lake),
             "--format", "csv"],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr == "clsp: the answer cannot be written: No space left on device\n"


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_output_is_no_fault_of_ours(sample_lake, closed):
    typed = shlex.join([sys.executable, "-m", "flows.cli", "sql", "--lake", str(sample_lake)])
    number = {"stdout": 1, "stderr": 2}[closed]
    for query, code in (("SELECT 1", 0), ("SELEC", 3)):
        line = f"{typed} {shlex.quote(query)} {number}>&-"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
        assert done.returncode == code and "Traceback" not in done.stderr


# ---- a lake with a damaged file -----------------------------------------------------------------


@pytest.fixture
def damaged(sample_lake, tmp_path, request) -> Path:
    table, how = request.param
    root = tmp_path / "damaged"
    shutil.copytree(sample_lake, root)
    [path, *_] = Lake(root).stored(table)[0]
    whole, half = Path(path).read_bytes(), len(Path(path).read_bytes()) // 2
    left = {
        "cut off": whole[:half],
        "overwritten": whole[:100] + bytes(half) + whole[100 + half :],
    }
    if how == "missing":
        Path(path).unlink()
    else:
        Path(path).write_bytes(left[how])
    return root


DAMAGES = ("missing", "cut off", "overwritten")


@pytest.mark.parametrize("damaged", [("embeddings", how) for how in DAMAGES], indirect=True)
def test_a_search_tells_of_damaged_embeddings(damaged):
    error = CliRunner().invoke(app, ["search", "a man", "--lake", str(damaged)]).exception
    assert isinstance(error, LakeError) and "missing or damaged" in str(error)


@pytest.mark.parametrize("damaged", [("labels", how) for how in DAMAGES], indirect=True)
def test_a_damaged_file_is_told_and_doctor_says_no(damaged):
    told = "missing or damaged: .*clsp verify --deep"
    with pytest.raises(LakeError, match=told):
        run(Lake(damaged), "SELECT gender, gender_p FROM speech")
    for command in (("status",), ("search", "a man")):
        error = CliRunner().invoke(app, [*command, "--lake", str(damaged)]).exception
        assert isinstance(error, LakeError) and "missing or damaged" in str(error)
    result = CliRunner().invoke(app, ["doctor", "--lake", str(damaged), "--json"])
    assert result.exit_code == 1
    [row] = [row for row in json.loads(result.stdout) if row["what"].startswith("lake")]
    assert not row["ok"] and "missing or damaged" in row["found"]


def test_wrong_sql_is_not_the_lakes_fault(sample_lake):
    for query in ("SELECT nope FROM speech", "SELECT 'x'::INT", "FROM 'nowhere.parquet'"):
        with pytest.raises(QueryError):
            run(Lake(sample_lake), query)
    with pytest.raises(duckdb.BinderException), connect(Lake(sample_lake)) as db:
        db.execute("SELECT nope FROM speech")  # a fault of ours is none of the lake's


def test_a_lake_that_may_not_be_looked_at_is_not_called_absent(sample_lake, monkeypatch):
    look, read = os.stat, os.scandir

    def refusing(call: Callable, wanted: str) -> Callable:
        def refused(path: object, **given: object) -> object:
            if str(path).startswith(wanted):
                raise PermissionError(13, "Permission denied", str(path))
            return call(path, **given)

        return refused

    for table in ("runs", "labels"):  # without labels, `speech` would have no rows
        log = str(sample_lake / table / "_delta_log")
        for name, call, wanted in (("stat", look, f"{log}/."), ("scandir", read, log)):
            with monkeypatch.context() as patched:
                patched.setattr(os, name, refusing(call, wanted))
                with pytest.raises(LakeError, match=r"Permission denied.*check the folder's"):
                    run(Lake(sample_lake), "FROM speech")


def test_what_is_below_a_file_is_absent(sample_lake, tmp_path):
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "lake", tmp_path / "nothing"):
        with pytest.raises(LakeError, match="no lake at"):
            Lake(root)


def test_deltas_reason_is_told_in_full(sample_lake, tmp_path):
    root = tmp_path / "lake"
    shutil.copytree(sample_lake, root)
    [entry, *_] = sorted((root / "labels" / "_delta_log").glob("*.json"))
    entry.unlink()
    entry.symlink_to(entry)
    with pytest.raises(LakeError, match=r"LocalFileSystem error: .*labels.*symbolic") as told:
        run(Lake(root), "FROM speech")
    assert "\x1b" not in str(told.value) and "\n" not in str(told.value)
