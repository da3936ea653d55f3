"""What a method reaches by the values of one or two of its settings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from jaxcl.reporting.labels import value_text
from jaxcl.reporting.pictures.style import ORDERED, SMALL, WIDTH, looks, seeds_text, styled

SPAN = 20  # largest value over smallest, from which on the axis is logarithmic
LEAST = 10.0  # percentage points that the axis shows, at least


@styled()
def value_curves(
    name: str,
    values: Sequence[Any],
    lines: Mapping[str, Sequence[tuple[float, float]]],
    title: str = "",
    *,
    seeds: Sequence[int] = (1,),
    measure: str = "accuracy",
) -> Figure:
    """Draws accuracies (%) against the values of a setting, of several seeds with standard errors.

    The axis is logarithmic for numbers above 0 that span a factor of 20, and near 0 linear where 0
    is one of them. Error bars end at 100 %, and at 0 unless a mean is below it, as R^2 may be.

    Args:
      name: of the setting.
      values: of it.
      lines: name of a figure -> (mean, standard error) for each value, percent; not a number where
        training diverged.
      title: above the picture.
      seeds: how many there are, of each value.
      measure: what the percentages are of.
    """
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    numbers = all(type(value) in (int, float) for value in values)
    order = np.argsort(values) if numbers else np.arange(len(values))
    places = np.array(values)[order] if numbers else order
    diverged, several, lowest = np.zeros(len(values), bool), max(seeds) > 1, _lowest(lines)
    for (label, points), look in zip(lines.items(), looks(len(lines)), strict=True):
        mean, error = np.array(points, float)[order].T
        bars = np.nan_to_num([np.minimum(error, mean - lowest), np.minimum(error, 100 - mean)])
        axes.errorbar(places, mean, bars if several else None, label=label, **look._asdict())
        diverged |= np.isnan(mean)
    _limits(axes, lines, lowest)
    if diverged.any():
        _mark_diverged(axes, places[diverged])
    if numbers:
        _scale(axes, [float(value) for value in values])
    else:
        axes.set_xticks(places, [value_text(value) for value in values])
    axes.set(xlabel=name, ylabel=f"{measure} (%)")
    axes.set_title(title)
    _name_lines(figure, seeds_text(seeds, "bars: ± standard error"))
    return figure


def _mark_diverged(axes: Axes, places: np.ndarray) -> None:
    """Crosses on the axis, where there is no accuracy."""
    bottom = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 5}
    axes.plot(places, np.zeros(len(places)), "kx", label="diverged", **bottom)


def _name_lines(figure: Figure, note: str) -> None:
    """A legend beside the axes, what diverged at its end."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    order = np.argsort([label == "diverged" for label in labels], kind="stable")
    shown = [handles[i] for i in order]
    figure.legend(handles=shown, loc="outside right upper", alignment="left", title=note)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis where numbers above 0 (and 0) are far apart."""
    above = [value for value in values if value > 0]
    if min(values) < 0 or not above or max(above) < SPAN * min(above):
        return
    if min(values) > 0:
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=min(above), linscale=0.5)
        axes.set_xlim(-0.3 * min(above), 1.6 * max(above))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _lowest(lines: Mapping[str, Sequence[tuple[float, float]]]) -> float:
    """The least that there is: 0, and without an end where a mean is below it."""
    means = np.array(list(lines.values()), float)[..., 0]
    return -np.inf if (means < 0).any() else 0.0


def _limits(axes: Axes, lines: Mapping[str, Sequence[tuple[float, float]]], lowest: float) -> None:
    """An axis around what was measured, up to 100 % and not below what there can be."""
    points = np.array(list(lines.values()), float).reshape(-1, 2)
    mean, error = points[~np.isnan(points[:, 0])].T
    error = np.nan_to_num(error)
    low = (mean - error).min(initial=100.0)
    high = (mean + error).max(initial=min(0.0, low))
    more = max(LEAST - (high - low), 0.16 * (high - low)) / 2
    axes.set_ylim(max(lowest, low - more), min(100.0, high + more))


@styled()
def value_map(
    varied: Mapping[str, Sequence[Any]],
    scores: np.ndarray,
    title: str = "",
    measure: str = "accuracy",
) -> Figure:
    """Draws the average accuracy (%) over the values of two settings.

    Args:
      varied: the settings, rows first, and their values.
      scores: ``[row, column]``, percent; not a number where training diverged.
      title: above the picture.
      measure: what the percentages are of.
    """
    rows, columns = varied
    height = max(2.4, 1.1 + 0.36 * len(scores))
    figure = Figure(figsize=(max(4.6, 2.2 + 0.68 * scores.shape[1]), height), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    drawn = axes.imshow(scores, aspect="auto", cmap=ORDERED)
    middle = (np.nanmin(scores) + np.nanmax(scores)) / 2
    for (row, column), score in np.ndenumerate(scores):
        text = "diverged" if np.isnan(score) else f"{score:.1f}"
        dark = np.isnan(score) or score > middle
        ink = "black" if dark else "white"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=SMALL)
    for set_ticks, name in ((axes.set_yticks, rows), (axes.set_xticks, columns)):
        set_ticks(range(len(varied[name])), [value_text(value) for value in varied[name]])
    axes.set(xlabel=columns, ylabel=rows)
    figure.colorbar(drawn, label=f"average {measure} (%)")
    figure.suptitle(title, x=0.01, ha="left", fontsize="medium")
    return figure
