"""Which committed chunks hold which contents: where rows that a commit brings may be already.

Reads what is new since it last looked, and of that only the files concerned: a commit must not cost
more the larger the lake is. Knows tables by their keys; nothing of audio or of who commits.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from pipelines.lake import Lake
from pipelines.query import arrow, database


class Contents:
    """Of the commits after `since`. About 250 bytes for each content of theirs."""

    def __init__(self, lake: Lake, since: int) -> None:
        self.since = self._seq = since
        self._lake = lake
        self._unread: list[str] = []  # chunks
        self._chunks: dict[str, tuple[str, ...]] = {}
        self._seq_of: dict[str, int] = {}  # every chunk
        self._apart: set[str] = set()  # chunks without recordings: new labels of old segments

    def refresh(self) -> int:
        """See what is committed now; the `seq` of the newest commit."""
        rows = _read(
            self._lake.files_after(self._seq),
            "seq, kind, chunk_id, files + coalesce(gone, 0)",
            "seq > ?",
            [self._seq],
        )
        for seq, kind, chunk_id, files in rows:
            self._seq = max(self._seq, seq)
            if kind == "chunk":
                self._seq_of[chunk_id] = seq
                if files:
                    self._unread.append(chunk_id)
                else:
                    self._apart.add(chunk_id)
        return self._seq

    def holding(self, tables: dict[str, pa.Table], run_id: str, since: int) -> set[str]:
        """Chunks that may hold rows which these tables of one chunk bring; `since` as in
        `Lake.commit`."""
        if "recordings" in tables:
            told = tables["recordings"]["content_hash"].unique().to_pylist()
            return self.chunks(told) | self._apart
        others = {name for name, seq in self._seq_of.items() if seq > since}
        return {name for name in others if not name.startswith(f"{run_id}-")}

    def chunks(self, contents: Iterable[str | None]) -> set[str]:
        """Those that hold rows of any of these contents."""
        if self._unread:
            rows = _read(
                self._lake.files_of("recordings", self._unread),
                "DISTINCT chunk_id, content_hash",
                "content_hash IS NOT NULL AND list_contains(?, chunk_id)",
                [self._unread],
            )
            names = {name: name for name in self._unread}  # one text each, not one for each row
            for chunk_id, content in rows:
                self._chunks[content] = (*self._chunks.get(content, ()), names[chunk_id])
            self._unread = []
        return {name for key in contents if key for name in self._chunks.get(key, ())}


def rows_of(lake: Lake, table: str, chunk_id: str) -> bool:
    """Whether a table has rows of this chunk, committed or not."""
    return bool(_read(lake.files_of(table, [chunk_id]), "1", "chunk_id = ? LIMIT 1", [chunk_id]))


def missing(
    lake: Lake, table: str, rows: pa.Table, keys: Sequence[str], chunk_ids: set[str]
) -> pa.Table:
    """Those rows whose key none of these chunks has in the table."""
    files = lake.files_of(table, chunk_ids)
    if not files:
        return rows
    key = ", ".join(keys)
    with database() as db:
        db.register("incoming", rows)
        return arrow(
            db,
            f"""SELECT * FROM incoming WHERE ({key}) NOT IN (
                  SELECT ({key}) FROM read_parquet(?) WHERE list_contains(?, chunk_id))""",
            files,
            sorted(chunk_ids),
        )


def _read(
    files: list[str], columns: str, where: str, values: Sequence[object]
) -> list[tuple[Any, ...]]:
    if not files:
        return []
    with database() as db:
        return db.execute(
            f"SELECT {columns} FROM read_parquet(?) WHERE {where}", [files, *values]
        ).fetchall()
