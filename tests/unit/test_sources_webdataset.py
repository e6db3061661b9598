"""Files in a store and members of a tar: each opens alone, and no tar makes listing fail."""

import gzip
import io
import logging
import os
import pickle
import tarfile
import tempfile
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.archive import EVERYTHING, FileEntry, open_local
from pipelines.errors import RecordingError
from pipelines.sources import webdataset
from tests.unit.source_files import _made, listed, said, sound, write_csv

# ---- stores -------------------------------------------------------------------------------------


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


def test_sidecars_apart_from_their_audio_are_told_of(tmp_path, clips, caplog):
    caplog.set_level(logging.INFO)
    wrong = ("a.json", b'{"x": 1}'), ("b.json", b"{}"), ("a.wav", clips[0]), ("b.wav", clips[1])
    found = listed(write_tar(tmp_path / "s.tar", *wrong))
    assert [(e.uri, said(e)) for e in found] == [("s.tar/a.wav", {}), ("s.tar/b.wav", {})]
    assert "s.tar: what is said of a is left out" in caplog.text and "--sort=name" in caplog.text
    assert "what is said of b" not in caplog.text
    caplog.clear()
    listed(write_tar(tmp_path / "t.tar", *sorted(wrong)))
    assert caplog.text == ""


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
