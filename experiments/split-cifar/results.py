"""The table of RESULTS.md, from the summaries of runs.

    python experiments/split-cifar/results.py RUNS

RUNS holds what run.sh wrote.  Runs that are missing are reported as such.  What the table is
made of is copied to ``summaries/`` beside this file.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from jaxcl.reporting.metrics import verdict
from jaxcl.reporting.pages.caption import caption
from jaxcl.reporting.pages.claims import Place, Section, against_figure, average
from jaxcl.reporting.report import markdown_head, mean_text
from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.summary import recorded

HERE = Path(__file__).parent
METHODS, ROOMS = ("er", "der_pp", "agem", "er_ace", "icarl"), (200, 500, 5120)
HEADER = [
    *("method", "images kept", "seeds", "average accuracy", "published", "verdict"),
    *("within each task", "published", "verdict", "hours"),
]
METRICS = ("average_accuracy", "within_task_accuracy")
"""All classes told apart, and those of a task alone."""
FIGURES = json.loads((HERE / "figures.json").read_text())
"""What was published: run -> mean and deviation for both metrics, and their source."""

ROWS = [("finetune", None), ("joint", None)]
ROWS += [(method, room) for room in ROOMS for method in METHODS]
SOURCE = """\
Figures of Buzzega et al. (2020), read in tables of later papers that repeat them: average \
accuracy after 50 epochs a task (%). A run takes days on a CPU, so none is recorded."""
COMMAND = "METHODS=NAME experiments/split-cifar/run.sh RUNS"


def _name(method: str, room: int | None) -> str:
    """Of a run's folder."""
    return method if room is None else f"{method}-{room}"


def published(method: str, room: int | None) -> list[tuple[float, float] | None]:
    """Mean and standard error that are published, for each metric; None where there is none."""
    figures = FIGURES["figures"].get(_name(method, room), [None, None])
    root = math.sqrt(FIGURES["runs"])
    return [None if each is None else (each[0], each[1] / root) for each in figures]


def summary(runs: Path | None, method: str, room: int | None) -> dict[str, Any] | None:
    """A run's summary, copied beside this file; None if there is none (yet)."""
    name = _name(method, room)
    kept = HERE / "summaries" / f"{name}.json"
    return recorded(runs and runs / "split-cifar10" / name, kept)


def summaries(runs: Path | None) -> list[dict[str, Any]]:
    """All runs that there are."""
    return [found for row in ROWS if (found := summary(runs, *row)) is not None]


def section() -> Section:
    """Every published figure, beside what was recorded."""
    claims = []
    for method, room in ROWS:
        text = f"`{method}`" + ("" if room is None else f", {room:,} images kept")
        place = Place("table", "split-cifar/RESULTS.md", method)
        found = summary(None, method, room)
        figures = published(method, room)
        for metric, what, theirs in zip(METRICS, ("", ", within each task"), figures, strict=True):
            if theirs is not None:
                claims.append(against_figure(text + what, average(found, metric), theirs, place))
    return Section("Dark Experience Replay", SOURCE, COMMAND, claims, summaries(None))


def table(runs: Path) -> list[str]:
    """Every method, beside the published figure where there is one."""
    lines = markdown_head(HEADER)
    for method, room in ROWS:
        found = summary(runs, method, room)
        cells = ["" if found is None else str(len(found["seeds"]))]
        for metric, theirs in zip(METRICS, published(method, room), strict=True):
            beside = "-" if theirs is None else f"{theirs[0]:.2f} ± {theirs[1]:.2f}"
            cells += (
                ["not measured", beside, ""]
                if found is None
                else [
                    mean_text(found[metric], 2),
                    beside,
                    "-" if theirs is None else verdict(found[metric], theirs),
                ]
            )
        cells.append("" if found is None else f"{_hours(found):.1f}")
        lines.append(line([method, "-" if room is None else f"{room:,}", *cells]))
    return lines


def _hours(found: dict[str, Any]) -> float:
    """Of one seed."""
    return float(np.mean([sum(each.values()) for each in found["task_seconds"]])) / 3600


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    parts = [
        "# Results",
        "Made by `results.py` from the summaries of runs; the commands stand in `run.sh`.",
        "## Split CIFAR-10, 50 epochs a task: average accuracy (%)",
        "Mean ± standard error over the seeds; within each task: the logits of the other tasks'"
        " classes are left out. Published are the figures of Buzzega et al. (2020), ten runs each.",
        "\n".join(table(options.runs)),
        caption(summaries(options.runs)),
    ]
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
