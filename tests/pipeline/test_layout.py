"""Parquet files are laid out for those who read them, by a commit and by maintenance alike."""

import pyarrow.parquet as pq
import pytest

from pipelines import layout, maintain, ready, schemas
from pipelines.lake import Lake
from tests.faults.test_crashes import chunk

TABLES = ["recordings", "segments", "embeddings", "labels"]
PACKED = {"embeddings": "UNCOMPRESSED", schemas.READY: "LZ4"}
ROWS, COPY_ROWS = 4, 5


@pytest.fixture
def lake(tmp_path, monkeypatch) -> Lake:
    monkeypatch.setattr(layout, "GROUP_ROWS", ROWS)
    monkeypatch.setattr(layout, "COPY_GROUP_ROWS", COPY_ROWS)
    made = Lake(tmp_path / "lake", create=True)
    for number in range(2):
        made.commit(*chunk(number, size=7))
    return made


def check(table: str, paths: list[str], largest: int) -> None:
    """How all of a table's files are packed, and how many rows its largest group has."""
    groups = []
    for path in paths:
        metadata = pq.read_metadata(path)
        groups += [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    assert max(group.num_rows for group in groups) == largest
    columns = [group.column(place) for group in groups for place in range(group.num_columns)]
    assert {column.compression for column in columns} == {PACKED.get(table, "ZSTD")}
    scores = [column for column in columns if column.physical_type in ("FLOAT", "DOUBLE")]
    assert not any(column.has_dictionary_page for column in scores)


@pytest.mark.parametrize("table", TABLES)
def test_scores_have_no_dictionary_and_large_files_small_groups(lake: Lake, table: str) -> None:
    rows = sum(row["num_records"] for row in lake.log(table))
    check(table, lake.stored(table)[0], rows // 2)
    maintain.tend(lake, table)
    [put_together] = lake.stored(table)[0]
    check(table, [put_together], ROWS if rows > ROWS else rows)


def test_the_copy_of_speech_stays_as_it_is_made_when_it_is_added_to(lake: Lake) -> None:
    assert ready.refresh(lake)
    check(schemas.READY, lake.ready().files, COPY_ROWS)
    lake.commit(*chunk(2, size=7))
    assert ready.extend(lake)
    assert len(lake.ready().files) == 2
    maintain.tend(lake, schemas.READY)
    check(schemas.READY, lake.ready().files, COPY_ROWS)
    assert len(lake.ready().files) == 1
