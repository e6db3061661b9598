"""What a source names is what is listed: every row once, as a file or a refusal that says why."""

import csv
import gzip
import io
import json
import logging
import os
import pickle
import tarfile
import tempfile
from datetime import date
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from clsp.errors import InputError
from flows.cli import SourceKind
from pipelines import fetching
from pipelines.archive import EVERYTHING, FileEntry, open_local
from pipelines.errors import (
    ArchiveForbidden,
    ArchiveNotFound,
    FailureKind,
    RecordingError,
    SettingsError,
)
from pipelines.settings import TagSettings
from pipelines.sources import KINDS, detect, list_source, webdataset
from pipelines.sources.rows import METADATA_BYTES, metadata_text


def sound(path: Path, seconds: float = 0.1, tone: int = 200) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.sin(np.arange(int(16_000 * seconds)) * tone * 2 * np.pi / 16_000)
    soundfile.write(path, samples, 16_000)
    return path


def listed(source: object, kind: str = "auto", **given: object) -> list[FileEntry]:
    return list(list_source(str(source), kind, **given))  # type: ignore[arg-type]


def write_csv(path: Path, rows: list[dict], encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding, errors="surrogateescape") as file:
        table = csv.DictWriter(
            file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ","
        )
        table.writeheader()
        table.writerows(rows)
    return path


def write_jsonl(path: Path, rows: list) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def said(entry: FileEntry) -> dict:
    return json.loads(entry.metadata or "{}")


# ---- which kind ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", "list"), ("a.TSV", "list"), ("a.parquet", "list"), ("wav.scp", "scp"),
        ("x.tar", "webdataset"), ("x.tar.gz", "webdataset"), ("x.tgz", "webdataset"),
        ("a.jsonl", "jsonl"), ("a.jsonl.gz", "jsonl"), ("a.wav", "folder"), ("a.json", "folder"),
        ("https://host/a.csv?sig=secret", "list"), ("s3://bucket/calls", "folder"),
        ("s3://bucket/odd.tar/", "folder"),
    ],
)  # fmt: skip
def test_the_kind_is_told_by_the_name(tmp_path, name, kind):
    assert detect(name if "://" in name else str(tmp_path / name)) == kind


def test_a_list_within_a_folder_is_a_file_of_it_and_a_kind_overrules_the_name(tmp_path):
    sound(tmp_path / "a.wav")
    write_csv(tmp_path / "list.csv", [{"uri": "a.wav"}])
    assert [e.uri for e in listed(tmp_path)] == ["a.wav", "list.csv"]
    assert [e.uri for e in listed(tmp_path / "list.csv")] == ["a.wav"]
    assert [e.uri for e in listed(tmp_path / "list.csv", "folder")] == ["list.csv"]
    (tmp_path / "wav.scp").write_text("k a.wav\n")
    assert [e.uri for e in listed(tmp_path)] == ["a.wav"]
    assert [e.uri for e in listed(tmp_path, "folder")] == ["a.wav", "list.csv", "wav.scp"]
    with pytest.raises(SettingsError, match="expected a file"):
        listed(tmp_path, "list")


def test_kinds_are_the_same_everywhere():
    assert tuple(kind.value for kind in SourceKind) == KINDS
    with pytest.raises(SettingsError, match="webdataset"):
        TagSettings("a", "b", kind="shards")
    with pytest.raises(SettingsError, match="limit 0"):
        TagSettings("a", "b", limit=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_is_not_there_is_named(tmp_path, kind):
    with pytest.raises(ArchiveNotFound, match="nowhere"):
        listed(tmp_path / "nowhere.csv", kind)


# ---- lists --------------------------------------------------------------------------------------

ROWS = [
    {"uri": "a b.wav", "agent": "Åse", "score": "1"},
    {"uri": 'sub/it\'s "so" 100%.wav', "agent": "x,y", "score": ""},
    {"uri": "two\nlines.wav", "agent": "", "score": "2"},
]


def test_a_quote_that_does_not_end_swallows_no_file(tmp_path):
    for name in ("a.wav", "b.wav"):
        sound(tmp_path / name)
    (tmp_path / "l.csv").write_text('uri,said\na.wav,"Loud\nb.wav,\n')
    with pytest.raises(InputError, match=r"l\.csv has a quote that begins in line 2 and runs on"):
        listed(tmp_path / "l.csv")
    (tmp_path / "l.tsv").write_text('uri\tsaid\na.wav\t"Loud\nb.wav\t\n')
    found = listed(tmp_path / "l.tsv")
    assert [(entry.uri, said(entry)) for entry in found] == [
        ("a.wav", {"said": '"Loud'}), ("b.wav", {"said": ""}),
    ]  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "jsonl.gz", "parquet"])
def test_every_format_gives_the_same_entries(tmp_path, ending):
    for row in ROWS:
        sound(tmp_path / row["uri"])
    path = tmp_path / f"list.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif ending.startswith("jsonl"):
        write_jsonl(path, ROWS)
    else:
        write_csv(path, ROWS)
    found = listed(path)
    assert [e.uri for e in found] == [row["uri"] for row in ROWS]
    for entry, row in zip(found, ROWS, strict=True):
        assert said(entry) == {"agent": row["agent"], "score": row["score"]}
        assert entry.size_bytes == Path(entry.path).stat().st_size
        [alone] = listed(tmp_path / row["uri"], "folder")
        assert entry.version == alone.version
        with open_local(entry) as opened:
            assert soundfile.info(opened).frames == 1600
        assert entry.refusal is None
    assert found == listed(path)


names = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0/\\\r"), min_size=1
).filter(lambda name: name.strip() and name not in (".", "..") and "://" not in name)


@given(st.lists(names, min_size=1, max_size=8, unique=True))
def test_any_names_come_back_from_csv_and_jsonl(found):
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder) / "list.csv", [{"path": name} for name in found])
        write_jsonl(Path(folder) / "list.jsonl", [{"audio": name} for name in found])
        for ending in ("csv", "jsonl"):
            entries = listed(f"{folder}/list.{ending}")
            assert [e.uri for e in entries] == found
            assert [Path(e.path) for e in entries] == [Path(folder, name) for name in found]


def test_names_that_are_not_utf8_open_and_are_escaped(tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    try:
        sound(tmp_path / "a.wav").rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (tmp_path / "wav.scp").write_bytes(b"k\xe9 caf\xe9.wav\n")
    for source in (write_csv(tmp_path / "l.csv", [{"uri": name}]), tmp_path / "wav.scp"):
        [entry] = listed(source)
        assert entry.uri == "caf\\xe9.wav"
        assert Path(entry.path).is_file() and entry.refusal is None
    assert said(entry) == {"key": "k\\xe9"}


def test_names_are_normalised_and_a_list_from_windows_works(tmp_path):
    sound(tmp_path / "sub/a.wav")
    sound(tmp_path / "real\\name.wav")
    rows = [{"uri": "./sub//a.wav"}, {"uri": "sub\\a.wav"}, {"uri": "real\\name.wav"}]
    found = listed(write_csv(tmp_path / "l.csv", rows, "utf-8-sig"))
    assert [(e.uri, e.refusal) for e in found] == [("sub/a.wav", None), ("real\\name.wav", None)]


def test_absolute_names_file_urls_and_parents(tmp_path):
    sound(tmp_path / "a.wav")
    (tmp_path / "lists").mkdir()
    rows = [
        {"file": f"{tmp_path}/a.wav"},
        {"file": f"file://{tmp_path}/a.wav"},
        {"file": "../a.wav"},
    ]
    found = listed(write_csv(tmp_path / "lists/l.csv", rows))
    assert [e.uri for e in found] == [f"{tmp_path}/a.wav", "../a.wav"]
    assert all(e.refusal is None for e in found)


def test_what_is_missing_or_no_file_is_refused_and_told(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    rows = [{"uri": name, "x": "1"} for name in ("gone.wav", "folder", "pipe.wav", " ", ".")]
    found = listed(write_csv(tmp_path / "l.csv", rows))
    assert [e.uri for e in found] == ["gone.wav", "folder", "pipe.wav", "l.csv:5", "."]
    for entry in found:
        assert entry.version == "" and entry.refusal
        with pytest.raises(RecordingError) as caught, open_local(entry):
            pass
        assert caught.value.kind in (FailureKind.UNREADABLE, FailureKind.UNSUPPORTED)
    assert said(found[0]) == {"x": "1"}
    sound(tmp_path / "gone.wav")
    assert listed(tmp_path / "l.csv")[0].version != ""


def test_a_row_that_cannot_be_read_is_refused_with_its_line(tmp_path):
    sound(tmp_path / "a.wav")
    (tmp_path / "l.csv").write_text("uri,x\na.wav,1\na.wav\na.wav,1,2,3\n\n")
    assert [e.uri for e in listed(tmp_path / "l.csv")] == ["a.wav", "l.csv:3", "l.csv:4"]
    (tmp_path / "l.jsonl").write_text('{"uri": "a.wav"}\n{"uri": \n[1]\n{"x": 1}\n')
    found = listed(tmp_path / "l.jsonl")
    assert [e.uri for e in found] == ["a.wav", "l.jsonl:2", "l.jsonl:3", "l.jsonl:4"]
    assert [bool(e.refusal) for e in found] == [False, True, True, True]
    for depth, column in ((101, "x"), (900, "x"), (900, "audio")):
        text = f'{{"uri": "a.wav", "{column}": {"[" * depth + "]" * depth}}}\n'
        (tmp_path / "deep.jsonl").write_text(text)
        [entry] = listed(tmp_path / "deep.jsonl")
        assert entry.refusal is None
        assert said(entry) == {"left_out": "nested: more than 100 deep"}


def test_a_name_that_no_file_can_have_is_a_failure_for_good(tmp_path):
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    found = listed(write_csv(tmp_path / "l.csv", [{"uri": "x" * 300}, {"uri": "loop.wav"}]))
    assert [entry.refusal[0] for entry in found] == ["unreadable"] * 2
    assert "File name too long" in found[0].refusal[1]
    assert "symbolic links" in found[1].refusal[1]


def test_a_store_that_refuses_for_its_credentials_is_asked_again(tmp_path, monkeypatch):
    class TokenExpired(PermissionError):
        pass

    asked: list[str] = []

    def expired(url):
        asked.append(url)
        raise TokenExpired("a new one is needed") if "a.wav" in url else PermissionError("403")

    monkeypatch.setattr(fetching, "FETCH_WAIT_S", 0.0)
    monkeypatch.setattr("pipelines.sources.rows.remote_info", expired)
    names = ["s3://bucket/a.wav", "s3://bucket/b.wav"]
    found = listed(write_csv(tmp_path / "l.csv", [{"uri": name} for name in names]))
    assert [entry.refusal[0] for entry in found] == ["unreachable", "unreadable"]
    assert [asked.count(name) for name in names] == [3, 1]


def test_a_long_cell_is_left_out_of_the_metadata_and_the_file_stays(tmp_path, monkeypatch):
    sound(tmp_path / "a.wav")
    row = {"uri": "a.wav", "x": "y" * 200_000, "z": "1"}
    for write, name in ((write_csv, "l.csv"), (write_csv, "l.tsv"), (write_jsonl, "l.jsonl")):
        [entry] = listed(write(tmp_path / name, [row]))
        assert entry.refusal is None and "left_out" in said(entry)
    monkeypatch.setattr("pipelines.datasets.rows.CELL", 1_000)
    [entry] = listed(write_csv(tmp_path / "l.csv", [row]))
    assert "expected cells of at most 1000 letters" in entry.refusal[1]


def test_a_repeated_file_is_listed_once_and_the_last_word_counts(tmp_path, caplog):
    sound(tmp_path / "a.wav")
    sound(tmp_path / "b.wav")
    rows = [("a.wav", "1"), ("b.wav", "1"), ("a.wav", "1"), ("./a.wav", "2"), ("b.wav", "1")]
    found = listed(write_csv(tmp_path / "l.csv", [{"uri": u, "x": x} for u, x in rows]))
    assert [(e.uri, said(e)["x"]) for e in found] == [("a.wav", "2"), ("b.wav", "1")]
    assert "'a.wav' is named again with other metadata" in caplog.text
    assert "b.wav" not in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("l.csv", "name,x\na,b\n", "expected one of uri, path, file, audio"),
        ("l.csv", "uri,uri\na,b\n", "each once"),
        ("l.jsonl", '{"name": "a"}\n', "expected one of uri, path, file, audio"),
        ("l.parquet", "no parquet", "expected Parquet"),
        ("l.csv", "", "expected one of uri"),
    ],
)
def test_a_file_that_is_no_list_is_an_error_that_says_so(tmp_path, name, content, expected):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=expected):
        listed(tmp_path / name)


def test_patterns_choose_and_hidden_files_of_a_list_stay(tmp_path):
    for name in (".hidden.wav", "x/a.wav", "x/b.mp3"):
        sound(tmp_path / "a.wav").rename(_made(tmp_path / name))
    source = write_csv(
        tmp_path / "l.csv", [{"uri": n} for n in (".hidden.wav", "x/a.wav", "x/b.mp3")]
    )
    assert len(listed(source)) == 3
    assert [e.uri for e in listed(source, include=["x/*"])] == ["x/a.wav", "x/b.mp3"]
    assert [e.uri for e in listed(source, exclude=["x"])] == [".hidden.wav"]


def test_a_folder_that_may_not_be_entered_is_forbidden(tmp_path, monkeypatch):
    def forbidding(self):  # as root every folder may be
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_file", forbidding)
    with pytest.raises(ArchiveForbidden, match=r"Permission denied.*chmod"):
        listed(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_below_a_file_or_too_long_for_one_is_no_archive(tmp_path, kind):
    sound(tmp_path / "a.wav")
    for name in ("a.wav/wav.scp", "x" * 300):
        with pytest.raises(ArchiveNotFound, match="no archive at"):
            listed(tmp_path / name, kind)


@pytest.mark.parametrize("name", ["source", "lake"])
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_source_or_lake_is_not_the_current_folder(name, value):
    with pytest.raises(SettingsError, match=f"{name} '{value}'.*expected a path"):
        TagSettings(**{"source": "calls", "lake": "lake", name: value})


def _made(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    return path


def test_a_long_list_takes_time_in_proportion_and_no_stat_before_it_is_asked_for(tmp_path):
    rows = 20_000
    with (tmp_path / "l.csv").open("w") as file:
        file.write("uri,x\n" + "".join(f"{i}.wav,{i}\n" for i in range(rows)))
    stats = 0
    real = Path.stat

    def counted(self, **given):
        nonlocal stats
        stats += self.suffix == ".wav"
        return real(self, **given)

    Path.stat = counted  # type: ignore[method-assign]
    try:
        found = iter(list_source(str(tmp_path / "l.csv")))
        next(found)
        assert stats <= 256
        assert sum(1 for _ in found) == rows - 1
    finally:
        Path.stat = real  # type: ignore[method-assign]
    assert stats == rows


# ---- metadata -----------------------------------------------------------------------------------


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


# ---- untrusted lists ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "reference://x", "jupyter://h/x", "simplecache::https://me:secret@h/x",
        "dask::s3://b/x", "a\0b.wav", "\ud800.wav", "github://me:secret@r/x",
    ],
)  # fmt: skip
def test_a_list_cannot_ask_for_more_than_files(tmp_path, name):
    [entry] = listed(write_jsonl(tmp_path / "l.jsonl", [{"uri": name}]))
    assert entry.refusal is not None
    assert entry.path == ""
    assert "secret" not in f"{entry.uri}{entry.refusal}{entry.metadata}"
    entry.uri.encode()


@pytest.fixture
def memory(request):
    root = f"/{request.node.name}"
    fs = fsspec.filesystem("memory")
    yield f"memory:/{root}"
    if fs.exists(root):
        fs.rm(root, recursive=True)


def test_urls_in_a_list_and_a_list_at_a_url(tmp_path, memory):
    fs = fsspec.filesystem("memory")
    fs.pipe(f"{memory}/sub/a b.wav", sound(tmp_path / "a.wav").read_bytes())
    rows = [{"uri": f"{memory}/sub/a b.wav"}, {"uri": f"{memory}/gone.wav"}, {"uri": "a.wav"}]
    good, gone, local = listed(write_csv(tmp_path / "l.csv", rows))
    assert (good.uri, good.refusal) == (rows[0]["uri"], None)
    assert gone.refusal[0] == "unreadable" and gone.version == ""
    assert local.refusal is None
    fs.pipe(f"{memory}/lists/l.csv", b"uri\n../sub/a b.wav\n../../../x\n")
    below, outside = listed(f"{memory}/lists/l.csv")
    assert (below.uri, below.version) == ("../sub/a b.wav", good.version)
    assert "leads out" in outside.refusal[1]
    with open_local(below) as path:
        assert path.read_bytes() == (tmp_path / "a.wav").read_bytes()


def test_credentials_of_urls_reach_no_table(tmp_path, monkeypatch):
    from pipelines.sources import rows as module

    def broken(url):
        raise FileNotFoundError(url) if "gone" in url else TimeoutError(f"no answer from {url}")

    monkeypatch.setattr(fetching, "FETCH_WAIT_S", 0.0)
    monkeypatch.setattr(module, "remote_info", broken)
    rows = [
        {"uri": "https://me:secret@host/a.wav?sig=secret"},
        {"uri": "https://host/get?id=secret1"},
        {"uri": "https://host/get?id=secret2"},
        {"uri": "s3://key:secret@bucket/gone.wav"},
    ]
    found = listed(write_csv(tmp_path / "l.csv", rows))
    assert [e.uri.split("#")[0] for e in found] == [
        "https://host/a.wav", "https://host/get", "https://host/get", "s3://bucket/gone.wav",
    ]  # fmt: skip
    assert len({e.uri for e in found}) == 4
    assert "no answer from https://host/a.wav)" in found[0].refusal[1]
    assert "secret" not in str([(e.uri, e.refusal, e.metadata, e.version) for e in found])
    # What did not answer is asked again next time, by its kind; what is not there waits for a
    # new version.
    assert [e.refusal[0] for e in found] == [*["unreachable"] * 3, "unreadable"]
    assert {e.version for e in found} == {""}


# ---- Kaldi --------------------------------------------------------------------------------------


def test_a_kaldi_folder_with_pipes_arks_and_tables(tmp_path):
    sound(tmp_path / "a b.wav")
    marker = tmp_path / "ran"
    (tmp_path / "wav.scp").write_text(
        f"utt1 a b.wav\nutt2 touch {marker}; sox secret.flac -t wav - |\nutt3\tark/raw.ark:1234\n"
        "utt4\n\nutt5\tgone.wav\r\n"
    )
    (tmp_path / "utt2spk").write_text("utt1 ann\nother bob\n")
    (tmp_path / "spk2gender").write_text("ann f\n")
    (tmp_path / "text").write_text("utt1 hello there\nutt2\n")
    found = listed(tmp_path)
    assert [e.uri for e in found] == ["a b.wav", "utt2", "utt3", "utt4", "gone.wav"]
    assert said(found[0]) == {"key": "utt1", "speaker": "ann", "gender": "f", "text": "hello there"}
    assert said(found[1]) == {"key": "utt2", "text": ""}
    kinds = [e.refusal and e.refusal[0] for e in found]
    assert kinds == [None, "unsupported", "unsupported", "unreadable", "unreadable"]
    assert "shell pipe" in found[1].refusal[1] and "never run" in found[1].refusal[1]
    assert "secret" not in str(found[1])
    assert not marker.exists()
    assert listed(tmp_path / "wav.scp") == found


# ---- lhotse -------------------------------------------------------------------------------------


def recording(id_: str, *sources: dict) -> dict:
    return {"id": id_, "sources": list(sources), "sampling_rate": 16000, "duration": 0.1}


def file_source(name: str, kind: str = "file") -> dict:
    return {"type": kind, "channels": [0], "source": name}


def cut(id_: str, of: dict, start: float = 0.0, text: str | None = None) -> dict:
    spoken = [{"id": "s", "speaker": "ann", "text": text}] if text else []
    return {
        "id": id_, "start": start, "duration": 0.1, "channel": 0, "type": "MonoCut",
        "recording": of, "supervisions": spoken,
    }  # fmt: skip


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_lhotse_recordings(tmp_path, ending):
    sound(tmp_path / "a.wav")
    rows = [
        recording("r1", file_source("a.wav")),
        recording("r2", file_source("touch ran", "command")),
        recording("r3", file_source("eJw...", "memory")),
        recording("r4", file_source("left.wav"), file_source("right.wav")),
        recording("r5"),
    ]
    found = listed(write_jsonl(tmp_path / f"recordings.{ending}", rows))
    assert [e.uri for e in found] == ["a.wav", "r2", "r3", "left.wav", "right.wav", "r5"]
    assert said(found[0]) == {"recording_id": "r1"}
    assert "'command'" in found[1].refusal[1] and found[1].refusal[0] == "unsupported"
    assert "touch ran" not in str(found[1])
    assert [bool(e.refusal) for e in found] == [False, True, True, True, True, True]


@pytest.mark.parametrize("column", [{"sources": ["web", "tv"]}, {"recording": {"by": "Ann"}}])
def test_a_list_with_columns_that_lhotse_has_too_is_a_list(tmp_path, column):
    sound(tmp_path / "a.wav")
    [entry] = listed(write_jsonl(tmp_path / "l.jsonl", [{"file": "a.wav", **column}]))
    assert (entry.uri, entry.refusal, said(entry)) == ("a.wav", None, column)


def test_lhotse_cuts_list_each_recording_once(tmp_path):
    sound(tmp_path / "a.wav")
    sound(tmp_path / "b.wav")
    a, b = recording("ra", file_source("a.wav")), recording("rb", file_source("b.wav"))
    mixed = {"id": "m", "type": "MixedCut", "tracks": [{"cut": cut("c4", b)}, {"offset": 1}]}
    rows = [cut("c1", a, 0.0, "one"), cut("c2", b), cut("c3", a, 0.05), mixed, {"id": "bare"}]
    found = listed(write_jsonl(tmp_path / "cuts.jsonl", rows))
    assert [e.uri for e in found] == ["cuts.jsonl:5", "a.wav", "b.wav"]
    assert said(found[1]) == {
        "recording_id": "ra",
        "cuts": [
            {
                "id": "c1", "start": 0.0, "duration": 0.1,
                "supervisions": [{"speaker": "ann", "text": "one"}],
            },
            {"id": "c3", "start": 0.05, "duration": 0.1},
        ],
    }  # fmt: skip
    assert [each["id"] for each in said(found[2])["cuts"]] == ["c2", "c4"]
    many = [cut(f"c{i}", a, 0.0, "x" * 500) for i in range(300)]
    [entry] = listed(write_jsonl(tmp_path / "many.jsonl", many))
    assert len(entry.metadata) <= METADATA_BYTES
    assert len(said(entry)["cuts"]) + said(entry)["cuts_left_out"] == 300


# ---- WebDataset ---------------------------------------------------------------------------------


def write_tar(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


@pytest.fixture
def clips(tmp_path) -> list[bytes]:
    return [sound(tmp_path / f"made{i}.wav", tone=200 + i).read_bytes() for i in range(3)]


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz"])
def test_members_of_a_tar_open_alone_in_any_order(tmp_path, clips, ending):
    tar = write_tar(
        tmp_path / f"shard-000.{ending}",
        ("utt1.json", b'{"agent": "ann", "n": 1}'), ("utt1.wav", clips[0]), ("utt1.txt", b" hi\n"),
        ("sub/utt2.wav", clips[1]), ("sub/utt2.cls", b"3"), ("sub/utt2.npy", b"no"),
        ("./utt3.mic.wav", clips[2]),
        mode="w" if ending == "tar" else "w:gz",
    )  # fmt: skip
    found = listed(tar)
    assert [e.uri for e in found] == [
        f"{tar.name}/utt1.wav", f"{tar.name}/sub/utt2.wav", f"{tar.name}/utt3.mic.wav",
    ]  # fmt: skip
    assert [said(e) for e in found] == [{"agent": "ann", "n": 1, "txt": "hi"}, {"cls": "3"}, {}]
    assert found == listed(tar)
    for order in ((0, 1, 2), (2, 0, 1)):
        for i in order:
            entry = pickle.loads(pickle.dumps(found[i]))  # as it travels to a worker
            with open_local(entry) as path:
                assert path.read_bytes() == clips[i]
                assert path.suffix == ".wav"
            assert not path.exists()


def test_a_member_is_read_by_its_offset_and_a_changed_tar_is_read_anew(tmp_path, clips):
    tar = write_tar(tmp_path / "s.tar", ("a.wav", clips[0]), ("b.wav", clips[1]))
    before = listed(tar)
    with open_local(before[1]) as path:
        assert path.read_bytes() == clips[1]
    with tarfile.open(tar) as archive:
        assert before[1].piece == (archive.getmember("b.wav").offset_data, len(clips[1]))
    write_tar(tar, ("b.wav", clips[2]), ("c.wav", clips[1]))
    os.utime(tar, ns=(1, 1))
    after = listed(tar)
    assert {e.version for e in before}.isdisjoint(e.version for e in after)
    with open_local(after[0]) as path:
        assert path.read_bytes() == clips[2]


def test_tars_of_a_folder_are_opened_only_when_asked_for(tmp_path, clips):
    (tmp_path / "x").mkdir()
    for name in ("x/0.tar", "x/1.tar"):
        write_tar(tmp_path / name, ("a.wav", clips[0]), ("b.flac", clips[1]))
    sound(tmp_path / "x/c.wav")
    assert [e.uri for e in listed(tmp_path / "x")] == ["0.tar", "1.tar", "c.wav"]
    members = ["0.tar/a.wav", "0.tar/b.flac", "1.tar/a.wav", "1.tar/b.flac"]
    assert [e.uri for e in listed(tmp_path / "x", "webdataset")] == members
    for pattern, expected in (("1.tar", members[2:]), ("*.flac", members[1::2])):
        assert [e.uri for e in listed(tmp_path / "x", "webdataset", include=[pattern])] == expected


def test_hidden_tars_and_members_are_found_by_a_glob_with_a_dot(tmp_path, clips):
    for name in ("x/.0.tar", "x/1.tar"):
        _made(tmp_path / name)
        write_tar(tmp_path / name, ("a.wav", clips[0]), (".b.wav", clips[1]))

    def found(source: str, *include: str, **given: list[str]) -> list[str]:
        return [e.uri for e in listed(tmp_path / source, "webdataset", include=include, **given)]

    assert found("x") == found("x", exclude=["z"]) == found("x", "1.tar") == ["1.tar/a.wav"]
    assert found("x", ".0.tar") == [".0.tar/a.wav", ".0.tar/.b.wav"]
    assert len(found("x", *EVERYTHING)) == 4
    assert found("x/1.tar") == ["1.tar/a.wav"]
    assert len(found("x/1.tar", *EVERYTHING)) == len(found("x/.0.tar", *EVERYTHING)) == 2


def test_unsafe_members_are_refused_and_told(tmp_path, clips):
    link, device = tarfile.TarInfo("link.wav"), tarfile.TarInfo("dev.wav")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    tar = write_tar(
        tmp_path / "s.tar", ("../out.wav", clips[0]), ("/abs.wav", clips[0]), link, device,
        ("ok.wav", clips[1]), ("ok.wav", clips[2]), ("._ok.wav", b"x"),
    )  # fmt: skip
    found = listed(tar)
    assert [(e.uri, bool(e.refusal)) for e in found] == [
        ("s.tar/../out.wav", True), ("s.tar/abs.wav", True), ("s.tar/link.wav", True),
        ("s.tar/dev.wav", True), ("s.tar/ok.wav", False), ("s.tar/ok~2.wav", False),
    ]  # fmt: skip
    assert all(e.refusal[0] == "unsupported" and e.path == "" for e in found[:4])
    with open_local(found[5]) as path:
        assert path.read_bytes() == clips[2]


def test_sidecars_are_bounded_and_no_pickle_is_read(tmp_path, clips, caplog):
    tar = write_tar(
        tmp_path / "s.tar", ("a.json", b'{"x": "' + b"y" * 70_000 + b'"}'), ("a.wav", clips[0]),
        ("b.json", b"{no"), ("b.wav", clips[0]), ("c.json", b"[1]"), ("c.wav", clips[0]),
        ("c.pyd", pickle.dumps(1)),
    )  # fmt: skip
    caplog.set_level(logging.INFO)
    assert [said(e) for e in listed(tar)] == [{}, {}, {"json": [1]}]
    assert "s.tar/a.json: left out" in caplog.text
    assert "s.tar/b.json" not in caplog.text  # a line for the first, and how many
    assert "2 unusable sidecar, 1 .pyd" in caplog.text


def test_a_sidecar_that_is_nested_too_deep_hides_no_member(tmp_path, clips, caplog):
    deep = b'{"x": %s1%s}' % (b"[" * 600, b"]" * 600)
    tar = write_tar(
        tmp_path / "s.tar", ("1.json", deep), ("1.txt", b"hello"), ("1.wav", clips[0]),
        ("2.wav", clips[1]),
    )  # fmt: skip
    found = listed(tar)
    assert [(e.uri, e.refusal) for e in found] == [("s.tar/1.wav", None), ("s.tar/2.wav", None)]
    assert [said(e) for e in found] == [{"txt": "hello"}, {}]
    assert "s.tar/1.json: left out" in caplog.text and "more than 100 deep" in caplog.text


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7, 0.9])
def test_a_tar_that_breaks_off_gives_what_came_before_and_says_so(tmp_path, clips, kept):
    tar = write_tar(tmp_path / "s.tar", *((f"{i}.wav", clip) for i, clip in enumerate(clips)))
    assert tar.stat().st_size > 3 * 4096
    tar.write_bytes(tar.read_bytes()[: int(3 * 4096 * kept)])  # a member is 512 + 3584 bytes
    *before, last = listed(tar, include=["*.wav"])
    assert (last.uri, last.refusal[0]) == ("s.tar", "unreadable")
    assert [e.uri for e in before] == [f"s.tar/{i}.wav" for i in range(len(before))]
    assert len(before) == {0.0: 0, 0.3: 1, 0.7: 2, 0.9: 3}[kept]
    if kept == 0.9:  # its header is whole, its sound is not
        with pytest.raises(RecordingError, match=r"ends .* before"), open_local(before[2]):
            pass


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path, clips):
    tar = write_tar(tmp_path / "s.tar", *((f"{i}.wav", clip) for i, clip in enumerate(clips)))
    data = bytearray(tar.read_bytes())
    with tarfile.open(tar) as archive:
        at = archive.getmember("1.wav").offset
    data[at : at + 512] = b"\xff" * 512
    tar.write_bytes(data)
    assert [e.uri for e in listed(tar)] == ["s.tar/0.wav", "s.tar"]


@given(
    changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=12),
    zipped=st.booleans(),
)
def test_no_tar_makes_listing_fail_or_go_on_for_ever(changes, zipped):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.tar"
        write_tar(path, ("a" * 120 + ".wav", b"x" * 600), ("b.json", b"{}"), ("b.wav", b"y"))
        data = bytearray(path.read_bytes())
        for at, value in changes:
            data[at] = value
        # Its own sum made right, so that what is behind it is read too.
        data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
        path.write_bytes(gzip.compress(bytes(data), 1) if zipped else bytes(data))
        entry = FileEntry("s.tar", str(path), 1, "v")
        for found in webdataset.members(entry):
            found.uri.encode()


def test_a_tar_in_a_store_is_read_by_its_offsets(memory, clips, tmp_path):
    tar = write_tar(tmp_path / "s.tar", ("a.wav", clips[0]), ("b.wav", clips[1]))
    fsspec.filesystem("memory").pipe(f"{memory}/s.tar", tar.read_bytes())
    found = listed(f"{memory}/s.tar")
    assert [e.uri for e in found] == ["s.tar/a.wav", "s.tar/b.wav"]
    with open_local(found[1]) as path:
        assert path.read_bytes() == clips[1]
