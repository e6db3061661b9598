"""The readers by name: `read("ravdess", folder)`.

Roots are local: of a remote data set, make a copy or mount it. Knows no layout itself.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from clsp.errors import InputError
from pipelines.datasets import crema_d, iemocap, lhotse, ravdess, table
from pipelines.datasets.files import brief
from pipelines.datasets.items import Dataset

READERS: Mapping[str, Callable[..., Dataset]] = {
    "ravdess": ravdess.read,
    "crema-d": crema_d.read,
    "iemocap": iemocap.read,
    "lhotse": lhotse.read,
    "table": table.read,
}
KINDS = tuple(READERS)
TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read(kind: str, root: str | Path, **options: Any) -> Dataset:
    """The data set at `root`, read by the layout `kind`; options are those of the reader's `read`.

    Where a truth value is expected, true, false, yes, no, 1 and 0 may be text. Raises InputError
    for a kind or an option that does not exist, for a value of another type, and where nothing of
    that kind is at `root`. A clip or line that cannot be used is in the data set's `skipped`.
    """
    if kind not in READERS:
        raise InputError(f"no data set layout {kind!r}: expected one of {', '.join(KINDS)}")
    parameters = inspect.signature(READERS[kind], eval_str=True).parameters
    known = {name: one.annotation for name, one in parameters.items() if name != "root"}
    if unknown := sorted(set(options) - set(known)):
        raise InputError(f"{kind} has no option {unknown}: it has {', '.join(known) or 'none'}")
    given = {
        name: _value(f"option {name} of {kind}", value, known[name])
        for name, value in options.items()
    }
    return READERS[kind](root, **given)


def _value(what: str, value: Any, wanted: Any) -> Any:
    """`value` as the reader takes it. Raises InputError for one that is not of the type wanted."""
    if wanted is bool:
        if (truth := TRUTHS.get(str(value).strip().lower())) is None:
            raise InputError(f"{what} is {brief(value)}: expected true or false (or yes, no, 1, 0)")
        return truth
    several = get_args(wanted) if isinstance(wanted, UnionType) else (wanted,)
    types = [get_origin(one) or one for one in several]
    if not isinstance(value, tuple(types)):
        names = [one.__name__ for one in types if one is not type(None)]
        raise InputError(f"{what} is {brief(value)}: expected {' or '.join(names)}")
    if isinstance(value, Mapping):
        pairs = value.items()
        if wrong := {k: v for k, v in pairs if not (isinstance(k, str) and isinstance(v, str))}:
            raise InputError(f"{what} has {brief(wrong)}: expected NAME: MEANING, both text")
    return value
