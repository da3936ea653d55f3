"""Several methods on one scenario: a table, a picture, JSON, and what to expect."""

import json
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from jaxcl.checkpointing import run_folder, saved_settings
from jaxcl.core.errors import UsageError
from jaxcl.methods import METHODS
from jaxcl.reporting.console import first_that_fits
from jaxcl.reporting.labels import lengths, shortened
from jaxcl.reporting.metrics import average_so_far
from jaxcl.reporting.pictures import Form
from jaxcl.reporting.pictures.methods import average_curves
from jaxcl.reporting.pictures.style import rendered
from jaxcl.reporting.report import mean_text, measured, where_text

Summary = dict[str, Any]
FIGURES = {
    "average_accuracy": "average",
    "learning_accuracy": "learned",
    "forgetting": "forgotten",
    "backward_transfer": "backward",
    "forward_transfer": "forward",
}
CAPTION = "average, learned: %; forgotten, backward, forward: points; time: a seed's tasks"
PICTURE = "comparison"
NEW = "replay", "data"  # older summaries have no such names


def show(summaries: Sequence[Summary], names: Sequence[str], console: Console) -> None:
    """Prints runs against their figures, and which cannot be expected to do well.

    Means and standard errors over the seeds; where room is short, means alone.

    Args:
      summaries: of runs on one scenario.
      names: of the runs, such as their methods.
      console: whose width decides.
    """
    console.print(first_that_fits(_tables(summaries, names), console))
    for text in (CAPTION, *expectations(summaries)):
        console.print(text, highlight=False)


def _tables(summaries: Sequence[Summary], names: Sequence[str]) -> Iterator[Table]:
    """The table with less and less: space, standard errors, length of names."""
    for errors in (True, False):
        for space in (1, 0):
            yield _table(summaries, names, errors=errors, space=space)
    for length in lengths(names):
        yield _table(summaries, [shortened(name, length) for name in names], errors=False, space=0)


def _table(
    summaries: Sequence[Summary], names: Sequence[str], *, errors: bool, space: int
) -> Table:
    """Runs against their figures, with so much space beside each."""
    first, counts = summaries[0], sorted({len(summary["seeds"]) for summary in summaries})
    many = " to ".join(map(str, counts[:1] + counts[1:][-1:]))
    seeds = f"mean{' ± standard error' if errors else ''} of {many} seeds"
    seeds = "1 seed" if counts == [1] else seeds
    title = f"{where_text(first)}, {seeds}"
    made = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, space))
    made.add_column("method" if names[0] == first["method"] else "run", no_wrap=True)
    for name in (*FIGURES.values(), "time"):
        made.add_column(name, justify="right", no_wrap=True)
    for name, summary in zip(names, summaries, strict=True):
        made.add_row(name, *figures(summary, errors=errors))
    return made


def figures(summary: Summary, *, errors: bool = True) -> list[str]:
    """Returns the texts of a row: all of :data:`FIGURES`, and the wall time of a seed."""
    seconds = np.mean([sum(s.values()) for s in summary["task_seconds"]])
    return [*figures_of(summary, FIGURES, errors=errors), f"{seconds:.0f} s"]


def figures_of(summary: Summary, names: Iterable[str], *, errors: bool) -> list[str]:
    """Returns figures of a summary as text, with their standard errors or without."""
    found = [summary[name] for name in names]
    return [mean_text(each if errors else each | {"sem": None}) for each in found]


def check_alike(summaries: Sequence[Summary], names: Sequence[str]) -> None:
    """Raises a UsageError unless all runs measured the same: the accuracy on the same tasks."""
    for what in ("scenario", "data", "setting", "tasks", "validation", "limit"):
        values = [saved_settings.text_of(_plain(_said(summary, what))) for summary in summaries]
        for name, value in zip(names, values, strict=True):
            if value != values[0]:
                raise UsageError(
                    f"runs: {what} of {names[0]} is {values[0]}, of {name} {value};"
                    " compare runs that measured the same"
                )
    check_data(summaries, names)


def check_data(summaries: Sequence[Summary], names: Sequence[str]) -> None:
    """Raises a UsageError where a data set of one's own was changed between two runs.

    Runs are left alone whose settings make other examples of the same data.
    """
    first: dict[Any, tuple[str, str]] = {}
    for name, summary in zip(names, summaries, strict=True):
        if summary.get("data") is None:
            continue
        inputs, data = summary["inputs"], tomllib.loads(summary.get("config", "")).get("data", {})
        made = repr((inputs["kind"], summary["tasks"], sorted(data.items())))
        before, checksum = first.setdefault(made, (name, inputs["checksum"]))
        if inputs["checksum"] != checksum:
            raise UsageError(
                f"data: {summary['data']} was changed between {before} and {name}; run both again,"
                " into another folder"
            )


def _said(summary: Summary, what: str) -> Any:
    """A figure of a summary, or the limit that its settings have."""
    if what != "limit":
        return summary.get(what)
    return tomllib.loads(summary.get("config", "")).get("data", {}).get("limit")


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def expectations(summaries: Sequence[Summary]) -> list[str]:
    """Returns one line for each method that cannot be expected to do well here, and why.

    Of a plug-in's method that is not loaded nothing is known.
    """
    lines = []
    for summary in summaries:
        kind = METHODS.get(summary["method"])
        why = None if kind is None else kind.fails.get(summary["setting"])
        if why is not None and summary.get("replay") in (None, "noise"):
            lines.append(f"{summary['method']} is expected to fail here: {why}.")
    return lines


def write(summaries: Sequence[Summary], folder: Path) -> None:
    """Writes ``comparison.json`` and ``comparison.png``."""
    kept = ("method", "scenario", "setting", "seeds", *FIGURES, "final", "weights", "task_seconds")
    rows = [
        {n: summary[n] for n in kept} | {n: summary.get(n) for n in NEW} for summary in summaries
    ]
    run_folder.write_bytes(folder / run_folder.COMPARISON, json.dumps(rows, indent=1).encode())
    write_picture(summaries, [summary["method"] for summary in summaries], folder)


def write_picture(
    summaries: Sequence[Summary], names: Sequence[str], folder: Path, form: Form = "png"
) -> Path:
    """Draws the average accuracy over the tasks so far of each run, and returns the file.

    Args:
      summaries: of runs on one scenario.
      names: of the runs.
      folder: for the file ``comparison.png``, or of another form.
      form: of the file.
    """
    matrices = [summary["accuracy"] for summary in summaries]
    lines = dict(zip(names, map(average_so_far, matrices), strict=True))
    file = folder / f"{PICTURE}.{form}"
    figure = average_curves(lines, where_text(summaries[0]), measured(summaries[0]))
    run_folder.write_bytes(file, rendered(figure, form))
    return file
