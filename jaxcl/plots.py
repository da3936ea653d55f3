"""Pictures of a run."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Curves = Mapping[str, Sequence[Sequence[float | None]]]
"""task -> [seed][epoch of the whole run] -> accuracy in percent, None before it is seen."""


def accuracy_curves(curves: Curves, boundaries: Sequence[int], title: str) -> bytes:
    """Test accuracy of every task while training goes on, as a PNG.

    Lines are means over seeds, bands go from the lowest to the highest seed.

    Args:
      curves: what to draw.
      boundaries: epochs after which each task ended.
      title: above the picture.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
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
    for start, end, task in zip(starts, boundaries, curves, strict=True):
        axes.axvline(end + 0.5, color="0.7", linewidth=0.8, linestyle=":")
        axes.text((start + end + 1) / 2, 101.5, f"learns {task}", ha="center", fontsize="small")
    axes.set(
        xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 107), xlim=(0.5, boundaries[-1] + 0.5)
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title, fontsize="medium")
    axes.legend(loc="best", frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
