"""The clips of a labelled data set embedded, each once: what every evaluation stands on.

The same worker as a run uses, each clip as one segment, so the same numbers as in a lake. A clip
that is a span of a longer file is cut out of it first, sample by sample. Knows nothing of labels
or metrics.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.adhoc import embedding_job
from pipelines.archive import FileEntry
from pipelines.cuts import Failed, Key, files
from pipelines.datasets.items import Item
from pipelines.jobs import Chunk
from pipelines.segments import SegmentPolicy
from pipelines.worker import Worker

if TYPE_CHECKING:
    from torch import Tensor

    from clsp.embedder import Embedder

NO_WINDOWS = " Use --segments windows."  # the advice of `clsp tag`, which is of no use here

TEXTS = 256  # embedded at once

OnClip = Callable[[float], None]  # audio seconds of a clip that is done


def ignore_clip(audio_s: float) -> None:
    """For those who do not watch."""


@dataclass(frozen=True)
class Clips:
    """items: those that could be embedded, in the order given; vectors: (n, dim), one for each.
    failures: the others, with uri, start_s, end_s, error_kind, error_message."""

    model: "Embedder"
    model_key: str
    items: tuple[Item, ...]
    vectors: np.ndarray
    failures: tuple[dict[str, Any], ...]
    audio_s: float  # decoded and embedded, each clip once

    def audio(self) -> "Tensor":
        """The vectors where the model is, (n, dim)."""
        import torch

        return torch.from_numpy(self.vectors).to(self.model.device)

    def text(self, texts: Sequence[str]) -> "Tensor":
        """Texts embedded by the same model, (m, dim), in batches: there may be as many as clips."""
        import torch

        with torch.inference_mode():
            starts = range(0, len(texts), TEXTS)
            parts = [self.model.embed_text(texts[i : i + TEXTS]).float() for i in starts]
        return torch.cat(parts) if parts else self.audio()[:0]


def embed(
    items: Sequence[Item],
    model: str = "tiny",
    device: str = "auto",
    on_clip: OnClip = ignore_clip,
    precision: str = "float32",
) -> Clips:
    """Embed clips. on_clip is called as each different one is done. Raises ModelNotFound, and
    SettingsError for a precision that there is not."""
    job = embedding_job(model, SegmentPolicy(), device, precision)
    worker = Worker(job)
    vectors: dict[Key, np.ndarray] = {}
    failed: dict[Key, Failed] = {}
    audio_s = 0.0
    keys = list(dict.fromkeys(_key(item) for item in items))
    for batch in files(keys, failed, on_clip):
        audio_s += _process(worker, batch, vectors, failed, on_clip)
    done = tuple(item for item in items if _key(item) in vectors)
    return Clips(
        model=worker.model,
        model_key=job.model_key,
        items=done,
        vectors=np.array([vectors[_key(i)] for i in done], np.float32).reshape(-1, worker.dim),
        failures=tuple(
            {
                "uri": item.uri,
                "start_s": item.start_s,
                "end_s": item.end_s,
                "error_kind": failed[_key(item)][0],
                "error_message": failed[_key(item)][1].replace(NO_WINDOWS, ""),
            }
            for item in items
            if _key(item) in failed
        ),
        audio_s=audio_s,
    )


def _key(item: Item) -> Key:
    return item.uri, item.start_s, item.end_s


def _process(
    worker: Worker,
    batch: Sequence[tuple[Key, str]],
    vectors: dict[Key, np.ndarray],
    failed: dict[Key, Failed],
    on_clip: OnClip,
) -> float:
    """Embed files, each with the clip it stands for; returns the seconds of audio."""
    from pipelines.packing import unpack

    # Numbers for names: a uri need not be fit for a table.
    entries = tuple(FileEntry(str(i), path, 0, "") for i, (_, path) in enumerate(batch))
    result = worker.process(Chunk("", entries), on_clip)
    contents = result.tables["segments"]["content_hash"].to_pylist()
    rows = {content: row for row, content in enumerate(contents)}
    found = unpack(result.tables["embeddings"]["embedding"], worker.dim)  # in the segments' order
    for told in result.tables["recordings"].to_pylist():
        key = batch[int(told["uri"])][0]
        if told["error_kind"] is not None:  # a part of a clip is not that clip
            failed[key] = told["error_kind"], told["error_message"]
        else:
            vectors[key] = found[rows[told["content_hash"]]]
    return result.audio_s
