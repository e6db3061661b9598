"""Ctrl-C while a flow runs: without a server elsewhere there is nobody to be told of it."""

import signal
from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.interrupt import ends_at_once

RETRIES = PREFECT_CLIENT_MAX_RETRIES


@pytest.fixture(autouse=True)
def own_handler() -> Iterator[None]:
    """As where `clsp` was started from a terminal; Prefect's settings as they were, afterwards."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with temporary_settings({RETRIES: 5}, restore_defaults={PREFECT_API_URL}):
            yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_server_that_went_with_it_is_not_waited_for():
    with pytest.raises(KeyboardInterrupt), ends_at_once():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:  # as Prefect does, to tell its server
            assert RETRIES.value() == 0
            raise ConnectionError("the server is gone") from None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_server_elsewhere_is_told_as_ever():
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        with pytest.raises(KeyboardInterrupt), ends_at_once():
            signal.raise_signal(signal.SIGINT)
        assert RETRIES.value() == 5


def test_other_errors_are_themselves_and_other_handlers_stay():
    with pytest.raises(ConnectionError), ends_at_once():
        raise ConnectionError
    assert RETRIES.value() == 5
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with ends_at_once():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
