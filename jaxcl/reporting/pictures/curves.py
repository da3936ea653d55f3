"""The accuracy of every task while training goes on."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxcl.reporting.labels import shortened
from jaxcl.reporting.pictures.style import (
    SMALL,
    WIDTH,
    legend_text,
    looks,
    lower_limit,
    seeds_text,
    styled,
)

MANY = 20  # tasks, beyond which a line for each would be a tangle
LONGEST = 24  # characters of a task's name in the legend
LETTER = 0.075  # inches, of a small letter
BAND = "band: lowest to highest"
Curves = Mapping[str, Sequence[Sequence[float | None]] | np.ndarray]
"""task -> [seed][epoch of the whole run] -> accuracy in percent, None before it is seen."""


@styled()
def learning_curves(
    curves: Curves,
    boundaries: Sequence[int],
    title: str = "",
    tested: str = "test",
    measure: str = "accuracy",
) -> Figure:
    """Draws the test accuracy (%) of every task against the epochs of the whole run.

    Lines are means over seeds, bands go from the lowest to the highest seed.  Of more than 20 tasks
    two lines are drawn: the newest task, and the mean over the tasks so far.

    Args:
      curves: what to draw.
      boundaries: epochs after which each task ended.
      title: above the picture.
      tested: what the accuracy is of: ``test`` or ``held-out`` examples.
      measure: what the percentages are of.
    """
    names, seeds = list(curves), len(next(iter(curves.values())))
    short = len(names) > MANY
    lines = _in_short(curves, boundaries) if short else curves
    numbered = False if short else _numbered(names, boundaries)
    height = max(3.4, 0.9 + 0.175 * len(lines))
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    for place, ((name, values), look) in enumerate(
        zip(lines.items(), looks(len(lines)), strict=True)
    ):
        label = legend_text(shortened(name, LONGEST))
        label = f"{place + 1}  {label}" if numbered else label
        table = np.array(values, float)
        epochs = np.arange(1, table.shape[1] + 1)
        # Markers of many lines would hide them.
        every = max(1, table.shape[1] // 8)
        marks = {"markevery": (place % every, every)}
        line_with_band(axes, epochs, table, label=label, **look._asdict(), **marks)
    drawn = np.concatenate([np.array(values, float).ravel() for values in lines.values()])
    limits = lower_limit(drawn), 102
    axes.set(xlabel="epoch", ylabel=f"{tested} {measure} (%)", ylim=limits)
    axes.set_xlim(0.5, boundaries[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(names) > 1 and not short:
        _show_tasks(axes, names, boundaries, numbered=numbered)
    axes.set_title(title)
    figure.legend(loc="outside right upper", alignment="left", title=seeds_text([seeds], BAND))
    return figure


def line_with_band(axes: Axes, x: np.ndarray, values: np.ndarray, **look: object) -> None:
    """Draws the mean over seeds and, of several, a band from the lowest to the highest.

    Args:
      axes: to draw on.
      x: where, ``[points]``.
      values: ``[seed, points]``; not a number where there is none.
      look: of the line, as Matplotlib has it.
    """
    known = ~np.isnan(values).any(0)
    x, values = x[known], values[:, known]
    axes.plot(x, values.mean(0), **look)  # pyright: ignore[reportArgumentType]
    if len(values) > 1:
        colour = axes.lines[-1].get_color()
        axes.fill_between(x, values.min(0), values.max(0), color=colour, alpha=0.18, linewidth=0)


def _numbered(names: Sequence[str], boundaries: Sequence[int]) -> bool:
    """Whether names of tasks have no room above the epochs in which they are learned."""
    wide = 0.65 * WIDTH / boundaries[-1]  # inches of an epoch
    lengths = np.diff([0, *boundaries]) * wide
    return any(
        LETTER * (len(name) + 1) > length for name, length in zip(names, lengths, strict=True)
    )


def _show_tasks(
    axes: Axes, names: Sequence[str], boundaries: Sequence[int], *, numbered: bool
) -> None:
    """Says above the curves when each task is learned."""
    for end in boundaries[:-1]:
        axes.axvline(end + 0.5, color="0.6", linewidth=0.8, linestyle=":", zorder=1)
    middles = [(a + b + 1) / 2 for a, b in zip([0, *boundaries[:-1]], boundaries, strict=True)]
    top = axes.secondary_xaxis("top")
    texts = [str(place + 1) for place in range(len(names))] if numbered else list(names)
    top.set_xticks(middles, texts)
    top.tick_params(length=0, labelsize=SMALL)
    top.spines["top"].set_visible(False)
    # Beside the axes: above a task's name it would read as one more name of it. From the figure's
    # left edge on, as a page may draw it with wider letters.
    beside = {"xycoords": ("figure fraction", top.transAxes), "textcoords": "offset points"}
    axes.annotate("learning:", (0.004, 1), (0, 5.5), va="baseline", fontsize=SMALL, **beside)


def _in_short(curves: Curves, boundaries: Sequence[int]) -> Curves:
    """Of many tasks: the mean over those so far, and the one that is being learned."""
    values = np.array(list(curves.values()), float)  # [task, seed, epoch]
    learning = np.searchsorted(boundaries, np.arange(values.shape[2]), "right")
    newest = values[learning, :, np.arange(values.shape[2])].T
    found = {"task being learned": newest}
    tested = (~np.isnan(values)).sum(0)
    if tested.max() > 1:  # not where the newest alone was tested
        mean = np.nansum(values, 0) / np.where(tested, tested, np.nan)
        found = {"mean over tasks so far": mean, **found}
    return found
