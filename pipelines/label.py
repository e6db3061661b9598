"""Labels and style scores from stored embeddings: no audio, no files.

Scores are computed from the half-precision embeddings that the lake keeps, so that labels made
when a file is tagged and labels made years later from the table are the same numbers.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clsp.embedder import Embedder
from clsp.zero_shot import classifier, judge
from pipelines import schemas
from pipelines.taxonomy import Taxonomy


def is_sure(margins: np.ndarray, min_margin: float) -> np.ndarray:
    """Which of these margins (n,) let a label stand: those not under the least one.

    Compared as stored, in single precision: SQL on NAME_margin comes to the same answer.
    """
    sure: np.ndarray = margins.astype(np.float32) >= np.float32(min_margin)
    return sure


class Labeller:
    """A taxonomy's prompts embedded once by one model, then applied to any number of segments."""

    def __init__(self, model: Embedder, taxonomy: Taxonomy) -> None:
        import torch

        self.model, self.taxonomy = model, taxonomy
        # Double precision on the CPU: a row's scores must not depend on the rows around it.
        parts = [torch.empty(0, model.config.joint_dim)]  # where nothing is asked
        parts += [classifier(model, a.prompts).cpu() for a in taxonomy.attributes]
        styles = {style.column: [style.description] for style in taxonomy.styles}
        if styles:
            parts.append(classifier(model, styles).cpu())
        # One matrix: the embeddings, which are many, are gone through once.
        self.matrix = torch.cat([part.double() for part in parts])
        self.widths = [len(part) for part in parts]

    def columns(self, embeddings: np.ndarray) -> dict[str, pa.Array]:
        """The taxonomy's columns for embeddings (n, dim), rounded to half precision first."""
        import torch

        stored = torch.from_numpy(embeddings.astype("<f2")).double()
        columns: dict[str, pa.Array] = {}
        name = self.model.checkpoint.name
        _, *parts = (stored @ self.matrix.T).split(self.widths, dim=1)
        for attribute, cosine in zip(self.taxonomy.attributes, parts, strict=False):
            labels = list(attribute.prompts)
            scores = judge(cosine, self.model.scale)
            label, probability, margin, best = attribute.columns
            named = pa.array([labels[i] for i in scores.best.tolist()], pa.string())
            margins = scores.margin.float().numpy()
            sure = pa.array(is_sure(margins, attribute.least_margin(name)))
            columns[label] = pc.if_else(sure, named, pa.scalar(None, pa.string()))
            chosen = scores.probability.gather(1, scores.best[:, None])[:, 0]
            columns[probability] = pa.array(chosen.float().numpy())
            columns[margin] = pa.array(margins)
            columns[best] = named
        for i, style in enumerate(self.taxonomy.styles):
            columns[style.column] = pa.array(parts[-1][:, i].float().numpy())
        return columns


def labels_table(
    labeller: Labeller,
    embeddings: np.ndarray,
    ids: list[str] | pa.Array,
    model_key: str,
    chunk_id: str,
) -> pa.Table:
    """Rows of the `labels` table for segments `ids` with embeddings (n, dim)."""
    columns, n = labeller.columns(embeddings), len(ids)
    keys = {
        "segment_id": ids,
        "model_key": [model_key] * n,
        "taxonomy_key": [labeller.taxonomy.key] * n,
        "chunk_id": [chunk_id] * n,
    }
    schema = schemas.with_taxonomy([(name, column.type) for name, column in columns.items()])
    return pa.Table.from_pydict({**keys, **columns}, schema)
