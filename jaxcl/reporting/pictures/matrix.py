"""The matrix of accuracies as a heat map."""

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from jaxcl.reporting.labels import SHOWN, shortened
from jaxcl.reporting.metrics import Matrix
from jaxcl.reporting.pictures.style import PERCENT, SMALL, cell_colours, seeds_text, styled

CELL, LEAST = 0.58, 0.3  # inches: with a digit behind the point, and without
NAMED = 6  # tasks whose names have room below a column each
LONGEST = 24  # characters of a task's name


@styled()
def accuracy_matrix(
    matrices: Sequence[Matrix], tasks: Sequence[str], title: str = "", measure: str = "accuracy"
) -> Figure:
    """Draws the accuracy (%) of each task after each task, means over seeds, 0 to 100.

    A column is the task that was just learned, a row the task that is tested.  Of more than 20
    tasks the cells have no numbers.

    Args:
      matrices: of each seed.
      tasks: their names.
      title: above the picture.
      measure: what the percentages are of; those below 0, as R^2 may be, have the colour of 0.
    """
    n = len(tasks)
    means = np.array(matrices, float).mean(0).T  # [tested, learned]
    cell = CELL if n <= NAMED else LEAST if n <= SHOWN else max(6.0 / n, 0.06)
    left = 0.8 + 0.08 * min(LONGEST, max(map(len, tasks)))
    size = left + cell * n + 1.0, max(2.1, cell * n + 1.1)
    figure = Figure(figsize=size, layout="compressed")
    axes = figure.subplots()
    axes.set_facecolor("none")
    axes.grid(visible=False)
    edges = (0.5, n + 0.5, n + 0.5, 0.5)  # so that tasks are counted from 1
    axes.imshow(means, cmap=PERCENT, vmin=0, vmax=100, extent=edges)
    for (row, column), mean in np.ndenumerate(means):
        if n <= SHOWN and not np.isnan(mean):
            text = f"{mean:.1f}" if n <= NAMED else f"{mean:.0f}"
            ink = cell_colours(float(mean))[1]
            axes.text(
                column + 1, row + 1, text, ha="center", va="center", color=ink, fontsize=SMALL
            )
    _name_tasks(figure, tasks, measure)
    scale = ScalarMappable(Normalize(0, 100), PERCENT)
    ends = "min" if (means < 0).any() else "neither"
    figure.colorbar(scale, ax=axes, label=f"{measure} (%)", shrink=0.9, aspect=25, extend=ends)
    above = [text for text in (title, seeds_text([len(matrices)], "").strip(",\n")) if text]
    figure.suptitle("\n".join(above), x=0.02, ha="left", fontsize="medium")
    return figure


def _name_tasks(figure: Figure, tasks: Sequence[str], measure: str) -> None:
    """Names rows and columns as far as there is room."""
    axes, n = figure.axes[0], len(tasks)
    axes.set(xlabel="after learning task", ylabel=f"{measure} on task")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if n > SHOWN:
        return
    fit = n <= NAMED and max(map(len, tasks)) <= 7
    places = range(1, n + 1)
    numbers = list(map(str, places))
    axes.set_xticks(places, tasks if fit else numbers)
    names = [shortened(task, LONGEST) for task in tasks]
    rows = names if fit else [f"{name}  {i}" for i, name in zip(numbers, names, strict=True)]
    axes.set_yticks(places, rows)
