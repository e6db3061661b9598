"""Listing: every file once, in order, whatever its name; what cannot be listed is told."""

import os
import sys
from pathlib import Path

import fsspec
import pytest

from pipelines.archive import archive_id, content_hash, list_archive, local_root, open_local
from pipelines.errors import (
    ArchiveForbidden,
    ArchiveNotFound,
)
from pipelines.redaction import why

SAMPLES = Path(__file__).parents[1] / "data" / "sample-archive"


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode(errors="surrogateescape"))
    return root


def uris(source: object, **filters: object) -> list[str]:
    return [entry.uri for entry in list_archive(str(source), **filters)]  # type: ignore[arg-type]


# ---- local --------------------------------------------------------------------------------------


def test_the_sample_archive_is_listed_whole_and_in_order() -> None:
    found = list(list_archive(str(SAMPLES)))
    on_disk = sorted(p.relative_to(SAMPLES).as_posix() for p in SAMPLES.rglob("*") if p.is_file())
    assert [entry.uri for entry in found] == on_disk
    assert len(found) == 20
    for entry in found:
        assert Path(entry.path).is_absolute()
        assert entry.size_bytes == Path(entry.path).stat().st_size


def test_order_is_that_of_the_uris_even_where_folders_and_files_share_a_beginning(
    tmp_path: Path,
) -> None:
    make(tmp_path, "a/z", "a.wav", "a b/x", "a/b/c", "a-/y", "B", "ä")
    found = uris(tmp_path)
    assert found == sorted(found)
    assert len(found) == 7


ODD = [
    "a b.wav",
    'it\'s "so".wav',
    "100%25.wav",
    "日本/ü.wav",
    "two\nlines.wav",
    "#?*[x].wav",
    "a::b",
]


def test_odd_names_are_listed_and_open(tmp_path: Path) -> None:
    make(tmp_path, *ODD)
    assert uris(tmp_path) == sorted(ODD)
    for entry in list_archive(str(tmp_path)):
        with open_local(entry) as path:
            assert path.read_text() == entry.uri


def test_a_name_that_is_not_utf8_is_escaped_in_the_uri_and_opens_by_its_path(
    tmp_path: Path,
) -> None:
    name = os.fsdecode(b"caf\xe9.wav")
    try:
        make(tmp_path, name)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (entry,) = list_archive(str(tmp_path))
    assert entry.uri == "caf\\xe9.wav"
    entry.uri.encode("utf-8")
    assert content_hash(entry.path) == content_hash(tmp_path / name)


def test_names_that_read_alike_have_uris_of_their_own(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff")
    names = [
        f"{odd}.wav",
        "\\xff.wav",
        f"{odd}/a",
        "\\xff/a",
        f"{odd}\\xff",
        f"\\xff{odd}",
        f"b{odd}",
    ]
    try:
        make(tmp_path, *names)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    found = {e.path: e.uri for e in list_archive(str(tmp_path))}
    assert list(found.values()) == sorted(set(found.values()))
    uri = {name: found[str(tmp_path / name)] for name in names}
    assert [name for name in names if uri[name] == name] == ["\\xff.wav", "\\xff/a"]
    assert uri[f"b{odd}"] == "b\\xff"  # no other reads like it
    assert uri[f"{odd}.wav"].startswith("\\xff.wav#")


def test_an_archive_is_found_by_its_id(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"k\xff")
    try:
        make(odd, "a.wav")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    name = archive_id(str(odd))
    assert name.endswith("/k\\xff") and archive_id(name) == name
    assert [e.path for e in list_archive(name)] == [str(odd / "a.wav")]
    make(tmp_path / "k\\xff", "b.wav")
    assert uris(name) == ["b.wav"]


def test_hidden_files_and_folders_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", ".hidden.wav", ".git/config", "x/.cache/b.wav", "x/.c.wav", "x/c.wav")
    assert uris(tmp_path) == ["a.wav", "x/c.wav"]
    assert len(uris(tmp_path, include=("*", "**/.*"))) == 6


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"exclude": ["x"]}, ["a.wav"]),
        ({"include": ["*"]}, ["a.wav", "x/c.wav"]),
        ({"include": [".*"]}, [".git/config", ".hidden.wav"]),
        ({"include": ["**/.*"], "exclude": [".git"]}, [".hidden.wav", "x/.c.wav", "x/.d/b.wav"]),
        ({"include": ["*.wav", "x/.d/*"]}, ["a.wav", "x/.d/b.wav", "x/c.wav"]),
    ],
)
def test_hidden_files_are_found_by_a_glob_with_a_dot_and_no_other_option(
    tmp_path: Path, filters: dict[str, list[str]], expected: list[str]
) -> None:
    make(tmp_path, "a.wav", ".hidden.wav", ".git/config", "x/.d/b.wav", "x/.c.wav", "x/c.wav")
    assert uris(tmp_path, **filters) == expected


def test_the_tables_of_a_lake_in_the_archive_are_left_out(tmp_path: Path, memory: str) -> None:
    lake = ("runs/_delta_log/0.json", "runs/part-0.parquet", "vectors/k/embeddings.f16",
            "vectors/k/segment_ids", "vectors/k/record.json")  # fmt: skip
    mine = ("a.wav", "lake/notes.wav", "runs/b.wav")
    make(tmp_path, *mine, *(f"lake/{name}" for name in lake), "embeddings.f16")
    for name in (*mine, *(f"lake/{name}" for name in lake)):
        fsspec.filesystem("memory").pipe(f"{memory}/{name}", b"x")
    assert uris(tmp_path) == ["a.wav", "embeddings.f16", "lake/notes.wav", "runs/b.wav"]
    assert uris(memory) == ["a.wav", "lake/notes.wav", "runs/b.wav"]
    assert uris(tmp_path / "lake") == ["notes.wav"]


def test_a_name_that_cannot_be_looked_at_is_told_where_it_is_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "a.mp3")
    (tmp_path / "gone.wav").symlink_to("nowhere")
    assert uris(tmp_path, include=["*.mp3"]) == ["a.mp3"]
    assert not caplog.text
    assert uris(tmp_path, include=["*.mp3", "*.wav"]) == ["a.mp3"]
    assert "gone.wav" in caplog.text


@pytest.mark.parametrize("asked", ["stat", "scandir"])
def test_a_folder_that_may_not_be_looked_at_is_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    make(tmp_path, "calls/a.wav")

    def forbidding(*args: object, **given: object) -> None:  # as root every folder may be
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path if asked == "stat" else os, asked, forbidding)
    with pytest.raises(ArchiveForbidden, match=r"calls.*Permission denied.*chmod"):
        list_archive(f"{tmp_path}/calls")


@pytest.mark.parametrize("source", ["", " "])
def test_no_name_is_not_the_current_folder(source: str) -> None:
    with pytest.raises(ArchiveNotFound, match="the name is empty"):
        list_archive(source)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"include": ["*.wav"]}, ["a.wav", "raw/b.wav", "x/raw/c.wav"]),
        ({"include": ["**/*.wav"]}, ["a.wav", "raw/b.wav", "x/raw/c.wav"]),
        ({"include": ["x/*"]}, ["x/d.mp3", "x/raw/c.wav"]),
        ({"exclude": ["**/raw/*"]}, ["a.wav", "x/d.mp3"]),
        ({"exclude": ["raw"]}, ["a.wav", "x/d.mp3", "x/raw/c.wav"]),
        ({"include": ["*.wav"], "exclude": ["x"]}, ["a.wav", "raw/b.wav"]),
        ({"include": ["*.WAV"]}, []),
    ],
)
def test_patterns(
    tmp_path: Path, memory: str, filters: dict[str, list[str]], expected: list[str]
) -> None:
    names = ["a.wav", "raw/b.wav", "x/raw/c.wav", "x/d.mp3"]
    make(tmp_path, *names)
    for name in names:
        fsspec.filesystem("memory").pipe(f"{memory}/{name}", b"x")
    assert uris(tmp_path, **filters) == expected
    assert uris(memory, **filters) == expected


def test_symlinks_are_followed_and_loops_end(tmp_path: Path) -> None:
    make(tmp_path, "archive/calls/a.wav", "elsewhere/b.wav")
    calls = tmp_path / "archive" / "calls"
    (calls / "up").symlink_to(tmp_path / "archive")
    (calls / "self").symlink_to("self")
    (calls / "linked.wav").symlink_to(calls / "a.wav")
    (tmp_path / "archive" / "other").symlink_to(tmp_path / "elsewhere")
    (calls / "gone.wav").symlink_to("nowhere.wav")
    (calls / ".#lock").symlink_to("nowhere")  # excluded: nobody wants to hear of it
    errors: list[str] = []
    found = [
        entry.uri
        for entry in list_archive(
            str(tmp_path / "archive"), on_error=lambda uri, exc: errors.append(uri)
        )
    ]
    assert found == ["calls/a.wav", "calls/linked.wav", "other/b.wav"]
    assert sorted(errors) == ["calls/gone.wav", "calls/self"]


def test_a_tree_may_be_deeper_than_python_calls_itself(tmp_path: Path) -> None:
    folders = [tmp_path]
    for _ in range(sys.getrecursionlimit() + 100):
        folders.append(folders[-1] / "d")
        folders[-1].mkdir()
    file = folders[-1] / "a.wav"
    file.touch()
    try:
        assert [entry.path for entry in list_archive(str(tmp_path))] == [str(file)]
    finally:  # what pytest clears with calls itself
        file.unlink()
        for folder in reversed(folders[1:]):
            folder.rmdir()


def test_a_folder_that_cannot_be_read_is_told_and_the_listing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "a/x.wav", "b/y.wav", "c.wav")
    scandir = os.scandir

    def forbidding(path: str) -> object:  # as root every folder can be read
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    errors: list[tuple[str, str]] = []
    found = list_archive(
        str(tmp_path), on_error=lambda uri, exc: errors.append((uri, type(exc).__name__))
    )
    assert [entry.uri for entry in found] == ["b/y.wav", "c.wav"]
    assert errors == [("a", "PermissionError")]
    assert uris(tmp_path) == ["b/y.wav", "c.wav"]
    assert "'a' (Permission denied)" in caplog.text


def test_pipes_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    assert uris(tmp_path) == ["a.wav"]
    with pytest.raises(ArchiveNotFound, match="neither a file nor a folder"):
        list_archive(str(tmp_path / "pipe.wav"))


def test_listing_does_not_wait_for_folders_further_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a/x", "b/y", "c/z")
    scanned: list[str] = []
    scandir = os.scandir

    def noting(path: str) -> object:
        scanned.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noting)
    assert next(list_archive(str(tmp_path))).uri == "a/x"
    assert set(scanned) == {tmp_path.name, "a"}


def test_the_version_changes_with_the_file_and_only_then(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b.wav")
    before = {entry.uri: entry.version for entry in list_archive(str(tmp_path))}
    assert before == {entry.uri: entry.version for entry in list_archive(str(tmp_path))}
    stat = (tmp_path / "a.wav").stat()
    (tmp_path / "a.wav").write_bytes(b"A.WAV")  # the same length
    os.utime(tmp_path / "a.wav", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    after = {entry.uri: entry.version for entry in list_archive(str(tmp_path))}
    assert after["a.wav"] != before["a.wav"]
    assert after["b.wav"] == before["b.wav"]


def test_a_single_file_is_an_archive_of_one(tmp_path: Path) -> None:
    make(tmp_path, ".odd.wav")
    (entry,) = list_archive(str(tmp_path / ".odd.wav"), include=["*.mp3"])
    assert (entry.uri, entry.path) == (".odd.wav", str(tmp_path / ".odd.wav"))


@pytest.mark.parametrize("source", ["/no/such/folder", "no such", "memory://nothing", "nope://x"])
def test_a_missing_source_is_named_at_the_call(source: str) -> None:
    with pytest.raises(ArchiveNotFound, match=source):
        list_archive(source)


def test_an_archive_has_one_id_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "calls/a.wav")
    (tmp_path / "link").symlink_to(tmp_path / "calls")
    monkeypatch.chdir(tmp_path)
    ways = ["calls", "./calls/", "link", f"{tmp_path}/x/../calls", f"file://{tmp_path}/calls"]
    ways += [f"FILE://localhost{tmp_path}/calls", f"file://{tmp_path}/c%61lls"]
    assert {archive_id(way) for way in ways} == {(tmp_path / "calls").resolve().as_posix()}


@pytest.mark.parametrize(
    ("written", "there", "meant"),
    [
        ("my%20calls", "my calls", "my calls"),
        ("my%20calls", "my%20calls", "my%20calls"),  # as lakes from before have it
        ("100%", "100%", "100%"),
        ("100%25", "100%", "100%"),
        ("caf%C3%A9", "café", "café"),
        ("a%00b", "other", "a%00b"),
        ("%FF", "other", "\udcff"),
    ],
)
def test_a_file_url_is_the_path_that_it_stands_for(
    tmp_path: Path, written: str, there: str, meant: str
) -> None:
    (tmp_path / there).mkdir()
    assert local_root(f"file://{tmp_path}/{written}") == tmp_path.resolve() / meant


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("s3://bucket/calls/", "s3://bucket/calls"),
        ("S3://Bucket/Calls", "s3://Bucket/Calls"),
        ("s3://bucket/odd?[name]#1", "s3://bucket/odd?[name]#1"),
        ("ftp://me:secret@host:21/calls", "ftp://host:21/calls"),
        ("https://host/a.wav?X-Amz-Signature=secret#t", "https://host/a.wav"),
        ("memory://calls/", "memory://calls"),
        ("zip://x::ftp://me:secret@host/a.zip", "zip://x::ftp://host/a.zip"),
    ],
)
def test_the_id_of_a_remote_archive_holds_no_credentials(source: str, expected: str) -> None:
    assert archive_id(source) == expected


def test_a_link_that_leads_nowhere_says_where_to(tmp_path: Path) -> None:
    (tmp_path / "dangling.wav").symlink_to("nowhere")
    (tmp_path / "round.wav").symlink_to("round.wav")
    told: dict[str, str] = {}
    found = list_archive(str(tmp_path), on_error=lambda uri, exc: told.update({uri: why(exc)}))
    assert list(found) == [] and sorted(told) == ["dangling.wav", "round.wav"]
    assert "link to 'nowhere', which is not there: expected a file" in told["dangling.wav"]
    assert "symbolic links" in told["round.wav"]
