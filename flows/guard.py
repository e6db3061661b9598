"""One run at a time on a lake, for runs that a Prefect server starts from a deployment.

The server itself keeps them apart: all deployments of a lake share one concurrency limit of one
slot (flows/deploy.py makes it), which a run must have before a worker starts it. Here a run that
has the slot makes sure of that, and clears away what died with the slot in its hands. Where there
is no deployment nothing is done: the lake's own lock keeps the tables right, with or without us.

A worker that is killed cannot say so: its run stays `Running`, and its slot taken until the lease
on it ends, 300 s after it was last renewed. Only who has the slot is Running or Pending (others
wait as Scheduled), so whoever gets it next knows that all other such runs of the lake are dead.
"""

from typing import TYPE_CHECKING, Any

from flows.events import lake_key, resource
from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

DEAD = "its process ended without a word (killed, or its machine went down); found by run {}"
AGAIN = "again"  # tag of a run that does the work of a dead one; once, lest it kill all workers


def take_over(lake: str) -> None:
    """To be called first by a flow. Raises SettingsError for a run from a deployment that does not
    share the lake's limit, which could run at the same time as others."""
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment(run.deployment_id)
        limit = deployment.global_concurrency_limit
        if limit is None or limit.name != resource(lake) or limit.limit != 1 or not limit.active:
            has = "none" if limit is None else f"{limit.name!r} of {limit.limit} slots"
            raise SettingsError(
                f"lake {lake!r}: deployment {deployment.name!r} must share the concurrency limit "
                f"{resource(lake)!r} of 1 slot with the lake's other deployments, and has {has}. "
                f"Run `clsp deploy --lake {lake}` where the lake has this same path"
            )
        dead = [other for other in _alive(client, lake) if other.id != run.id]
        if not dead:
            return
        # Prefect 3.8.8 frees a slot for each, though its lease is gone and the slot is ours by
        # now: so many are added first, and the count put right after.
        _occupy(client, limit.name, 1 + len(dead))
        for other in dead:
            _bury(client, other, run.name)
        _occupy(client, limit.name, 1)


def _alive(client: Any, lake: str) -> "list[FlowRun]":
    """Runs of this lake that are at work, as far as the server knows."""
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    types = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    found: list[FlowRun] = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types))
        ),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[lake_key(lake)])),
    )
    return found


def _bury(client: Any, dead: "FlowRun", finder: str) -> None:
    """Say that it is dead, and ask for its work again."""
    from prefect.states import Crashed

    if AGAIN not in dead.tags and not dead.state.is_cancelling():
        client.create_flow_run_from_deployment(
            dead.deployment_id,
            parameters=dead.parameters,
            tags=[*dead.tags, AGAIN],
            idempotency_key=f"{AGAIN} {dead.id}",
        )
    client.set_flow_run_state(dead.id, Crashed(message=DEAD.format(finder)), force=True)


def _occupy(client: Any, limit: str, slots: int) -> None:
    from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

    client.update_global_concurrency_limit(limit, GlobalConcurrencyLimitUpdate(active_slots=slots))
