"""The table of RESULTS.md, from the summaries of runs.

    python experiments/split-cifar/results.py RUNS

RUNS holds what run.sh wrote.  Runs that are missing are reported as such.  What the table is
made of is copied to ``summaries/`` beside this file.
"""

import argparse
from pathlib import Path

import numpy as np

from jaxcl.reporting.metrics import verdict
from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.report import mean_text
from jaxcl.reporting.summary import recorded

HERE = Path(__file__).parent
METHODS, ROOMS = ("er", "der_pp", "agem", "er_ace", "icarl"), (200, 500, 5120)
# Buzzega et al. 2020 (arXiv 2004.07211), table 2, ten runs each, recalled: all classes told apart,
# and with the task known (the other classes' logits left out).
PUBLISHED: dict[tuple[str, int | None], tuple[float, float | None]] = {
    ("finetune", None): (19.62, 61.02),
    ("joint", None): (92.20, 98.31),
    ("er", 200): (44.79, 91.19),
    ("der_pp", 200): (64.88, 91.92),
    ("agem", 200): (20.04, 83.88),
    ("er", 500): (57.74, None),
    ("der_pp", 500): (72.70, None),
}
HEADER = ["method", "images kept", "seeds", "average accuracy", "published", "verdict", "hours"]


def table(runs: Path) -> list[str]:
    """Every method, beside the published figure where there is one."""
    lines = [line(HEADER), line(["---"] * len(HEADER))]
    rows = [("finetune", None), ("joint", None)]
    for method, room in rows + [(method, room) for room in ROOMS for method in METHODS]:
        name = method if room is None else f"{method}-{room}"
        found = recorded(runs / "split-cifar10" / name, HERE / "summaries" / f"{name}.json")
        theirs = PUBLISHED.get((method, room))
        beside = "-" if theirs is None else f"{theirs[0]:.2f}"
        cells = ["", "not measured", beside, "", ""]
        if found is not None:
            ours = found["average_accuracy"]
            hours = np.mean([sum(each.values()) for each in found["task_seconds"]]) / 3600
            # Their spread is not known here, so it counts as ours.
            word = "-" if theirs is None else verdict(ours, (theirs[0], ours["sem"] or 0.0))
            seeds = str(len(found["seeds"]))
            cells = [seeds, mean_text(ours, 2), beside, word, f"{hours:.1f}"]
        lines.append(line([method, "-" if room is None else f"{room:,}", *cells]))
    return lines


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    parts = [
        "# Results",
        "Made by `results.py` from the summaries of runs; the commands stand in `run.sh`.",
        "## Split CIFAR-10, 50 epochs a task: average accuracy on all classes (%)",
        "Mean ± standard error over the seeds. Published are the figures of Buzzega et al. (2020).",
        "\n".join(table(options.runs)),
    ]
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
