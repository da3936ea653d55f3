"""Runs that differ in some settings: a table, a picture, JSON, and the best of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from jaxcl.checkpointing import run_folder
from jaxcl.reporting.comparison import FIGURES as ALL_FIGURES
from jaxcl.reporting.comparison import Summary, figures_of
from jaxcl.reporting.console import first_that_fits
from jaxcl.reporting.labels import label, value_text
from jaxcl.reporting.pictures.style import rendered
from jaxcl.reporting.pictures.sweep import value_curves, value_map
from jaxcl.reporting.report import mean_text, measured, where_text

FIGURES = {n: ALL_FIGURES[n] for n in ("average_accuracy", "learning_accuracy", "forgetting")}
PICTURE = "sweep.png"


class Tried(NamedTuple):
    """A point of the grid.

    Attributes:
      point: setting -> value.
      summary: of its run; None where the loss was not finite.
      part: 1 if it was trained to the end; n for an n-th of that, after which it was left
        out.
    """

    point: dict[str, Any]
    summary: Summary | None
    part: int = 1


def tried_of(saved: dict[str, Any]) -> list[Tried]:
    """Returns the points that ``sweep.json`` holds."""
    common = {name: saved[name] for name in ("method", "scenario", "setting")}
    common["data"] = saved.get("data")
    return [
        Tried(row["point"], common | row if "average_accuracy" in row else None, row["part"])
        for row in saved["points"]
    ]


def best(tried: Sequence[Tried]) -> Tried:
    """Returns the point with the highest mean of the average accuracy, the first of equals.

    Of those that were trained to the end.

    Raises:
      ValueError: no run ended.
    """
    return max((each for each in tried if each.summary and each.part == 1), key=score)


def score(each: Tried) -> float:
    """Returns the mean of the average accuracy, percent; nan where the loss was not finite."""
    return np.nan if each.summary is None else each.summary["average_accuracy"]["mean"]


def show(tried: Sequence[Tried], console: Console) -> None:
    """Prints points against their figures and what is best.

    Means and standard errors over the seeds; where room is short, means alone.
    """
    choices = ((True, 1), (True, 0), (False, 1), (False, 0))
    console.print(first_that_fits((_table(tried, *each) for each in choices), console))
    caption = "average and learning accuracy (%), forgetting (points); * the best average"
    for text in (caption, best_text(tried)):
        console.print(text, highlight=False)


def _table(tried: Sequence[Tried], errors: bool, space: int) -> Table:
    """Points against their figures, with so much space beside each."""
    first = next(each.summary for each in tried if each.summary is not None)
    n = len(first["seeds"])
    seeds = "1 seed" if n == 1 else f"mean{' ± standard error' if errors else ''} of {n} seeds"
    made = Table(
        title=f"{first['method']} on {where_text(first)}, {seeds}",
        box=box.SIMPLE_HEAD,
        padding=(0, space),
    )
    shorter = any(each.part > 1 for each in tried)
    for name in (*tried[0].point, *(["trained"] if shorter else []), *FIGURES.values(), ""):
        made.add_column(name, justify="right", no_wrap=True)
    chosen = best(tried)
    for each in tried:
        cells = [value_text(value) for value in each.point.values()]
        cells += ["whole" if each.part == 1 else f"1/{each.part}"] if shorter else []
        if each.summary is None:
            made.add_row(*cells, "diverged")
            continue
        figures = figures_of(each.summary, FIGURES, errors=errors)
        made.add_row(*cells, *figures, "*" if each is chosen else "")
    return made


def _shown(each: Tried) -> tuple[float, ...]:
    assert each.summary is not None
    return tuple(each.summary[name]["mean"] for name in FIGURES)


def best_text(tried: Sequence[Tried]) -> str:
    """Returns one line: the best point, its average accuracy, and what is within its error."""
    chosen = best(tried)
    assert chosen.summary is not None
    ended = [each for each in tried if each.summary is not None and each.part == 1]
    if len(ended) > 1 and len({_shown(each) for each in ended}) == 1:
        return "no value made a difference: does the method use this setting?"
    figure = chosen.summary["average_accuracy"]
    text = f"best: {label(chosen.point)}, average accuracy {mean_text(figure)} %"
    error = figure["sem"]
    close = [
        each for each in ended if each is not chosen and score(each) >= score(chosen) - (error or 0)
    ]
    if error is not None and close:
        text += f"; within its error: {'; '.join(label(each.point) for each in close)}"
    return text


def write(
    tried: Sequence[Tried], first: Sequence[Tried], varied: dict[str, list[Any]], folder: Path
) -> None:
    """Writes ``sweep.json`` and, for one or two settings, ``sweep.png``.

    Args:
      tried: each point as far as it was trained.
      first: all points after the same, perhaps shorter, training: what the picture shows.
      varied: setting -> its values.
      folder: for the files.
    """
    kept = (*ALL_FIGURES, "final", "weights", "task_seconds", "seeds")
    rows = [
        {"point": point, "part": part, **({n: summary[n] for n in kept} if summary else {})}
        for point, summary, part in tried
    ]
    best_ = best(tried).summary
    assert best_ is not None
    names = "method", "scenario", "data", "setting", "config", "versions", "machine", "git"
    result = {
        **{name: best_.get(name) for name in names},  # older runs do not know their machine
        "grid": varied,
        "points": rows,
        "best": best(tried).point,
    }
    run_folder.write_bytes(folder / run_folder.SWEEP, json.dumps(result, indent=1).encode())
    title = f"{best_['method']} on {where_text(best_)}"
    title += f"\nafter 1/{first[0].part} of the training" if first[0].part > 1 else ""
    n, measure = len(best_["seeds"]), measured(best_)  # as many seeds as of every point
    if len(varied) == 1:
        ((name, values),) = varied.items()
        names = "average_accuracy", "learning_accuracy"
        lines = {FIGURES[figure]: [_figure(each, figure) for each in first] for figure in names}
        figure = value_curves(name, values, lines, title, seeds=[n], measure=measure)
    elif len(varied) == 2:
        scores = np.array([score(each) for each in first])
        title += ", " if "\n" in title else "\n"
        title += "1 seed" if n == 1 else f"mean of {n} seeds"
        scores = scores.reshape([len(v) for v in varied.values()])
        figure = value_map(varied, scores, title, measure)
    else:
        return
    run_folder.write_bytes(folder / PICTURE, rendered(figure, "png"))


def _figure(each: Tried, name: str) -> tuple[float, float]:
    """Mean and standard error, as far as there are any."""
    if each.summary is None:
        return np.nan, np.nan
    figure = each.summary[name]
    return figure["mean"], figure["sem"] or 0.0
