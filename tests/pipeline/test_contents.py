"""What a commit leaves out, because the lake has it, and what it looks at to know."""

import shutil

import numpy as np
import pytest
import soundfile

from pipelines import contents, planning, relabel, tagging
from pipelines.lake import Lake
from pipelines.query import run
from pipelines.settings import TagSettings
from tests.faults.runs import harm, tone

MOOD = "attributes:\n  mood: {labels: {a: Calm., b: Tense.}}\n"


@pytest.fixture
def archive(tmp_path):
    for number in range(4):
        tone(tmp_path / f"archive/{number}.wav", 150 + 20 * number)
    return tmp_path / "archive"


@pytest.fixture
def read(monkeypatch) -> list[list[str]]:
    """Names of the tables whose files a commit read, of each file once."""
    names: list[list[str]] = []
    real = contents._read

    def spy(files, *args):
        names.append([file.rsplit("/", 2)[-2] for file in files])
        return real(files, *args)

    monkeypatch.setattr(contents, "_read", spy)
    return names


def count(lake, table: str) -> int:
    return run(Lake(lake), f"SELECT count(*) AS n FROM {table}")["n"][0].as_py()


def test_a_commit_reads_what_is_new_and_nothing_else(archive, tmp_path, read):
    """However many chunks there are: of each, its ledger row and its contents, once."""
    lake = tmp_path / "lake"
    tagging.tag(TagSettings(str(archive), str(lake), chunk_files=1))
    for number in range(4, 8):
        tone(archive / f"{number}.wav", 150 + 20 * number)
    read.clear()
    report = tagging.tag(TagSettings(str(archive), str(lake), chunk_files=1))
    assert (report.tagged, report.unchanged) == (4, 4)
    tables = [name for names in read for name in names]
    assert (tables.count("runs"), tables.count("recordings"), len(tables)) == (4, 3, 7)


def test_copies_in_several_chunks_have_their_rows_once(archive, tmp_path):
    for number in range(4):
        shutil.copy(archive / f"{number}.wav", archive / f"z{number}.wav")
    lake = tmp_path / "lake"
    report = tagging.tag(TagSettings(str(archive), str(lake), chunk_files=3))
    assert (report.tagged, report.segments) == (8, 8)
    assert [count(lake, name) for name in ("segments", "embeddings", "labels")] == [4, 4, 4]
    assert count(lake, "speech") == 8
    assert harm(lake) == []


def test_what_is_said_of_a_copy_names_the_copy(archive, tmp_path):
    lake = tmp_path / "lake"
    whole = next(archive.glob("*.wav")).read_bytes()
    names = {"it's cut.wav": whole[: len(whole) // 2], "words.wav": b"no audio"}
    for name, content in names.items():
        (archive / name).write_bytes(content)
        (archive / f"same {name}").write_bytes(content)
    tagging.tag(TagSettings(source=str(archive), lake=str(lake)))
    (archive / "later.wav").write_bytes(names["it's cut.wav"])  # known by then
    assert tagging.tag(TagSettings(source=str(archive), lake=str(lake))).known == 1
    sql = "SELECT uri, error_message FROM recordings WHERE error_message IS NOT NULL"
    rows = run(Lake(lake), sql).to_pylist()
    assert len(rows) == 5
    for row in rows:
        assert row["error_message"].startswith(f"{row['uri']!r}: ")


def test_another_policy_shares_embeddings_where_the_spans_are_the_same(archive, tmp_path):
    lake = tmp_path / "lake"
    tagging.tag(TagSettings(str(archive), str(lake)))
    whole = TagSettings(str(archive), str(lake), segments="whole")
    planned = planning.plan(whole)
    assert (planned.files, planned.since) == (4, 0)
    tagging.tag(whole)
    assert [count(lake, name) for name in ("segments", "embeddings", "labels")] == [8, 4, 4]
    assert harm(lake) == []
    again = planning.plan(TagSettings(str(archive), str(lake)))
    assert again.files == 4  # by policy; their contents are known
    tagging.tag(TagSettings(str(archive), str(lake)))
    assert [count(lake, name) for name in ("segments", "embeddings", "labels")] == [8, 4, 4]
    assert harm(lake) == []


def test_other_limits_bring_no_row_twice(archive, tmp_path):
    lake = tmp_path / "lake"
    tagging.tag(TagSettings(str(archive), str(lake)))
    for path in archive.iterdir():  # touched
        path.rename(path.with_stem(f"new-{path.stem}"))
    planned = planning.plan(TagSettings(str(archive), str(lake), max_duration_s=60.0))
    assert (planned.files, planned.job.known, planned.since) == (4, frozenset(), 0)
    tagging.tag(planned.settings)
    assert [count(lake, name) for name in ("segments", "embeddings", "labels")] == [4, 4, 4]
    assert harm(lake) == []


def test_a_file_that_becomes_a_copy_after_the_listing_brings_no_row_twice(archive, tmp_path):
    """Of another size than listed, so that nobody asked whether its content is known."""
    lake = tmp_path / "lake"
    tagging.tag(TagSettings(str(archive), str(lake)))
    soundfile.write(archive / "new.wav", np.full(20_000, 0.1), 16_000)
    planned = planning.plan(TagSettings(str(archive), str(lake)))
    assert planned.files == 1 and planned.since > 0 and not planned.job.known
    shutil.copy(archive / "0.wav", archive / "new.wav")
    tables = Lake(lake)
    done = [tagging.commit(tables, planned, result) for result in tagging.results(planned)]
    assert tagging.finish(tables, planned, done).tagged == 1
    assert [count(lake, name) for name in ("segments", "embeddings", "labels")] == [4, 4, 4]
    assert harm(lake) == []


def test_back_to_an_earlier_taxonomy_brings_no_label_twice(archive, tmp_path):
    lake, mood = tmp_path / "lake", tmp_path / "mood.yaml"
    mood.write_text(MOOD)
    for taxonomy in (None, str(mood), None, str(mood)):
        tagging.tag(TagSettings(str(archive), str(lake), taxonomy=taxonomy))
    assert [count(lake, name) for name in ("segments", "embeddings", "labels")] == [4, 4, 8]
    assert run(Lake(lake), "SELECT DISTINCT mood IN ('a', 'b') AS found FROM speech")["found"][0]
    assert harm(lake) == []


def test_files_of_a_chunk_are_found_without_reading_others(archive, tmp_path):
    lake = Lake(tmp_path / "lake", create=True)
    tagging.tag(TagSettings(str(archive), str(lake.root), chunk_files=1))
    ids = run(lake, "SELECT chunk_id FROM runs WHERE kind = 'chunk' ORDER BY seq")["chunk_id"]
    assert len(ids) == 4 and len(lake.stored("labels")[0]) == 4
    found = [lake.files_of("labels", [chunk_id]) for chunk_id in ids.to_pylist()]
    assert [len(files) for files in found] == [1] * 4
    assert sorted(file for files in found for file in files) == lake.stored("labels")[0]
    assert lake.files_of("labels", []) == lake.files_of("labels", ["none"]) == []
    assert lake.files_after(0) == lake.stored("runs")[0]
    assert len(lake.files_after(4)) == 1 and lake.files_after(5) == []


def test_new_labels_are_committed_in_pieces_and_a_cut_off_run_goes_on(
    archive, tmp_path, monkeypatch
):
    """What was labelled before the cut is not labelled again; readers see none of it until all
    of a recording's segments have theirs."""
    lake, mood = tmp_path / "lake", tmp_path / "mood.yaml"
    mood.write_text(MOOD)
    tagging.tag(TagSettings(str(archive), str(lake)))
    monkeypatch.setattr(relabel, "SEGMENTS_PER_CHUNK", 1)
    monkeypatch.setattr(relabel, "SEGMENTS_PER_BATCH", 1)
    settings = TagSettings(str(archive), str(lake), taxonomy=str(mood))
    planned = planning.plan(settings)
    cut_off = tagging.results(planned)
    for _ in range(3):
        tagging.commit(Lake(lake), planned, next(cut_off))
    cut_off.close()
    new = "labels WHERE taxonomy_key = (SELECT arg_max(taxonomy_key, seq) FROM runs)"
    assert count(lake, new) == 3
    assert count(lake, "speech WHERE gender IS NOT NULL OR gender_p IS NOT NULL") == 4
    made = [result.tables for result in tagging.results(planning.plan(settings))]
    assert [tables["labels"].num_rows for tables in made if "labels" in tables] == [1]
    report = tagging.tag(settings)
    assert (report.relabelled, report.segments, report.tagged) == (4, 1, 0)
    assert count(lake, new) == 4
    assert count(lake, "speech WHERE mood_p IS NOT NULL") == 4
    assert harm(lake) == []


@pytest.mark.parametrize("first", ["labels", "copies"])
def test_labels_that_two_runs_make_at_once_are_there_once(archive, tmp_path, first):
    """One labels the old recordings anew; the other, by the same new taxonomy, finds copies of
    them. Neither saw the other's when it made its own."""
    lake, mood = tmp_path / "lake", tmp_path / "mood.yaml"
    mood.write_text(MOOD)
    tagging.tag(TagSettings(str(archive), str(lake)))
    other = tmp_path / "other"
    shutil.copytree(archive, other)
    plans = {
        "labels": planning.plan(TagSettings(str(archive), str(lake), taxonomy=str(mood))),
        "copies": planning.plan(TagSettings(str(other), str(lake), taxonomy=str(mood))),
    }
    assert len(plans["labels"].relabel) == len(plans["copies"].job.known) == 4
    running = {name: tagging.results(planned) for name, planned in plans.items()}
    held = {name: next(results) for name, results in running.items()}
    assert all(result.tables["labels"].num_rows == 4 for result in held.values())
    tables = {name: Lake(lake) for name in plans}
    for name in sorted(plans, key=lambda name: name != first):
        done = [tagging.commit(tables[name], plans[name], held[name])]
        done += [tagging.commit(tables[name], plans[name], r) for r in running[name]]
        tagging.finish(tables[name], plans[name], done)
    assert [count(lake, name) for name in ("segments", "embeddings", "labels")] == [4, 4, 8]
    assert count(lake, "speech WHERE mood_p IS NOT NULL") == 8
    assert harm(lake) == []
