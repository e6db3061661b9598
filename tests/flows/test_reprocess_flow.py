"""The Prefect flow `reprocess`, with no server but the one that Prefect starts for itself."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from flows.cli import app
from pipelines.errors import ArchiveNotFound
from pipelines.lake import Lake
from pipelines.query import run
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from tests.faults.runs import harm, tone
from tests.places import ROOT

TAXONOMY = ROOT / "tests" / "data" / "sample-taxonomy.yaml"


def test_a_target_is_declared_though_the_server_does_not_answer(sample_lake, tmp_path):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from pipelines.targets import declared

    lake = tmp_path / "lake"
    shutil.copytree(sample_lake, lake)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        told = CliRunner().invoke(app, ["target", "--lake", str(lake), "--segments", "whole"])
    assert told.exit_code == 0, told.output
    assert "clsp.target.changed was not sent" in told.stderr
    assert declared(Lake(lake)).segments == "whole"


@pytest.mark.filterwarnings("default")  # Prefect's own, in its server's process and ours
def test_the_flow_brings_a_lake_to_its_target_and_says_what_it_did(sample_lake, tmp_path):
    from flows.reprocess import reprocess
    from pipelines.targets import declare

    lake = tmp_path / "lake"
    assert reprocess(lake=str(lake)) == [] and not lake.exists()  # as on schedule
    shutil.copytree(sample_lake, lake)
    assert reprocess(lake=str(lake)) == []
    declare(Lake(lake), taxonomy=str(TAXONOMY))
    [report] = reprocess(lake=str(lake))
    assert (report["relabelled"], report["tagged"], report["failed"]) == (17, 0, 0)
    assert reprocess(lake=str(lake)) == []
    sure = run(Lake(lake), "SELECT count(urgency_p) AS p, count(*) AS n FROM speech").to_pylist()
    assert sure[0]["p"] == sure[0]["n"] > 0
    assert harm(lake) == []

    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        tables = [json.loads(a.data) for a in client.read_artifacts() if a.key == "reprocess"]
    assert sorted(len(table) for table in tables) == [0, 1]
    [[step]] = [table for table in tables if table]
    assert (step["what"], step["recordings"]) == ("relabel", 17)


@pytest.mark.filterwarnings("default")
def test_the_flow_does_the_rest_where_an_archive_is_not_there(tmp_path):
    lake = tmp_path / "lake"
    for name in ("a", "b"):
        tone(tmp_path / name / "x.wav", 300)
        tag(TagSettings(str(tmp_path / name), str(lake)))
    shutil.rmtree(tmp_path / "a")
    given = ["reprocess", "--lake", str(lake), "--segments", "whole", "--flow", "--json"]
    result = CliRunner().invoke(app, given)
    assert isinstance(result.exception, ArchiveNotFound)
    assert str(tmp_path / "a") in str(result.exception)
    [report] = json.loads(result.stdout)
    assert (report["archive"], report["tagged"]) == (str(tmp_path / "b"), 1)
