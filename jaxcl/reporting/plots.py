"""Pictures of a run."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from jaxcl.reporting.labels import value_text

FEW = 5  # tasks whose names have room above the curves
MANY = 20  # tasks, beyond which a line for each would be a tangle
Form = Literal["png", "svg"]
"""Pixels for a file, or lines and text without a background, for a page."""
Curves = Mapping[str, Sequence[Sequence[float | None]] | np.ndarray]
"""task -> [seed][epoch of the whole run] -> accuracy in percent, None before it is seen."""


def accuracy_curves(
    curves: Curves, boundaries: Sequence[int], title: str, form: Form = "png"
) -> bytes:
    """Draws the test accuracy of every task while training goes on.

    Lines are means over seeds, bands go from the lowest to the highest seed.

    Args:
      curves: what to draw.
      boundaries: epochs after which each task ended.
      title: above the picture.
      form: of the picture.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    tasks = list(curves)
    if len(curves) > MANY:
        curves = _in_short(curves, boundaries)
    for task, seeds in curves.items():
        values = np.array(seeds, float)
        known = ~np.isnan(values).any(0)
        epochs = np.arange(1, values.shape[1] + 1)[known]
        # A single epoch would be a line without length.
        (line,) = axes.plot(epochs, values[:, known].mean(0), label=task, marker=".", markersize=4)
        if len(values) > 1:
            low, high = values[:, known].min(0), values[:, known].max(0)
            axes.fill_between(epochs, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    starts = [0, *boundaries[:-1]]
    for start, end, task in zip(starts, boundaries, tasks, strict=True):
        if len(tasks) > MANY:
            break
        axes.axvline(end + 0.5, color="0.7", linewidth=0.8, linestyle=":")
        what = f"learns {task}" if len(tasks) <= FEW else task.rsplit("-", 1)[-1]
        axes.text((start + end + 1) / 2, 101.5, what, ha="center", fontsize="small")
    axes.set(
        xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 107), xlim=(0.5, boundaries[-1] + 0.5)
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title, fontsize="medium")
    axes.legend(loc="best", frameon=False)
    return _picture(figure, form)


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


def accuracy_panels(
    panels: Mapping[str, tuple[Mapping[str, Curves], Sequence[int]]], form: Form = "png"
) -> bytes:
    """Draws the test accuracy of every task while training goes on, methods side by side.

    A colour is a task, a style of line a method; lines are means over seeds.

    Args:
      panels: title -> (method -> curves, epochs after which each task ended).
      form: of the picture.
    """
    figure = Figure(figsize=(8.4, 3.4 * len(panels)), layout="constrained")
    rows = figure.subplots(len(panels), squeeze=False)[:, 0]
    for axes, (title, (methods, boundaries)) in zip(rows, panels.items(), strict=True):
        for style, (method, curves) in zip(("-", "--", ":"), methods.items(), strict=False):
            for place, (task, seeds) in enumerate(curves.items()):
                values = np.array(seeds, float)
                known = ~np.isnan(values).any(0)
                epochs, mean = np.arange(1, values.shape[1] + 1)[known], values[:, known].mean(0)
                look = {"color": f"C{place}", "linestyle": style, "linewidth": 1.4}
                axes.plot(epochs, mean, label=f"{task}, {method}", **look)
        for end in boundaries[:-1]:
            axes.axvline(end + 0.5, color="0.7", linewidth=0.8, linestyle=":")
        axes.set(xlabel="epoch", ylabel="test accuracy (%)", xlim=(0.5, boundaries[-1] + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(title, fontsize="medium")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    return _picture(figure, form)


def average_curves(methods: Mapping[str, np.ndarray], title: str, form: Form = "png") -> bytes:
    """Draws the mean accuracy over the tasks so far, a line a method.

    Args:
      methods: method -> [seed, tasks learned], percent; bands are standard errors.
      title: above the picture.
      form: of the picture.
    """
    from scipy import stats  # here, for it takes half a second that other pictures need not wait

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    for place, (method, values) in enumerate(methods.items()):
        tasks, mean = np.arange(1, values.shape[1] + 1), values.mean(0)
        # Lines may lie on one another: every other one is dashed.
        style = ("-", "--")[place % 2]
        (line,) = axes.plot(tasks, mean, label=method, marker=".", linestyle=style)
        if len(values) > 1:
            error = stats.sem(values, axis=0)
            low, high = mean - error, mean + error
            axes.fill_between(tasks, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    # Where all is well, differences would not be seen on the whole axis.
    bottom = 90 if min(values.min() for values in methods.values()) > 90 else 0
    axes.set(xlabel="tasks learned", ylabel="mean accuracy over them (%)")
    axes.set_ylim(bottom, 100 + (100 - bottom) / 50)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title, fontsize="medium")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return _picture(figure, form)


def value_curves(
    name: str,
    values: Sequence[Any],
    lines: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    form: Form = "png",
) -> bytes:
    """Draws figures against the values of a setting.

    Args:
      name: of the setting.
      values: of it; where they are numbers above 0 that span a factor of 20, the axis is
        logarithmic.
      lines: name of a figure -> (mean, standard error) for each value, percent; not a
        number where there is none.
      title: above the picture.
      form: of the picture.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    numbers = all(type(value) in (int, float) for value in values)
    order = np.argsort(values) if numbers else np.arange(len(values))
    places = np.array(values)[order] if numbers else order
    missing = np.zeros(len(values), bool)
    for (label, points), style in zip(lines.items(), ("-", "--"), strict=True):
        mean, error = np.array(points)[order].T
        error = error if np.nan_to_num(error).any() else None
        axes.errorbar(places, mean, error, label=label, marker=".", capsize=3, linestyle=style)
        missing = np.isnan(mean)
    if missing.any():
        bottom = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        axes.plot(places[missing], np.zeros(missing.sum()), "rx", label="diverged", **bottom)
    if numbers and min(values) > 0 and max(values) >= 20 * min(values):
        axes.set_xscale("log")
    if not numbers:
        axes.set_xticks(places, [value_text(value) for value in values])
    axes.set(xlabel=name, ylabel="accuracy (%)")
    axes.set_title(title, fontsize="medium")
    axes.legend(frameon=False)
    return _picture(figure, form)


def heat_map(
    varied: Mapping[str, Sequence[Any]], scores: np.ndarray, title: str, form: Form = "png"
) -> bytes:
    """Draws the average accuracy over the values of two settings.

    Args:
      varied: the settings, rows first, and their values.
      scores: [row, column], percent; not a number where there is none.
      title: above the picture.
      form: of the picture.
    """
    rows, columns = varied
    height = max(3.0, 1.4 + 0.4 * len(scores))
    figure = Figure(figsize=(max(4.6, 2.4 + 0.7 * scores.shape[1]), height), layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(scores, aspect="auto", cmap="viridis")
    middle = (np.nanmin(scores) + np.nanmax(scores)) / 2
    for (row, column), score in np.ndenumerate(scores):
        text = "diverged" if np.isnan(score) else f"{score:.1f}"
        dark = np.isnan(score) or score > middle
        ink = "black" if dark else "white"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize="small")
    for set_ticks, name in ((axes.set_yticks, rows), (axes.set_xticks, columns)):
        set_ticks(range(len(varied[name])), [value_text(value) for value in varied[name]])
    axes.set(xlabel=columns, ylabel=rows)
    figure.colorbar(drawn, label="average accuracy (%)")
    axes.set_title(title, fontsize="medium")
    return _picture(figure, form)


def image_grid(images: np.ndarray, columns: int = 8, scale: int = 2) -> bytes:
    """Puts images side by side.

    Args:
      images: bytes ``[n, height, width, 1 or 3]``; n is a multiple of ``columns``.
      columns: images in a row.
      scale: pixels of the picture for one of an image.
    """
    apart = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=64)
    n, height, width, channels = apart.shape
    rows = apart.reshape(n // columns, columns, height, width, channels)
    sheet = rows.swapaxes(1, 2).reshape(-1, columns * width, channels)
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    buffer = io.BytesIO()
    size = (scale * picture.width, scale * picture.height)
    picture.resize(size, Image.Resampling.NEAREST).save(buffer, format="png")
    return buffer.getvalue()


def _picture(figure: Figure, form: Form) -> bytes:
    for axes in figure.axes:  # names may hold the signs of formulas
        legend = axes.get_legend()
        for text in (axes.title, *axes.texts, *(legend.get_texts() if legend else ())):
            text.set_parse_math(False)
    buffer = io.BytesIO()
    if form == "png":
        figure.savefig(buffer, format="png", dpi=150)
        return buffer.getvalue()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # Text as text, and the same picture each time.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "jaxcl"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return buffer.getvalue()
