"""The Prefect flow `evaluate_model`: measure a model on labelled speech, write it into the lake.

Runs with or without a Prefect server. The tables are the truth, not Prefect's states. Knows nothing
of terminals.
"""

from contextvars import ContextVar
from typing import Any

from flows import environment  # noqa: F401  (before prefect)

from prefect import flow, task  # isort: skip
from prefect.artifacts import create_table_artifact  # isort: skip
from prefect.cache_policies import NO_CACHE  # isort: skip
from prefect.utilities.annotations import quote  # isort: skip

from flows.guard import take_over
from pipelines import evaluation_run
from pipelines.clips import OnClip, ignore_clip
from pipelines.evaluation import Result
from pipelines.evaluation_run import EvaluationSettings
from pipelines.lake import Lake

# Who watches a flow that runs in this process: told of each clip's seconds.
watcher: ContextVar[OnClip] = ContextVar("watcher", default=ignore_clip)


@task(name="measure", cache_policy=NO_CACHE)
def measure(settings: EvaluationSettings) -> Result:
    """Read the data set, embed its clips, work out the figures."""
    return evaluation_run.evaluate(settings, watcher.get())


@task(name="record", cache_policy=NO_CACHE)
def record(lake: str, result: Any) -> None:
    """Put the figures into the lake."""
    evaluation_run.record(Lake(lake, create=True), result)


@task(name="report", cache_policy=NO_CACHE)
def report(result: Any) -> None:
    """The table artifact."""
    rows = evaluation_run.rows(result).to_pylist()
    shown = ("question", "metric", "class", "value", "low", "high", "n", "n_failed", "published")
    create_table_artifact(
        key="evaluate-model",
        table=[{name: row[name] for name in shown} for row in rows],
        description=f"`{result['model_key']}` on `{result['dataset']}`: {result['task']}",
    )


@flow(name="evaluate_model", validate_parameters=True)
def evaluate_model(
    task: str,
    data: str | None = None,
    kind: str | None = None,
    preset: str | None = None,
    model: str = "tiny",
    precision: str = "float32",
    lake: str | None = None,
    label: str | None = None,
    prompts: dict[str, list[str]] | None = None,
    attribute: str | None = None,
    taxonomy: str | None = None,
    captions: str = "fine",
    all_texts: bool = False,
    pool: int | None = None,
    draws: int = 20,
    split: str | None = None,
    reader: dict[str, Any] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    device: str = "auto",
) -> dict[str, Any]:
    """Measure a model; parameters as in pipelines.evaluation_run.EvaluationSettings.

    Returns the result; with a lake, its figures become rows of `evaluations`.
    """
    given = {key: value for key, value in locals().items() if value is not None and key != "lake"}
    if prompts is not None:
        given["prompts"] = {name: tuple(words) for name, words in prompts.items()}
    if lake is not None:
        take_over(lake)
    result = measure(EvaluationSettings(**given))
    if lake is not None:
        record(lake, quote(result))  # quote: Prefect would otherwise search it for futures
    report(quote(result))
    return result
