"""A list or an oddly named folder, listed again: no row is lost or stands for two files."""

import gzip
import json
import os
import shutil
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines import fetching, remote
from pipelines.archive import EVERYTHING
from pipelines.errors import ArchiveNotFound, ArchiveUnreachable
from pipelines.lake import Lake
from pipelines.planning import plan
from pipelines.query import run
from pipelines.reprocess import ReprocessSettings, steps
from pipelines.retry import retries
from pipelines.settings import TagSettings
from pipelines.sources import rows as list_rows
from pipelines.sources import would_list
from pipelines.tagging import carry_out, tag
from pipelines.verify import verify

CALL = "calls/2026-03/call-0192.wav"
ODD = os.fsdecode(b"k\xff")  # of a folder


@pytest.fixture
def call(sample_archive) -> Path:
    return sample_archive / CALL


@pytest.fixture
def server(call, monkeypatch) -> Iterator[ThreadingHTTPServer]:
    """A store on the web: `status` is what it answers, `once` what it does first; `asked` counts
    the requests by path."""
    monkeypatch.setattr(fetching, "FETCH_WAIT_S", 0.001)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            store.asked[f"{self.command} {self.path}"] += 1
            status = store.once.pop() if store.once else store.status
            content = call.read_bytes() if status == 200 else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", '"one"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    store = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store.status, store.once, store.asked = 200, [], Counter()
    thread = threading.Thread(target=store.serve_forever, daemon=True)
    thread.start()
    yield store
    store.shutdown()
    store.server_close()
    thread.join()


def settings(source: Path, tmp_path: Path, **given) -> TagSettings:
    return TagSettings(source=str(source), lake=str(tmp_path / "lake"), **given)


def states(tmp_path: Path) -> dict[str, str]:
    found = run(Lake(tmp_path / "lake"), "SELECT uri, state FROM recordings ORDER BY uri")
    return {row["uri"]: row["state"] for row in found.to_pylist()}


def list_of(path: Path, *names: str) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"uri": name}) + "\n" for name in names))
    else:
        path.write_text("\n".join(("uri", *names)) + "\n")
    return path


@pytest.mark.parametrize("status", [503, 429])
def test_a_store_that_does_not_answer_costs_no_row(server, tmp_path, caplog, status):
    url = f"http://127.0.0.1:{server.server_port}/a.wav"
    given = settings(list_of(tmp_path / "l.csv", url), tmp_path)
    server.once = [status] * 2  # a look-up may ask by HEAD, then GET
    assert tag(given).tagged == 1
    server.status = status
    server.asked.clear()
    report = tag(given)
    assert (report.listed, report.pending, report.failed, report.gone) == (1, 1, 0, 0)
    assert states(tmp_path) == {url: "tagged"}
    assert server.asked["HEAD /a.wav"] == 3
    assert "1 recordings are left as they are tagged" in caplog.text and url in caplog.text
    # Nor where it would be read anew, by another policy or `reprocess`.
    assert tag(settings(Path(given.source), tmp_path, segments="windows:10")).pending == 1
    reprocess = ReprocessSettings(given.lake, segments="windows:10")
    assert [carry_out(step.plan()).pending for step in steps(reprocess)] == [1]
    assert states(tmp_path) == {url: "tagged"}
    server.status = 200
    assert tag(given).unchanged == 1


def test_a_store_that_never_answered_is_a_failure_that_says_why_now(server, tmp_path):
    url = f"http://127.0.0.1:{server.server_port}/a.wav"
    given = settings(list_of(tmp_path / "l.csv", url), tmp_path)
    for server.status, kind, said in (
        (503, "unreachable", "asked 3 times"), (403, "unreadable", "403"), (429, "unreachable", ""),
    ):  # fmt: skip
        assert tag(given).failures == {kind: 1}
        [failure] = run(Lake(given.lake), "FROM failures").to_pylist()
        assert failure["error_kind"] == kind and said in failure["error_message"]
    server.status = 200
    assert tag(given).tagged == 1


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_list_rewritten_while_it_is_read_marks_nothing_as_gone(
    call, tmp_path, monkeypatch, ending
):
    names = [f"{number}.wav" for number in range(4)]
    for name in names:
        shutil.copy(call, tmp_path / name)
    source = list_of(tmp_path / f"l.{ending}", *names)
    given = settings(source, tmp_path)
    assert tag(given).tagged == 4
    real = list_rows._unique

    def rewritten(*args):
        list_of(source, *reversed(names))
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(list_rows, "_unique", rewritten)
        with pytest.raises(ArchiveUnreachable, match="changed while it was read"):
            plan(given)
    report = tag(given)
    assert (report.unchanged, report.gone) == (4, 0)


def test_two_files_of_names_that_read_alike_are_two_recordings(call, sample_archive, tmp_path):
    root = tmp_path / "audio"
    root.mkdir()
    shutil.copy(call, root / os.fsdecode(b"bad\xff.wav"))
    shutil.copy(sample_archive / "podcast/outro.flac", root / "bad\\xff.wav")
    given = settings(root, tmp_path)
    assert tag(given).tagged == 2
    first, second = states(tmp_path)
    assert first == "bad\\xff.wav" and second.startswith("bad\\xff.wav#")
    assert tag(given).unchanged == 2
    assert not [found for found in verify(Lake(given.lake)) if found.count and found.harmful]


@pytest.mark.parametrize("kind", ["folder", "scp", "list"])
def test_an_archive_whose_name_is_no_utf8_is_read_again(call, tmp_path, kind):
    root = tmp_path / ODD
    root.mkdir()
    shutil.copy(call, root / "a.wav")
    (root / "b.wav").write_text("no audio")
    source = root
    if kind == "scp":
        (root / "wav.scp").write_text("k a.wav\nl b.wav\n")
    elif kind == "list":
        source = list_of(root / "l.csv", "a.wav", "b.wav")
    given = settings(source, tmp_path)
    report = tag(given)
    assert (report.tagged, report.failed) == (1, 1)
    [again] = retries(Lake(given.lake), ["unsupported"])
    assert tag(again.settings, retry=again.uris).failed == 1
    reprocess = ReprocessSettings(given.lake, segments="windows:10")
    assert [carry_out(step.plan()).tagged for step in steps(reprocess)] == [1]


@pytest.mark.parametrize(("first", "then"), [("list", "auto"), ("auto", "list")])
def test_a_row_taken_out_of_a_jsonl_is_gone_whether_or_not_its_kind_was_told(
    call, tmp_path, first, then
):
    for name in ("a.wav", "b.wav"):
        shutil.copy(call, tmp_path / name)
    source = list_of(tmp_path / "l.jsonl", "a.wav", "b.wav")
    assert tag(settings(source, tmp_path, kind=first)).tagged == 2
    list_of(source, "a.wav")
    assert tag(settings(source, tmp_path, kind=then)).gone == 1
    assert states(tmp_path) == {"a.wav": "tagged", "b.wav": "gone"}


@pytest.mark.parametrize("left", [3, 0.5])
def test_what_a_list_that_breaks_off_does_not_reach_is_not_gone(call, tmp_path, left):
    listed, lake = tmp_path / "list.jsonl.gz", str(tmp_path / "lake")
    names = [f"{number}.wav" for number in range(3)]
    for name in names:
        shutil.copy(call, tmp_path / name)
    lines = [json.dumps({"file": name, "said": os.urandom(99).hex()}) for name in names]
    listed.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert tag(TagSettings(source=str(listed), lake=lake)).tagged == 3
    whole = listed.read_bytes()
    listed.write_bytes(whole[: left if left > 1 else int(left * len(whole))])
    report = tag(TagSettings(source=str(listed), lake=lake))
    assert (report.gone, report.failures) == (0, {"truncated": 1})
    speech = run(Lake(lake), "SELECT DISTINCT uri FROM speech ORDER BY uri")
    assert speech["uri"].to_pylist() == names
    listed.write_bytes(whole)
    assert tag(TagSettings(source=str(listed), lake=lake)).gone == 1  # the row that told of it


def test_a_folder_in_a_packed_file_is_refused_and_a_member_is_not(call, tmp_path):
    with zipfile.ZipFile(tmp_path / "calls.zip", "w") as packed:
        packed.write(call, "a.wav")
        packed.write(call, "sub/b.wav")
    for inside in ("", "sub"):
        with pytest.raises(ArchiveNotFound, match=r"a folder in a packed file.*one member"):
            plan(TagSettings(source=f"zip://{inside}::{tmp_path}/calls.zip", lake=str(tmp_path)))
    member = f"zip://a.wav::{tmp_path}/calls.zip"
    assert tag(TagSettings(source=member, lake=str(tmp_path / "lake"))).tagged == 1


def test_one_page_of_the_web_says_nothing_of_the_folder_it_stands_for():
    """The same address without its last slash is one page: what the folder had is not gone."""
    folder, page = "https://calls.example/2026/", "https://calls.example/2026"
    assert would_list(folder, "auto", EVERYTHING, ())("a.wav")
    assert not would_list(page, "auto", EVERYTHING, ())("a.wav")
    assert would_list(page, "auto", EVERYTHING, ())("2026")


def test_a_server_without_tags_is_known_by_its_times():
    told = {"size": 3, "Last-Modified": "Sat, 28 Nov 2026 03:00:00 GMT"}
    assert remote._version(told) == remote._version(dict(told))
    assert "unknown" not in remote._version(told)
