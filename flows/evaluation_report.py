"""An evaluation as a person sees it: progress while it runs, our figures beside the published."""

from typing import Any

from flows.console import duration, out, print_rows, progress

MOST_TABLES = 4  # questions to show class by class; --json has them all
MOST_FAILURES = 20


def watched(given: dict[str, Any], lake: str | None, flow: bool, shown: bool) -> dict[str, Any]:
    """Run `clsp evaluate` with these settings, as a Prefect flow or not; returns the result."""
    with progress(shown) as bar:
        task = bar.add_task("embedding", total=None, rate="")

        def on_clip(seconds: float) -> None:
            bar.advance(task)

        if flow:
            from flows.evaluate import evaluate_model, watcher
            from flows.interrupt import ends_at_once

            token = watcher.set(on_clip)
            try:
                with ends_at_once():
                    return evaluate_model(**given, lake=lake)
            finally:
                watcher.reset(token)
        from pipelines.evaluation_run import EvaluationSettings, evaluate, record
        from pipelines.lake import Lake

        if "prompts" in given:
            given["prompts"] = {name: tuple(words) for name, words in given["prompts"].items()}
        settings = EvaluationSettings(**given)
        tables = None if lake is None else Lake(lake, create=True)  # fails before the work
        result = evaluate(settings, on_clip)
        if tables is not None:
            record(tables, result)
        return result


def show(result: dict[str, Any], lake: str | None) -> None:
    """The figures with their intervals, beside the published ones where there are any."""
    questions = result["questions"]
    published = any(question["published"] for question in questions)
    rows = []
    for question in questions:
        for metric, figure in question["metrics"].items():
            row = {"question": question["name"], "metric": metric, "measured": figure_text(figure)}
            if published:
                paper = question["published"].get(metric)
                row["published"] = "" if paper is None else f"{paper:.3f}"
            if "chance" in question:
                row["chance"] = f"{question['chance']:.2f}" if metric == "UAR" else ""
            of = f"{question['clusters']} {question['resampled_by']}s"
            rows.append({**row, "n": question["n"], "interval over": of})
    among = (
        f", among {pool}, mean of {result['draws']} draws" if (pool := result.get("pool")) else ""
    )
    print_rows(rows, title=f"{result['task']}: {result['model']} on {result['dataset']}{among}")
    if published:
        out.print(f"published: {result['published_source']}", markup=False, soft_wrap=True)
    asked = [question for question in questions if "confusion" in question]
    for question in asked if len(asked) <= MOST_TABLES else []:
        print_rows(_by_class(question), title=f"{question['name']}: answers to each class")
    out.print(
        f"{result['n'] - result['n_failed']} of {result['n']} clips judged, "
        f"{duration(result['audio_s'])} of audio; {result['n_failed']} could not be read, "
        f"{result['n_skipped']} files or lines were passed over; model {result['model_key']}",
        markup=False,
        soft_wrap=True,
    )
    for question in asked:
        others = [f"labelled {label} ({n})" for label, n in question["not_asked"].items()]
        if question["unlabelled"]:
            others.append(f"without a label ({question['unlabelled']})")
        if others:
            told = f"{question['name']}: not asked of clips {', '.join(others)}"
            out.print(told, markup=False, soft_wrap=True)
        if unheard := [name for name, row in question["recall"].items() if not row["n"]]:
            told = (
                f"{question['name']}: no clip is labelled {', '.join(unheard)}: the figures are of"
            )
            out.print(f"{told} the other classes alone", markup=False, soft_wrap=True)
    if len(asked) > MOST_TABLES:
        out.print("--json has recall, confusion and calibration of each question")
    for name, told in (("Could not be read", "failures"), ("Passed over", "skipped")):
        if found := [{k: v for k, v in row.items() if v is not None} for row in result[told]]:
            columns = dict.fromkeys(name for row in found for name in row)
            found = [{name: row.get(name) for name in columns} for row in found]
            print_rows(found[:MOST_FAILURES], title=f"{name} ({len(found)})")
    if lake is not None:
        query = f"SELECT * FROM evaluations WHERE run_id = '{result['run_id']}'"
        out.print(f'Kept: clsp sql "{query}" --lake "{lake}"', markup=False, soft_wrap=True)


def figure_text(figure: dict[str, Any]) -> str:
    """0.855 (0.56 to 0.98); a dash where it is undefined."""
    if figure["value"] is None:
        return "-"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.2f} to {figure['high']:.2f})"


def _by_class(question: dict[str, Any]) -> list[dict[str, Any]]:
    classes = question["classes"]
    return [
        {
            "class": name,
            "n": sum(counts),
            "recall": figure_text(question["recall"][name]),
            **{f"→ {other}": count for other, count in zip(classes, counts, strict=True)},
        }
        for name, counts in zip(classes, question["confusion"], strict=True)
    ]
