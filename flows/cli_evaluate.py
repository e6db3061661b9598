"""`clsp evaluate zero-shot | retrieval | style`: how good a model is on labelled speech.

Knows how to ask and how to show; measuring is done a floor below. Other measures that need no
labels join the same group from cli_robustness.py.
"""

from enum import StrEnum
from typing import Annotated, Any

import typer

from flows.options import (
    JsonOption,
    ModelOption,
    Precision,
    PrecisionOption,
    SeedOption,
    not_empty,
)

evaluate_app = typer.Typer(
    no_args_is_help=True, help="Measure a model on labelled speech: what can it be trusted with?"
)


class Kind(StrEnum):
    ravdess = "ravdess"
    crema_d = "crema-d"
    iemocap = "iemocap"
    lhotse = "lhotse"
    table = "table"


class CaptionKind(StrEnum):
    global_ = "global"
    fine = "fine"


DataArgument = Annotated[
    str | None, typer.Argument(help="Folder, manifest or table of the data set.")
]
KindOption = Annotated[
    Kind | None, typer.Option("--kind", help="Its layout; a preset knows its own.")
]
PresetOption = Annotated[
    str | None,
    typer.Option("--preset", help="An evaluation by name, of those above."),
]
LakeOption = Annotated[
    str | None,
    typer.Option(
        "--lake",
        help="Write the figures into this lake too.",
        envvar="CLSP_LAKE",
        callback=not_empty,
    ),
]
FlowOption = Annotated[bool, typer.Option("--flow", help="Run as the Prefect flow evaluate_model.")]
SplitOption = Annotated[str | None, typer.Option("--split", help="Only clips of this split.")]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", help="NAME=MEANING of a table's column: wav=file; repeatable."),
]
ReaderOption = Annotated[
    list[str] | None,
    typer.Option("--reader", help="NAME=VALUE, an option of the layout's reader; repeatable."),
]
BootstrapOption = Annotated[
    int, typer.Option("--bootstrap", help="Draws for the intervals; 0: none.", min=0)
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]


@evaluate_app.command("zero-shot")
def zero_shot(
    data: DataArgument = None,
    kind: KindOption = None,
    preset: PresetOption = None,
    model: ModelOption = "tiny",
    precision: PrecisionOption = Precision.FLOAT32,
    label: Annotated[
        str | None, typer.Option(help="The label asked for, with --prompt or --attribute.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(help="CLASS=PROMPT, any wording; repeatable.")
    ] = None,
    attribute: Annotated[
        str | None, typer.Option(help="Prompts of this attribute of the taxonomy.")
    ] = None,
    taxonomy: Annotated[str | None, typer.Option(help="The taxonomy that has it.")] = None,
    split: SplitOption = None,
    column: ColumnOption = None,
    reader: ReaderOption = None,
    lake: LakeOption = None,
    flow: FlowOption = False,
    bootstrap: BootstrapOption = 1000,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Labels: accuracy (WA), mean recall (UAR), AUC and calibration (ECE) of zero-shot answers.

    Presets: iemocap-emotion, ravdess-emotion, ravdess-gender, crema-d-emotion, crema-d-age (without
    one, all those of --kind) and tiny-heldout or tiny-dev, synthetic voices.
    """
    prompts: dict[str, list[str]] = {}
    for name, words in _pairs(prompt, "prompt", "CLASS=PROMPT"):
        prompts.setdefault(name, []).append(words)
    given = {
        "label": label, "prompts": prompts or None, "attribute": attribute, "taxonomy": taxonomy,
    }  # fmt: skip
    common = _common(
        data, kind, preset, model, precision, split, column, reader, bootstrap, seed, device
    )
    _run({"task": "zero-shot", **common, **given}, lake, flow, json)


@evaluate_app.command()
def retrieval(
    data: DataArgument = None,
    kind: KindOption = None,
    preset: PresetOption = None,
    model: ModelOption = "tiny",
    precision: PrecisionOption = Precision.FLOAT32,
    captions: Annotated[
        CaptionKind, typer.Option(help="Which captions: global or fine-grained.")
    ] = CaptionKind.fine,
    all_texts: Annotated[
        bool, typer.Option("--all-texts", help="Every caption of a clip, not the published one.")
    ] = False,
    pool: Annotated[
        int | None, typer.Option(help="Among so many clips of different descriptions.", min=2)
    ] = None,
    draws: Annotated[int, typer.Option(help="Pools to draw; figures are means.", min=1)] = 20,
    split: SplitOption = None,
    column: ColumnOption = None,
    reader: ReaderOption = None,
    lake: LakeOption = None,
    flow: FlowOption = False,
    bootstrap: BootstrapOption = 1000,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Captions: R@1/5/10, mAP@10 and median rank, speech to text and text to speech.

    Presets: paraspeechcaps (published figures) and tiny-heldout or tiny-dev (pools of 100).
    """
    given = {"captions": captions.value, "all_texts": all_texts, "pool": pool, "draws": draws}
    common = _common(
        data, kind, preset, model, precision, split, column, reader, bootstrap, seed, device
    )
    _run({"task": "retrieval", **common, **given}, lake, flow, json)


@evaluate_app.command()
def style(
    data: DataArgument = None,
    kind: KindOption = None,
    preset: PresetOption = None,
    model: ModelOption = "tiny",
    precision: PrecisionOption = Precision.FLOAT32,
    split: SplitOption = None,
    column: ColumnOption = None,
    reader: ReaderOption = None,
    lake: LakeOption = None,
    flow: FlowOption = False,
    bootstrap: BootstrapOption = 1000,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Styles: Pearson and Spearman r between cosines and human ratings (columns style, rating).

    Presets: paraspeechcaps-intrinsic, paraspeechcaps-situational (published figures).
    """
    common = _common(
        data, kind, preset, model, precision, split, column, reader, bootstrap, seed, device
    )
    _run({"task": "style", **common}, lake, flow, json)


def _common(
    data: str | None,
    kind: Kind | None,
    preset: str | None,
    model: str,
    precision: Precision,
    split: str | None,
    column: list[str] | None,
    reader: list[str] | None,
    bootstrap: int,
    seed: int,
    device: str,
) -> dict[str, Any]:
    options: dict[str, Any] = {  # as text: the reader knows the types
        name.replace("-", "_"): value for name, value in _pairs(reader, "reader", "NAME=VALUE")
    }
    if column:
        options["columns"] = dict(_pairs(column, "column", "NAME=MEANING"))
    return {
        "data": data, "kind": kind and kind.value, "preset": preset, "model": model,
        "precision": precision.value, "split": split, "reader": options or None,
        "resamples": bootstrap, "seed": seed, "device": device,
    }  # fmt: skip


def _pairs(given: list[str] | None, what: str, shape: str) -> list[tuple[str, str]]:
    parts = [text.partition("=") for text in given or []]
    if wrong := [f"{a}{eq}{b}" for a, eq, b in parts if not (a.strip() and b.strip())]:
        raise typer.BadParameter(f"--{what} {wrong}: expected {shape}")
    return [(a.strip(), b.strip()) for a, _, b in parts]


def _run(given: dict[str, Any], lake: str | None, flow: bool, json: bool) -> None:
    from flows.console import print_json
    from flows.evaluation_report import show, watched

    result = watched({k: v for k, v in given.items() if v is not None}, lake, flow, not json)
    if json:
        print_json(result)
    else:
        show(result, lake)
    if result["n_failed"] == result["n"]:  # shown, with why; but nothing was measured
        raise typer.Exit(3)  # as for an error that trying again will not cure
