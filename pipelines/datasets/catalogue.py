"""The readers by name: `read("ravdess", folder)`.

Roots are local: of a remote data set, make a copy or mount it. Knows no layout itself.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clsp.errors import InputError
from pipelines.datasets import crema_d, iemocap, lhotse, ravdess, table
from pipelines.datasets.items import Dataset

READERS: Mapping[str, Callable[..., Dataset]] = {
    "ravdess": ravdess.read,
    "crema-d": crema_d.read,
    "iemocap": iemocap.read,
    "lhotse": lhotse.read,
    "table": table.read,
}
KINDS = tuple(READERS)


def read(kind: str, root: str | Path, **options: Any) -> Dataset:
    """The data set at `root`, read by the layout `kind`; options are those of the reader's `read`.

    Raises InputError for a kind or an option that does not exist, and where nothing of that kind
    is at `root`. A clip or line that cannot be used is in the data set's `skipped`.
    """
    if kind not in READERS:
        raise InputError(f"no data set layout {kind!r}: expected one of {', '.join(KINDS)}")
    known = [name for name in inspect.signature(READERS[kind]).parameters if name != "root"]
    if unknown := sorted(set(options) - set(known)):
        raise InputError(f"{kind} has no option {unknown}: it has {', '.join(known) or 'none'}")
    return READERS[kind](root, **options)
