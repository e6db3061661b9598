"""The Prefect flow, with no server but the one that Prefect starts for itself."""

import json
import logging

import pytest

from pipelines.lake import Lake
from pipelines.query import run


@pytest.mark.filterwarnings("default")  # Prefect's own, in its server's process and ours
def test_the_flow_tags_reports_and_leaves_an_artifact(sample_archive, sample_lake, tmp_path):
    from flows.tag import tag_archive

    lake = tmp_path / "lake"
    state = tag_archive(str(sample_archive), str(lake), chunk_files=8, return_state=True)
    report = state.result()
    assert (report["tagged"], report["failed"], report["unchanged"]) == (17, 3, 0)
    columns = "uri, gender, gender_p, emotion, style_soft_whisper"
    query = f"SELECT {columns} FROM speech ORDER BY uri"
    assert run(Lake(lake), query) == run(Lake(sample_lake), query)
    assert run(Lake(lake), "SELECT * FROM runs WHERE kind = 'chunk'").num_rows == 3

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter

    with get_client(sync_client=True) as client:
        run_id = {"any_": [state.state_details.flow_run_id]}
        made = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=run_id))
    data = {artifact.key: artifact.data for artifact in made}
    text, far = data["summary"], data["progress"]
    assert "| tagged | 17 |" in text and "gender" in text and far == 100.0
    table = {row["what"]: row["value"] for row in json.loads(data["tag-archive"])}
    assert table["tagged"] == 17
    assert table["failed: too_short"] == table["tagged in part: truncated"] == 1

    again = tag_archive(source=str(sample_archive), lake=str(lake))
    assert (again["tagged"], again["unchanged"], again["failing"]) == (0, 20, 3)


def test_a_flow_refuses_parameters_that_make_no_sense(tmp_path):
    from prefect.exceptions import ParameterTypeError

    from flows.tag import tag_archive

    with pytest.raises(ParameterTypeError, match="chunk_files"):
        tag_archive(source=".", lake=str(tmp_path), chunk_files="many")


@pytest.mark.filterwarnings("default")
def test_an_error_of_ours_is_logged_without_a_traceback(tmp_path):
    from prefect import flow

    from flows.tag import tag_archive

    class Kept(logging.Handler):
        def __init__(self):
            super().__init__()
            self.lines = []

        def emit(self, record):
            self.lines.append(self.format(record))

    @flow
    def broken():
        raise KeyError("a mistake of a programmer's")

    kept, loggers = Kept(), [logging.getLogger(f"prefect.{of}_runs") for of in ("task", "flow")]
    for logger in loggers:
        logger.addHandler(kept)
    try:
        assert tag_archive(str(tmp_path / "none"), str(tmp_path), return_state=True).is_failed()
        ours = "\n".join(kept.lines)
        assert "no archive at" in ours and "Traceback" not in ours
        assert broken(return_state=True).is_failed()
        assert "Traceback" in kept.lines[-1] or "Traceback" in kept.lines[-2]
    finally:
        for logger in loggers:
            logger.removeHandler(kept)
