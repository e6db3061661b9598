"""What a Prefect server is told of a lake: its name there, and events that others can act upon.

An event has left when `emit` returns: it is posted, not queued, so that who emits may exit at once.
Knows nothing of who listens; see flows/deploy.py.
"""

import re
from hashlib import sha256
from typing import Any

from clsp.errors import TransientError
from flows import environment  # noqa: F401  (before prefect)
from pipelines.places import resolved

ARCHIVE_ADDED = "clsp.archive.added"  # payload: source
TARGET_CHANGED = "clsp.target.changed"  # what the lake's labels shall be made with is another now
WATCH_FIRED = "clsp.watch.fired"  # payload: watch, action (`reprocess` or `alert`), value


class ServerNotReached(TransientError):
    """A Prefect server is configured and does not answer, or refuses."""


def absolute(place: str) -> str:
    """A URL as it is; a path as seen from everywhere on this machine."""
    return place if "://" in place else str(resolved(place))


def lake_key(lake: str) -> str:
    """The lake's name on a Prefect server, of its folder's name and a hash of all of its path:
    `my-lake-3f2a91c0`. Who deploys, works and announces must see the lake at the same path."""
    place = absolute(lake).rstrip("/")
    name = re.sub(r"[^A-Za-z0-9]+", "-", place.rpartition("/")[2]).strip("-") or "lake"
    return f"{name}-{sha256(place.encode()).hexdigest()[:8]}"


def resource(lake: str) -> str:
    """The lake as a resource of events, and the name of its concurrency limit."""
    return f"clsp.lake.{lake_key(lake)}"


def has_server() -> bool:
    """Whether a Prefect server is configured: PREFECT_API_URL, or a profile of Prefect's."""
    from prefect.settings import PREFECT_API_URL

    return bool(PREFECT_API_URL.value())


def emit(event: str, lake: str, payload: dict[str, Any]) -> bool:
    """Tell the Prefect server of something that happened to a lake; it has it when this returns.

    False where no server is configured; none is started. Each text of the payload is a label too,
    `clsp.NAME`, for triggers to match. Raises ServerNotReached.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.events import Event

    if not has_server():
        return False
    labels = {f"clsp.{name}": text for name, text in payload.items() if isinstance(text, str)}
    told = Event(
        event=event,
        resource={
            "prefect.resource.id": resource(lake),
            "prefect.resource.name": absolute(lake),
            **labels,
        },
        payload={"lake": absolute(lake), **payload},
    )
    try:
        with get_client(sync_client=True) as client:
            client.request("POST", "/events", json=[told.model_dump(mode="json")])
    except httpx.HTTPError as error:
        raise not_reached(error, f"event {event} was not sent") from error
    return True


def is_deployed(lake: str) -> bool:
    """Whether the server has deployments of the lake. Raises ServerNotReached."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    try:
        with get_client(sync_client=True) as client:
            client.read_deployment_by_name(f"tag_archive/{lake_key(lake)}")
    except ObjectNotFound:
        return False
    except httpx.HTTPError as error:
        raise not_reached(error, "deployments were not read") from error
    return True


def not_reached(error: Exception, what: str) -> ServerNotReached:
    """The error to raise for one of Prefect's client; `what` did not come about."""
    from prefect.settings import PREFECT_API_URL

    reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
    return ServerNotReached(
        f"{what}: the Prefect server at {PREFECT_API_URL.value()} did not take it ({reason}). "
        "Check that it runs and that PREFECT_API_URL is its address, then try again"
    )
