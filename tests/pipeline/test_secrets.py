"""Secrets planted wherever one gives them: none comes out in a table, a message or a log."""

import json
import logging
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from flows import cli
from pipelines import fetching
from pipelines.archive import archive_id
from pipelines.redaction import redacted, without_credentials

SECRET = "PLANTED0123456789"
URL_SECRETS = f"X-Amz-Signature={SECRET}a&X-Amz-Security-Token={SECRET}b&sig={SECRET}c&x=1"
ENVIRONMENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "MY_API_KEY", "DB_PASSWORD")


class Echo(BaseHTTPRequestHandler):
    """Answers with the status in the path, and says back all that it was told."""

    def do_GET(self) -> None:
        status = int(self.path.strip("/").partition("/")[0])
        told = f"{self.path} {self.headers}".encode()
        self.send_response(status, f"Refused {self.path}")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(told)

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        """Nothing: it would be a leak of the test's own."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name in ENVIRONMENT:
        monkeypatch.setenv(name, f"{SECRET}/{name}")
    monkeypatch.setattr(fetching, "FETCH_WAIT_S", 0.001)
    caplog.set_level(logging.INFO)


def clsp(monkeypatch: pytest.MonkeyPatch, *given: object) -> int:
    """The command as the console script runs it; its exit code."""
    monkeypatch.setattr(sys, "argv", ["clsp", *map(str, given)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def everything(folder: Path) -> bytes:
    """The bytes of every file, Parquet unpacked as JSON."""
    import pyarrow.parquet as pq

    parts = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            parts.append(path.read_bytes())
            if path.suffix == ".parquet":
                parts.append(str(pq.read_table(path).to_pylist()).encode())
    return b"".join(parts)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_source_with_a_password_and_a_signed_query(
    web, tmp_path, monkeypatch, capfd, caplog, status
):
    source = f"http://user:{SECRET}@{web}/{status}/calls.csv?{URL_SECRETS}"
    code = clsp(monkeypatch, "tag", source, "--lake", tmp_path / "lake")
    assert code == (4 if status == 500 else 3)
    told = capfd.readouterr()
    assert f"{web}/{status}/calls.csv" in told.err and "Traceback" not in told.err
    assert SECRET not in told.out + told.err + caplog.text


def test_lists_that_name_signed_urls_and_status_and_failures(
    web, tmp_path, monkeypatch, capfd, caplog
):
    lake = tmp_path / "lake"
    urls = [
        f"http://user:{SECRET}@{web}/{status}/{status}.wav?{URL_SECRETS}"
        for status in (403, 404, 500)
    ]
    lines = [json.dumps({"uri": url}) for url in urls]
    lines += [json.dumps(urls[0]), f'{{"uri": "{urls[0]}"', json.dumps({"uri": [urls[0]]})]
    lines += [json.dumps({"uri": f"github://me:{SECRET}@org/repo"})]
    lines += [json.dumps({"uri": f"simplecache::http://u:{SECRET}@h/a.wav?token={SECRET}"})]
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    (tmp_path / "wav.scp").write_text("".join(f"u{n} {url}\n" for n, url in enumerate(urls)))
    source = {"type": f"http://u:{SECRET}@h", "source": urls[0]}
    (tmp_path / "cuts.jsonl").write_text(json.dumps({"id": "r1", "sources": [source]}))
    for name in ("list.jsonl", "wav.scp", "cuts.jsonl"):
        clsp(monkeypatch, "tag", tmp_path / name, "--lake", lake)
    assert clsp(monkeypatch, "failures", "--lake", lake) == 0
    assert clsp(monkeypatch, "status", "--lake", lake, "--json") == 0
    assert clsp(monkeypatch, "retry", "--lake", lake) == 0
    assert clsp(monkeypatch, "sql", "FROM runs", "--lake", lake) == 0
    told = capfd.readouterr()
    assert "unreachable" in told.out and "404.wav" in told.out
    assert SECRET not in told.out + told.err + caplog.text
    written = everything(lake)
    assert b"404.wav" in written and SECRET.encode() not in written


def test_a_file_that_is_no_list_is_not_quoted_with_its_secrets(tmp_path, monkeypatch, capfd):
    signed = f"https://u:{SECRET}@h/a.wav?sig={SECRET}"
    (tmp_path / "list.csv").write_text(f"{signed},1\n{signed},2\n")  # no header
    assert clsp(monkeypatch, "tag", tmp_path / "list.csv", "--lake", tmp_path / "lake") == 3
    told = capfd.readouterr()
    assert "expected one of uri" in told.err and SECRET not in told.out + told.err


def test_a_fault_of_ours_prints_its_chain_without_secrets(monkeypatch, capfd):
    def broken(*args: Any, **given: Any) -> None:
        try:
            raise OSError(f"https://u:{SECRET}@h/x?sig={SECRET}")
        except OSError as error:
            raise RuntimeError({"Authorization": f"Basic {SECRET}", "secret": SECRET}) from error

    monkeypatch.setattr("flows.doctor.examine", broken)
    assert clsp(monkeypatch, "doctor") == 3
    told = capfd.readouterr().err
    assert "RuntimeError" in told and "OSError" in told and SECRET not in told


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"https://user:{SECRET}@host/a b.wav", "https://host/a b.wav"),
        (f"https://user:x/{SECRET}@host/a.wav", "https://host/a.wav"),
        (f"https:/user:{SECRET}@host/a", "https:/host/a"),
        (f"s3://{SECRET}:{SECRET}@bucket/a@b.wav", "s3://bucket/a@b.wav"),
        (f"s3://b/x?token={SECRET}&a=1", "s3://b/x?token=***&a=1"),
        (
            f"with url: /a?X-Amz-Signature={SECRET}&x=1 (x)",
            "with url: /a?X-Amz-Signature=***&x=1 (x)",
        ),
        (f"{{'key': 1, 'secret': '{SECRET}'}}", "{'key': 1, 'secret': ***}"),
        (f"Authorization: Basic {SECRET}\nx", "Authorization: ***\nx"),
        (f"aws_secret_access_key={SECRET} x", "aws_secret_access_key=*** x"),
        (f"bearer {SECRET}.x y", "bearer *** y"),
        ("AKIAABCDEFGHIJKLMNOP", "***"),
        (f"it said {SECRET}/DB_PASSWORD, and {SECRET}%2FMY_API_KEY", "it said ***, and ***"),
    ],
)
def test_what_is_left_of_a_text(text, left):
    assert redacted(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "'a=b & c.wav' was listed but cannot be fetched", "s3://bucket/a@b#c?d.wav",
        "http://localhost:8080/a@b.wav", "Unexpected token: '<'", "Basic authentication failed",
        "signature: 4 bytes", "file:///tmp/a.wav", "C:/calls/a.wav", "tokenizer.json is missing",
    ],
)  # fmt: skip
def test_ordinary_text_stays_as_it_is(text):
    assert redacted(text) == text


def test_names_of_archives_hold_no_secret_of_any_store():
    assert (
        without_credentials(f"s3://b/a?X-Amz-Signature={SECRET}") == "s3://b/a?X-Amz-Signature=***"
    )
    assert archive_id(f"gs://u:{SECRET}@b/x/") == "gs://b/x"
