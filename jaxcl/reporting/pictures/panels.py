"""Methods against each other on every task, while training goes on."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from jaxcl.reporting.labels import shortened
from jaxcl.reporting.pictures.curves import BAND, Curves, line_with_band
from jaxcl.reporting.pictures.style import LINES, ORDERED, SMALL, seeds_text, styled

THICK, THIN = 4.2, 1.2  # points, of the first method's line and of the last one's
LONGEST = 16  # characters of a task's name beside its axes
LEAST = 2.0  # percentage points that an axis shows, at least


class Panel(NamedTuple):
    """What is drawn of a scenario.

    Attributes:
      methods: method -> curves, all of the same tasks; none where nothing was run.
      boundaries: epochs after which each task ended.
    """

    methods: Mapping[str, Curves]
    boundaries: Sequence[int]


@styled()
def accuracy_panels(panels: Mapping[str, Panel], columns: int = 2) -> Figure:
    """Draws the test accuracy (%) of every task against the epochs, methods over one another.

    Each task has axes of its own.  Lines are means over seeds, bands go from the lowest to the
    highest one.  The first method's line is thick and light, the last one's thin, dark and dashed,
    so that lines that lie on one another are seen.

    Args:
      panels: title -> what to draw.
      columns: panels side by side.
    """
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel.methods))
    rows = -(-len(panels) // columns)
    in_row = [list(panels.values())[row * columns : (row + 1) * columns] for row in range(rows)]
    tallest = [max(1, *(len(_tasks(panel)) for panel in row)) for row in in_row]
    heights = [0.75 + 1.0 * tasks for tasks in tallest]
    width = (6.0, 7.8, 8.6)[min(columns, 3) - 1]
    figure = Figure(figsize=(width, sum(heights) + 0.55), layout="constrained")
    parts = figure.subfigures(rows, columns, height_ratios=heights, squeeze=False).ravel()
    for part, (title, panel) in zip(parts, panels.items(), strict=False):
        _draw(part, title, panel, dict(zip(names, _looks(len(names)), strict=True)))
    lines = {line.get_label(): line for axes in figure.axes for line in axes.lines}
    shown = [lines[name] for name in names]
    note, beside = _note(figure, panels), max(1, len(names))
    figure.legend(handles=shown, loc="outside lower center", ncols=beside, title=note)
    return figure


def _note(figure: Figure, panels: Mapping[str, Panel]) -> str:
    """What lines and bands are, and whether something is not seen."""
    counts = [
        len(next(iter(curves.values()))) for p in panels.values() for curves in p.methods.values()
    ]
    note = seeds_text(counts, BAND).replace("\n", " ") if counts else "no runs"
    if any(_cut(axes) for axes in figure.axes):
        note += "; a task's first epoch may lie below its axes"
    return f"{note}; dotted: a new task begins"


def _tasks(panel: Panel) -> list[str]:
    return list(next(iter(panel.methods.values()), ()))


def _looks(n: int) -> list[dict[str, Any]]:
    """From light and thick to dark, thin and dashed."""
    widths = np.linspace(THICK, THIN, n) if n > 1 else [1.5]
    colours = [to_hex(colormaps[ORDERED](0.8 * (1 - (i / max(1, n - 1)) ** 1.4))) for i in range(n)]
    styles = ["-"] * (n - 1) + [LINES[1]] if n > 1 else ["-"]
    return [
        {"color": c, "linewidth": w, "linestyle": s}
        for c, w, s in zip(colours, widths, styles, strict=True)
    ]


def _draw(figure: SubFigure, title: str, panel: Panel, looks: Mapping[str, dict[str, Any]]) -> None:
    """A panel: axes for each task, or the word that nothing was run."""
    figure.suptitle(title, x=0.02, ha="left", fontsize="medium")
    tasks = _tasks(panel)
    if not tasks:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.text(0.5, 0.5, "not run", ha="center", va="center", color="0.4")
        return
    every = np.atleast_1d(figure.subplots(len(tasks), sharex=True))
    for place, (axes, task) in enumerate(zip(every, tasks, strict=True)):
        drawn = []
        for method, curves in panel.methods.items():
            values = np.array(curves[task], float)
            epochs = np.arange(1, values.shape[1] + 1)
            line_with_band(axes, epochs, values, label=method, **looks[method])
            drawn.append(values)
        for end in panel.boundaries[:-1]:
            axes.axvline(end + 0.5, color="0.6", linewidth=0.8, linestyle=":", zorder=1)
        start = [0, *panel.boundaries][place]
        _limit(axes, np.concatenate(drawn)[:, start:])
        axes.set_ylabel(shortened(task, LONGEST), fontsize=SMALL)
        axes.yaxis.set_major_locator(MaxNLocator(4, min_n_ticks=2))
    every[-1].set(xlabel="epoch", xlim=(0.5, panel.boundaries[-1] + 0.5))
    every[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels()
    figure.supylabel("test accuracy (%)", fontsize=9)


def _limit(axes: Axes, values: np.ndarray) -> None:
    """Fits an axis to all values but those of a task's first epoch that lie below the others."""
    later = values[:, 1:]
    if not later.size or np.isnan(later).all():
        return
    low, high = np.nanmin(later), np.nanmax(values)
    apart = max(LEAST, high - low)
    middle = (low + high) / 2
    axes.set_ylim(middle - 0.6 * apart, min(middle + 0.6 * apart, 100 + 0.05 * apart))


def _cut(axes: Axes) -> bool:
    """Whether a line leaves the axes below."""
    lowest = axes.dataLim.ymin  # of lines across all of the axes, too, which have no y of their own
    return bool(np.isfinite(lowest) and lowest < axes.get_ylim()[0])
