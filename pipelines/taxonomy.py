"""What is asked of every segment: attributes with labels and prompts, and style descriptions.

Read from one YAML file (the default stands beside this module and documents the format); known by
the hash of its content. Knows nothing of models, scores or tables beyond the columns it names.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import TaxonomyError
from pipelines.schemas import AS_OF, BEST_SUFFIX, LABELS, PREFIX, SPEECH_COLUMNS

DEFAULT = Path(__file__).with_name("taxonomy.yaml")
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
VIEW_COLUMNS = ("attribute", "similarity", "style")  # of labels_long, of a search, of styles_long
STYLE_PREFIX = "style_"
MOST_MARGIN = 2.0  # cosines lie within -1 and 1
# What PyYAML raises for text that is not YAML: its own errors, and those of its constructors.
YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)


class _Loader(yaml.SafeLoader):
    """SafeLoader, but a key given twice does not silently replace the first."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        written = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if written.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} is given twice", key.start_mark
                )
        return super().construct_mapping(node, deep=deep)


@dataclass(frozen=True)
class Attribute:
    """One question with one answer: for each label, the prompts that stand for it.

    A best label whose margin is under the least one (a cosine; 0: never) is no answer but NULL.
    Margins of different models do not compare: `by_model` has the least one of models by name,
    `min_margin` is that of all others.
    """

    name: str
    prompts: dict[str, tuple[str, ...]]
    min_margin: float = 0.0
    by_model: tuple[tuple[str, float], ...] = ()

    def least_margin(self, model: str) -> float:
        """The least margin that counts for a model by this name (`tiny`, `yfyeung/CLSP`)."""
        return dict(self.by_model).get(model, self.min_margin)

    @property
    def columns(self) -> tuple[str, str, str, str]:
        """The label (NULL where unsure); whether sure or not: the best label's probability, its
        cosine margin over the second, and the best label itself."""
        return self.name, f"{self.name}_p", f"{self.name}_margin", f"{self.name}{BEST_SUFFIX}"


@dataclass(frozen=True)
class Style:
    """One description to compare with."""

    name: str
    description: str

    @property
    def column(self) -> str:
        return f"{STYLE_PREFIX}{self.name}"


@dataclass(frozen=True)
class Taxonomy:
    attributes: tuple[Attribute, ...]
    styles: tuple[Style, ...]

    @cached_property  # asked for each file of a listing
    def key(self) -> str:
        """16 hex digits: the same for the same prompts in the same order and the same least
        margins, however the file is written."""
        content = asdict(self)
        for attribute in content["attributes"]:
            for part in ("min_margin", "by_model"):
                if not attribute[part]:  # changes no label: nor the keys from before it was
                    del attribute[part]
        text = json.dumps(content, ensure_ascii=False, sort_keys=False)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def columns(self) -> list[str]:
        return [
            *(column for attribute in self.attributes for column in attribute.columns),
            *(style.column for style in self.styles),
        ]


def load(path: str | Path | None = None) -> Taxonomy:
    """The taxonomy in a YAML file, or the default one.

    Raises TaxonomyError for a missing file, bad YAML or an entry it cannot use, naming it.
    """
    path = Path(path) if path else DEFAULT
    return parse(text_of(path), str(path))


def text_of(path: str | Path) -> str:
    """A taxonomy's file as it is written. Raises TaxonomyError where it cannot be read."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaxonomyError(f"taxonomy {path}: {error}; expected a YAML file in UTF-8") from error


def parse(text: str, origin: str = "taxonomy") -> Taxonomy:
    """YAML text to a Taxonomy; `origin` is named in errors. Raises TaxonomyError."""
    try:
        data = yaml.load(text, _Loader)
    except YAML_ERRORS as error:
        raise TaxonomyError(f"{origin}: not YAML: {error}") from error
    if not isinstance(data, dict) or not set(data) <= {"attributes", "styles", "min_margin"}:
        found = sorted(map(str, data)) if isinstance(data, dict) else type(data).__name__
        raise TaxonomyError(
            f"{origin}: found {found}; expected `attributes` and `styles`, maybe `min_margin`"
        )
    default = _margins(data.get("min_margin", 0.0), origin)
    attributes = tuple(
        _attribute(name, body, default, f"{origin}: attribute {name!r}")
        for name, body in _mapping(data.get("attributes"), f"{origin}: attributes").items()
    )
    styles = tuple(
        Style(_name(name, origin), _texts(body, f"{origin}: style {name!r}", one=True)[0])
        for name, body in _mapping(data.get("styles"), f"{origin}: styles").items()
    )
    taxonomy = Taxonomy(attributes, styles)
    columns = taxonomy.columns
    if not columns:
        raise TaxonomyError(f"{origin}: no attribute and no style; expected at least one")
    taken = [*columns, *{*SPEECH_COLUMNS, *LABELS.names, AS_OF, PREFIX}]
    if twice := sorted({column for column in columns if taken.count(column) > 1}):
        raise TaxonomyError(f"{origin}: the columns {twice} are taken already; rename an entry")
    return taxonomy


Margins = tuple[float, tuple[tuple[str, float], ...]]


def _attribute(name: Any, body: Any, margins: Margins, where: str) -> Attribute:
    """One entry; `margins` are what counts where it gives none."""
    body = _mapping(body, where)
    if not {"labels"} <= set(body) <= {"labels", "templates", "min_margin"}:
        found = sorted(map(str, body))
        raise TaxonomyError(
            f"{where}: has {found}; expected `labels`, maybe `templates` and `min_margin`"
        )
    labels = body["labels"]
    pairs = (
        [(label, label) for label in labels]
        if isinstance(labels, list)
        else list(_mapping(labels, f"{where}, labels").items())
    )
    wordings: dict[str, list[str]] = {}
    for given, words in pairs:
        [label] = _texts(given, f"{where}, a label", one=True)
        if label in wordings:
            raise TaxonomyError(f"{where}: the label {label!r} is given twice; drop one")
        wordings[label] = _texts(words, f"{where}, {label!r}")
    if len(wordings) < 2:
        raise TaxonomyError(
            f"{where}: labels {list(wordings)}; expected at least two to choose from"
        )
    templates = _texts(body.get("templates", "{}"), f"{where}, templates")
    if wrong := [template for template in templates if "{}" not in template]:
        raise TaxonomyError(f"{where}: templates {wrong} have no {{}} for the label's wording")
    prompts = {
        label: tuple(t.replace("{}", word) for t in templates for word in words)
        for label, words in wordings.items()
    }
    if name in VIEW_COLUMNS:
        raise TaxonomyError(f"{where}: a name that queries have for something else; rename it")
    if str(name).startswith(STYLE_PREFIX):
        raise TaxonomyError(f"{where}: names that begin with {STYLE_PREFIX} are those of styles")
    if "min_margin" in body:
        margins = _margins(body["min_margin"], where)
    return Attribute(_name(name, where), prompts, *margins)


def _margins(value: Any, where: str) -> Margins:
    """One number for every model, or numbers by model name (`other`: of those not named)."""
    if not isinstance(value, dict):
        return _margin(value, where), ()
    if wrong := [name for name in value if not isinstance(name, str) or not name]:
        raise TaxonomyError(f"{where}: min_margin of models {wrong}; expected names, or `other`")
    least = {name: _margin(number, f"{where}: {name}") for name, number in value.items()}
    return least.pop("other", 0.0), tuple(sorted(least.items()))


def _margin(value: Any, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= MOST_MARGIN:  # NaN is not, either
        raise TaxonomyError(
            f"{where}: min_margin {value!r}; expected a number from 0 to {MOST_MARGIN:g}, the "
            "best label's cosine over the second's"
        )
    return float(value)


def _mapping(value: Any, where: str) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TaxonomyError(f"{where}: found {value!r}; expected names with their entries")
    return value


def _texts(value: Any, where: str, one: bool = False) -> list[str]:
    texts = value if isinstance(value, list) and not one else [value]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise TaxonomyError(f"{where}: found {value!r}; expected text" + (" or a list" * (not one)))
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise TaxonomyError(f"{where}: {value!r} cannot be written as UTF-8") from error
    return [text.strip() for text in texts]


def _name(value: Any, where: str) -> str:
    """Names become SQL columns: plain ones need no quoting anywhere."""
    if not isinstance(value, str) or not NAME.fullmatch(value) or value in _sql_words():
        raise TaxonomyError(
            f"{where}: name {value!r}; expected small letters, digits and _, a letter first, and "
            "not a reserved word of SQL"
        )
    return value


@lru_cache(maxsize=1)
def _sql_words() -> frozenset[str]:
    import duckdb

    query = """SELECT keyword_name FROM duckdb_keywords()
               WHERE keyword_category IN ('reserved', 'type_function')"""  # the latter: no columns
    with duckdb.connect(":memory:") as db:
        return frozenset(row[0] for row in db.execute(query).fetchall())
