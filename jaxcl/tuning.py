"""Runs that differ in some settings: a table, a picture, JSON, and the best of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table

from jaxcl import output, plots
from jaxcl.comparison import FIGURES as ALL_FIGURES
from jaxcl.comparison import Summary
from jaxcl.grid import label, value_text
from jaxcl.report import mean_text

FIGURES = {n: ALL_FIGURES[n] for n in ("average_accuracy", "learning_accuracy", "forgetting")}
JSON, PICTURE = "sweep.json", "sweep.png"


class Tried(NamedTuple):
    """A point of the grid.

    Attributes:
      point: setting -> value.
      summary: of its run; None where the loss was not finite.
    """

    point: dict[str, Any]
    summary: Summary | None


def best(tried: Sequence[Tried]) -> Tried:
    """The point with the highest mean of the average accuracy, the first of equals.

    Raises:
      ValueError: no run ended.
    """
    return max((each for each in tried if each.summary is not None), key=_score)


def _score(each: Tried) -> float:
    return np.nan if each.summary is None else each.summary["average_accuracy"]["mean"]


def table(tried: Sequence[Tried]) -> Table:
    """Points against their figures, means and standard errors over the seeds."""
    first = next(each.summary for each in tried if each.summary is not None)
    n = len(first["seeds"])
    seeds = "1 seed" if n == 1 else f"mean ± standard error of {n} seeds"
    made = Table(
        title=f"{first['method']} on scenario {first['scenario']} ({first['setting']}), {seeds}",
        caption="average and learning accuracy (%), forgetting (points); * the best average",
        box=box.SIMPLE_HEAD,
    )
    for name in (*tried[0].point, *FIGURES.values(), ""):
        made.add_column(name, justify="right", no_wrap=True)
    chosen = best(tried)
    for each in tried:
        cells = [value_text(value) for value in each.point.values()]
        if each.summary is None:
            made.add_row(*cells, "diverged")
            continue
        figures = [mean_text(each.summary[name]) for name in FIGURES]
        made.add_row(*cells, *figures, "*" if each is chosen else "")
    return made


def best_text(tried: Sequence[Tried]) -> str:
    """One line: the best point, its average accuracy, and what is within its error."""
    chosen = best(tried)
    assert chosen.summary is not None
    ended = [each for each in tried if each.summary is not None]
    if len(ended) > 1 and len({_score(each) for each in ended}) == 1:
        return "no value made a difference: does the method use this setting?"
    figure = chosen.summary["average_accuracy"]
    text = f"best: {label(chosen.point)}, average accuracy {mean_text(figure)} %"
    error = figure["sem"]
    close = [
        each
        for each in tried
        if each is not chosen and _score(each) >= _score(chosen) - (error or 0)
    ]
    if error is not None and close:
        text += f"; within its error: {'; '.join(label(each.point) for each in close)}"
    return text


def write(tried: Sequence[Tried], varied: dict[str, list[Any]], folder: Path) -> None:
    """Writes ``sweep.json`` and, for one or two settings, ``sweep.png``."""
    kept = (*ALL_FIGURES, "final", "weights", "task_seconds", "seeds")
    rows = [
        {"point": point, **({name: summary[name] for name in kept} if summary else {})}
        for point, summary in tried
    ]
    first = next(each.summary for each in tried if each.summary is not None)
    result = {
        **{name: first[name] for name in ("method", "scenario", "setting", "config", "versions")},
        "git": first["git"],
        "grid": varied,
        "points": rows,
        "best": best(tried).point,
    }
    output.write_bytes(folder / JSON, json.dumps(result, indent=1).encode())
    title = f"{first['method']} on scenario {first['scenario']} ({first['setting']})"
    if len(varied) == 1:
        ((name, values),) = varied.items()
        names = "average_accuracy", "learning_accuracy"
        lines = {FIGURES[figure]: [_figure(each, figure) for each in tried] for figure in names}
        picture = plots.value_curves(name, values, lines, title)
    elif len(varied) == 2:
        scores = np.array([_score(each) for each in tried])
        picture = plots.heat_map(varied, scores.reshape([len(v) for v in varied.values()]), title)
    else:
        return
    output.write_bytes(folder / PICTURE, picture)


def _figure(each: Tried, name: str) -> tuple[float, float]:
    """Mean and standard error, as far as there are any."""
    if each.summary is None:
        return np.nan, np.nan
    figure = each.summary[name]
    return figure["mean"], figure["sem"] or 0.0
