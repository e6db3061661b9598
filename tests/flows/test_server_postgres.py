"""The main thing again on a Prefect server that keeps its state in Postgres."""

from collections.abc import Iterator

import pytest

from tests.flows.server import postgres, prefect_server
from tests.flows.test_server import (  # noqa: F401
    Server,
    archive,
    pytestmark,
    test_an_announced_archive_is_tagged_into_its_own_lake,
    worker,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    home = tmp_path_factory.mktemp("prefect") / "server"
    with (
        postgres() as database,
        prefect_server(home, database) as url,
        temporary_settings({PREFECT_API_URL: url}),
    ):
        yield Server(url, home)
