"""What a list says of a file beside its name is kept as JSON, whatever is in it."""

import json
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sources.rows import METADATA_BYTES, metadata_text
from tests.unit.source_files import listed, said, sound


def test_metadata_is_json_whatever_is_in_it():
    odd = {
        "z": float("nan"), "a": float("-inf"), "b": b"\xff", "d": date(2026, 1, 2), "n": None,
        "l": [1, {"x": float("nan")}], "s": "\ud800", "w": "https://me:secret@host/x?id=1",
        "path": "https://host/x?sig=secret", "t": True, "i": 2**70,
    }  # fmt: skip
    text = metadata_text(odd)
    text.encode()
    value = json.loads(text)
    assert list(value) == sorted(odd)
    assert (value["z"], value["a"], value["b"], value["d"]) == (
        "nan",
        "-inf",
        "\\xff",
        "2026-01-02",
    )
    assert (value["l"], value["n"], value["i"]) == ([1, {"x": "nan"}], None, 2**70)
    assert (value["w"], value["path"]) == ("https://host/x?id=1", "https://host/x")
    assert "secret" not in text
    assert metadata_text({}) is None
    assert len(metadata_text({"x": "y" * METADATA_BYTES})) < 100


def test_parquet_keeps_types_and_leaves_bytes_out(tmp_path):
    sound(tmp_path / "a.wav")
    table = pa.table(
        {
            "uri": ["a.wav"],
            "n": [1],
            "when": [date(2026, 1, 2)],
            "audio": [{"bytes": b"x"}],
            "tags": [["a", "b"]],
            "raw": [b"x"],
            "nan": [float("nan")],
        }
    )
    pq.write_table(table, tmp_path / "l.parquet")
    [entry] = listed(tmp_path / "l.parquet")
    assert said(entry) == {"n": 1, "when": "2026-01-02", "tags": ["a", "b"], "nan": "nan"}


def test_parquet_of_times_that_python_does_not_know_is_text(tmp_path):
    sound(tmp_path / "a.wav")
    sound(tmp_path / "b.wav")
    ns = 1_700_000_000_123_456_789
    times = {
        "ns": pa.array([ns, 1_700_000_000_123_456_000], pa.timestamp("ns")),
        "time": pa.array([1_123_456_789, None], pa.time64("ns")),
        "date": pa.array([10**7, 0], pa.int32()).cast(pa.date32()),
        "mars": pa.array([10**15, None], pa.timestamp("us", tz="Mars/Phobos")),
        "all": pa.array([[ns], []], pa.list_(pa.timestamp("ns"))),
        "of": pa.array([{"a": ns, "b": 1}, None]).cast(
            pa.struct({"a": pa.timestamp("ns"), "b": "i1"})
        ),
    }
    table = pa.table({"uri": ["a.wav", "b.wav"], **times})
    pq.write_table(table, tmp_path / "l.parquet")
    first, second = map(said, listed(tmp_path / "l.parquet"))
    text = "2023-11-14 22:13:20.123456789"
    assert first == {
        "ns": text, "time": "00:00:01.123456789", "date": "29349-01-26",
        "mars": "2001-09-09 01:46:40.000000Z", "all": [text], "of": {"a": text, "b": 1},
    }  # fmt: skip
    assert second == {  # what Python knows, as ever
        "ns": "2023-11-14 22:13:20.123456", "time": None, "date": "1970-01-01", "mars": None,
        "all": [], "of": None,
    }  # fmt: skip
