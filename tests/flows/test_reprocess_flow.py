"""The Prefect flow `reprocess`, with no server but the one that Prefect starts for itself."""

import json
import shutil

import pytest

from pipelines.lake import Lake
from pipelines.query import run
from tests.conftest import ROOT
from tests.faults.runs import harm

TAXONOMY = ROOT / "tests" / "data" / "sample-taxonomy.yaml"


@pytest.mark.filterwarnings("default")  # Prefect's own, in its server's process and ours
def test_the_flow_brings_a_lake_to_its_target_and_says_what_it_did(sample_lake, tmp_path):
    from flows.reprocess import reprocess
    from pipelines.targets import declare

    lake = tmp_path / "lake"
    shutil.copytree(sample_lake, lake)
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
