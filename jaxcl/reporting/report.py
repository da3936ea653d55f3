"""What a run found, as tables for a person."""

import tomllib
from collections.abc import Sequence
from typing import Any

from rich import filesize
from rich.table import Table

from jaxcl.reporting.labels import SHOWN

MANY = 10  # tasks whose routes are counted rather than listed


def mean_text(value: dict[str, float | None], digits: int = 1) -> str:
    """Returns a mean and its standard error, as far as there are any."""
    if value["mean"] is None:
        return "-"
    error = f" ± {value['sem']:.{digits}f}" if value["sem"] is not None else ""
    return f"{value['mean']:.{digits}f}{error}"


def markdown_row(cells: Sequence[str]) -> str:
    """Makes a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def markdown_head(names: Sequence[str]) -> list[str]:
    """Makes the two lines that a table in Markdown begins with.

    >>> markdown_head(["method", "seeds"])
    ['| method | seeds |', '| --- | --- |']
    """
    return [markdown_row(names), markdown_row(["---"] * len(names))]


def what_text(summary: dict[str, Any]) -> str:
    """Returns which method was run on what."""
    over = f" with {summary['replay']} replay" if summary.get("replay") else ""
    return f"{summary['method']}{over} on {where_text(summary)}"


def tested(summary: dict[str, Any]) -> str:
    """Returns what a run was tested on: ``test`` examples, or some ``held-out`` from training."""
    return "held-out" if summary.get("validation") else "test"


def measured(summary: dict[str, Any]) -> str:
    """Returns what was measured of a task: ``accuracy``, or ``R²`` where numbers are learned."""
    training = tomllib.loads(summary.get("config", "")).get("training", {})
    return "R²" if training.get("loss") == "squared" else "accuracy"


def where_text(summary: dict[str, Any]) -> str:
    """Returns what a run learned: a scenario, or a data set of one's own."""
    data = summary.get("data")
    name = f"data {data}" if data else f"scenario {summary['scenario']}"
    return f"{name} ({summary['setting']})"


Mean = dict[str, float | None]
"""``mean`` and ``sem``."""


def accuracy_cells(summary: dict[str, Any]) -> tuple[list[str], list[tuple[str, list[Mean]]]]:
    """Returns what a table of accuracies holds.

    Returns:
      Names of the columns, and a row for each task: its name and a mean over the seeds for each
      column, without one before the task is seen. Of many tasks: the first and the last ones, as
      they were learned and at the end, and between them a row without means that counts the others.
    """
    from jaxcl.reporting.metrics import mean_sem

    tasks, seeds = summary["tasks"], summary["accuracy"]
    many, last = len(tasks) > SHOWN, len(tasks) - 1
    rows: list[tuple[str, list[Mean]]] = []
    for column, task in enumerate(tasks):
        if many and SHOWN // 2 <= column <= last - SHOWN // 2:
            if column == SHOWN // 2:
                rows.append((f"({len(tasks) - 2 * (SHOWN // 2)} more)", []))
            continue
        after = (column, last) if many else range(len(tasks))
        rows.append((task, [mean_sem([seed[row][column] for seed in seeds]) for row in after]))
    return (["as learned", "at the end"] if many else [f"after {task}" for task in tasks]), rows


def facts_table(summary: dict[str, Any]) -> Table:
    """Makes a table of what :func:`facts` returns."""
    table = Table(show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    for name, text in facts(summary):
        table.add_row(name, text)
    return table


def facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns accuracies, forgetting, transfer, weights, routes and time: their names and texts."""
    from jaxcl.reporting.metrics import anytime_accuracy, mean_sem

    found = [("average accuracy", f"{mean_text(summary['average_accuracy'])} %")]
    anytime = mean_sem([anytime_accuracy(matrix) for matrix in summary.get("accuracy", [])])
    if anytime["mean"] is not None:
        found.append(("anytime accuracy", f"{mean_text(anytime)} %"))
    found.append(("learning accuracy", f"{mean_text(summary['learning_accuracy'])} %"))
    within = summary.get("within_task_accuracy", {"mean": None})
    if within["mean"] is not None:
        found.append(("within each task", f"{mean_text(within)} %"))
    for name in ("forgetting", "backward_transfer", "forward_transfer"):
        found.append((name.replace("_", " "), f"{mean_text(summary[name])} points"))
    for name, of in (("weights", _weights), ("memory", _memory), ("routes", _routes)):
        texts = [of(summary, place) for place in range(len(summary["seeds"]))]
        if len(set(texts)) == 1:
            rows = {name: texts[0]}
        else:
            rows = {f"seed {s}: {name}": t for s, t in zip(summary["seeds"], texts, strict=True)}
        found += [(label, text) for label, text in rows.items() if text]
    found += _plasticity(summary.get("plasticity"))
    times = summary["seconds"], summary["compile_seconds"]
    return [*found, ("time", "{:.0f} s, {:.1f} s of it compiling".format(*times))]


MEASURES = {
    "accuracy": ("newest task", 1.0, 1, " %"),
    "dormant": ("dormant units", 100.0, 1, " %"),
    "effective_rank": ("effective rank", 1.0, 1, ""),
    "weight_rms": ("weights, rms", 1.0, 4, ""),
}
"""Measure of plasticity -> label, factor, digits and unit in a table."""


def measure_text(found: dict[str, Any], name: str, part: str) -> str:
    """Returns a measure of plasticity as a cell of a table.

    Args:
      found: what a summary holds of plasticity.
      name: of the measure.
      part: ``first``, ``last`` or ``change``.
    """
    _, factor, digits, _ = MEASURES[name]
    value = {key: None if x is None else factor * x for key, x in found[part][name].items()}
    return mean_text(value, digits)


def _plasticity(found: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Label and text of each measure that was taken."""
    if found is None:
        return []
    made = []
    for name, (label, _, _, unit) in MEASURES.items():
        first, last = (measure_text(found, name, part) for part in ("first", "last"))
        if (first, last) != ("-", "-"):
            ends = f"first {found['tasks']} tasks {first}{unit}, last {last}{unit}"
            made.append((label, ends))
    return made


def _weights(summary: dict[str, Any], place: int) -> str:
    weights = summary["weights"][place]
    text = f"{weights['total']:,} in all; {weights['heads']:,} in heads"
    text += f"; {weights['added']:,} added in branches" if weights["added"] else ""
    return text + (f"; generator: {weights['generator']:,}" if "generator" in weights else "")


def _memory(summary: dict[str, Any], place: int) -> str:
    size = max(summary["state_bytes"][place].values())
    return f"{filesize.decimal(size)} in the state of the losses"


def _routes(summary: dict[str, Any], place: int) -> str:
    """The branches of each task; nothing where all tasks have the same."""
    routes = list(summary["routes"][place].values())
    if all(route == routes[0] for route in routes):
        return ""
    if len(routes) > MANY:  # a line for each task would be a screen of its own
        layers = dict.fromkeys(layer for route in routes for layer in route)
        counts = {x: len({route[x] for route in routes if x in route}) for x in layers}
        return "branches: " + ", ".join(f"{n} of {layer}" for layer, n in counts.items())
    return "\n".join(
        f"{task}: " + " ".join(f"{layer}={branch}" for layer, branch in route.items())
        for task, route in summary["routes"][place].items()
        if route
    )
