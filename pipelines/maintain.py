"""Keeps a lake small and sound: rows that never came to be are removed, small files put together,
files that no reader needs any more deleted, the log shortened; `speech` is joined to a copy that
queries read in its place, embeddings are added to plain files for searches; then everything is
checked.

One table at a time, while nobody writes; readers go on reading the files that they listed. Every
step is one commit of Delta's: whoever dies within or between them loses nothing, and the next call
does the rest. Knows tables; knows nothing of audio or of schedules.
"""

import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from pipelines import faults, ready, schemas, vectors
from pipelines.errors import LakeError, SettingsError
from pipelines.lake import LOCK_PING_S, Lake, lake_errors
from pipelines.layout import writer_properties
from pipelines.query import database
from pipelines.verify import Finding, files_wrong, verify

KEEP_DAYS = 7.0
LEAST_KEEP_DAYS = 1 / 24  # a query that began before has listed files that it still reads
TARGET_BYTES = 128 << 20  # what small files are put together to; larger ones are left alone
AT_ONCE = 2  # such files written at a time: each takes up to 300 MB of memory (measured)
# What Delta forgets by itself, unless told: which files it needs no more, and its own log.
FORGETS_FILES_H, FORGETS_LOG_H = 7 * 24, 30 * 24


@dataclass(frozen=True)
class TableReport:
    """What was done to one table; bytes and files are of its current version, but where said."""

    table: str
    files_before: int = 0
    bytes_before: int = 0
    files_after: int = 0  # in a dry run as before: how many there would be is not known
    bytes_after: int = 0
    merged: int = 0  # files put together; in a dry run those small enough to be
    dead_rows: int = 0  # of chunks that were cut off, removed
    deleted_files: int = 0  # of earlier versions, or of nobody, old enough
    deleted_bytes: int = 0
    kept_files: int = 0  # of those, too young to be deleted
    kept_bytes: int = 0


@dataclass(frozen=True)
class Report:
    """What was done to a lake, and what is wrong with it: `findings` of pipelines.verify."""

    lake: str
    keep_days: float
    dry_run: bool
    tables: tuple[TableReport, ...]
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def wrong(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.count and finding.harmful]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def maintain(
    lake: Lake, keep_days: float = KEEP_DAYS, deep: bool = False, dry_run: bool = False
) -> Report:
    """Tend every table; then, but in a dry run, make the copy of `speech` anew, bring the plain
    files of embeddings up to date, and verify. Raises LakeError, LakeBusy and SettingsError."""
    started = time.monotonic()
    require_sound(lake)
    tables = [tend(lake, name, keep_days, dry_run) for name in schemas.TABLES]
    if not dry_run:
        ready.refresh(lake)
        vectors.refresh(lake)
    tables.append(tend(lake, schemas.READY, keep_days, dry_run))
    findings = () if dry_run else tuple(verify(lake, deep))
    seconds = time.monotonic() - started
    return Report(str(lake.root), keep_days, dry_run, tuple(tables), findings, seconds)


def require_sound(lake: Lake) -> None:
    """Raises LakeError where a file is missing or damaged: rewriting would make it worse."""
    for finding in files_wrong(lake):
        raise LakeError(
            f"table {lake.root / finding.table}: {'; '.join(finding.examples)}. Nothing was done: "
            f"{finding.advice}. `clsp verify` tells the rest"
        )


def check_keep_days(days: float) -> None:
    """Raises SettingsError for less than an hour."""
    if not (math.isfinite(days) and days >= LEAST_KEEP_DAYS):
        raise SettingsError(
            f"keep_days is {days!r}: expected {LEAST_KEEP_DAYS:.3f} (an hour) or more, for a "
            "query that has begun still reads the files that it listed"
        )


def tend(
    lake: Lake, table: str, keep_days: float = KEEP_DAYS, dry_run: bool = False
) -> TableReport:
    """One table: remove what is dead, compact, vacuum, checkpoint; nobody commits meanwhile.

    `keep_days`: how long a file that the current version has no more is kept, for those who still
    read it, and for Delta's own time travel, which ends there.
    """
    check_keep_days(keep_days)
    if not lake.exists(table):
        return TableReport(table)
    with nullcontext() if dry_run else lake.locked():  # it only reads, and may not be able to write
        faults.reach("maintain.locked")
        with lake_errors(lake.root / table):
            report = _tend(lake, table, math.ceil(keep_days * 24), dry_run)
    time.sleep(2 * LOCK_PING_S)  # who waits for the lock gets it before the next table does
    return report


def _tend(lake: Lake, table: str, keep_h: int, dry_run: bool) -> TableReport:
    before = lake.log(table)
    sizes = [row["size_bytes"] for row in before]
    dead = _dead(lake, table)
    small = sum(size < TARGET_BYTES for size in sizes)
    merged = small if small > 1 else 0
    opened = lake.delta(table)
    written = writer_properties(table, pa.schema(opened.schema().to_arrow()), maintained=True)
    if not dry_run:
        _remember(opened, keep_h)
        if dead:
            names = ", ".join("'" + name.replace("'", "''") + "'" for name in dead)
            opened.delete(f"chunk_id IN ({names})", writer_properties=written)
        faults.reach("maintain.swept")
        merged = opened.optimize.compact(
            target_size=TARGET_BYTES, max_concurrent_tasks=AT_ONCE, writer_properties=written
        )["numFilesRemoved"]
        faults.reach("maintain.compacted")
    after = sizes if dry_run else [row["size_bytes"] for row in lake.log(table)]
    folder = lake.root / table
    found = {hours: _sizes(folder, _unneeded(opened, hours)) for hours in (keep_h, 0)}
    if not dry_run:
        if found[keep_h]:
            opened.vacuum(keep_h, dry_run=False, enforce_retention_duration=False, full=True)
        faults.reach("maintain.vacuumed")
        _checkpoint(opened, folder)
        faults.reach("maintain.checkpointed")
    return TableReport(
        table=table,
        files_before=len(sizes),
        bytes_before=sum(sizes),
        files_after=len(after),
        bytes_after=sum(after),
        merged=merged,
        dead_rows=sum(dead.values()),
        deleted_files=len(found[keep_h]),
        deleted_bytes=sum(found[keep_h]),
        kept_files=len(found[0]) - len(found[keep_h]),
        kept_bytes=sum(found[0]) - sum(found[keep_h]),
    )


def _dead(lake: Lake, table: str) -> dict[str, int]:
    """Chunks without a ledger row, and how many rows of theirs there are. While the lock is held
    nobody is between a chunk's rows and its ledger row: such a chunk was cut off, for good."""
    files, schema = lake.stored(table)
    if table == "runs" or "chunk_id" not in schema.names or not files:
        return {}
    try:
        with database() as db:
            return dict(
                db.execute(
                    """SELECT chunk_id, count(*) FROM read_parquet(?) WHERE chunk_id NOT IN
                         (SELECT chunk_id FROM read_parquet(?)) GROUP BY chunk_id""",
                    [files, lake.stored("runs")[0]],
                ).fetchall()
            )
    except duckdb.Error as error:
        raise LakeError(
            f"table {lake.root / table} or its ledger cannot be read: {error}. Nothing was done; "
            "`clsp verify --deep` finds out which file it is"
        ) from error


def _remember(opened: DeltaTable, keep_h: int) -> None:
    """Have Delta know for as long which files it needs no more, and since when. Once it has
    forgotten, it takes a file's own age for the time since it was replaced (measured)."""
    wanted = {
        "delta.deletedFileRetentionDuration": (keep_h, FORGETS_FILES_H),
        "delta.logRetentionDuration": (keep_h, FORGETS_LOG_H),
    }
    has = opened.metadata().configuration
    longer = {
        name: f"interval {hours} hours"
        for name, (hours, default) in wanted.items()
        if hours > _hours(has.get(name), default)
    }
    if longer:
        opened.alter.set_table_properties(longer)


def _hours(told: str | None, default: int) -> int:
    """Of Delta's `interval 30 days`, or of nothing."""
    if not told:
        return default
    _, number, unit = told.split()
    return int(number) * {"hour": 1, "day": 24, "week": 168}.get(unit.rstrip("s"), 0)


def _unneeded(opened: DeltaTable, hours: int) -> list[str]:
    """Files that the current version has not, for at least so long."""
    return list(opened.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True))


def _sizes(folder: Path, names: list[str]) -> list[int]:
    return [(folder / name).stat().st_size for name in names if (folder / name).exists()]


def _checkpoint(opened: DeltaTable, folder: Path) -> None:
    """So that opening the table reads one file for all commits until now; then Delta removes
    entries of its log that are older than it is to remember, and that no version needs."""
    if not (folder / "_delta_log" / f"{opened.version():020d}.checkpoint.parquet").exists():
        opened.create_checkpoint()
    opened.cleanup_metadata()
