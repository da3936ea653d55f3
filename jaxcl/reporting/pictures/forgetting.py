"""What was forgotten of each task."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from jaxcl.reporting.labels import shortened
from jaxcl.reporting.metrics import Matrix, forgetting_by_task
from jaxcl.reporting.pictures.style import OKABE_ITO, WIDTH, seeds_text, styled

LONGEST = 24  # characters of a task's name
NAMED = 40  # tasks that have a bar with a name each
BAR, LINE = OKABE_ITO[5], OKABE_ITO[0]


@styled()
def forgetting_bars(matrices: Sequence[Matrix], tasks: Sequence[str], title: str = "") -> Figure:
    """Draws the forgetting of each task but the last: best before the end - at the end, points.

    Bars are means over seeds, whiskers one standard error to both sides, dots the seeds.

    Args:
      matrices: of each seed, of two tasks or more, all of which were tested at the end.
      tasks: their names.
      title: above the picture.
    """
    lost = np.array([forgetting_by_task(matrix) for matrix in matrices])  # [seed, task]
    n, mean = lost.shape[1], lost.mean(0)
    named = n <= NAMED
    high = max(1.8, 1.1 + 0.26 * n) if named else 9.0
    figure = Figure(figsize=(WIDTH, high), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(n), mean, color=BAR, alpha=0.6, height=0.7)
    if len(lost) > 1:
        error = lost.std(0, ddof=1) / np.sqrt(len(lost))
        places = np.repeat(np.arange(n), len(lost)).reshape(n, -1)
        places = places + np.linspace(-0.2, 0.2, len(lost))
        axes.plot(lost.T.ravel(), places.ravel(), ".", color="0.45", markersize=4 if named else 1)
        look = {"fmt": "none", "ecolor": LINE, "elinewidth": 1.8 if named else 0.6}
        axes.errorbar(mean, range(n), xerr=error, capsize=3 if named else 0, **look)
    axes.axvline(0, color="0.4", linewidth=0.8)
    if named:
        axes.set_yticks(range(n), [shortened(task, LONGEST) for task in tasks[:-1]])
    else:
        axes.set_yticks(range(9, n, 10), map(str, range(10, n + 1, 10)))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_ylim(n - 0.5, -0.5)
    note = seeds_text([len(lost)], "whiskers: ± standard error, dots: seeds").replace("\n", " ")
    axes.set(xlabel=f"forgetting at the end (percentage points)\n{note}", ylabel="task")
    axes.set_title(title)
    return figure
