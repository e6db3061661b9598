"""Which kind a source is, which of its files are chosen, and what is no source."""

from pathlib import Path

import pytest

from flows.cli import SourceKind
from pipelines.errors import ArchiveForbidden, ArchiveNotFound, SettingsError
from pipelines.settings import TagSettings
from pipelines.sources import KINDS, detect
from tests.unit.source_files import _made, listed, sound, write_csv


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
