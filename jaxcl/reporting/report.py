"""What a run found, as tables for a person."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from rich import box, filesize
from rich.columns import Columns
from rich.console import Console, Group
from rich.table import Table

from jaxcl.checkpointing import run_folder
from jaxcl.reporting.console import first_that_fits, fits
from jaxcl.reporting.labels import SHOWN, lengths, shortened

MANY = 10  # tasks whose routes are counted rather than listed
LEGEND = 24  # characters of a task's name where it stands for t1


def mean_text(value: dict[str, float | None], digits: int = 1) -> str:
    """Returns a mean and its standard error, as far as there are any."""
    if value["mean"] is None:
        return "-"
    error = f" ± {value['sem']:.{digits}f}" if value["sem"] is not None else ""
    return f"{value['mean']:.{digits}f}{error}"


def markdown_row(cells: Sequence[str]) -> str:
    """Makes a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def show_accuracy(summary: dict[str, Any], console: Console) -> None:
    """Prints the accuracy of each task after each task, means over the seeds.

    With few tasks and room, with their standard errors and the tasks' names; else as rows after
    each task, with the mean over the tasks so far, and columns ``t1``, ``t2``, ... under which the
    names stand.  Of more than ``SHOWN`` tasks, as they were learned and at the end.

    Args:
      summary: of the run.
      console: whose width decides.
    """
    tasks, seeds = summary["tasks"], len(summary["seeds"])
    over = f" with {summary['replay']} replay" if summary.get("replay") else ""
    measured = "held-out" if summary.get("validation") else "test"
    title = (
        f"{summary['method']}{over} on scenario {summary['scenario']}"
        f" ({summary['setting']}): {measured} accuracy (%)"
    )
    if len(tasks) > SHOWN:
        tables = (_ends_table(summary, length) for length in lengths(tasks))
        table = first_that_fits(tables, console)
    else:
        spaces = (" ", "\n")
        table = first_that_fits((_whole_table(summary, space) for space in spaces), console)
        if not fits(table, console):
            return _show_compact(summary, title, console)
    table.title = title
    table.caption = "mean ± standard error over the seeds" if seeds > 1 else None
    console.print(table)


def _whole_table(summary: dict[str, Any], space: str) -> Table:
    """Tasks against accuracy after each task, with standard errors."""
    tasks = summary["tasks"]
    table = Table()
    table.add_column("task", no_wrap=True, vertical="bottom")
    for task in tasks:
        table.add_column(f"after{space}{task}", justify="right", no_wrap=True)
    for column, task in enumerate(tasks):
        cells = [_accuracy(summary, row, column) for row in range(len(tasks))]
        table.add_row(task, *(mean_text(c) if c["mean"] is not None else "" for c in cells))
    return table


def _ends_table(summary: dict[str, Any], length: int) -> Table:
    """The first and the last tasks, with names of a length, as learned and at the end."""
    tasks, each = summary["tasks"], SHOWN // 2
    last = len(tasks) - 1
    table = Table()
    table.add_column("task", no_wrap=True)
    for name in ("as learned", "at the end"):
        table.add_column(name, justify="right", no_wrap=True)
    for column, task in enumerate(tasks):
        if column == each:
            table.add_row(f"({len(tasks) - 2 * each} more)", "", "")
        if column < each or column > last - each:
            cells = [_accuracy(summary, row, column) for row in (column, last)]
            texts = [mean_text(c) if c["mean"] is not None else "" for c in cells]
            table.add_row(shortened(task, length), *texts)
    return table


def _show_compact(summary: dict[str, Any], title: str, console: Console) -> None:
    """Rows after each task, columns of tasks; so many columns side by side as have room."""
    n = len(summary["tasks"])
    means = [[_accuracy(summary, row, column)["mean"] for column in range(n)] for row in range(n)]
    console.print(title, style="table.title", highlight=False)
    each = (_parts(means, at_once) for at_once in range(n, 0, -1))
    console.print(first_that_fits(each, console))
    names = [f"t{i + 1} {shortened(task, LEGEND)}" for i, task in enumerate(summary["tasks"])]
    console.print(Columns(names, padding=(0, 2), column_first=True))
    if len(summary["seeds"]) > 1:
        remark = f"means over {len(summary['seeds'])} seeds, each seed in {run_folder.SUMMARY}"
        console.print(remark, style="table.caption", highlight=False)


def _parts(means: Sequence[Sequence[float | None]], at_once: int) -> Group:
    """Tables below one another, of so many tasks each."""
    firsts = range(0, len(means), at_once)
    tables = [_part(means, range(f, min(f + at_once, len(means)))) for f in firsts]
    return Group(*(part for table in tables for part in (table, "")))


def _part(means: Sequence[Sequence[float | None]], columns: range) -> Table:
    """Accuracies of some tasks after each task from the first of them on."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in ("after", "mean", *(f"t{column + 1}" for column in columns)):
        table.add_column(name, justify="right", no_wrap=True)
    for row in range(columns[0], len(means)):
        known = [value for value in means[row][: row + 1] if value is not None]
        mean = fmean(known) if len(known) == row + 1 else None
        cells = (mean, *(means[row][column] for column in columns))
        table.add_row(f"t{row + 1}", *("" if cell is None else f"{cell:.1f}" for cell in cells))
    return table


def _accuracy(summary: dict[str, Any], row: int, column: int) -> dict[str, float | None]:
    """Mean and standard error over the seeds of a task's accuracy after another, percent."""
    from jaxcl.reporting.metrics import mean_sem

    return mean_sem([seed[row][column] for seed in summary["accuracy"]])


def facts_table(summary: dict[str, Any]) -> Table:
    """Makes a table of accuracies, forgetting, transfer, weights, routes and time."""
    from jaxcl.reporting.metrics import anytime_accuracy, mean_sem

    table = Table(show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    table.add_row("average accuracy", f"{mean_text(summary['average_accuracy'])} %")
    anytime = mean_sem([anytime_accuracy(matrix) for matrix in summary.get("accuracy", [])])
    if anytime["mean"] is not None:
        table.add_row("anytime accuracy", f"{mean_text(anytime)} %")
    table.add_row("learning accuracy", f"{mean_text(summary['learning_accuracy'])} %")
    within = summary.get("within_task_accuracy", {"mean": None})
    if within["mean"] is not None:
        table.add_row("within each task", f"{mean_text(within)} %")
    for name in ("forgetting", "backward_transfer", "forward_transfer"):
        table.add_row(name.replace("_", " "), f"{mean_text(summary[name])} points")
    for name, of in (("weights", _weights), ("memory", _memory), ("routes", _routes)):
        texts = [of(summary, place) for place in range(len(summary["seeds"]))]
        if len(set(texts)) == 1:
            rows = {name: texts[0]}
        else:
            rows = {f"seed {s}: {name}": t for s, t in zip(summary["seeds"], texts, strict=True)}
        for label, text in rows.items():
            if text:
                table.add_row(label, text)
    for label, text in _plasticity(summary.get("plasticity")):
        table.add_row(label, text)
    times = summary["seconds"], summary["compile_seconds"]
    table.add_row("time", "{:.0f} s, {:.1f} s of it compiling".format(*times))
    return table


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
