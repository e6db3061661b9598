"""`clsp verify`: a whole lake passes, and every kind of damage that is done to one is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from deltalake import DeltaTable, write_deltalake
from typer.testing import CliRunner

from flows.cli import app
from pipelines.lake import Lake
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from pipelines.verify import verify


@pytest.fixture(scope="module")
def tagged(tmp_path_factory) -> Path:
    """A lake of two runs with a failure, a copy, a move, a relabelling and something gone."""
    root = tmp_path_factory.mktemp("verify")
    archive, lake = root / "archive", root / "lake"
    archive.mkdir()
    for name, hertz in (("one", 200), ("two", 250), ("three", 300)):
        wave = 0.1 * np.sin(np.arange(8_000) * hertz * 2 * np.pi / 16_000)
        soundfile.write(archive / f"{name}.wav", wave, 16_000)
    shutil.copy(archive / "one.wav", archive / "copy.wav")
    (archive / "words.wav").write_text("no audio")
    tag(TagSettings(str(archive), str(lake)))
    (archive / "two.wav").rename(archive / "moved.wav")
    (archive / "three.wav").unlink()
    (root / "one.yaml").write_text("attributes:\n  gender: {labels: {m: A man., f: A woman.}}\n")
    tag(TagSettings(str(archive), str(lake), taxonomy=str(root / "one.yaml")))
    return lake


@pytest.fixture
def lake(tagged, tmp_path) -> Path:
    return Path(shutil.copytree(tagged, tmp_path / "lake"))


def parquet(lake: Path, table: str) -> Path:
    return sorted((lake / table).glob("*.parquet"))[0]


def rows_twice(lake: Path) -> None:
    write_deltalake((lake / "labels").as_uri(), pq.read_table(parquet(lake, "labels")),
                    mode="append")  # fmt: skip


def without(table: str, where: str) -> Callable[[Path], None]:
    return lambda lake: DeltaTable((lake / table).as_uri()).delete(where) and None


def cut(lake: Path) -> None:
    path = parquet(lake, "segments")
    path.write_bytes(path.read_bytes()[:-100])


def overwritten(lake: Path) -> None:
    """Bytes of a page: size and footer stay."""
    path = parquet(lake, "embeddings")
    held = bytearray(path.read_bytes())
    held[8:200] = bytes(192)
    path.write_bytes(held)


def wrong(lake: Path, deep: bool = False) -> set[tuple[str, str]]:
    found = verify(Lake(lake), deep)
    return {(finding.table, finding.check) for finding in found if finding.count}


def test_a_whole_lake_passes_every_check(lake):
    for deep in (False, True):
        found = verify(Lake(lake), deep)
        assert len(found) > 20
        assert not [finding for finding in found if finding.count or finding.advice]


@pytest.mark.parametrize(
    ("damage", "table", "check"),
    [
        (cut, "segments", "files are as the log says"),
        (lambda lake: parquet(lake, "labels").unlink(), "labels", "files are as the log says"),
        (rows_twice, "labels", "rows are unique by segment_id, model_key, taxonomy_key"),
        (without("embeddings", "segment_id IS NOT NULL"), "embeddings",
         "a segment has its embedding"),
        (without("labels", "segment_id IS NOT NULL"), "labels", "a segment has its labels"),
        (without("segments", "start_s = 0"), "segments", "a tagged recording has segments"),
        (without("recordings", "uri = 'one.wav'"), "recordings",
         "a chunk holds as many recordings as the ledger says"),
    ],
)  # fmt: skip
def test_damage_is_found(lake, damage, table, check):
    damage(lake)
    assert (table, check) in wrong(lake)
    done = CliRunner().invoke(app, ["verify", "--lake", str(lake), "--json"])
    assert done.exit_code == 1, done.output
    told = [row for row in json.loads(done.stdout) if row["count"] and row["harmful"]]
    assert all(row["examples"] and row["advice"] for row in told)


@pytest.mark.parametrize("deep", [False, True])
def test_a_damaged_page_is_found_by_unpacking_it(lake, deep):
    overwritten(lake)
    assert wrong(lake, deep) == {("embeddings", "every page of every file can be read")}


def test_what_a_killed_run_leaves_is_told_and_is_not_wrong(lake):
    stray = parquet(lake, "segments")
    shutil.copy(stray, stray.with_name("stray.parquet"))
    DeltaTable((lake / "runs").as_uri()).delete("chunk_id LIKE '%-gone-%' OR kind = 'run'")
    told = wrong(lake)
    assert ("segments", "no file that the log does not name") in told
    assert ("recordings", "no row of a chunk that the ledger does not name") in told
    assert not [f for f in verify(Lake(lake)) if f.count and f.harmful]
    shown = CliRunner().invoke(app, ["verify", "--lake", str(lake)])
    assert shown.exit_code == 0, shown.output
    assert "nothing is wrong" in shown.output and "stray.parquet" in shown.output
