"""One evaluation from settings to result: the data set, what is asked of it, and the lake's rows.

Knows which presets there are and where their data come from. Knows nothing of Prefect or terminals.
"""

import json
import uuid
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines import schemas
from pipelines.clips import OnClip, ignore_clip
from pipelines.datasets import KINDS, Dataset, Item, read
from pipelines.datasets.catalogue import TRUTHS
from pipelines.datasets.presets import PRESETS, PUBLISHED_RETRIEVAL, PUBLISHED_STYLE, Question
from pipelines.errors import SettingsError
from pipelines.evaluation import Result, evaluate_style, evaluate_zero_shot, passed_over
from pipelines.evaluation_retrieval import evaluate_retrieval
from pipelines.lake import Lake
from pipelines.settings import check_device, check_given, check_precision

TASKS = ("zero-shot", "retrieval", "style")
# Synthetic voices that training never heard, made where they are not: to judge by, to choose by.
HELDOUT = {"tiny-heldout": "test", "tiny-dev": "dev"}
HELDOUT_POOL = 100
PSC = "paraspeechcaps"  # retrieval and, as -intrinsic and -situational, style
TASK_PRESETS = {
    "zero-shot": (*PRESETS, *HELDOUT),
    "retrieval": (PSC, *HELDOUT),
    "style": tuple(f"{PSC}-{style}" for style in PUBLISHED_STYLE),
}


@dataclass(frozen=True)
class EvaluationSettings:
    """What to measure, on what.

    | setting   | meaning                                                             | default    |
    | --------- | ------------------------------------------------------------------- | ---------- |
    | task      | `zero-shot`, `retrieval` or `style`                                 |            |
    | data      | folder or table of the data set                                     | by preset  |
    | kind      | its layout: `ravdess`, `crema-d`, `iemocap`, `lhotse`, `table`      | by preset  |
    | preset    | a published evaluation, or `tiny-heldout`                           | the kind's |
    | model     | `tiny`, `yfyeung/CLSP` or a folder                                  | tiny       |
    | precision | `float32`, `bfloat16` or `int8`: as of TagSettings                  | float32    |
    | label     | zero-shot: the label asked for                                      | attribute  |
    | prompts   | zero-shot: class -> wordings                                        | by preset  |
    | attribute | zero-shot: an attribute of the taxonomy, whose prompts are taken    |            |
    | taxonomy  | YAML file that has it                                               | built in   |
    | captions  | retrieval: `global` or `fine`                                       | fine       |
    | all_texts | retrieval: every caption of a clip, not one                         | no         |
    | pool      | retrieval: among so many clips of different descriptions            | all        |
    | draws     | retrieval: so many pools                                            | 20         |
    | split     | only clips of this split                                            | all        |
    | reader    | further options of the layout's reader                              |            |
    | resamples | draws of the bootstrap                                              | 1000       |
    | seed      | of all that is drawn                                                | 0          |
    | device    | `auto`, `cpu`, `cuda`                                               | auto       |

    Raises SettingsError for a value that means nothing.
    """

    task: str
    data: str | None = None
    kind: str | None = None
    preset: str | None = None
    model: str = "tiny"
    precision: str = "float32"
    label: str | None = None
    prompts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    attribute: str | None = None
    taxonomy: str | None = None
    captions: str = "fine"
    all_texts: bool = False
    pool: int | None = None
    draws: int = 20
    split: str | None = None
    reader: Mapping[str, Any] = field(default_factory=dict)
    resamples: int = 1000
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise SettingsError(f"task {self.task!r}: expected one of {', '.join(TASKS)}")
        known = TASK_PRESETS[self.task]
        if self.preset is not None and self.preset not in known:
            raise SettingsError(
                f"preset {self.preset!r} of {self.task}: expected one of {', '.join(known)}"
            )
        if self.kind is not None and self.kind not in KINDS:
            raise SettingsError(f"kind {self.kind!r}: expected one of {', '.join(KINDS)}")
        for name in ("model", "taxonomy"):
            check_given(name, getattr(self, name))
        check_device(self.device)
        check_precision(self.precision, self.device)
        if self.captions not in ("global", "fine"):
            raise SettingsError(f"captions {self.captions!r}: expected `global` or `fine`")
        if self.prompts and self.attribute:
            raise SettingsError("prompts and an attribute: expected one of the two")
        if self.prompts and not self.label:
            raise SettingsError("prompts are given: name the label that they are about too")
        if self.label and not (self.prompts or self.attribute):
            raise SettingsError(f"label {self.label!r}: give prompts, or an attribute, for it too")
        if self.preset and (self.prompts or self.attribute):
            raise SettingsError(f"preset {self.preset!r} has its own prompts: expected no others")
        if self.resamples < 0 or self.draws < 1 or self.seed < 0:
            raise SettingsError(
                f"resamples {self.resamples}, draws {self.draws}, seed {self.seed}: expected at "
                "least 0, 1 and 0"
            )


def evaluate(settings: EvaluationSettings, on_clip: OnClip = ignore_clip) -> Result:
    """Read, embed, measure. Raises InputError, SettingsError, ModelNotFound."""
    started = datetime.now(UTC)
    dataset = _dataset(settings)
    common: dict[str, Any] = {
        "resamples": settings.resamples,
        "seed": settings.seed,
        "device": settings.device,
        "precision": settings.precision,
        "on_clip": on_clip,
    }
    if settings.task == "zero-shot":
        questions, published, source = _questions(settings)
        result = evaluate_zero_shot(
            dataset, questions, settings.model, published=published, **common
        )
    elif settings.task == "retrieval":
        own = settings.preset in HELDOUT
        other = settings.pool or settings.all_texts or settings.split not in (None, "test")
        same = settings.preset == PSC and not other
        paper = PUBLISHED_RETRIEVAL[settings.captions] if same else {}
        published = {direction: _shares(figures) for direction, figures in paper.items()}
        source = "arXiv 2601.03065, on ParaSpeechCaps' test clips" if published else ""
        result = evaluate_retrieval(
            dataset,
            settings.captions,
            settings.model,
            pool=settings.pool or (HELDOUT_POOL if own else None),
            draws=settings.draws,
            all_texts=settings.all_texts,
            describe=_heldout_description() if own else None,
            published=published,
            **common,
        )
    else:
        style = (settings.preset or "").removeprefix(f"{PSC}-")
        figures = {"Pearson r": PUBLISHED_STYLE[style]} if style else {}
        source = f"arXiv 2601.03065, {style} styles" if style else ""
        result = evaluate_style(
            dataset, settings.model, published={"all styles": figures}, **common
        )
    return {
        "run_id": f"{started:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}",
        "started_at": started,
        "evaluated_at": datetime.now(UTC),
        "model": settings.model,
        **result,
        "published_source": source,
        "settings": asdict(settings),
    }


# ---- what is asked, and of what -----------------------------------------------------------------


def _dataset(settings: EvaluationSettings) -> Dataset:
    kind, data = settings.kind, settings.data
    split = settings.split
    if settings.preset in HELDOUT:
        from clsp.training.heldout import ensure

        if kind not in (None, "table"):
            raise SettingsError(f"preset {settings.preset} is of kind table, not {kind}")
        split = split or HELDOUT[settings.preset]
        folder = ensure(Path(data or f"data/{settings.preset}"), split=HELDOUT[settings.preset])
        kind, data = "table", str(folder / "manifest.jsonl")
    elif settings.preset == PSC:
        kind = kind or "lhotse"
    elif settings.task == "style":
        kind = kind or "table"  # the one layout with ratings
    elif settings.preset:
        own = PRESETS[settings.preset].kind
        if kind not in (None, own):
            raise SettingsError(f"preset {settings.preset} is of kind {own}, not {kind}")
        kind = own
    if kind is None or data is None:
        raise SettingsError(
            f"{'no data' if data is None else f'data {data!r} of no kind'}: give the data set and "
            f"its kind ({', '.join(KINDS)}), or the preset tiny-heldout, which needs neither"
        )
    dataset = read(kind, data, **settings.reader)
    if settings.preset in HELDOUT:
        dataset = replace(dataset, name=str(settings.preset))
    if split is None:
        return dataset
    items = tuple(item for item in dataset.items if item.split == split)
    if not items:
        found = ", ".join(sorted({item.split for item in dataset.items if item.split}))
        raise SettingsError(
            f"no clip of split {split!r} in {data}; its splits: {found or 'it tells of none'}"
            f"{passed_over(dataset)}"
        )
    return replace(dataset, items=items)


def _questions(
    settings: EvaluationSettings,
) -> tuple[list[Question], dict[str, dict[str, float]], str]:
    """What is asked, the published figures as shares, and where those are from."""
    if settings.preset in HELDOUT:
        return _heldout_questions(), {}, ""
    if settings.prompts:
        label = str(settings.label)
        return [Question(label, label, settings.prompts)], {}, ""
    if settings.attribute:
        from pipelines.taxonomy import load

        known = {a.name: a for a in load(settings.taxonomy).attributes}
        if settings.attribute not in known:
            raise SettingsError(
                f"attribute {settings.attribute!r}: the taxonomy has {', '.join(known)}"
            )
        label = settings.label or settings.attribute
        return [Question(settings.attribute, label, known[settings.attribute].prompts)], {}, ""
    if settings.preset:
        chosen = [PRESETS[settings.preset]]
    else:
        chosen = [p for p in PRESETS.values() if p.kind == settings.kind]
    if not chosen:
        raise SettingsError(
            f"kind {settings.kind} has no published prompts: name a label with prompts, or an "
            "attribute of the taxonomy"
        )
    questions = [question for one in chosen for question in one.questions]
    if TRUTHS.get(str(settings.reader.get("songs")).lower()):  # of speech alone is published
        return questions, {}, ""
    published = {
        question: _shares({metric.upper(): percent for metric, percent in figures.items()})
        for one in chosen
        for question, figures in one.published.items()
    }
    return questions, published, "; ".join(dict.fromkeys(one.source for one in chosen))


def _shares(percents: Mapping[str, float]) -> dict[str, float]:
    return {metric: round(percent / 100, 6) for metric, percent in percents.items()}


def _heldout_questions() -> list[Question]:
    from clsp.training.evaluate import QUESTIONS
    from clsp.training.wording import PROMPTS

    return [
        Question(name, label, {c: (PROMPTS[label][c],) for c in classes})
        for name, (label, classes) in QUESTIONS.items()
    ]


def _heldout_description() -> Callable[[Item], Hashable]:
    """Clips that could be described by the same caption are never in one pool."""
    from clsp.training.captions import speakable

    return lambda item: tuple(sorted(speakable(dict(item.labels)).items()))


# ---- the lake -----------------------------------------------------------------------------------


def rows(result: Result) -> pa.Table:
    """The result as rows of `evaluations`: one per question and metric, recall per class too."""
    told = {
        "run_id": result["run_id"],
        "chunk_id": result["run_id"],
        "evaluated_at": result["evaluated_at"],
        "task": result["task"],
        "dataset": result["dataset"],
        "model_key": result["model_key"],
        "options_json": json.dumps(result["settings"], ensure_ascii=False, sort_keys=True),
    }
    found = []
    for question in result["questions"]:
        about = {
            **told,
            "question": question["name"],
            "n_failed": question["n_failed"],
            "prompts_json": json.dumps(question.get("prompts"), ensure_ascii=False),
        }
        for metric, figure in question["metrics"].items():
            published = question["published"].get(metric)
            found.append(
                {**about, "metric": metric, "n": question["n"], "published": published, **figure}
            )
        for name, figure in question.get("recall", {}).items():
            found.append({**about, "metric": "recall", "class": name, **figure})
    return pa.Table.from_pylist(found, schemas.EVALUATIONS)


def record(lake: Lake, result: Result) -> None:
    """Put a result into the lake: its rows, then its ledger row. Raises LakeError."""
    lake.commit(
        {"evaluations": rows(result)},
        {
            "run_id": result["run_id"],
            "chunk_id": result["run_id"],
            "kind": "evaluation",
            "started_at": result["started_at"],
            "archive": result["dataset"],
            "segments_policy": "whole",
            "model_key": result["model_key"],
            "taxonomy_key": "",
            "files": result["n"],
            "tagged": result["n"] - result["n_failed"],
            "failed": result["n_failed"],
            "unchanged": 0,
            "segments": result["n"] - result["n_failed"],
            "audio_s": result["audio_s"],
        },
    )
