"""Methods side by side: the average accuracy over the tasks so far."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxcl.reporting.labels import shortened
from jaxcl.reporting.pictures.style import (
    WIDTH,
    legend_text,
    looks,
    lower_limit,
    seeds_text,
    styled,
)

LONGEST = 30  # characters of a method's or a run's name
HIGH = 90  # percent, above which differences would not be seen on the whole axis
BAND = "band: ± standard error"


@styled()
def average_curves(
    methods: Mapping[str, np.ndarray], title: str = "", measure: str = "accuracy"
) -> Figure:
    """Draws the mean accuracy (%) over the tasks so far, a line a method.

    Lines are means over seeds, bands one standard error to both sides.  The legend has the methods
    in the order in which they are given, as a table beside it has.

    Args:
      methods: method -> ``[seed, tasks learned]``, percent; not a number where there is none.
      title: above the picture.
      measure: what the percentages are of.
    """
    figure = Figure(figsize=(WIDTH, max(3.2, 0.9 + 0.175 * len(methods))), layout="constrained")
    axes = figure.subplots()
    for (method, values), look in zip(methods.items(), looks(len(methods)), strict=True):
        tasks, mean = np.arange(1, values.shape[1] + 1), values.mean(0)
        label = legend_text(shortened(method, LONGEST))
        axes.plot(tasks, mean, label=label, **look._asdict())
        if len(values) > 1:
            error = values.std(0, ddof=1) / np.sqrt(len(values))
            band = {"color": look.color, "alpha": 0.18, "linewidth": 0}
            axes.fill_between(tasks, mean - error, mean + error, **band)
    every = np.concatenate([values.ravel() for values in methods.values()])
    bottom = HIGH if np.nanmin(every) > HIGH else lower_limit(every)
    axes.set(xlabel="tasks learned", ylabel=f"average {measure} so far (%)")
    axes.set_xlim(0.6, max(values.shape[1] for values in methods.values()) + 0.4)
    axes.set_ylim(bottom, 100 + (100 - bottom) / 50)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title)
    note = seeds_text([len(values) for values in methods.values()], BAND)
    figure.legend(loc="outside right upper", alignment="left", title=note)
    return figure
