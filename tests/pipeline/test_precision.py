"""What the speech encoder computes in is chosen, kept apart in every table, and never mixed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsp.checkpoint import PRECISIONS
from flows.options import Precision
from pipelines import ready
from pipelines.adhoc import embed
from pipelines.errors import QueryError, SettingsError
from pipelines.evaluation_run import EvaluationSettings
from pipelines.jobs import model_key, parts_of
from pipelines.lake import Lake
from pipelines.packing import unpack
from pipelines.planning import plan
from pipelines.query import run
from pipelines.retry import retries
from pipelines.search import lake_model, search
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from tests.faults.runs import harm
from tests.flows.commands import clsp_json

CLIPS = ("podcast/outro.flac", "voicemail/slow.opus", "calls/2026-03/call-0192.wav")


@pytest.fixture(scope="module")
def archive(sample_archive, tmp_path_factory) -> Path:
    """Three voices, and a file that is no audio."""
    root = tmp_path_factory.mktemp("archive")
    for uri in (*CLIPS, "damaged/minutes.wav"):
        shutil.copy(sample_archive / uri, root)
    return root


@pytest.fixture(scope="module")
def lakes(archive, tmp_path_factory) -> dict[str, Path]:
    """The archive tagged in each precision, each in a lake of its own. Do not write to them."""
    made = {name: tmp_path_factory.mktemp(name) / "lake" for name in PRECISIONS}
    for name, lake in made.items():
        tag(TagSettings(str(archive), str(lake), precision=name))
    return made


def rows(lake: Path, sql: str) -> list[dict]:
    return run(Lake(lake), sql).to_pylist()


def vectors(lake: Path) -> np.ndarray:
    """(n, 512), by name."""
    query = (
        "SELECT embedding FROM speech JOIN embeddings USING (segment_id, model_key) ORDER BY uri"
    )
    return unpack(run(Lake(lake), query)["embedding"], 512)


def test_the_command_offers_what_there_is():
    assert tuple(each.value for each in Precision) == PRECISIONS


@given(st.text(max_size=12), st.text("0123456789abcdef", max_size=40), st.sampled_from(PRECISIONS))
def test_a_model_key_tells_what_it_is_made_of(name, revision, precision):
    key = model_key(name, revision, precision)
    assert parts_of(key) == (name, revision[:16], precision)


def test_each_precision_has_its_own_key_and_about_the_same_embeddings(lakes):
    for name, lake in lakes.items():
        for table in ("recordings", "embeddings", "labels", "runs"):
            found = rows(lake, f"SELECT DISTINCT model_key FROM {table}")
            assert [parts_of(row["model_key"])[2] for row in found] == [name], table
        assert harm(lake) == []
    exact = vectors(lakes["float32"])
    for name in ("bfloat16", "int8"):
        cosines = (vectors(lakes[name]) * exact).sum(1)
        assert cosines.min() > 0.99  # seen: over 0.9999
        assert not np.array_equal(vectors(lakes[name]), exact)


def test_a_value_that_there_is_not_is_refused_everywhere(archive, lakes):
    lake = Lake(lakes["float32"])
    for refused in (
        lambda: TagSettings(str(archive), "lake", precision="half"),
        lambda: EvaluationSettings("zero-shot", precision="half"),
        lambda: embed([str(archive)], precision="half"),
        lambda: search(lake, lake_model(lake), "a voice", precision="half"),
    ):
        with pytest.raises(SettingsError, match="precision 'half': expected one of"):
            refused()
    with pytest.raises(SettingsError, match="Use bfloat16 on a GPU"):
        EvaluationSettings("zero-shot", precision="int8", device="cuda")


@pytest.mark.parametrize("name", PRECISIONS)
def test_text_finds_embeddings_of_any_precision(lakes, tiny, name):
    lake = Lake(lakes[name])
    model, text = lake_model(lake), "A male speaker."
    assert model.precision is None
    hits = search(lake, model, text, k=3)
    assert {row["model_key"].split("+")[1] for row in hits.to_pylist()} == {name}
    cosines = vectors(lakes[name]) @ tiny.embed_text([text])[0].detach().numpy()
    np.testing.assert_allclose(hits["similarity"].to_numpy(), np.sort(cosines)[::-1], atol=1e-6)


@pytest.mark.parametrize("copied", [False, True])
def test_of_several_precisions_search_looks_at_one(archive, lakes, tmp_path, copied):
    lake = tmp_path / "lake"
    shutil.copytree(lakes["float32"], lake)
    one = TagSettings(str(archive / "outro.flac"), str(lake), precision="int8")
    assert tag(one).tagged == 1  # an archive of its own
    assert ready.refresh(Lake(lake)) if copied else Lake(lake).ready() is None
    for among, uris in (((), 3), (("--precision", "float32"), 3), (("--precision", "int8"), 1)):
        hits = clsp_json("search", "a voice", "--lake", lake, *among)
        assert len(hits) == uris and len({hit["model_key"] for hit in hits}) == 1
    with pytest.raises(QueryError, match=r"embedded with tiny@.*nothing in bfloat16"):
        lake_model(Lake(lake), precision="bfloat16")
    assert harm(lake) == []
    for source in (archive, archive / "outro.flac"):  # nothing in another precision counts now
        tag(TagSettings(str(source), str(lake), precision="bfloat16"))
    assert not copied or ready.refresh(Lake(lake))
    hits = search(Lake(lake), lake_model(Lake(lake)), "a voice", k=9)
    assert {hit["model_key"].split("+")[1] for hit in hits.to_pylist()} == {"bfloat16"}
    with pytest.raises(QueryError, match="nothing in float32"):
        lake_model(Lake(lake), precision="float32")


def test_the_same_archive_again_is_redone_in_another_precision_alone(archive, lakes, tmp_path):
    given = {"source": str(archive), "lake": str(lakes["int8"])}
    assert plan(TagSettings(**given, precision="int8")).files == 0
    assert plan(TagSettings(**given)).files == 3  # float32, where nobody says


def test_what_failed_is_tried_again_in_the_precision_of_the_run(lakes):
    for name, lake in lakes.items():
        [again] = retries(Lake(lake), ["unsupported"])
        assert again.settings.precision == name
        planned = plan(again.settings, again.uris)
        again.check(planned)
        assert planned.files == 1


def test_a_few_files_are_answered_in_any_precision(archive, lakes):
    for name, lake in lakes.items():
        given = (archive / "outro.flac", "--attribute", "gender", "--precision", name)
        [segment] = clsp_json("classify", *given)["segments"]
        query = "SELECT gender_best, gender_margin FROM speech WHERE uri = 'outro.flac'"
        [stored] = rows(lake, query)
        assert segment["best"] == stored["gender_best"]
        assert segment["margin"] == pytest.approx(stored["gender_margin"], abs=2e-3)
    found = clsp_json(
        "similarity", archive / "outro.flac", "--text", "A voice.", "--precision", "int8"
    )
    assert -1 <= found["segments"][0]["similarity"] <= 1
