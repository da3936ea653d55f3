"""The README's figure: what is left of each task while others are learned.

    python experiments/builtin/figure.py [RUNS]

Draws ``figure-light.svg`` and ``figure-dark.svg`` from the summaries beside this file.  Where
RUNS, the folder that ``run.sh`` wrote, is given, the summaries are taken from there first.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcl.reporting.pictures.style import rendered, styled
from jaxcl.reporting.summary import curves, portable
from jaxcl.training.events import events_of

HERE = Path(__file__).parent
METHODS = ("finetune", "lwf", "select")
APART = 12.5  # percentage points between the names at the ends of lines, at least
Summaries = Mapping[str, dict[str, Any]]


class Page(NamedTuple):
    """Colours on a page: of letters, and of each method's line."""

    ink: str
    lines: tuple[str, ...]


PAGES = {
    "light": Page("#1f2328", ("#d55e00", "#8a6d00", "#0072b2")),
    "dark": Page("#e6edf3", ("#ff9a57", "#e3c54a", "#6cc0f5")),
}
STYLES = ("-", "--", "-")
WIDTHS = (1.6, 1.6, 2.4)


def summary(runs: Path | None, method: str) -> dict[str, Any]:
    """What a run found, with its accuracy in each epoch, as it is kept beside this file."""
    kept = HERE / method / "summary.json"
    if runs is not None:
        folder = runs / method
        whole = portable(json.loads((folder / "summary.json").read_text()))
        epochs, _ = events_of((folder / "metrics.jsonl").read_text())
        lines, whole["ends"] = curves(epochs, whole["tasks"])
        whole["curves"] = {
            task: [[None if x is None else round(x, 2) for x in seed] for seed in seeds]
            for task, seeds in lines.items()
        }
        parts = [f'"{name}": {json.dumps(value)}' for name, value in whole.items()]
        kept.parent.mkdir(exist_ok=True)
        kept.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    return json.loads(kept.read_text())


def figure(found: Summaries, page: Page) -> Figure:
    """Draws a row for each task: its test accuracy (%) by epoch, a line a method.

    Lines are means over seeds, bands go from the lowest to the highest one.
    """
    first = next(iter(found.values()))
    tasks, ends, seeds = first["tasks"], first["ends"], len(first["seeds"])
    drawn = Figure(figsize=(7.6, 4.3), layout="constrained")
    rows = drawn.subplots(len(tasks), sharex=True, sharey=True)
    starts = [0, *ends[:-1]]
    for axes, task, start, end in zip(rows, tasks, starts, ends, strict=True):
        axes.axvspan(start + 0.5, end + 0.5, color=page.ink, alpha=0.07, linewidth=0)
        last = {}
        for method, look in zip(found, _looks(page), strict=True):
            values = np.array(found[method]["curves"][task], float)[:, start:]
            epochs = np.arange(start + 1, values.shape[1] + start + 1)
            axes.plot(epochs, values.mean(0), **look)
            band = {"color": look["color"], "alpha": 0.2, "linewidth": 0}
            axes.fill_between(epochs, values.min(0), values.max(0), **band)
            last[method] = values.mean(0)[-1]
        _name_lines(axes, last, ends[-1], page)
        axes.set(ylim=(0, 100), xlim=(0.5, ends[-1] + 0.5), yticks=(0, 50, 100))
        axes.set_ylabel(f"accuracy\non {task} (%)")
        axes.spines["bottom"].set_alpha(0.4)
    middles = [(start + end + 1) / 2 for start, end in zip(starts, ends, strict=True)]
    top = rows[0].secondary_xaxis("top")
    top.set_xticks(middles, [f"learns {task}" for task in tasks])
    top.tick_params(length=0, labelsize=9.5)
    top.spines["top"].set_visible(False)
    rows[-1].set_xticks(ends, [str(end) for end in ends])
    rows[-1].set_xlabel(f"epoch (mean of {seeds} seeds; band: lowest to highest)")
    return drawn


def _looks(page: Page) -> list[dict[str, Any]]:
    each = zip(page.lines, STYLES, WIDTHS, strict=True)
    return [{"color": c, "linestyle": s, "linewidth": w} for c, s, w in each]


def _name_lines(axes: Axes, last: Mapping[str, float], end: int, page: Page) -> None:
    """Names of methods and their last values behind the ends of their lines, apart."""
    order = sorted(last, key=lambda method: last[method])
    places = [last[method] for method in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + APART)
    down = float(np.mean(places) - np.mean(list(last.values())))
    down = max(down, places[-1] - 97.0)
    colours = dict(zip(last, page.lines, strict=True))
    for method, place in zip(order, places, strict=True):
        look = {"color": colours[method], "va": "center", "clip_on": False, "weight": "bold"}
        axes.text(end + 0.7, place - down, f"{method} {last[method]:.0f}", **look)


def main() -> None:
    """Writes the figure for a light page and for a dark one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="?")
    options = parser.parse_args()
    found = {method: summary(options.runs, method) for method in METHODS}
    for name, page in PAGES.items():
        with styled(page.ink):
            drawn = figure(found, page)
        (HERE / f"figure-{name}.svg").write_bytes(rendered(drawn, "svg", page.ink))


if __name__ == "__main__":
    main()
