"""`clsp classify | similarity`: a few files now, without a lake.

Knows how to ask and how to show; all work is done a floor below.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.options import (
    JsonOption,
    ModelOption,
    Precision,
    PrecisionOption,
    SegmentsOption,
    not_empty,
)

if TYPE_CHECKING:
    from pipelines.adhoc import Embedded


def classify(
    files: Annotated[list[str], typer.Argument(help="Audio files or folders.")],
    labels: Annotated[
        str | None, typer.Option(help="Labels to choose from, with commas: happy,angry,sad.")
    ] = None,
    template: Annotated[
        str, typer.Option(help="The prompt each label is put in.")
    ] = "A speaker in a {} tone.",
    prompt: Annotated[
        list[str] | None, typer.Option(help="LABEL=PROMPT, any wording; repeatable.")
    ] = None,
    attribute: Annotated[
        str | None, typer.Option(help="An attribute of the taxonomy instead: gender, emotion ...")
    ] = None,
    taxonomy: Annotated[
        str | None, typer.Option(help="The taxonomy that has it.", callback=not_empty)
    ] = None,
    model: ModelOption = "tiny",
    precision: PrecisionOption = Precision.FLOAT32,
    segments: SegmentsOption = "windows",
    json: JsonOption = False,
) -> None:
    """Zero-shot: which label fits each segment, with every label's probability and cosine.

    No label where the attribute has a least margin and the best label falls short of it.
    Give --labels (with --template), --prompt, or --attribute.
    """
    from clsp.zero_shot import classifier
    from clsp.zero_shot import classify as score
    from flows.console import print_json
    from pipelines.adhoc import embed
    from pipelines.label import is_sure

    prompts = _prompts(labels, template, prompt, attribute, taxonomy)
    if len(prompts) < 2:
        raise typer.BadParameter(
            f"labels {list(prompts)}: expected two different ones at least to choose from"
        )
    done = embed(files, model, segments, precision.value)
    import torch

    vectors = torch.from_numpy(done.vectors).to(done.model.device)
    scores = score(vectors, classifier(done.model, prompts), done.model.scale)
    names = list(prompts)
    least = _least_margin(attribute, taxonomy, done.model.checkpoint.name)
    sure = is_sure(scores.margin.float().cpu().numpy(), least)
    rows = [
        {
            **span,
            "label": names[int(scores.best[i])] if sure[i] else None,
            "best": names[int(scores.best[i])],
            "margin": float(scores.margin[i]),
            "probability": dict(zip(names, scores.probability[i].tolist(), strict=True)),
            "cosine": dict(zip(names, scores.cosine[i].tolist(), strict=True)),
        }
        for i, span in enumerate(done.spans.to_pylist())
    ]
    if json:
        print_json({"segments": rows, **_reasons(done)})
    else:
        for row in rows:
            row |= {f"p({name})": p for name, p in row.pop("probability").items()}
            del row["cosine"]
        _show(rows, done)
    _require_some(rows, done)


def _least_margin(attribute: str | None, taxonomy: str | None, model: str) -> float:
    """What the taxonomy asks of an attribute; 0 for labels of the user's own."""
    from pipelines.taxonomy import load

    known = load(taxonomy).attributes if attribute else ()
    return next((a.least_margin(model) for a in known if a.name == attribute), 0.0)


def _prompts(
    labels: str | None,
    template: str,
    prompt: list[str] | None,
    attribute: str | None,
    taxonomy: str | None,
) -> dict[str, list[str]]:
    from clsp.zero_shot import expand
    from pipelines.taxonomy import load

    if sum(map(bool, (labels, prompt, attribute))) != 1:
        raise typer.BadParameter("give one of --labels, --prompt or --attribute")
    if attribute:
        known = {a.name: a for a in load(taxonomy).attributes}
        if attribute not in known:
            raise typer.BadParameter(f"attribute {attribute!r}: the taxonomy has {list(known)}")
        return {label: list(words) for label, words in known[attribute].prompts.items()}
    if labels:
        if "{}" not in template:
            raise typer.BadParameter(f"template {template!r} has no {{}} for the label")
        return expand([label.strip() for label in labels.split(",") if label.strip()], [template])
    pairs = [text.partition("=") for text in prompt or []]
    if wrong := [label for label, equals, words in pairs if not (equals and label and words)]:
        raise typer.BadParameter(f"prompt {wrong}: expected LABEL=PROMPT")
    prompts: dict[str, list[str]] = {}
    for label, _, words in pairs:
        prompts.setdefault(label.strip(), []).append(words.strip())
    return prompts


def similarity(
    files: Annotated[list[str], typer.Argument(help="Audio files or folders.")],
    text: Annotated[list[str], typer.Option(help="A description of a style; repeatable.")],
    model: ModelOption = "tiny",
    precision: PrecisionOption = Precision.FLOAT32,
    segments: SegmentsOption = "windows",
    json: JsonOption = False,
) -> None:
    """Style similarity: the cosine between each segment and each description."""
    from clsp.style import similarity as compare
    from flows.console import print_json
    from pipelines.adhoc import embed

    if not all(description.strip() for description in text):
        raise typer.BadParameter(f"text {text}: expected some words in each")
    done = embed(files, model, segments, precision.value)
    import torch

    cosines = compare(done.model, torch.from_numpy(done.vectors).to(done.model.device), text)
    rows = [
        {**span, "text": description, "similarity": float(cosines[i, j])}
        for i, span in enumerate(done.spans.to_pylist())
        for j, description in enumerate(text)
    ]
    if json:
        print_json({"segments": rows, **_reasons(done)})
    else:
        _show(rows, done)
    _require_some(rows, done)


def _reasons(done: "Embedded") -> dict[str, list[dict[str, Any]]]:
    return {"failures": done.failures.to_pylist(), "warnings": done.warnings.to_pylist()}


def _require_some(rows: list[dict[str, Any]], done: "Embedded") -> None:
    """Raises InputError where nothing could be judged: by then it is said why."""
    from clsp.errors import InputError

    if not rows:
        kinds = ", ".join(sorted(set(done.failures["error_kind"].to_pylist())))
        raise InputError(
            f"nothing could be judged: {done.failures.num_rows} files failed ({kinds}). Give at "
            "least one that holds audio"
        )


def _show(rows: list[dict[str, Any]], done: "Embedded") -> None:
    from flows.console import print_rows

    if rows:
        print_rows(rows)
    titles = {"failures": "Could not be read", "warnings": "Read in part"}
    for name, reasons in _reasons(done).items():
        if reasons:
            print_rows(reasons, title=titles[name])
