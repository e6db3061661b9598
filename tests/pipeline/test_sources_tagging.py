"""Lists, Kaldi folders and tars become tables like any folder: with what they say of each file."""

import csv
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import soundfile
from deltalake import write_deltalake
from typer.testing import CliRunner

from clsp.errors import InputError
from flows.cli import app
from pipelines import schemas, tagging
from pipelines.lake import Lake
from pipelines.query import run
from pipelines.settings import TagSettings
from pipelines.tagging import tag

CALL = "calls/2026-03/call-0192.wav"
OUTRO = "podcast/outro.flac"


def rows(lake: Path, sql: str) -> list[dict]:
    return run(Lake(lake), sql).to_pylist()


def books(report: tagging.RunReport) -> tuple[int, ...]:
    """Of a balanced run: tagged, failed, relabelled, unchanged, pending."""
    parts = (report.tagged, report.failed, report.relabelled, report.unchanged, report.pending)
    assert sum(parts) == report.listed + report.unlisted
    return parts


@pytest.fixture
def audio(sample_archive, tmp_path) -> Path:
    root = tmp_path / "audio"
    root.mkdir()
    shutil.copy(sample_archive / CALL, root / "a call.wav")
    shutil.copy(sample_archive / OUTRO, root / "outro.flac")
    return root


def write_list(path: Path, found: list[dict]) -> Path:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(found[0]))
        table.writeheader()
        table.writerows(found)
    return path


def settings(source: Path, tmp_path: Path, **given) -> TagSettings:
    return TagSettings(source=str(source), lake=str(tmp_path / "lake"), **given)


@pytest.fixture
def no_worker(monkeypatch):
    def start(*args, **kwargs):
        raise AssertionError("a worker was started")

    return lambda: monkeypatch.setattr(tagging, "executor", start)


def test_a_list_is_tagged_with_its_metadata_and_new_metadata_reads_no_audio(
    audio, tmp_path, no_worker
):
    lake = tmp_path / "lake"
    found = [
        {"uri": "a call.wav", "agent": "Åse", "score": "4"},
        {"uri": "outro.flac", "agent": "bob", "score": "5"},
        {"uri": "gone.wav", "agent": "eve", "score": "1"},
    ]
    source = write_list(audio / "list.csv", found)
    given = settings(source, tmp_path)
    assert books(tag(given)) == (2, 1, 0, 0, 0)
    asked = "SELECT uri, metadata->>'agent' AS agent FROM speech ORDER BY uri"
    assert rows(lake, asked) == [
        {"uri": "a call.wav", "agent": "Åse"}, {"uri": "outro.flac", "agent": "bob"},
    ]  # fmt: skip
    [gone] = rows(
        lake, "SELECT *, metadata->>'$.agent' AS agent FROM recordings WHERE state='failed'"
    )
    assert (gone["uri"], gone["error_kind"], gone["agent"]) == ("gone.wav", "unreadable", "eve")
    labels = rows(lake, "SELECT gender, gender_p FROM speech ORDER BY uri")

    no_worker()
    assert books(tag(given)) == (0, 0, 0, 3, 0)
    write_list(source, [{**found[0], "agent": "Ann"}, *found[1:]])
    assert books(tag(given)) == (0, 0, 1, 2, 0)
    assert [row["agent"] for row in rows(lake, asked)] == ["Ann", "bob"]
    assert rows(lake, "SELECT gender, gender_p FROM speech ORDER BY uri") == labels
    assert books(tag(given)) == (0, 0, 0, 3, 0)


def test_a_file_of_a_list_that_comes_later_is_tagged_then(audio, tmp_path):
    source = write_list(audio / "list.csv", [{"uri": "a call.wav"}, {"uri": "late.flac"}])
    assert books(tag(settings(source, tmp_path))) == (1, 1, 0, 0, 0)
    shutil.copy(audio / "outro.flac", audio / "late.flac")
    assert books(tag(settings(source, tmp_path))) == (1, 0, 0, 1, 0)
    assert not rows(tmp_path / "lake", "FROM failures")


def test_new_metadata_and_a_new_taxonomy_together(audio, tmp_path, no_worker):
    found = [{"uri": "a call.wav", "agent": "a"}, {"uri": "outro.flac", "agent": "b"}]
    source = write_list(audio / "list.csv", found)
    tag(settings(source, tmp_path))
    no_worker()
    write_list(source, [{**found[0], "agent": "c"}, found[1]])
    taxonomy = tmp_path / "other.yaml"
    taxonomy.write_text(
        "attributes:\n  mood: {labels: {calm: A calm voice., tense: A tense voice.}}\n"
    )
    assert books(tag(settings(source, tmp_path, taxonomy=str(taxonomy)))) == (0, 0, 2, 0, 0)
    told = rows(tmp_path / "lake", "SELECT metadata->>'agent' AS a, mood FROM speech ORDER BY uri")
    assert [row["a"] for row in told] == ["c", "b"]
    assert all(row["mood"] for row in told)


def test_a_kaldi_folder_with_a_pipe_runs_nothing(audio, tmp_path):
    marker = tmp_path / "ran"
    (audio / "wav.scp").write_text(f"k1 a call.wav\nk2 touch {marker}; cat outro.flac |\n")
    (audio / "utt2spk").write_text("k1 ann\nk2 bob\n")
    assert books(tag(settings(audio, tmp_path))) == (1, 1, 0, 0, 0)
    lake = tmp_path / "lake"
    [said] = rows(
        lake, "SELECT DISTINCT metadata->>'key' AS k, metadata->>'speaker' AS s FROM speech"
    )
    assert said == {"k": "k1", "s": "ann"}
    [failure] = rows(lake, "FROM failures")
    assert (failure["uri"], failure["error_kind"]) == ("k2", "unsupported")
    assert "shell pipe" in failure["error_message"]
    assert not marker.exists()
    assert books(tag(settings(audio, tmp_path))) == (0, 0, 0, 2, 0)


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_tar_is_tagged_like_the_folder_of_its_files(audio, tmp_path, ending):
    tar = tmp_path / f"shard-0.{ending}"
    with tarfile.open(tar, "w:gz" if ending == "tar.gz" else "w") as archive:
        for i, path in enumerate(sorted(audio.iterdir())):
            archive.add(path, f"clip{i}{path.suffix}")
            said = json.dumps({"n": i}).encode()
            info = tarfile.TarInfo(f"clip{i}.json")
            info.size = len(said)
            archive.addfile(info, io.BytesIO(said))
    assert books(tag(settings(tar, tmp_path))) == (2, 0, 0, 0, 0)
    tag(TagSettings(source=str(audio), lake=str(tmp_path / "plain")))
    columns = "content_hash, duration_s, gender, gender_p"
    query = f"SELECT {columns} FROM speech ORDER BY content_hash, start_s"
    assert rows(tmp_path / "lake", query) == rows(tmp_path / "plain", query)
    told = rows(
        tmp_path / "lake", "SELECT DISTINCT uri, metadata->'n' AS n FROM speech ORDER BY uri"
    )
    assert [(row["uri"], str(row["n"])) for row in told] == [
        (f"{tar.name}/clip0.wav", "0"), (f"{tar.name}/clip1.flac", "1"),
    ]  # fmt: skip
    assert books(tag(settings(tar, tmp_path))) == (0, 0, 0, 2, 0)


def test_a_limit_leaves_the_rest_pending_for_the_next_run(tmp_path):
    root = tmp_path / "many"
    root.mkdir()
    for i in range(5):
        tone = 0.1 * np.sin(np.arange(16_000) * (200 + 50 * i) * 2 * np.pi / 16_000)
        soundfile.write(root / f"{i}.wav", tone, 16_000)
    lake = tmp_path / "lake"
    assert books(tag(settings(root, tmp_path, limit=2))) == (2, 0, 0, 0, 3)
    shown = [str(root), "--lake", str(lake)]
    printed = CliRunner().invoke(app, ["tag", *shown, "--limit", "2"]).stdout
    assert "2 tagged" in printed and "1 pending" in printed
    held = json.loads(CliRunner().invoke(app, ["status", "--lake", str(lake), "--json"]).stdout)
    assert [held["runs"][i]["pending"] for i in (0, 1)] == [1, 3]
    assert [r["uri"] for r in rows(lake, "FROM recordings ORDER BY uri")] == [
        f"{i}.wav" for i in range(4)
    ]
    assert books(tag(settings(root, tmp_path, limit=9))) == (1, 0, 0, 4, 0)
    assert books(tag(settings(root, tmp_path, limit=1))) == (0, 0, 0, 5, 0)


def test_a_lake_from_before_these_columns_reads_and_goes_on(audio, tmp_path, no_worker):
    """The same rows as such a lake has: no `metadata` in recordings, no `pending` in runs."""
    new, old = tmp_path / "new", tmp_path / "lake"
    tag(TagSettings(source=str(audio), lake=str(new)))
    for name in schemas.TABLES:
        if files := Lake(new).stored(name)[0]:
            table = pa.concat_tables([pa.parquet.read_table(file) for file in files])
            kept = [c for c in table.column_names if c not in ("metadata", "pending")]
            write_deltalake((old / name).as_uri(), table.select(kept))
    assert {r["metadata"] for r in rows(old, "FROM speech")} == {None}
    assert {r["pending"] for r in rows(old, "FROM runs")} == {None}
    assert CliRunner().invoke(app, ["status", "--lake", str(old)]).exit_code == 0

    no_worker()
    assert books(tag(settings(audio, tmp_path))) == (0, 0, 0, 2, 0)
    taxonomy = tmp_path / "other.yaml"
    taxonomy.write_text(
        "attributes:\n  mood: {labels: {calm: A calm voice., tense: A tense voice.}}\n"
    )
    assert books(tag(settings(audio, tmp_path, taxonomy=str(taxonomy)))) == (0, 0, 2, 0, 0)
    assert {r["pending"] for r in rows(old, "FROM runs")} == {None, 0}
    assert len(rows(old, "SELECT metadata FROM speech WHERE mood IS NOT NULL")) == len(
        rows(new, "FROM speech")
    )


def test_the_command_takes_a_kind_and_says_what_is_no_list(audio, tmp_path):
    source = write_list(audio / "list.csv", [{"uri": "outro.flac"}])
    lake = ["--lake", str(tmp_path / "lake"), "--json"]
    done = json.loads(
        CliRunner().invoke(app, ["tag", str(source), *lake, "--kind", "folder"]).stdout
    )
    assert (done["listed"], done["failures"]) == (1, {"unsupported": 1})
    done = CliRunner().invoke(app, ["tag", str(source), *lake, "--kind", "shards"])
    assert done.exit_code == 2
    (audio / "list.csv").write_text("name\noutro.flac\n")
    done = CliRunner().invoke(app, ["tag", str(source), *lake])
    assert "expected one of uri, path, file, audio" in str(done.exception)


def test_a_row_that_cannot_be_used_says_nothing_of_names_that_look_as_if_below_it(audio, tmp_path):
    """`calls` is a folder, so no file: its row is refused. What else the list named is gone."""
    (audio / "calls").mkdir()
    for name in ("a.wav", "b.wav"):
        shutil.copy(audio / "a call.wav", audio / "calls" / name)
    names = ["calls", "calls/a.wav", "calls/b.wav"]
    listed = write_list(audio / "list.csv", [{"file": name} for name in names])
    assert books(tag(settings(listed, tmp_path)))[:2] == (2, 1)
    write_list(listed, [{"file": name} for name in ("calls", "calls/b.wav")])
    assert tag(settings(listed, tmp_path)).gone == 1
    found = rows(tmp_path / "lake", "SELECT DISTINCT uri FROM speech")
    assert [row["uri"] for row in found] == ["calls/b.wav"]


def test_a_parquet_list_has_each_column_once(audio, tmp_path):
    names = [pa.array(["a call.wav", "outro.flac"]), pa.array(["outro.flac", "outro.flac"])]
    table = pa.Table.from_arrays(names, ["file", "file"])
    pa.parquet.write_table(table, audio / "list.parquet")
    with pytest.raises(InputError, match=r"columns .*: expected each once"):
        tag(settings(audio / "list.parquet", tmp_path))
