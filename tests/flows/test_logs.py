"""Log lines: for people, or one JSON object each, with run and chunk and without secrets."""

import json
import logging
import shutil
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.logs import OURS, LogFormat, LogLevel, set_up

SECRET = "hunter2-and-more"


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    ours = [logging.getLogger(name) for name in OURS]
    before = [(each.handlers, each.propagate, each.level) for each in ours]
    yield
    for each, (handlers, propagate, level) in zip(ours, before, strict=True):
        each.handlers, each.propagate = handlers, propagate
        each.setLevel(level)


def test_a_run_as_json_lines(sample_archive, tmp_path, monkeypatch):
    monkeypatch.setenv("CLSP_LOG_FORMAT", "json")
    archive = tmp_path / "archive"
    archive.mkdir()
    for name in ("podcast/outro.flac", "damaged/click.wav", "voicemail/quiet.wav"):
        shutil.copy(sample_archive / name, archive)
    given = ["tag", str(archive), "--lake", str(tmp_path / "lake"), "--chunk-files", "2", "--json"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [line["message"].split(":")[0].endswith("is committed") for line in lines] == [True] * 2
    assert {line["run_id"] for line in lines} == {report["run_id"]}
    assert [line["chunk_id"] for line in lines] == [
        f"{report['run_id']}-{number:05d}" for number in range(2)
    ]
    for name in ("files", "tagged", "failed"):
        total = report["tagged"] + report["failed"] if name == "files" else report[name]
        assert sum(line[name] for line in lines) == total
    assert {line["level"] for line in lines} == {"info"}
    assert all(line["planned_files"] == 3 and line["seconds"] > 0 for line in lines)


def test_no_secret_and_no_broken_line(monkeypatch, capsys):
    monkeypatch.setenv("SOME_TOKEN", SECRET)
    set_up(LogFormat.json, None)
    log = logging.getLogger("pipelines.somewhere")
    url = f"https://user:{SECRET}@host/path?sig={SECRET}"
    try:
        raise ValueError(f"two\nlines of {url}")
    except ValueError:
        log.exception("cannot read %s", url, extra={"uri": url, "path": ["a", SECRET]})
    log.debug("too much")
    text = capsys.readouterr().err
    [line] = map(json.loads, text.splitlines())
    assert SECRET not in text
    assert line["message"] == "cannot read https://host/path"
    assert (line["run_id"], line["chunk_id"], line["level"]) == (None, None, "error")
    assert "ValueError: two\nlines of https://host/path" in line["exception"]


def test_text_lines_from_a_level_on(capsys, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", SECRET)
    set_up(None, LogLevel.warning)
    log = logging.getLogger("pipelines.somewhere")
    log.info("not shown")
    log.warning("shown: %s", SECRET)
    assert capsys.readouterr().err.endswith(" WARNING shown: ***\n")
    set_up(LogFormat.text, None)
    log.info("shown now, once")
    assert capsys.readouterr().err.count("shown now, once") == 1


def test_without_options_logging_is_as_it_was():
    before = logging.getLogger("pipelines").handlers
    set_up(None, None)
    assert logging.getLogger("pipelines").handlers is before
