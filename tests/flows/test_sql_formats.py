"""What `clsp sql` writes: every value of an answer once, in each format, or a sentence that says
why not."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
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


def test_what_does_not_fit_parquet_is_one_sentence(sample_lake):
    query = "SELECT [INTERVAL '1 day'] AS days"
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


# ---- a lake with a damaged file -----------------------------------------------------------------


@pytest.fixture
def damaged(sample_lake, tmp_path, request) -> Path:
    root = tmp_path / "damaged"
    shutil.copytree(sample_lake, root)
    [path, *_] = Lake(root).stored("labels")[0]
    whole = Path(path).read_bytes()
    if request.param == "missing":
        Path(path).unlink()
    elif request.param == "cut off":
        Path(path).write_bytes(whole[: len(whole) // 2])
    else:
        Path(path).write_bytes(
            whole[:100] + bytes(len(whole) // 2) + whole[100 + len(whole) // 2 :]
        )
    return root


@pytest.mark.parametrize("damaged", ["missing", "cut off", "overwritten"], indirect=True)
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
    look = Path.exists

    def refused(path: Path) -> bool:
        if path.is_relative_to(sample_lake):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(Path, "exists", refused)
    with pytest.raises(LakeError, match=r"Permission denied.*check the folder's"):
        Lake(sample_lake)
