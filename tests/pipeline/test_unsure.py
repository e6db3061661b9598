"""Below the taxonomy's least margin a label is NULL: that and nothing else changes."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import tagging
from pipelines.label import Labeller, is_sure
from pipelines.lake import Lake
from pipelines.query import run
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from pipelines.taxonomy import Taxonomy, parse
from pipelines.views import _label_columns

PLAIN = """
attributes:
  mood: {labels: {calm: A calm voice., tense: A tense voice., merry: A merry voice.}}
  gender: {labels: {female: A female speaker., male: A male speaker.}}
styles: {newsreader: A newsreader.}
"""
ATTRIBUTES = ("mood", "gender")
ASKED = """SELECT uri, start_s, mood, mood_p, mood_margin, mood_best,
                  gender, gender_p, gender_margin, gender_best, style_newsreader
           FROM speech ORDER BY uri, start_s"""


def asking(mood: float = 0, gender: float = 0) -> str:
    """The taxonomy with these least margins, in YAML."""
    data = yaml.safe_load(PLAIN)
    data["attributes"]["mood"]["min_margin"] = mood
    data["attributes"]["gender"]["min_margin"] = gender
    return yaml.safe_dump(data, sort_keys=False)


def rows(lake: Path, sql: str) -> list[dict]:
    return run(Lake(lake), sql).to_pylist()


# ---- labels from embeddings -------------------------------------------------------------------


@pytest.fixture(scope="module")
def embeddings(tiny) -> np.ndarray:
    """(n, dim): vectors of no speech at all, whose margins are large and small."""
    vectors = np.random.default_rng(3).normal(size=(40, tiny.config.joint_dim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def label(tiny, embeddings):
    """Columns of those embeddings under a taxonomy; its prompts are embedded once for all."""
    labeller = Labeller(tiny, parse(PLAIN))

    def labelled(taxonomy: Taxonomy) -> dict[str, list]:
        labeller.taxonomy = taxonomy
        return {name: column.to_pylist() for name, column in labeller.columns(embeddings).items()}

    return labelled


@pytest.fixture(scope="module")
def plain(label) -> dict[str, list]:
    return label(parse(PLAIN))


def least(plain: dict[str, list]) -> st.SearchStrategy[float]:
    """Any threshold, and often one that a margin just reaches."""
    met = [margin for name in ATTRIBUTES for margin in plain[f"{name}_margin"]]
    return st.floats(0, 2) | st.floats(0, max(met)) | st.sampled_from(met)


def test_without_least_margins_every_segment_has_its_best_label(plain):
    for name in ATTRIBUTES:
        assert None not in plain[name]
        assert plain[name] == plain[f"{name}_best"]


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_label_is_null_exactly_where_its_margin_is_under_the_least(label, plain, data):
    given_ = {name: data.draw(least(plain), name) for name in ATTRIBUTES}
    columns = label(parse(asking(**given_)))
    for name, threshold in given_.items():
        for said, best, margin in zip(
            columns[name], columns[f"{name}_best"], columns[f"{name}_margin"], strict=True
        ):
            assert (said is None) == (margin < np.float32(threshold))
            assert said in (None, best)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_no_least_margin_changes_anything_but_labels(label, plain, data):
    columns = label(parse(asking(data.draw(least(plain)), data.draw(least(plain)))))
    assert columns.keys() == plain.keys()
    for name in columns.keys() - set(ATTRIBUTES):
        assert columns[name] == plain[name], name


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_larger_least_margin_only_takes_labels_away(label, plain, data):
    low, high = sorted([data.draw(least(plain)), data.draw(least(plain))])
    lenient, strict = label(parse(asking(mood=low))), label(parse(asking(mood=high)))
    for before, after in zip(lenient["mood"], strict["mood"], strict=True):
        assert after in (None, before)
    assert strict["gender"] == plain["gender"]  # and another attribute's is its own affair


@given(
    st.lists(st.floats(0, 2, width=32), min_size=1), st.integers(0, 2000).map(lambda n: n / 1000)
)
def test_sql_on_the_stored_margin_comes_to_the_same_answer(margins, threshold):
    import duckdb

    table = pa.table({"margin": pa.array([*margins, threshold], pa.float32())})
    with duckdb.connect(":memory:") as db:
        db.register("margins", table)
        asked = db.execute(f"SELECT margin >= {threshold} FROM margins").fetchall()
    assert [row[0] for row in asked] == is_sure(table["margin"].to_numpy(), threshold).tolist()


# ---- in a lake --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(sample_archive, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("unsure") / "archive"
    for uri in (
        "calls/2026-03/call-0192.wav",
        "podcast/outro.flac",
        "voicemail/quiet.wav",
        "damaged/minutes.wav",
    ):
        (root / uri).parent.mkdir(parents=True)
        shutil.copy(sample_archive / uri, root / uri)
    return root


@pytest.fixture(scope="module")
def tagged(archive, tmp_path_factory) -> Path:
    """The archive tagged without least margins. Read it; copy it to write to it."""
    root = tmp_path_factory.mktemp("tagged")
    (root / "plain.yaml").write_text(PLAIN)
    tag(TagSettings(str(archive), str(root / "lake"), taxonomy=str(root / "plain.yaml")))
    return root / "lake"


def middle(lake: Path, name: str) -> float:
    """A least margin that some of the lake's segments reach, and others do not."""
    margins = sorted(row["m"] for row in rows(lake, f"SELECT {name}_margin AS m FROM speech"))
    return (margins[0] + margins[1]) / 2


def tag_again(archive: Path, lake: Path, text: str, monkeypatch) -> tagging.RunReport:
    """Tag with another taxonomy; fail if that reads audio."""

    def no_worker(*args, **kwargs):
        raise AssertionError("a worker was started")

    taxonomy = lake.parent / f"{parse(text).key}.yaml"
    taxonomy.write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr(tagging, "executor", no_worker)
        return tag(TagSettings(str(archive), str(lake), taxonomy=str(taxonomy)))


def test_another_least_margin_relabels_without_audio_to_what_fresh_tagging_gives(
    archive, tagged, tmp_path, monkeypatch
):
    lake = tmp_path / "lake"
    shutil.copytree(tagged, lake)
    before = rows(lake, ASKED)
    text = asking(mood=middle(lake, "mood"))

    done = tag_again(archive, lake, text, monkeypatch)
    assert (done.relabelled, done.tagged, done.unchanged) == (3, 0, 1)
    (tmp_path / "taxonomy.yaml").write_text(text)
    tag(
        TagSettings(str(archive), str(tmp_path / "fresh"), taxonomy=str(tmp_path / "taxonomy.yaml"))
    )
    after = rows(lake, ASKED)
    assert after == rows(tmp_path / "fresh", ASKED)
    assert [row["mood"] is None for row in after].count(True) == 1
    assert [{**row, "mood": row["mood_best"]} for row in after] == before

    # And back: labels under the old key are there already.
    again = tag_again(archive, lake, PLAIN, monkeypatch)
    assert again.relabelled == 3
    assert rows(lake, ASKED) == before
    assert rows(lake, "SELECT count(*) AS n FROM labels") == [{"n": 6}]


def test_the_long_view_names_the_unsure_and_their_best_label(
    archive, tagged, tmp_path, monkeypatch
):
    lake = tmp_path / "lake"
    shutil.copytree(tagged, lake)
    assert rows(lake, "SELECT DISTINCT unsure FROM labels_long") == [{"unsure": False}]
    tag_again(archive, lake, asking(mood=middle(lake, "mood"), gender=2), monkeypatch)

    long = rows(lake, "FROM labels_long")
    assert len(long) == 2 * len(rows(lake, "FROM speech"))  # the unsure are counted, too
    wide = {row["uri"]: row for row in rows(lake, ASKED)}
    for row in long:
        name, said = row["attribute"], wide[row["uri"]]
        assert (row["label"], row["best"]) == (said[name], said[f"{name}_best"])
        assert (row["p"], row["margin"]) == (said[f"{name}_p"], said[f"{name}_margin"])
        assert row["unsure"] == (row["label"] is None)
        assert row["best"] is not None
    shares = rows(
        lake,
        """SELECT attribute, coalesce(label, 'unsure') AS said, count(*) AS n
           FROM labels_long GROUP BY ALL""",
    )
    assert {(row["attribute"], row["n"]) for row in shares if row["said"] == "unsure"} == {
        ("mood", 1),
        ("gender", 3),
    }


def test_any_least_margin_may_be_asked_for_in_a_query(archive, tagged, tmp_path, monkeypatch):
    lake = tmp_path / "lake"
    shutil.copytree(tagged, lake)
    threshold = middle(lake, "mood")
    query = f"""SELECT uri, CASE WHEN mood_margin >= {threshold} THEN mood_best END AS mood
                FROM speech ORDER BY uri"""
    wanted = rows(lake, query)
    tag_again(archive, lake, asking(mood=threshold), monkeypatch)
    assert rows(lake, "SELECT uri, mood FROM speech ORDER BY uri") == wanted
    tag_again(archive, lake, asking(mood=2), monkeypatch)
    assert rows(lake, query) == wanted  # what the taxonomy took away is still there to ask


def test_a_lake_from_before_is_read_as_if_it_had_been_made_today(
    archive, tagged, tmp_path, monkeypatch
):
    """Its labels lack NAME_best; a new least margin adds rows that have it."""
    lake = tmp_path / "lake"
    given_ = TagSettings(str(archive), str(lake), taxonomy=str(tagged.parent / "plain.yaml"))
    planned = tagging.plan(given_)
    reports = []
    for result in tagging.results(planned):
        labels = result.tables["labels"]
        result.tables["labels"] = labels.drop_columns([f"{name}_best" for name in ATTRIBUTES])
        reports.append(tagging.commit(Lake(lake, create=True), planned, result))
    tagging.finish(Lake(lake), planned, reports)

    assert rows(lake, ASKED) == rows(tagged, ASKED)
    columns = "SELECT column_name FROM (DESCRIBE speech)"
    assert rows(lake, columns) == rows(tagged, columns)
    for sql in (
        "SELECT * EXCLUDE (chunk_id) FROM labels ORDER BY segment_id",
        "SELECT * EXCLUDE (processed_at) FROM speech ORDER BY uri",
        "FROM labels_long ORDER BY uri, attribute",
    ):
        assert rows(lake, sql) == rows(tagged, sql), sql

    assert tag_again(archive, lake, PLAIN, monkeypatch).unchanged == 4  # nothing to do
    tag_again(archive, lake, asking(mood=middle(lake, "mood")), monkeypatch)
    now = rows(lake, ASKED)
    assert [row["mood"] is None for row in now].count(True) == 1
    assert [{**row, "mood": row["mood_best"]} for row in now] == rows(tagged, ASKED)
    assert not rows(lake, "FROM labels WHERE mood_best IS NULL OR gender_best IS NULL")
    assert rows(lake, columns) == rows(tagged, columns)


def test_an_attribute_that_has_anothers_best_name_keeps_its_own_labels():
    """Such taxonomies are refused now; a lake from before may hold one."""
    stored = [f"{name}{suffix}" for name in ("a", "a_best") for suffix in ("", "_p", "_margin")]
    assert list(_label_columns(["segment_id", *stored]).values()) == [
        *("segment_id", *stored),
        "a_best AS a_best_best",
    ]
