"""Remote archives list like local ones; what is listed opens, and is known by its content."""

import time
from pathlib import Path

import fsspec
import pytest

from pipelines.archive import FileEntry, content_hash, list_archive, open_local
from pipelines.errors import ArchiveUnreachable, FailureKind, RecordingError


def test_a_remote_archive_lists_like_a_local_one(memory: str) -> None:
    fs = fsspec.filesystem("memory")
    names = ["a/z.wav", "a.wav", "a b/x.wav", "a/b/c ü%.wav", ".hidden", "x/.y/z"]
    for name in names:
        fs.pipe(f"{memory}/{name}", name.encode())
    entries = list(list_archive(memory + "/"))
    assert [entry.uri for entry in entries] == ["a b/x.wav", "a.wav", "a/b/c ü%.wav", "a/z.wav"]
    assert entries == list(list_archive(memory))
    for entry in entries:
        assert entry.path == f"{memory}/{entry.uri}"
        assert entry.size_bytes == len(entry.uri.encode())
        with open_local(entry) as path:
            assert path.read_text() == entry.uri
        assert not path.exists()


def test_a_remote_file_that_changes_gets_another_version(memory: str) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe(f"{memory}/a.wav", b"one")
    (before,) = list_archive(memory)
    time.sleep(0.01)
    fs.pipe(f"{memory}/a.wav", b"two")
    (after,) = list_archive(memory)
    assert before.version != after.version
    (alone,) = list_archive(f"{memory}/a.wav")
    assert (alone.uri, alone.version) == ("a.wav", after.version)


def test_a_remote_file_that_vanished_is_unreadable(memory: str) -> None:
    entry = FileEntry("a.wav", f"{memory}/a.wav", 3, "v")
    with pytest.raises(RecordingError) as caught, open_local(entry):
        pass
    assert caught.value.kind is FailureKind.UNREADABLE


def test_a_store_that_fails_is_transient_and_not_an_empty_archive(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe(f"{memory}/x/a.wav", b"one")
    (entry,) = list_archive(memory)

    def broken(*args: object, **kwargs: object) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr(type(fs), "ls", broken)
    with pytest.raises(ArchiveUnreachable, match="no answer"):
        list(list_archive(memory))
    monkeypatch.setattr(type(fs), "get_file", broken)
    with pytest.raises(ArchiveUnreachable, match="no answer"), open_local(entry):
        pass


# ---- content ------------------------------------------------------------------------------------


def test_content_is_known_by_its_bytes_alone(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000  # over one block
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "b").write_bytes(data)
    (tmp_path / "c").write_bytes(data + b"!")
    assert content_hash(tmp_path / "a") == content_hash(str(tmp_path / "b"))
    assert content_hash(tmp_path / "a") != content_hash(tmp_path / "c")
    assert len(content_hash(tmp_path / "a")) == 32
    with pytest.raises(RecordingError, match="No such file"):
        content_hash(tmp_path / "d")


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("shard.tar/a call.wav", "a call.wav"),
        ("shard.tar/.hidden.wav", "hidden.wav"),
        ("shard.tar/..", "recording"),
        ("shard.tar/a\\b:c\n.wav", "a_b_c_.wav"),
        ("shard.tar/" + "x" * 300 + ".wav", "x" * 56 + ".wav"),
    ],
)
def test_a_copy_of_a_piece_has_its_own_name_within_a_folder_of_its_own(tmp_path, uri, name):
    """Messages tell it; whatever a tar calls its member, it leads nowhere else."""
    (tmp_path / "shard.tar").write_bytes(b"0123456789")
    entry = FileEntry(uri, str(tmp_path / "shard.tar"), 4, "10 1@3", piece=(3, 4))
    with open_local(entry) as path:
        assert path.name == name and path.read_bytes() == b"3456"
        assert path.parent.name.startswith("clsp-") and len(list(path.parent.iterdir())) == 1
    assert not path.parent.exists()
