"""What changes in an archive: moved, copied, touched, gone, back; and what a failure leaves."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import soundfile
from deltalake import write_deltalake
from typer.testing import CliRunner

from flows.cli import app
from pipelines import fetching, maintain, planning, schemas, tagging, worker
from pipelines.archive import EVERYTHING
from pipelines.errors import ArchiveNotFound, ArchiveUnreachable, FailureKind, RecordingError
from pipelines.jobs import Outcome, recordings_table
from pipelines.lake import Lake
from pipelines.query import run
from pipelines.reprocess import ReprocessSettings, steps
from pipelines.retry import retries
from pipelines.settings import TagSettings
from pipelines.sources import would_list
from pipelines.tagging import tag
from pipelines.worker import Worker

SPEECH = "SELECT * EXCLUDE (processed_at) FROM speech ORDER BY uri, start_s"


def tone(path: Path, hertz: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(8_000) * hertz * 2 * np.pi / 16_000), 16_000)
    return path


@pytest.fixture
def archive(tmp_path) -> Path:
    root = tmp_path / "archive"
    for number, uri in enumerate(("a/one.wav", "a/two.wav", "b/three.wav")):
        tone(root / uri, 200 + 50 * number)
    (root / "b/words.wav").write_text("no audio")
    return root


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that were decoded."""
    names: list[str] = []
    real = worker.open_recording

    def spy(path, limits):
        names.append(path.name)
        return real(path, limits)

    monkeypatch.setattr(worker, "open_recording", spy)
    return names


def settings(archive: Path, lake: Path, **given) -> TagSettings:
    return TagSettings(source=str(archive), lake=str(lake), **given)


def rows(lake: Path, sql: str) -> list[dict]:
    return run(Lake(lake), sql).to_pylist()


def states(lake: Path) -> dict[str, str]:
    return {row["uri"]: row["state"] for row in rows(lake, "FROM recordings ORDER BY uri")}


def books(report: tagging.RunReport) -> tuple[int, ...]:
    """Of a balanced run: tagged, known, failed, relabelled, unchanged, gone."""
    parts = (report.tagged, report.failed, report.relabelled, report.unchanged)
    assert sum(parts) + report.pending == report.listed + report.unlisted
    return (report.tagged, report.known, *parts[1:], report.gone)


def test_moved_copied_and_touched_files_are_not_embedded_again(archive, tmp_path, decoded):
    lake = tmp_path / "lake"
    assert books(tag(settings(archive, lake))) == (3, 0, 1, 0, 0, 0)
    decoded.clear()
    (archive / "a/one.wav").rename(archive / "b/one-moved.wav")
    shutil.copy(archive / "a/two.wav", archive / "a/two-copy.wav")
    os.utime(archive / "b/three.wav", (1, 1))
    report = tag(settings(archive, lake))
    assert books(report) == (3, 3, 0, 0, 2, 1)
    assert not decoded
    assert (report.segments, report.audio_s) == (0, 0)
    assert states(lake)["a/one.wav"] == "gone"

    fresh = tmp_path / "fresh"
    tag(settings(archive, fresh))
    assert rows(lake, SPEECH) == rows(fresh, SPEECH)
    same = "SELECT * EXCLUDE (processed_at, run_id, chunk_id) FROM recordings WHERE state <> 'gone'"
    assert rows(lake, f"{same} ORDER BY uri") == rows(fresh, f"{same} ORDER BY uri")

    assert books(tag(settings(archive, lake))) == (0, 0, 0, 0, 5, 0)
    # Under other limits it might not have been tagged: there it is read.
    decoded.clear()
    shutil.copy(archive / "a/two.wav", archive / "a/two-more.wav")
    assert books(tag(settings(archive, lake, max_duration_s=60)))[:2] == (1, 0)
    assert decoded == ["two-more.wav"]


def test_a_moved_file_gets_labels_of_a_new_taxonomy_too(archive, tmp_path, decoded):
    lake = tmp_path / "lake"
    tag(settings(archive, lake, include=("a/*",)))
    decoded.clear()
    (archive / "a/one.wav").rename(archive / "a/moved.wav")
    taxonomy = tmp_path / "other.yaml"
    taxonomy.write_text(
        "attributes:\n  mood: {labels: {calm: A calm voice., tense: A tense voice.}}\n"
    )
    given = {"include": ("a/*",), "taxonomy": str(taxonomy)}
    assert books(tag(settings(archive, lake, **given))) == (1, 1, 0, 1, 0, 1)
    assert not decoded
    tag(settings(archive, tmp_path / "fresh", **given))
    asked = "SELECT uri, mood, mood_p FROM speech ORDER BY uri"
    assert rows(lake, asked) == rows(tmp_path / "fresh", asked)


def test_deleted_files_are_gone_and_come_back_without_being_read(archive, tmp_path, monkeypatch):
    lake, aside = tmp_path / "lake", tmp_path / "aside"
    tag(settings(archive, lake))
    before = rows(lake, SPEECH)
    (archive / "a").rename(aside)
    report = tag(settings(archive, lake))
    assert books(report) == (0, 0, 0, 0, 2, 2)
    assert {row["uri"] for row in rows(lake, "FROM speech")} == {"b/three.wav"}
    gone = rows(lake, "FROM recordings WHERE state = 'gone'")
    assert all(row["content_hash"] and row["duration_s"] for row in gone)
    assert len(rows(lake, "FROM history WHERE uri = 'a/one.wav'")) == 2
    assert rows(lake, "SELECT gone FROM runs WHERE kind = 'run' ORDER BY seq DESC")[0]["gone"] == 2
    status = ["status", "--lake", str(lake), "--json"]
    held = json.loads(CliRunner().invoke(app, status).stdout)
    assert held["archives"][0]["gone"] == held["runs"][0]["gone"] == 2
    assert books(tag(settings(archive, lake))) == (0, 0, 0, 0, 2, 0)  # gone once

    def no_worker(*args, **kwargs):
        raise AssertionError("a worker was started")

    monkeypatch.setattr(tagging, "executor", no_worker)
    aside.rename(archive / "a")
    assert books(tag(settings(archive, lake))) == (0, 0, 0, 2, 2, 0)
    assert rows(lake, SPEECH) == before


def test_what_a_run_did_not_look_for_is_not_gone(archive, tmp_path):
    lake = tmp_path / "lake"
    tag(settings(archive, lake))
    (archive / "a/one.wav").unlink()
    for given in ({"include": ("b/*",)}, {"exclude": ("a",)}, {"kind": "webdataset"}):
        assert tag(settings(archive, lake, **given)).gone == 0, given
    assert tag(settings(archive, lake, include=("*.wav",), limit=1)).gone == 1


def test_what_could_not_be_seen_is_not_gone(archive, tmp_path, monkeypatch):
    lake = tmp_path / "lake"
    tag(settings(archive, lake))
    (archive / "b/three.wav").unlink()
    real = os.scandir

    def forbidden(folder):
        if str(folder).endswith("/a"):
            raise PermissionError(13, "Permission denied")
        return real(folder)

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.archive.os.scandir", forbidden)
        report = tag(settings(archive, lake))
    assert (report.gone, report.unlisted) == (1, 1)
    assert states(lake) == {
        "a": "failed", "a/one.wav": "tagged", "a/two.wav": "tagged",
        "b/three.wav": "gone", "b/words.wav": "failed",
    }  # fmt: skip
    assert books(tag(settings(archive, lake))) == (0, 0, 0, 0, 3, 1)  # the failure of the folder
    assert states(lake)["a"] == "gone"


def test_an_archive_that_is_missing_or_empty_is_not_all_gone(archive, tmp_path):
    lake = tmp_path / "lake"
    tag(settings(archive, lake))
    archive.rename(tmp_path / "aside")
    with pytest.raises(ArchiveNotFound):
        tag(settings(archive, lake))
    archive.mkdir()
    report = tag(settings(archive, lake))
    assert (books(report), report.missing) == ((0,) * 6, 4)
    printed = CliRunner().invoke(app, ["tag", str(archive), "--lake", str(lake)]).stdout
    assert "4 files are in the lake and none in the archive" in printed
    assert tag(settings(archive, lake, allow_empty=True)).gone == 4
    assert set(states(lake).values()) == {"gone"}


def test_what_lies_behind_a_link_to_nothing_is_not_gone_whatever_the_patterns(archive, tmp_path):
    lake, disk = tmp_path / "lake", tmp_path / "disk"
    tone(disk / "four.wav", 500)
    (archive / "disk").symlink_to(disk)
    tag(settings(archive, lake, include=("*.wav",)))
    disk.rename(tmp_path / "not-mounted")
    (archive / "a/one.wav").unlink()
    report = tag(settings(archive, lake, include=("*.wav",)))
    assert (report.gone, report.unlisted) == (1, 0)
    assert states(lake)["disk/four.wav"] == "tagged"


def test_a_lake_in_its_own_archive_is_no_part_of_it(archive):
    lake = archive / "lake"
    tag(settings(archive, lake))
    maintain.maintain(Lake(lake))
    assert {"speech", "vectors"} <= {path.name for path in lake.iterdir()}
    assert any(path.name.startswith(".") for path in lake.iterdir())  # its locks
    for include in ((), EVERYTHING):
        report = tag(settings(archive, lake, include=include))
        assert (report.listed, report.failed, report.unchanged) == (4, 0, 4)
    other = tag(settings(archive, archive.parent / "other"))
    assert (other.listed, other.tagged) == (4, 3)


def test_a_name_that_no_pattern_asks_for_is_no_failure(archive, tmp_path):
    (archive / "dangling.wav").symlink_to("nowhere")
    report = tag(settings(archive, tmp_path / "lake", include=("a/*",)))
    assert (report.tagged, report.failed, report.unlisted) == (2, 0, 0)


def test_hidden_files_are_retried_and_reprocessed_like_others(archive, tmp_path):
    lake = tmp_path / "lake"
    tone(archive / ".x/hidden.wav", 500)
    (archive / ".words.wav").write_text("no audio")
    report = tag(settings(archive, lake, include=EVERYTHING))
    assert (report.tagged, report.failed) == (4, 2)
    [wanted] = retries(Lake(lake), ["unsupported"])
    assert tag(wanted.settings, retry=wanted.uris).failed == 2
    for step in steps(ReprocessSettings(str(lake), segments="whole")):
        assert tagging.carry_out(step.plan()).tagged == 4
    assert tag(settings(archive, lake, segments="whole")).gone == 0


@pytest.mark.parametrize(
    ("kind", "include", "uri", "looked_for"),
    [
        ("folder", (), "a/.hidden/x.wav", False),
        ("folder", ("**/.*",), "a/.hidden/x.wav", True),
        ("folder", ("*.flac",), "a/x.wav", False),
        ("list", (), ".hidden.wav", True),
        ("webdataset", (), "s-0.tar/x.wav", True),
        ("webdataset", ("s-0.tar",), "s-0.tar/x.wav", True),
        ("webdataset", ("s-1.tar",), "s-0.tar/x.wav", False),
        ("webdataset", ("s-1.tar",), "s-0.tar", True),
    ],
)
def test_what_a_run_looks_for(tmp_path, kind, include, uri, looked_for):
    wanted = would_list(str(tmp_path), kind, include, planning.TagSettings.exclude)
    assert wanted(uri) is looked_for


def test_a_dry_run_says_what_would_be_and_writes_nothing(archive, tmp_path):
    lake = tmp_path / "deep" / "lake"

    def dry() -> dict:
        given = ["tag", str(archive), "--lake", str(lake), "--dry-run"]
        assert "process" in CliRunner().invoke(app, given).stdout
        return json.loads(CliRunner().invoke(app, [*given, "--json"]).stdout)

    first = dry()
    assert not lake.parent.exists()
    size = sum(path.stat().st_size for path in archive.rglob("*.wav"))
    assert (first["listed"], first["process"]) == (4, {"files": 4, "size_bytes": size})
    assert (first["audio_s"], first["seconds"]) == (None, None)
    assert first["because"] == "the lake holds no tagged recording to go by"

    tag(settings(archive, lake))
    files = sorted(lake.rglob("*"))
    tone(archive / "c/new.wav", 440)
    (archive / "a/one.wav").unlink()
    later = dry()
    assert sorted(lake.rglob("*")) == files
    counts = {k: v["files"] for k, v in later.items() if isinstance(v, dict)}
    assert counts == {
        "process": 1, "relabel": 0, "unchanged": 3, "failing": 1, "pending": 0, "gone": 1,
    }  # fmt: skip
    assert later["gone"]["size_bytes"] == (archive / "a/two.wav").stat().st_size
    assert later["audio_s"] == pytest.approx(0.5)
    assert later["seconds"] > 0
    assert later["because"] is None


def test_a_store_that_does_not_answer_is_asked_again_then_recorded(tmp_path, monkeypatch):
    import fsspec

    monkeypatch.setattr(fetching, "FETCH_WAIT_S", 0.001)
    store = fsspec.filesystem("memory")
    for number in range(2):
        with store.open(f"/calls-changes/{number}.wav", "wb") as file:
            file.write(tone(tmp_path / "tone.wav", 200 + number * 90).read_bytes())
    asked: list[str] = []
    answers = {"/calls-changes/0.wav": 2, "/calls-changes/1.wav": 99}  # refusals before one
    real = type(store).get_file

    def get_file(self, remote, local, **given):
        asked.append(remote)
        if asked.count(remote) <= answers[remote]:
            raise TimeoutError("no answer")
        return real(self, remote, local, **given)

    monkeypatch.setattr(type(store), "get_file", get_file)
    lake = tmp_path / "lake"
    given = TagSettings(source="memory://calls-changes", lake=str(lake))
    assert books(tag(given)) == (1, 0, 1, 0, 0, 0)
    assert [asked.count(path) for path in answers] == [3, 3]
    [failure] = rows(lake, "FROM failures")
    assert (failure["uri"], failure["error_kind"]) == ("1.wav", "unreachable")
    assert failure["attempts"] == 1
    assert "no answer" in failure["error_message"] and "asked 3 times" in failure["error_message"]

    assert books(tag(given)) == (0, 0, 1, 0, 1, 0)  # by itself, though nothing changed
    assert rows(lake, "FROM failures")[0]["attempts"] == 2
    answers["/calls-changes/1.wav"] = 0
    assert books(tag(given)) == (1, 0, 0, 0, 1, 0)
    assert {row["attempts"] for row in rows(lake, "FROM recordings")} == {0}


def test_what_kills_workers_is_tried_three_times_by_itself(archive, tmp_path, monkeypatch):
    lake = tmp_path / "lake"
    (archive / "b/words.wav").unlink()

    def lost(planned: tagging.Plan) -> None:
        """As if each file had killed its worker."""
        tables, results = Lake(lake, create=True), []
        for chunk in planned.chunks:
            error = RecordingError(FailureKind.WORKER_LOST, "the worker died")
            outcomes = [Outcome(entry, error=error) for entry in chunk.entries]
            made = {"recordings": recordings_table(planned.job, chunk.chunk_id, outcomes)}
            result = tagging.ChunkResult(chunk, made, 0, len(outcomes), 0, 0.0, planned.started_at)
            results.append(tagging.commit(tables, planned, result))
        tagging.finish(tables, planned, results)

    for attempt in (1, 2, 3):
        planned = tagging.plan(settings(archive, lake, include=("a/one.wav",)))
        assert planned.files == 1
        lost(planned)
        assert rows(lake, "FROM failures")[0]["attempts"] == attempt
    assert tagging.plan(settings(archive, lake, include=("a/one.wav",))).files == 0
    os.utime(archive / "a/one.wav", (1, 1))  # another version: counted anew
    planned = tagging.plan(settings(archive, lake, include=("a/one.wav",)))
    lost(planned)
    assert rows(lake, "FROM failures")[0]["attempts"] == 1


def test_a_lake_from_before_these_columns_goes_on(archive, tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    tag(settings(archive, new))
    for name in schemas.TABLES:
        if files := Lake(new).stored(name)[0]:
            table = pa.concat_tables([pa.parquet.read_table(file) for file in files])
            added = ("attempts", "gone", "options_json")
            kept = [c for c in table.column_names if c not in added]
            write_deltalake((old / name).as_uri(), table.select(kept))
    assert rows(old, "SELECT DISTINCT attempts FROM failures") == [{"attempts": None}]
    assert CliRunner().invoke(app, ["status", "--lake", str(old)]).exit_code == 0
    assert books(tag(settings(archive, old))) == (0, 0, 0, 0, 4, 0)
    (archive / "a/one.wav").rename(archive / "a/moved.wav")
    assert books(tag(settings(archive, old))) == (1, 1, 0, 0, 3, 1)


def test_the_worker_alone_says_what_it_knows(archive, tmp_path, decoded):
    """What a Ray actor does: the job carries the contents, the driver adds the rows."""
    lake = tmp_path / "lake"
    tag(settings(archive, lake))
    (archive / "a/one.wav").rename(archive / "a/moved.wav")
    planned = tagging.plan(settings(archive, lake))
    assert len(planned.job.known) == 3  # of the same size
    decoded.clear()
    [chunk] = planned.chunks
    result = Worker(planned.job).process(chunk)
    assert [entry.uri for entry, _ in result.known] == ["a/moved.wav"]
    assert (result.tagged, result.failed, decoded) == (0, 0, [])


def test_the_archive_is_asked_three_times_at_most(monkeypatch, tmp_path):
    from pipelines.archive import FileEntry

    waits: list[float] = []
    monkeypatch.setattr(fetching.time, "sleep", waits.append)

    def broken(entry):
        raise ArchiveUnreachable("no answer.")

    monkeypatch.setattr(fetching, "open_local", broken)
    for _ in range(2):
        with (
            pytest.raises(RecordingError) as said,
            fetching.fetched(FileEntry("u", "s3://x", 1, "")),
        ):
            pass
        assert said.value.kind == FailureKind.UNREACHABLE
    assert len(waits) == 4 and waits[:2] == waits[2:]  # drawn by the name
    assert 0.25 <= waits[0] <= 0.75 and 0.5 <= waits[1] <= 1.5
