"""Taxonomies: the published prompts by default, a key by content, one error for all the rest."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.errors import TaxonomyError
from pipelines.schemas import LABELS, SPEECH_COLUMNS
from pipelines.taxonomy import NAME, Attribute, Style, Taxonomy, load, parse

EXAMPLE = """
attributes:
  mood:
    templates: ["A speaker in a {} tone.", "A {} voice."]
    labels: {up: [happy, excited], down: sad}
  size:
    labels: [small, large]
styles:
  calm: A calm voice.
  loud: A loud voice.
"""


def attribute(body: str, name: str = "mood") -> str:
    """A taxonomy of one attribute, in YAML."""
    return f"attributes: {{{name}: {body}}}"


def prompts(taxonomy: Taxonomy) -> dict[str, dict[str, tuple[str, ...]]]:
    return {attribute.name: attribute.prompts for attribute in taxonomy.attributes}


# ---- the default ----------------------------------------------------------------------------


def test_the_default_asks_with_the_published_prompts_to_the_letter() -> None:
    asked = prompts(load())
    assert asked["emotion"] == {
        "neutral": ("A speaker in a neutral tone.",),
        "happy": ("A speaker in a happy tone.",),
        "sad": ("A speaker in a sad tone.",),
        "angry": ("A speaker in a angry tone.",),  # sic
    }
    assert asked["gender"] == {"female": ("A female speaker.",), "male": ("A male speaker.",)}
    assert asked["age"] == {
        "child": ("A child or young teenager speaker.",),
        "adult": ("An adult speaker.",),
        "middle_aged": ("A middle-aged speaker.",),
        "elder": ("An older or elder speaker.",),
    }


def test_an_attribute_becomes_four_columns_and_a_style_one() -> None:
    columns = load().columns
    where = columns.index("gender")
    assert columns[where : where + 4] == ["gender", "gender_p", "gender_margin", "gender_best"]
    assert "style_soft_whisper" in columns
    assert parse(EXAMPLE).columns == [
        *("mood", "mood_p", "mood_margin", "mood_best"),
        *("size", "size_p", "size_margin", "size_best"),
        *("style_calm", "style_loud"),
    ]


def test_every_wording_goes_into_every_template() -> None:
    assert parse(EXAMPLE) == Taxonomy(
        attributes=(
            Attribute(
                "mood",
                {
                    "up": (
                        "A speaker in a happy tone.",
                        "A speaker in a excited tone.",
                        "A happy voice.",
                        "A excited voice.",
                    ),
                    "down": ("A speaker in a sad tone.", "A sad voice."),
                },
            ),
            Attribute("size", {"small": ("small",), "large": ("large",)}),
        ),
        styles=(Style("calm", "A calm voice."), Style("loud", "A loud voice.")),
    )


def test_a_file_is_read_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("styles: {tired: Ein müder Sprecher.}", encoding="utf-8")
    assert load(path).styles == (Style("tired", "Ein müder Sprecher."),)


def test_either_part_may_be_left_out() -> None:
    assert parse("styles: {calm: A calm voice.}").attributes == ()
    assert parse("attributes: {size: {labels: [small, large]}}\nstyles:").styles == ()


# ---- the least margin -----------------------------------------------------------------------


def margins(text: str) -> dict[str, float]:
    return {attribute.name: attribute.min_margin for attribute in parse(text).attributes}


def test_a_least_margin_is_an_attributes_own_or_the_default_or_none() -> None:
    own = EXAMPLE.replace("  size:", "  size:\n    min_margin: 0.05")
    assert margins(EXAMPLE) == {"mood": 0, "size": 0}
    assert margins(own) == {"mood": 0, "size": 0.05}
    assert margins(f"{own}\nmin_margin: 0.02") == {"mood": 0.02, "size": 0.05}
    assert margins(f"{own.replace('0.05', '0')}\nmin_margin: 2") == {"mood": 2, "size": 0}


def test_the_key_is_that_of_the_least_margins_that_count() -> None:
    def key(default: str, mood: str, size: str) -> str:
        body = "labels: [a, b]"
        return parse(
            f"{default}\nattributes: {{mood: {{{body}{mood}}}, size: {{{body}{size}}}}}"
        ).key

    none = key("", "", "")
    assert key("min_margin: 0", "", ", min_margin: 0.0") == none
    both = key("", ", min_margin: 0.5", ", min_margin: 0.5")
    assert key("min_margin: 0.5", "", "") == key("min_margin: 0.50", ", min_margin: 5.0e-1", "")
    assert key("min_margin: 0.5", "", "") == both
    others = [
        key("", ", min_margin: 0.5", ""),
        key("", "", ", min_margin: 0.5"),
        key("", ", min_margin: 0.6", ", min_margin: 0.5"),
        key("min_margin: 0.6", "", ""),
    ]
    assert len({none, both, *others}) == 6


def test_least_margins_may_differ_by_model() -> None:
    (mood,) = parse(
        attribute("{labels: [a, b], min_margin: {tiny: 0.1, yfyeung/CLSP: 0.02, other: 0.5}}")
    ).attributes
    assert [mood.least_margin(name) for name in ("tiny", "yfyeung/CLSP", "mine")] == [
        0.1,
        0.02,
        0.5,
    ]
    (mood,) = parse(attribute("{labels: [a, b], min_margin: {tiny: 0.1}}")).attributes
    assert [mood.least_margin(name) for name in ("tiny", "mine")] == [0.1, 0.0]
    keys = {
        parse(attribute(f"{{labels: [a, b], min_margin: {value}}}")).key
        for value in ("0", "0.1", "{tiny: 0.1}", "{tiny: 0.2}", "{other: 0.2}", "{big: 0.1}")
    }
    assert len(keys) == 6


def test_without_least_margins_the_key_is_that_of_lakes_from_before_there_were_any() -> None:
    assert parse(EXAMPLE).key == "9e83addf8323ffd4"  # so that they are not labelled anew


@given(st.floats(0, 2) | st.integers(0, 2))
def test_every_margin_between_cosines_may_be_the_least(margin: float) -> None:
    data = {"attributes": {"mood": {"labels": ["a", "b"], "min_margin": margin}}}
    taxonomy = parse(yaml.safe_dump(data))
    assert taxonomy.attributes[0].min_margin == margin
    assert (taxonomy.key == parse(attribute(TWO)).key) == (margin == 0)


@pytest.mark.parametrize(
    "value",
    ["-0.01", "2.01", ".nan", ".inf", "true", "'0.1'", "5e-2", "", "[0.1]", "{1: 0.1}", "{a: 3}"],
)
def test_a_least_margin_that_is_none_is_refused(value: str) -> None:
    expected = "expected (a number from 0 to 2|names, or)"
    with pytest.raises(TaxonomyError, match=f"^mine.yaml: attribute 'mood': .*min_.*{expected}"):
        parse(attribute(f"{{labels: [a, b], min_margin: {value}}}"), "mine.yaml")
    with pytest.raises(TaxonomyError, match=f"^mine.yaml: .*min_margin .*{expected}"):
        parse(f"{attribute(TWO)}\nmin_margin: {value}", "mine.yaml")


# ---- the key --------------------------------------------------------------------------------

REWRITTEN = {
    "comments and blank lines": EXAMPLE.replace("\n", "  # why\n\n"),
    "block and flow style": yaml.safe_dump(yaml.safe_load(EXAMPLE), sort_keys=False),
    "quotes": yaml.safe_dump(yaml.safe_load(EXAMPLE), sort_keys=False, default_style='"'),
    "labels spelled out": EXAMPLE.replace("[small, large]", "{small: [small], large: large}"),
    "styles first": EXAMPLE[EXAMPLE.index("styles") :] + EXAMPLE[: EXAMPLE.index("styles")],
}
CHANGED = {
    "a label": ("small", "tiny"),
    "a label's name only": ("down: sad", "low: sad"),
    "a wording": ("excited", "elated"),
    "one wording less": ("[happy, excited]", "happy"),
    "a template": ("A {} voice.", "The {} voice."),
    "one template less": (', "A {} voice."', ""),
    "an attribute's name": ("size", "width"),
    "the order of labels": ("[small, large]", "[large, small]"),
    "the order of wordings": ("[happy, excited]", "[excited, happy]"),
    "a letter's case": ("A calm voice", "a calm voice"),
    "a style's name": ("calm:", "still:"),
    "a style's description": ("A loud voice.", "A loud voice!"),
    "a least margin of all": ("\nattributes:", "\nmin_margin: 0.1\nattributes:"),
    "a least margin of one": ("  size:", "  size:\n    min_margin: 0.1"),
    "the order of styles": (
        "  calm: A calm voice.\n  loud: A loud voice.",
        "  loud: A loud voice.\n  calm: A calm voice.",
    ),
}


@pytest.mark.parametrize("text", REWRITTEN.values(), ids=REWRITTEN.keys())
def test_the_key_stays_however_the_file_is_written(text: str) -> None:
    assert text != EXAMPLE
    assert parse(text).key == parse(EXAMPLE).key


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED.keys())
def test_the_key_changes_with_whatever_is_asked(change: tuple[str, str]) -> None:
    changed = EXAMPLE.replace(*change)
    assert changed != EXAMPLE
    assert parse(changed).key != parse(EXAMPLE).key


def test_the_order_of_attributes_counts() -> None:
    taxonomy = parse(EXAMPLE)
    assert Taxonomy(taxonomy.attributes[::-1], taxonomy.styles).key != taxonomy.key


# ---- what cannot be used --------------------------------------------------------------------

TWO = "{labels: [a, b]}"
REFUSED = {
    "empty": ("", "attributes.*styles"),
    "a list": ("[emotion, gender]", "list"),
    "no entries": ("attributes:\nstyles:", "no attribute and no style"),
    "a third part": (f"{attribute(TWO)}\nlabels: []", "labels"),
    "not YAML": ("attributes: {mood: [", "not YAML"),
    "two documents": (f"{attribute(TWO)}\n---\n{attribute(TWO)}", "not YAML"),
    "a date that is none": ("attributes: 2001-99-99", "not YAML"),
    "a number that is none": ("attributes: 0b_", "not YAML"),
    "an endless number": ("attributes: " + "1" * 5_000, "not YAML"),
    "a false tag": ("attributes: !!bool perhaps", "not YAML"),
    "endless nesting": ("[" * 5_000, "not YAML"),
    "half a character": (attribute('{labels: {a: "\\uD800", b: c}}'), "mood"),
    "attributes as a list": ("attributes: [mood]", "attributes"),
    "styles as text": ("styles: calm", "styles"),
    "no labels": (attribute("{}"), "mood"),
    "an unknown entry": (attribute("{labels: [a, b], prompts: [c]}"), "prompts"),
    "entries of several types": (attribute("{labels: [a, b], 1: c}"), "mood"),
    "labels as text": (attribute("{labels: a}"), "mood"),
    "one label": (attribute("{labels: [a]}"), "mood.*at least two"),
    "a label given twice": (attribute("{labels: [a, b, a]}"), "mood"),
    "labels alike but for spaces": (attribute("{labels: {a: x, ' a': y, b: z}}"), "mood"),
    "labels in labels": (attribute("{labels: [[a], [b]]}"), "mood"),
    "yes and no": (attribute("{labels: [yes, no]}"), "mood.*True"),
    "numbers as labels": (attribute("{labels: [1, 2]}"), "mood.*1"),
    "an empty wording": (attribute("{labels: {a: ' ', b: c}}"), "mood.*'a'"),
    "no wording": (attribute("{labels: {a: [], b: c}}"), "mood.*'a'"),
    "a template without a place": (
        attribute("{labels: [a, b], templates: [A voice.]}"),
        "mood.*A voice",
    ),
    "no template": (attribute("{labels: [a, b], templates: []}"), "mood.*templates"),
    "a name with a space": (attribute(TWO, "'my mood'"), "my mood"),
    "a name in capitals": (attribute(TWO, "Mood"), "Mood"),
    "a name that starts with a digit": (attribute(TWO, "2nd"), "2nd"),
    "a name that is a number": (attribute(TWO, "7"), "7"),
    "a name that is too long": (attribute(TWO, "m" * 64), "mmm"),
    "a style's bad name": ("styles: {Calm!: A calm voice.}", "Calm!"),
    "a style of several texts": ("styles: {calm: [A calm voice., Calm.]}", "calm"),
    "a style without a text": ("styles: {calm: }", "calm"),
    "an attribute named as another's column": (
        f"attributes: {{mood: {TWO}, mood_p: {TWO}}}",
        "mood_p",
    ),
    "an attribute named as a style's column": (
        f"attributes: {{style_calm: {TWO}}}\nstyles: {{calm: A calm voice.}}",
        "style_calm",
    ),
    "an attribute given twice": (f"attributes: {{mood: {TWO}, mood: {TWO}}}", "mood"),
    "an attribute that passes for a style": (attribute(TWO, "style_mood"), "style_mood"),
    "an attribute called style": (attribute(TWO, "style"), "queries have for something else"),
    "an attribute called attribute": (attribute(TWO, "attribute"), "for something else"),
    "an attribute called similarity": (attribute(TWO, "similarity"), "for something else"),
    "an attribute named as another's best label": (
        f"attributes: {{mood: {TWO}, mood_best: {TWO}}}",
        "mood_best",
    ),
    "a word of SQL's own": (attribute(TWO, "order"), "order"),
    "a word that SQL takes for no column": (attribute(TWO, "natural"), "natural"),
}


@pytest.mark.parametrize(("text", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_used_is_refused_and_the_place_named(text: str, named: str) -> None:
    with pytest.raises(TaxonomyError, match=f"(?s)^mine.yaml.*{named}"):
        parse(text, "mine.yaml")


@pytest.mark.parametrize("column", sorted({*SPEECH_COLUMNS, *LABELS.names}))
def test_the_columns_of_every_lake_are_taken(column: str) -> None:
    with pytest.raises(TaxonomyError, match=column):
        parse(attribute(TWO, column))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyError, match=r"nowhere\.yaml"):
        load(tmp_path / "nowhere.yaml")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clip.yaml"
    path.write_bytes(b"RIFF\xff\xfe\x00")
    with pytest.raises(TaxonomyError, match=r"clip\.yaml"):
        load(path)


def parses_or_is_refused(text: str) -> None:
    try:
        taxonomy = parse(text)
    except TaxonomyError:
        return
    assert len(taxonomy.key) == 16
    assert all(NAME.match(column) for column in taxonomy.columns)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
some = st.sampled_from
nearly = st.fixed_dictionaries(
    {},
    optional={
        "attributes": anything
        | st.dictionaries(
            some(["mood", "uri", "mood_p", "A", 1]),
            anything
            | st.fixed_dictionaries(
                {"labels": anything | st.lists(some(["a", "b", " a", True, "", [1]]), max_size=3)},
                optional={
                    "templates": anything | some(["{}", ["{} voice"], "voice"]),
                    "min_margin": scalars,
                    "x": scalars,
                },
            ),
            max_size=3,
        ),
        "styles": anything | st.dictionaries(some(["calm", "loud", "C", None]), anything),
        "min_margin": anything,
    },
)


@given(st.text())
@example("attributes: !!timestamp now")
@example("attributes: 0x_")
@example("attributes: {mood: {labels: &all [*all, *all]}}")
def test_no_text_raises_anything_but_a_taxonomy_error(text: str) -> None:
    parses_or_is_refused(text)


@given(anything | nearly)
def test_no_yaml_raises_anything_but_a_taxonomy_error(data: Any) -> None:
    parses_or_is_refused(yaml.safe_dump(data, sort_keys=False))


words = st.text(min_size=1, max_size=12).map(str.strip).filter(bool)
wordings = words | st.lists(words, min_size=1, max_size=3)
labels = st.dictionaries(words, wordings, min_size=2, max_size=4)
# The x at the end keeps them from being another's _p or _margin.
names = st.from_regex(r"\A(mood|pace|tone)[a-z0-9_]{0,6}x\Z")


def listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


@given(
    st.dictionaries(names, labels, max_size=3),
    st.lists(words.map(lambda word: f"{word} {{}}"), max_size=2),
    st.dictionaries(names, words, min_size=1, max_size=3),
)
def test_what_is_written_is_what_is_asked(
    attributes: dict[str, dict[str, Any]], templates: list[str], styles: dict[str, str]
) -> None:
    optional = {"templates": templates} if templates else {}
    data = {
        "attributes": {name: {"labels": body, **optional} for name, body in attributes.items()},
        "styles": styles,
    }
    taxonomy = parse(yaml.safe_dump(data, sort_keys=False))
    assert prompts(taxonomy) == {
        name: {
            label: tuple(
                template.replace("{}", word)
                for template in templates or ["{}"]
                for word in listed(words)
            )
            for label, words in body.items()
        }
        for name, body in attributes.items()
    }
    assert [list(body) for body in prompts(taxonomy).values()] == [
        list(body) for body in attributes.values()
    ]
    assert {style.name: style.description for style in taxonomy.styles} == styles
