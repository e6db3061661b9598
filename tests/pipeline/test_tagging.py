"""An archive becomes tables: nothing lost, nothing twice, the same on every executor."""

import errno
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipelines import tagging, worker
from pipelines.archive import FileEntry
from pipelines.errors import FailureKind, LakeError
from pipelines.feed import batches
from pipelines.lake import Lake
from pipelines.packing import unpack
from pipelines.planning import chunked
from pipelines.query import run
from pipelines.reprocess import HOW, ReprocessSettings
from pipelines.settings import TagSettings
from pipelines.tagging import tag

DAMAGED = {
    "damaged/click.wav": "too_short",
    "damaged/minutes.wav": "unsupported",
    "damaged/nothing.wav": "empty",
}
IN_PART = {"damaged/overwritten.flac": "truncated"}


def rows(lake: Path, sql: str) -> list[dict]:
    return run(Lake(lake), sql).to_pylist()


def speech(lake: Path) -> list[dict]:
    """Every row of the view, without what says when it was made."""
    table = run(Lake(lake), "SELECT * EXCLUDE (processed_at) FROM speech ORDER BY uri, start_s")
    return table.to_pylist()


@pytest.fixture
def archive(sample_archive, tmp_path) -> Path:
    """A few of the sample files, to change at will."""
    root = tmp_path / "archive"
    for uri in ("calls/2026-03/call-0192.wav", "podcast/outro.flac", "damaged/minutes.wav"):
        (root / uri).parent.mkdir(parents=True)
        shutil.copy(sample_archive / uri, root / uri)
    return root


def settings(archive: Path, tmp_path: Path, **given) -> TagSettings:
    return TagSettings(source=str(archive), lake=str(tmp_path / "lake"), **given)


def test_every_file_ends_as_rows_or_as_a_failure_that_says_why(sample_archive, sample_lake):
    listed = {p.relative_to(sample_archive).as_posix() for p in sample_archive.rglob("*.*")}
    states = {r["uri"]: r for r in rows(sample_lake, "FROM recordings")}
    assert set(states) == listed
    failed = {uri: r["error_kind"] for uri, r in states.items() if r["state"] == "failed"}
    assert failed == DAMAGED
    assert all(states[uri]["error_message"] for uri in failed)
    assert {r["uri"] for r in speech(sample_lake)} == listed - set(DAMAGED)
    warned = {uri: r["error_kind"] for uri, r in states.items() if r["error_kind"]}
    assert warned == DAMAGED | IN_PART
    assert {r["uri"] for r in rows(sample_lake, "FROM failures")} == set(DAMAGED)
    [part] = rows(sample_lake, "FROM warnings")
    assert (part["uri"], part["error_kind"]) == (*IN_PART, "truncated")
    assert "decoding broke off" in part["error_message"]


def test_every_segment_has_measures_labels_and_one_embedding(sample_lake):
    for row in speech(sample_lake):
        assert -120 <= row["rms_dbfs"] <= row["peak_dbfs"] <= 3
        assert row["gender_best"] in ("female", "male")
        assert row["gender"] in (row["gender_best"], None)
        assert 0.5 <= row["gender_p"] <= 1
        assert row["gender_margin"] >= 0
        assert -1 <= row["style_soft_whisper"] <= 1
        assert row["end_s"] == pytest.approx(row["recording_duration_s"])
    counts = rows(
        sample_lake,
        "SELECT count(*) AS n, count(DISTINCT segment_id) AS ids FROM embeddings",
    )
    assert counts[0]["n"] == counts[0]["ids"] == len(speech(sample_lake))


def test_the_embedded_model_hears_what_is_plain(sample_lake):
    """Voices it never heard in training; make_sample_archive.py says what each clip is."""
    heard = {row["uri"]: row for row in speech(sample_lake)}
    assert heard["field-notes/tent, night.wav"]["whisper"] == "whispered"
    assert sum(row["whisper"] == "whispered" for row in heard.values()) == 1
    assert heard["voicemail/quiet.wav"]["volume"] == "quiet"
    assert heard["field-notes/river bank.wav"]["recording_quality"] == "noisy"
    assert heard["calls/2026-03/call-0192.wav"]["recording_quality"] == "telephone"
    assert heard["voicemail/fast.ogg"]["speaking_rate"] == "fast"


def test_a_stored_embedding_is_the_models_own_for_that_clip(sample_archive, sample_lake, tiny):
    uri = "field-notes/river bank.wav"
    clip, rate = soundfile.read(sample_archive / uri, dtype="float32")
    assert rate == 16_000
    stored = run(
        Lake(sample_lake),
        f"SELECT e.embedding FROM speech JOIN embeddings e USING (segment_id) WHERE uri = '{uri}'",
    )["embedding"]
    alone = tiny.embed_audio([clip]).detach().numpy()
    np.testing.assert_allclose(unpack(stored, alone.shape[1]), alone, atol=1e-3)  # half precision


def test_running_again_does_nothing_and_a_changed_file_alone_is_redone(archive, tmp_path):
    first = tag(settings(archive, tmp_path))
    assert (first.listed, first.tagged, first.failed, first.unchanged) == (3, 2, 1, 0)
    before = speech(tmp_path / "lake")

    again = tag(settings(archive, tmp_path))
    assert (again.tagged, again.failed, again.unchanged, again.segments) == (0, 0, 3, 0)
    assert speech(tmp_path / "lake") == before

    shutil.copy(archive / "podcast/outro.flac", archive / "calls/2026-03/call-0192.wav")
    changed = tag(settings(archive, tmp_path))
    assert (changed.tagged, changed.unchanged) == (1, 2)
    after = {r["uri"]: r["content_hash"] for r in speech(tmp_path / "lake")}
    assert after["calls/2026-03/call-0192.wav"] == after["podcast/outro.flac"]
    assert len(rows(tmp_path / "lake", "FROM history")) == 4


@pytest.mark.parametrize("how", ["replaced", "cut off"])
def test_a_file_that_changes_while_it_is_read_is_read_again(archive, tmp_path, monkeypatch, how):
    file, lake = archive / "podcast/outro.flac", tmp_path / "lake"
    old = file.read_bytes()
    other = (archive / "calls/2026-03/call-0192.wav").read_bytes()[:400_000]

    def change(point: str) -> None:  # between its hash and its samples
        if point == "worker.fetched" and file.read_bytes() == old:
            (archive / ".new").write_bytes(other if how == "replaced" else old[:9_000])
            (archive / ".new").replace(file)

    given = settings(archive, tmp_path, include=("podcast/*",))
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.faults.reach", change)
        assert tag(given).failures == {"unreachable": 1}
    [failure] = rows(lake, "FROM failures")
    assert "changed while it was read" in failure["error_message"]
    assert not speech(lake) and not rows(lake, "FROM embeddings")
    file.write_bytes(old)
    tag(given)
    shutil.copy(file, archive / "podcast/fresh.flac")
    tag(settings(archive / "podcast", tmp_path / "other", include=("fresh.flac",)))
    [found], [wanted] = (rows(at, "FROM embeddings") for at in (lake, tmp_path / "other" / "lake"))
    assert found["embedding"] == wanted["embedding"]


def test_copies_share_their_segments_within_a_chunk_and_across(archive, tmp_path):
    shutil.copy(archive / "podcast/outro.flac", archive / "podcast/copy.flac")
    shutil.copy(archive / "podcast/outro.flac", archive / "zz-copy.flac")
    tag(settings(archive, tmp_path, chunk_files=3))
    lake = tmp_path / "lake"
    assert len(rows(lake, "FROM speech WHERE codec = 'flac'")) == 3
    for table in ("segments", "embeddings", "labels"):
        ids = [r["segment_id"] for r in rows(lake, f"FROM {table}")]
        assert len(ids) == len(set(ids)) == 2, table


@pytest.mark.parametrize(
    ("given", "files", "mib"),
    [
        ({}, 256, 256),
        ({"device": "cpu"}, 256, 256),
        ({"device": "cuda:1"}, 4096, 2048),
        ({"executor": "ray", "worker_gpus": 0.5}, 4096, 2048),
        ({"executor": "ray", "worker_gpus": 0.5, "device": "cpu"}, 256, 256),  # takes none
        ({"executor": "ray"}, 256, 256),
        ({"worker_gpus": 0.5}, 256, 256),  # nor does this process
        ({"device": "cuda", "chunk_files": 9}, 9, 2048),
        ({"chunk_mib": 1}, 256, 1),
    ],
)
def test_chunks_are_larger_where_the_run_is_surely_on_a_gpu(tmp_path, given, files, mib):
    assert settings(tmp_path, tmp_path, **given).chunk_size == (files, mib << 20)
    (tmp_path / "lake").mkdir()
    work = ReprocessSettings(str(tmp_path / "lake"), **given)
    shared = {name: getattr(work, name) for name in HOW}
    assert TagSettings("archive", "lake", **shared).chunk_size == (files, mib << 20)


@pytest.mark.parametrize(
    ("given", "hidden", "files"),
    [
        ({}, None, 4096),
        ({"executor": "process"}, None, 4096),
        ({"executor": "ray"}, None, 256),  # whose workers may be elsewhere
        ({"device": "cpu"}, None, 256),
        ({}, "", 256),
        ({}, "-1", 256),
        ({}, "0", 4096),
    ],
)
def test_chunks_are_larger_where_this_machine_shows_a_gpu(
    tmp_path, monkeypatch, given, hidden, files
):
    monkeypatch.setattr("pipelines.settings.DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    (tmp_path / "nvidiactl").touch()
    assert settings(tmp_path, tmp_path, **given).chunk_size[0] == 256
    (tmp_path / "nvidia0").touch()
    assert settings(tmp_path, tmp_path, **given).chunk_size[0] == files


def test_new_prompts_never_touch_audio_again(archive, tmp_path, monkeypatch):
    lake = tmp_path / "lake"
    tag(settings(archive, tmp_path))
    taxonomy = tmp_path / "other.yaml"
    taxonomy.write_text(
        "attributes:\n  mood: {labels: {calm: A calm voice., tense: A tense voice.}}\n"
        "styles: {newsreader: A newsreader.}\n"
    )
    fresh = tag(
        TagSettings(str(archive), str(tmp_path / "fresh"), taxonomy=str(taxonomy))
    )  # what reading all the audio again would give

    def no_worker(*args, **kwargs):
        raise AssertionError("a worker was started")

    monkeypatch.setattr(tagging, "executor", no_worker)
    done = tag(settings(archive, tmp_path, taxonomy=str(taxonomy)))
    assert (done.relabelled, done.tagged, done.failed, done.unchanged) == (2, 0, 0, 1)
    assert done.taxonomy_key == fresh.taxonomy_key

    def asked(where: Path) -> list[dict]:
        return rows(
            where, "SELECT uri, mood, mood_p, mood_margin, style_newsreader FROM speech ORDER BY 1"
        )

    assert asked(lake) == asked(tmp_path / "fresh")
    # The old labels stay in the lake, by their key.
    assert len(rows(lake, "SELECT DISTINCT taxonomy_key FROM labels")) == 2
    assert not any(rows(lake, "SELECT gender FROM speech WHERE gender IS NOT NULL"))


def test_a_chunk_without_its_ledger_row_does_not_exist_for_readers(archive, tmp_path):
    given = settings(archive, tmp_path)
    planned = tagging.plan(given)
    lake = Lake(given.lake, create=True)
    [result] = tagging.results(planned)
    for name, table in result.tables.items():  # all but the ledger: killed just before it
        lake.append(name, table)
    with pytest.raises(LakeError, match="no lake"):
        Lake(given.lake)

    done = tag(given)
    assert (done.tagged, done.failed) == (2, 1)
    assert len(speech(tmp_path / "lake")) == 2
    assert len(rows(tmp_path / "lake", "FROM stored.labels")) == 4  # the orphans are there, unseen


def test_long_recordings_become_windows_and_are_too_long_as_a_whole(sample_archive, tmp_path):
    clip, rate = soundfile.read(sample_archive / "podcast/outro.flac", dtype="float32")
    source = tmp_path / "long.wav"
    soundfile.write(source, np.resize(clip, 65 * rate), rate)
    tag(settings(source, tmp_path, segments="windows:10"))
    spans = [(r["start_s"], r["end_s"]) for r in speech(tmp_path / "lake")]
    assert spans == [(s, min(s + 10, 65)) for s in range(0, 65, 10)]

    whole = tag(settings(source, tmp_path, segments="whole"))
    assert whole.failures == {"too_long": 1}
    assert not speech(tmp_path / "lake")  # what is current is what the last run says


def test_a_run_that_loses_a_file_says_so_and_fails(archive, tmp_path):
    given = settings(archive, tmp_path)
    planned = tagging.plan(given)
    with pytest.raises(LakeError, match="3 files were listed and 0 accounted for"):
        tagging.finish(Lake(given.lake, create=True), planned, [])


def test_an_unreadable_folder_is_a_failure_row_too(archive, tmp_path):
    (archive / "broken").symlink_to(archive / "nowhere")
    done = tag(settings(archive, tmp_path))
    assert done.unlisted == 1
    assert {r["uri"] for r in rows(tmp_path / "lake", "FROM failures")} == {
        "broken",
        "damaged/minutes.wav",
    }
    again = tag(settings(archive, tmp_path))
    assert (again.failed, again.unlisted, again.unchanged, again.failing) == (0, 1, 4, 2)


# ---- batching ---------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(0, 100), max_size=60),
    most_files=st.integers(1, 10),
    most_bytes=st.integers(1, 300),
)
def test_chunks_hold_every_file_once_in_order_within_their_limits(sizes, most_files, most_bytes):
    entries = [FileEntry(str(i), "", size, "") for i, size in enumerate(sizes)]
    chunks = list(chunked(entries, "run", most_files, most_bytes))
    assert [e for chunk in chunks for e in chunk.entries] == entries
    assert all(count == 1 for count in Counter(c.chunk_id for c in chunks).values())
    for chunk in chunks:
        size = sum(e.size_bytes for e in chunk.entries)
        assert 1 <= len(chunk.entries) <= most_files
        assert size <= most_bytes or len(chunk.entries) == 1


@given(
    lengths=st.lists(st.integers(1, 500), max_size=80).map(lambda n: sorted(n, reverse=True)),
    budget=st.integers(1, 1000),
)
def test_batches_hold_every_segment_once_within_the_budget(lengths, budget):
    cut = list(batches(lengths, budget))
    assert [i for batch in cut for i in batch] == list(range(len(lengths)))
    for batch in cut:
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= budget


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, FailureKind.UNREACHABLE),
        (errno.EMFILE, FailureKind.UNREACHABLE),
        (errno.ENOMEM, FailureKind.OUT_OF_MEMORY),
        (errno.EIO, FailureKind.UNREADABLE),
    ],
)
def test_what_this_machine_is_out_of_costs_no_file_for_good(code, kind):
    assert worker._kind(OSError(code, os.strerror(code))) is kind
