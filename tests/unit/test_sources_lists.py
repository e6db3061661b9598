"""What a list names is what is listed: every row once, as a file or a refusal that says why."""

import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from clsp.errors import InputError
from pipelines import fetching
from pipelines.archive import open_local
from pipelines.errors import FailureKind, RecordingError
from pipelines.sources import list_source
from tests.unit.source_files import listed, said, sound, write_csv, write_jsonl

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
    sound(tmp_path / "b c.wav")
    sound(tmp_path / "lists/d%20e.wav")
    rows = [
        {"file": f"{tmp_path}/a.wav"},
        {"file": f"file://{tmp_path}/a.wav"},
        {"file": f"file://localhost{tmp_path}/b%20c.wav"},
        {"file": "file://d%20e.wav"},
        {"file": "../a.wav"},
    ]
    found = listed(write_csv(tmp_path / "lists/l.csv", rows))
    assert [e.uri for e in found] == [
        f"{tmp_path}/a.wav",
        f"{tmp_path}/b c.wav",
        "d%20e.wav",
        "../a.wav",
    ]
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
