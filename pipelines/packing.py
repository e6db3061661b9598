"""Embeddings as they are stored: little-endian numbers in half precision.

Knows nothing of models or tables.
"""

import numpy as np
import pyarrow as pa

from pipelines.errors import LakeError


def pack(embeddings: np.ndarray) -> pa.Array:
    """(n, dim) floats to n binary values of little-endian float16."""
    rows = np.ascontiguousarray(embeddings, dtype="<f2")
    return pa.array([row.tobytes() for row in rows], pa.binary())


def halves(column: pa.Array | pa.ChunkedArray, dim: int) -> np.ndarray:
    """n binary values, each of dim float16, to (n, dim) float16: a view of where they lie."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not len(array):
        return np.empty((0, dim), "<f2")
    array = array.cast(pa.large_binary())
    # Arrow's layout: a validity bitmap, offsets into the values, the values one after the other.
    _, offsets, values = array.buffers()
    first = np.frombuffer(offsets, np.int64, len(array) + 1, array.offset * 8)
    sizes = np.diff(first)
    if (sizes != 2 * dim).any():
        found = np.unique(sizes).tolist()
        raise LakeError(
            f"embeddings of {found[:3]} bytes, expected {2 * dim} for {dim} numbers each: they are "
            "another model's. Run `clsp verify`"
        )
    return np.frombuffer(values, "<f2", len(array) * dim, int(first[0])).reshape(-1, dim)


def unpack(column: pa.Array | pa.ChunkedArray, dim: int) -> np.ndarray:
    """n binary values to (n, dim) float32."""
    return halves(column, dim).astype(np.float32)
