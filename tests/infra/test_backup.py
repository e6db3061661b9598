"""Backup and restore of a lake, by the runbook's own commands, also while a run is going on."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.lake import LOCK, Lake
from pipelines.maintain import LEAST_KEEP_DAYS, maintain
from pipelines.planning import plan
from pipelines.query import run as query
from pipelines.settings import TagSettings
from tests.faults.runs import Runs, difference, harm, make_archive, rows, until
from tests.infra.described import RUNBOOK

SETTINGS = {"chunk_files": 3, "batch_s": 0.01}


def told(heading: str) -> str:
    """The commands of a section of the runbook, without those of our own tool."""
    section = RUNBOOK.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "clsp " not in line]
    assert lines
    return "\n".join(lines)


def do(heading: str, lake: Path, backup: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"LAKE": str(lake), "BACKUP": str(backup)}
    return subprocess.Popen(["bash", "-euo", "pipefail", "-c", told(heading)], env=environment)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    with Runs(tmp_path_factory.mktemp("runs")) as started:
        yield started


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("backup") / "archive"
    make_archive(root)
    return root


@pytest.fixture(scope="module")
def whole(runs, archive, tmp_path_factory) -> Path:
    """A lake of a run that nothing disturbed."""
    lake = tmp_path_factory.mktemp("whole") / "lake"
    runs.finish(TagSettings(str(archive), str(lake), **SETTINGS))
    return lake


def test_a_restored_lake_is_the_lake_and_goes_on_where_it_was(whole, archive, tmp_path):
    backup, lake = tmp_path / "lake.tar", tmp_path / "elsewhere" / "lake"
    assert do("Back up", whole, backup).wait() == 0
    assert do("Restore", lake, backup).wait() == 0
    assert difference(rows(lake), rows(whole)) == ({}, {})
    assert not harm(lake)
    planned = plan(TagSettings(str(archive), str(lake), **SETTINGS))
    assert planned.files == 0 and planned.unchanged
    assert sorted(path.name for path in whole.parent.iterdir()) == ["lake"]  # no snapshot left


def test_a_backup_during_a_run_waits_for_the_commit_and_is_whole(runs, archive, whole, tmp_path):
    lake, backup, hold = tmp_path / "lake", tmp_path / "lake.tar", tmp_path / "hold"
    # In the midst of the second chunk's commit: rows are there, their ledger row is not.
    run = runs.start(
        TagSettings(str(archive), str(lake), **SETTINGS), f"appended.embeddings:2=pause@{hold}"
    )
    until(hold.exists, run)
    assert subprocess.run(["flock", "--nonblock", lake / LOCK, "true"]).returncode == 1
    saving = do("Back up", lake, backup)
    hold.unlink()
    assert saving.wait() == 0
    assert run.wait() == 0, run.said

    restored = tmp_path / "restored"
    assert do("Restore", restored, backup).wait() == 0
    assert not harm(restored)
    chunks = query(Lake(restored), "SELECT count(*) AS n FROM runs WHERE kind = 'chunk'")
    assert chunks["n"][0].as_py() >= 2  # the one that was waited for, at least
    runs.finish(TagSettings(str(archive), str(restored), **SETTINGS))
    assert difference(rows(restored), rows(whole)) == ({}, {})


def test_what_is_written_later_does_not_reach_the_snapshot(runs, whole, archive, tmp_path):
    """It is made of hard links: nothing in a lake is ever changed in place."""
    lake, snapshot, other = tmp_path / "lake", tmp_path / "snapshot", tmp_path / "other.yaml"
    shutil.copytree(whole, lake)
    subprocess.run(["cp", "--archive", "--link", lake, snapshot], check=True)
    before = {path: path.read_bytes() for path in snapshot.rglob("*") if path.is_file()}
    other.write_text("attributes:\n  x: {labels: {a: A man., b: A woman.}}\n")
    runs.finish(TagSettings(str(archive), str(lake), taxonomy=str(other), **SETTINGS))
    done = maintain(Lake(lake), keep_days=LEAST_KEEP_DAYS)
    assert sum(table.merged for table in done.tables)
    assert rows(lake)["labels"] != rows(snapshot)["labels"]
    assert {path: path.read_bytes() for path in snapshot.rglob("*") if path.is_file()} == before


def test_a_copy_that_a_commit_cuts_through_is_found_by_verify(whole, tmp_path):
    """Why the lock: a table is copied, a run commits, the ledger is copied."""
    torn = tmp_path / "torn"
    shutil.copytree(whole, torn)
    last = max((torn / "embeddings" / "_delta_log").glob("*.json"))
    last.unlink()  # the log as it was before the last commit; its Parquet files are strays then
    assert not harm(whole)
    assert any("a segment has its embedding" in line for line in harm(torn))
