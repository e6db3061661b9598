"""A few files embedded now, without a lake: what `clsp classify` and `clsp similarity` stand on.

The same worker as a run uses, so the same numbers. Knows nothing of terminals.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.archive import as_text, list_archive
from pipelines.errors import ArchiveNotFound
from pipelines.jobs import Chunk, Job, model_key
from pipelines.segments import SegmentPolicy
from pipelines.settings import check_precision
from pipelines.taxonomy import Taxonomy
from pipelines.worker import Worker

if TYPE_CHECKING:
    from clsp.embedder import Embedder

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Embedded:
    """Segments of some files. spans: uri, start_s, end_s; vectors: (n, dim), in the same order.
    failures, and warnings of what was read in part: uri, error_kind, error_message."""

    model: "Embedder"
    spans: pa.Table
    vectors: np.ndarray
    failures: pa.Table
    warnings: pa.Table


def embedding_job(
    model: str, policy: SegmentPolicy, device: str = "auto", precision: str = "float32"
) -> Job:
    """A job of no archive and no labels. Raises ModelNotFound, and SettingsError for a precision
    that there is not."""
    from clsp.checkpoint import resolve

    check_precision(precision, device)
    checkpoint = resolve(model)
    return Job(
        archive="",
        model=model,
        model_key=model_key(checkpoint.name, checkpoint.revision, precision),
        taxonomy=Taxonomy((), ()),
        policy=policy,
        run_id="",
        precision=precision,
        device=device,
    )


def embed(
    paths: Sequence[str],
    model: str = "tiny",
    segments: str = "windows",
    precision: str = "float32",
) -> Embedded:
    """Embed files (or all files of folders). A folder that holds none is told of in the log.

    Raises ArchiveNotFound, also where there is no file at all, ModelNotFound, and SettingsError for
    a cut or precision that there is not.
    """
    from pipelines.packing import unpack

    job = embedding_job(model, SegmentPolicy.parse(segments), precision=precision)
    # By the path as given: two folders may hold a file of one name.
    found = {
        path: [
            replace(entry, uri=as_text(path) if Path(path).is_file() else f"{named}/{entry.uri}")
            for entry in list_archive(path)
        ]
        for path in dict.fromkeys(paths)
        for named in (as_text(path.rstrip("/")),)
    }
    if not any(found.values()):
        raise ArchiveNotFound(
            f"no file in {', '.join(map(repr, paths))}: expected audio files, or folders that hold "
            "some (hidden ones do not count)"
        )
    for path in (path for path, files in found.items() if not files):
        _log.warning("no file in %r", path)
    entries = tuple(entry for files in found.values() for entry in files)
    worker = Worker(job)
    tables = worker.process(Chunk("", entries)).tables
    recordings = tables["recordings"]
    uris = recordings.select(["uri", "content_hash"])
    joined = (
        tables["segments"]
        .append_column("row", pa.array(range(tables["segments"].num_rows), pa.int64()))
        .join(uris, "content_hash", join_type="inner")
        .sort_by([("uri", "ascending"), ("start_s", "ascending")])
    )
    vectors = unpack(tables["embeddings"]["embedding"], worker.dim)
    failed = pc.equal(recordings["state"], "failed")
    partly = pc.and_(pc.is_valid(recordings["error_kind"]), pc.invert(failed))
    reasons = ["uri", "error_kind", "error_message"]
    return Embedded(
        model=worker.model,
        spans=joined.select(["uri", "start_s", "end_s"]),
        vectors=vectors[joined["row"].to_numpy()],
        failures=recordings.filter(failed).select(reasons),
        warnings=recordings.filter(partly).select(reasons),
    )
