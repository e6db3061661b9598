"""`clsp train`: train or fine-tune on captioned speech. Knows how to ask and how to show."""

from typing import Annotated, Any

import typer

from flows.options import not_empty


def train(
    config: Annotated[
        str, typer.Option(help="YAML file: which data, which model, how.", callback=not_empty)
    ],
    out: Annotated[
        str, typer.Option(help="Folder that becomes the trained model.", callback=not_empty)
    ],
    resume: Annotated[
        bool, typer.Option(help="Go on from the latest checkpoint in --out; else start over.")
    ] = True,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    steps: Annotated[
        int | None, typer.Option(help="Instead of train.steps of the file.", min=1)
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON value on standard output.")
    ] = False,
) -> None:
    """Train or fine-tune a model on speech with captions; stop it, run it again, and it goes on.

    The folder --out is then a model: `clsp classify FILES --model OUT`.
    """
    from flows.console import err, print_json
    from pipelines.training_data import read_config
    from pipelines.training_data import train as run

    def say(line: dict[str, Any]) -> None:
        err.print(_line(line), markup=False, soft_wrap=True)

    report = run(read_config(config, steps), out, device, resume, say)
    if report is None:  # one of torchrun's other processes
        return
    if json:
        return print_json({"out": out, **report})
    err.print(_end(out, report), markup=False, soft_wrap=True)


def _line(line: dict[str, Any]) -> str:
    if "data" in line:
        data = line["data"]
        why = "".join(f"\n  {uri}: {reason}" for uri, reason in data["left_out_why"].items())
        without = data["without_split"]
        more = f"{without} of them without a split, " if without else ""
        return (
            f"{data['train_clips']} clips ({data['train_hours']:.2f} h) to learn from, "
            f"{more}{data['dev_clips']} dev clips, {data['different_captions']} different "
            f"captions; {data['left_out']} left out{why}"
        )
    if "dev_loss" in line:
        return (
            f"step {line['step']}: dev loss {line['dev_loss']:.4f}, R@1 "
            f"{line['dev_recall_at_1']:.3f}, R@10 {line['dev_recall_at_10']:.3f}"
        )
    return (
        f"step {line['step']}: loss {line['loss']:.4f} (chance {line['chance']:.2f}), "
        f"{line['clips']} clips, rate {line['rate']:.2e}"
    )


def _end(out: str, report: dict[str, Any]) -> str:
    best = report["best"]
    which = f"the best, of step {best['step']:.0f}" if best else "the last, no dev clips"
    lost = f"; {len(report['lost'])} could not be decoded" if report["lost"] else ""
    return f"{report['steps']} steps in {report['seconds']:.0f} s; {out} holds {which}{lost}"
