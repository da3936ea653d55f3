"""The accuracy of each task after each task, as fully as the width of a terminal allows."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, Group
from rich.table import Table

from jaxcl.checkpointing import run_folder
from jaxcl.reporting.console import first_that_fits, fits
from jaxcl.reporting.labels import SHOWN, lengths, shortened
from jaxcl.reporting.report import accuracy_cells, mean_text, tested, what_text

LEGEND = 24  # characters of a task's name where it stands for t1


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
    measured = tested(summary)
    title = f"{what_text(summary)}: {measured} accuracy (%)"
    if len(tasks) > SHOWN:
        tables = (_table(summary, " ", length) for length in lengths(tasks))
        table = first_that_fits(tables, console)
    else:
        table = first_that_fits((_table(summary, space, None) for space in (" ", "\n")), console)
        if not fits(table, console):
            return _show_compact(summary, title, console)
    table.title = title
    table.caption = "mean ± standard error over the seeds" if seeds > 1 else None
    console.print(table)


def _table(summary: dict[str, Any], space: str, length: int | None) -> Table:
    """Tasks, with names of a length, against accuracy with standard errors."""
    columns, rows = accuracy_cells(summary)
    table = Table()
    table.add_column("task", no_wrap=True, vertical="bottom")
    for name in columns:
        after = name.replace("after ", f"after{space}", 1) if length is None else name
        table.add_column(after, justify="right", no_wrap=True)
    for task, cells in rows:
        texts = [mean_text(cell) if cell["mean"] is not None else "" for cell in cells]
        name = shortened(task, length) if cells and length is not None else task
        table.add_row(name, *texts or [""] * len(columns))
    return table


def _show_compact(summary: dict[str, Any], title: str, console: Console) -> None:
    """Rows after each task, columns of tasks; so many columns side by side as have room."""
    n = len(summary["tasks"])
    means = [[_mean(summary, row, column) for column in range(n)] for row in range(n)]
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


def _mean(summary: dict[str, Any], row: int, column: int) -> float | None:
    """Mean over the seeds of a task's accuracy after another, percent."""
    from jaxcl.reporting.metrics import mean_sem

    return mean_sem([seed[row][column] for seed in summary["accuracy"]])["mean"]
