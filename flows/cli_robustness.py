"""`clsp evaluate perturbation | wording`: does a model follow the sound, and any wording?

Knows how to ask and how to show; measuring is done a floor below.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli_evaluate import evaluate_app
from flows.options import JsonOption, ModelOption, Precision, PrecisionOption, SeedOption

if TYPE_CHECKING:
    from clsp.bootstrap import Estimate


@evaluate_app.command()
def perturbation(
    files: Annotated[list[str], typer.Argument(help="Audio files, folders or URLs; no labels.")],
    model: ModelOption = "tiny",
    precision: PrecisionOption = Precision.FLOAT32,
    seed: SeedOption = 0,
    limit: Annotated[
        int, typer.Option("--limit", help="Most recordings heard, drawn at random.", min=1)
    ] = 200,
    json: JsonOption = False,
) -> None:
    """Change each clip in one known way (noise, tempo, pitch, whisper ...): does the score follow?

    Hears the first 10 s of each recording. Says nothing of whether labels are right.
    """
    from dataclasses import asdict

    from flows.console import out, print_json, print_rows, progress
    from pipelines.robustness import perturbation as measure

    with progress(shown=not json) as bar:
        task = bar.add_task("perturbing", total=None, rate="")
        done = measure(files, model, seed, limit, lambda: bar.advance(task), precision.value)
    if json:
        return print_json(
            {
                "model": model,
                "precision": precision.value,
                "seed": seed,
                "clips": done.clips,
                "rows": [asdict(row) for row in done.rows],
                "failures": list(done.failures),
            }
        )
    print_rows(
        [
            {
                "change": row.name,
                "right": _shown(row.share),
                "n": row.n,
                "chance": row.chance,
                "AUC": _shown(row.auc),
                "named": _shown(row.named),
                "cosine moved": row.shift,
            }
            for row in done.rows
        ],
        title=f"{done.clips} clips",
    )
    out.print(
        "right: the score moved as it must, of the same clip; AUC: over all clips; named: the "
        "changed clip is also called what it is. With 95 % intervals. --json has the prompts."
    )
    if done.failures:
        print_rows(done.failures, title="Could not be used")


@evaluate_app.command()
def wording(
    model: ModelOption = "tiny",
    precision: PrecisionOption = Precision.FLOAT32,
    data: Annotated[
        str, typer.Option("--data", help="Folder of labelled clips with manifest.jsonl.")
    ] = "data/tiny-heldout",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Ask each question in many wordings that training never saw: does accuracy hold?

    Without the default folder it is synthesised first (wants the extra `train` and voices).
    """
    from dataclasses import asdict

    from flows.console import out, print_json, print_rows
    from pipelines.robustness import wording as measure

    results = measure(model, data, seed, precision.value)
    if json:
        return print_json(
            {
                "model": model,
                "precision": precision.value,
                "data": data,
                "seed": seed,
                "questions": [asdict(result) for result in results],
            }
        )
    rows: list[dict[str, Any]] = []
    for result in results:
        least, accuracy = min(result.sets, key=lambda item: item[1])
        rows.append(
            {
                "question": result.question,
                "clips": result.clips,
                "canonical": _shown(result.canonical),
                "one word": _shown(result.one_word),
                "other wordings": _shown(result.mean),
                "difference": _shown(result.difference),
                "sets": len(result.sets),
                "dropped": len(result.dropped),
                "worst": accuracy,
                "worst wording": " / ".join(least),
            }
        )
    print_rows(rows)
    out.print("Balanced accuracy with 95 % intervals over speakers; wordings kept out of training.")


def _shown(estimate: "Estimate") -> str:
    if estimate.value is None:
        return ""
    if estimate.low is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.2f} to {estimate.high:.2f})"
