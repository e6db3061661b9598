"""What a Prefect server is to run on a lake, when: deployments, schedules, triggers, the limit.

`plan` says it, as data that is a prefect.yaml too; `register` makes it so. All deployments of a
lake share one concurrency limit of one slot, which the server gives out before a worker starts a
run: runs that wait cost nothing. Prefect's files cannot say that (its API can), so `prefect deploy`
keeps a limit that `register` has set, and cannot set one. Knows nothing of terminals, nor how
flows work.
"""

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import environment  # noqa: F401  (before prefect)
from flows.events import (
    ARCHIVE_ADDED,
    TARGET_CHANGED,
    WATCH_FIRED,
    absolute,
    has_server,
    lake_key,
    not_reached,
    resource,
)
from pipelines.errors import SettingsError
from pipelines.settings import check_given

if TYPE_CHECKING:
    from uuid import UUID

# By module path: the image, and any environment that runs `clsp`, has the package installed.
ENTRYPOINTS = {
    "tag_archive": "flows.tag.tag_archive",
    "reprocess": "flows.reprocess.reprocess",
    "maintain": "flows.maintain.maintain",
    "evaluate_model": "flows.evaluate.evaluate_model",
}
TAG = "clsp"
PLACES = ("model", "taxonomy", "data")  # parameters that may name what lies on a disk
LEASES = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
LEASES_ON_DISK = "prefect.server.concurrency.lease_storage.filesystem"
LEASES_IN_MEMORY = "prefect.server.concurrency.lease_storage.memory"


def plan(
    lake: str,
    source: str | None,
    crons: Mapping[str, str | None],
    timezone: str = "UTC",
    work_pool: str = "clsp",
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Everything that `register` would make, each parameter and schedule checked.

    `crons`: by flow, None for no schedule. `options`: by flow, its parameters besides lake and
    source. Raises SettingsError.
    """
    options = options or {}
    for names in (crons, options):
        if unknown := set(names) - set(ENTRYPOINTS):
            raise SettingsError(f"flow {sorted(unknown)}: expected one of {list(ENTRYPOINTS)}")
    for name, value in (("source", source), ("work_pool", work_pool)):
        check_given(name, value)
    deployments = []
    for name, entrypoint in ENTRYPOINTS.items():
        own = options.get(name, {})
        if taken := sorted({"lake", "source"} & set(own)):
            raise SettingsError(f"parameter {taken} of {name}: expected as --lake or --source")
        parameters = {"lake": absolute(lake), **_located(own)}
        if name == "tag_archive" and source is not None:
            parameters["source"] = absolute(source)
        _check(name, parameters)
        cron = crons.get(name)
        if cron is not None and name == "tag_archive" and source is None:
            raise SettingsError(f"cron {cron!r} of tag_archive: say what to tag, with --source")
        deployments.append(
            {
                "name": lake_key(lake),
                "flow_name": name,
                "entrypoint": entrypoint,
                "tags": [TAG],
                "parameters": parameters,
                "enforce_parameter_schema": True,
                "schedules": [_schedule(cron, timezone)] if cron is not None else [],
                "triggers": _triggers(name, lake),
                "concurrency_limit": 1,
                "work_pool": {"name": work_pool},
                "pull": [],
            }
        )
    return {
        "name": TAG,
        "work_pool": {"name": work_pool, "type": "process"},
        "shared_concurrency_limit": {"name": resource(lake), "limit": 1},
        "deployments": deployments,
    }


def _triggers(flow: str, lake: str) -> list[dict[str, Any]]:
    """Events of this lake that start a run of the flow, and what they give it."""

    def on(event: str, labels: dict[str, str], parameters: dict[str, str]) -> dict[str, Any]:
        return {
            "type": "event",
            "name": f"{flow} of {lake_key(lake)} on {event}",
            "expect": [event],
            "match": {"prefect.resource.id": resource(lake), **labels},
            "parameters": parameters,
        }

    if flow == "tag_archive":
        # One expression alone keeps the value's type: a name of digits stays a text.
        return [on(ARCHIVE_ADDED, {}, {"source": "{{ event.payload.source }}"})]
    if flow == "reprocess":
        return [on(TARGET_CHANGED, {}, {}), on(WATCH_FIRED, {"clsp.action": "reprocess"}, {})]
    return []


def _schedule(cron: str, timezone: str) -> dict[str, str]:
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        CronSchedule(cron=cron, timezone=timezone)
    except (ValidationError, ValueError) as error:
        raise SettingsError(
            f"cron {cron!r} in timezone {timezone!r}: expected five fields, as in '0 3 * * *' for "
            "every night at three, and a name such as Europe/Berlin"
        ) from error
    return {"cron": cron, "timezone": timezone}


def _flow(name: str) -> Any:
    module, _, attribute = ENTRYPOINTS[name].rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _check(name: str, parameters: dict[str, Any]) -> None:
    """Refuse now what a run would refuse at three in the night."""
    from prefect.exceptions import ParameterTypeError

    flow = _flow(name)
    known = inspect.signature(flow.fn).parameters
    if unknown := sorted(set(parameters) - set(known)):
        raise SettingsError(f"parameter {unknown} of {name}: expected one of {list(known)}")
    required = {key for key, value in known.items() if value.default is value.empty}
    by_each_run = dict.fromkeys(required - set(parameters), "given by each run")
    try:
        flow.validate_parameters({**by_each_run, **parameters})
    except ParameterTypeError as error:
        raise SettingsError(f"parameters of {name}: {error}") from error
    lists = {key: tuple(value) for key, value in parameters.items() if isinstance(value, list)}
    if name in ("tag_archive", "reprocess"):
        _check_work(name, {**by_each_run, **parameters, **lists})
    if name == "maintain" and "keep_days" in parameters:
        from pipelines.maintain import check_keep_days

        check_keep_days(parameters["keep_days"])
    if name == "evaluate_model":
        _check_evaluation({key: value for key, value in parameters.items() if key != "lake"})


def _check_evaluation(settings: dict[str, Any]) -> None:
    """Where each run gives the task, the settings must fit one of them."""
    from pipelines.evaluation_run import TASKS, EvaluationSettings

    refused = None
    for task in [settings["task"]] if "task" in settings else TASKS:
        try:
            EvaluationSettings(**{**settings, "task": task})
            return
        except SettingsError as error:
            refused = refused or error
    if refused:
        raise refused


def _check_work(name: str, settings: dict[str, Any]) -> None:
    from pipelines import taxonomy
    from pipelines.reprocess import ReprocessSettings
    from pipelines.segments import SegmentPolicy
    from pipelines.settings import TagSettings, check_precision
    from pipelines.targets import CHANNELS, SEGMENTS

    made = (TagSettings if name == "tag_archive" else ReprocessSettings)(**settings)
    SegmentPolicy.parse(made.segments or SEGMENTS, made.channels or CHANNELS)
    check_precision(made.precision, made.device)
    if made.taxonomy and Path(made.taxonomy).exists():
        taxonomy.load(made.taxonomy)


def _located(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Files and folders that are here by their whole path: a worker starts somewhere else."""
    return {
        name: absolute(value)
        if name in PLACES and isinstance(value, str) and Path(value).expanduser().exists()
        else value
        for name, value in parameters.items()
    }


def register(planned: dict[str, Any]) -> list[str]:
    """Make the server have what is planned, once or again; returns what is to be said about it.

    Raises SettingsError without a server, and ServerNotReached.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.deployments.runner import DeploymentApplyError

    if not has_server():
        raise SettingsError(
            "no Prefect server: set PREFECT_API_URL to one's address, such as "
            "http://127.0.0.1:4200/api (`prefect server start` starts one), or see what would be "
            "registered with --dry-run"
        )
    limit = planned["shared_concurrency_limit"]
    try:
        with get_client(sync_client=True) as client:
            _make_pool(client, planned["work_pool"])
            client.upsert_global_concurrency_limit_by_name(limit["name"], limit["limit"])
            limit_id = client.read_global_concurrency_limit_by_name(limit["name"]).id
            for deployment in planned["deployments"]:
                _share(client, deployment, limit_id)
                _apply(deployment)
            return _notes(client)
    except (httpx.HTTPError, DeploymentApplyError) as error:
        raise not_reached(error, "not all is registered") from error


def _make_pool(client: Any, pool: dict[str, str]) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.process import ProcessWorker

    try:
        client.read_work_pool(pool["name"])  # of whatever type: a platform team's own stays
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(**pool, base_job_template=template))


def _share(client: Any, deployment: dict[str, Any], limit: "UUID") -> None:
    """Give the deployment the lake's limit before anything can start it. One that is not there yet
    is made with that alone: Prefect's own way to make one gives it a schedule, triggers and a limit
    of its own at once, under which a run could start beside those of the lake's other ones."""
    from prefect.exceptions import ObjectNotFound

    flow, name = deployment["flow_name"], deployment["name"]
    shared = {"global_concurrency_limit_id": str(limit)}
    try:
        found = client.read_deployment_by_name(f"{flow}/{name}")
    except ObjectNotFound:
        flow_id = str(client.create_flow_from_name(flow))
        client.request("POST", "/deployments/", json={"name": name, "flow_id": flow_id, **shared})
        return
    if found.global_concurrency_limit is None or found.global_concurrency_limit.id != limit:
        client.request("PATCH", "/deployments/{id}", path_params={"id": found.id}, json=shared)


def _apply(deployment: dict[str, Any]) -> None:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.deployments.runner import EntrypointType, RunnerDeployment
    from prefect.events import DeploymentEventTrigger

    RunnerDeployment.from_flow(
        _flow(deployment["flow_name"]),
        name=deployment["name"],
        tags=deployment["tags"],
        parameters=deployment["parameters"],
        enforce_parameter_schema=deployment["enforce_parameter_schema"],
        schedules=[
            DeploymentScheduleCreate(schedule=CronSchedule(**schedule), active=True)
            for schedule in deployment["schedules"]
        ],
        triggers=[DeploymentEventTrigger(**trigger) for trigger in deployment["triggers"]],
        # Without it, applying would delete the shared limit, which has one slot as well.
        concurrency_limit=deployment["concurrency_limit"],
        work_pool_name=deployment["work_pool"]["name"],
        entrypoint_type=EntrypointType.MODULE_PATH,
    ).apply()


def _notes(client: Any) -> list[str]:
    """What the server's own settings mean for us."""
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        found = client.request("GET", "/admin/settings").json()
    except PrefectHTTPStatusError:
        return []  # Prefect Cloud keeps them to itself
    if found["server"]["concurrency"]["lease_storage"] != LEASES_IN_MEMORY:
        return []
    forgets = (
        "This Prefect server forgets who holds a lake when it is restarted: runs going on then are "
        f"stopped, and a slot may stay taken. Start it with {LEASES}={LEASES_ON_DISK} (and keep "
        "its PREFECT_HOME)"
    )
    return [forgets]
