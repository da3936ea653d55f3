"""The tables of RESULTS.md, from the summaries of runs.

    python experiments/online/results.py RUNS

RUNS holds what run.sh wrote.  Runs that are missing are reported as such.  What the tables are
made of is copied to ``summaries/`` beside this file.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from jaxcl.reporting.metrics import anytime_accuracy, mean_sem, verdict
from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.report import mean_text
from jaxcl.reporting.summary import recorded

HERE = Path(__file__).parent
ROOMS = {"cifar10": (200, 1000), "cifar100": (2000, 10000)}
METHODS = ("er", "er_ace", "der_pp", "agem", "icarl")
NAMES = {"cifar10": "CIFAR-10, 5 times two classes", "cifar100": "CIFAR-100, 20 times five classes"}
# Runs that the authors of ER-ACE recorded, three for each figure, at the rate and weights that
# these here have: sweeps/hp_result_final.csv of github.com/pclucas14/AML, commit 7c92936, read
# there: column acc, averaged; standard error of the mean.
RECORDED = {
    ("cifar10", "er", 200): (38.68, 0.89),
    ("cifar10", "er", 1000): (49.26, 2.55),
    ("cifar10", "er_ace", 200): (43.35, 1.61),
    ("cifar10", "er_ace", 1000): (54.99, 0.39),
    ("cifar10", "der_pp", 200): (41.41, 1.76),
    ("cifar10", "der_pp", 1000): (53.19, 1.65),
    ("cifar10", "agem", 200): (18.51, 0.05),
    ("cifar10", "agem", 1000): (18.42, 0.08),
    ("cifar10", "icarl", 200): (41.89, 2.08),
    ("cifar10", "icarl", 1000): (46.00, 0.22),
    ("cifar10", "iid", None): (56.80, 2.35),
    ("cifar100", "er", 2000): (13.89, 1.15),
    ("cifar100", "er", 10000): (14.22, 0.05),
    ("cifar100", "er_ace", 2000): (17.50, 0.63),
    ("cifar100", "er_ace", 10000): (20.13, 0.70),
    ("cifar100", "der_pp", 2000): (13.87, 0.92),
    ("cifar100", "der_pp", 10000): (13.43, 0.76),
    ("cifar100", "agem", 2000): (3.57, 0.05),
    ("cifar100", "agem", 10000): (3.54, 0.10),
    ("cifar100", "icarl", 2000): (14.77, 0.78),
    ("cifar100", "icarl", 10000): (16.92, 0.66),
    ("cifar100", "iid", None): (16.11, 0.26),
}
HEADER = [
    *("method", "images kept", "seeds", "average accuracy", "recorded by the authors", "verdict"),
    *("anytime accuracy", "forgetting", "minutes a seed"),
]


def table(runs: Path, data: str) -> list[str]:
    """Every method on one data set, beside the recorded figures."""
    rows = [("finetune", None), ("iid", None)]
    rows += [(method, room) for room in ROOMS[data] for method in METHODS]
    lines = [line(HEADER), line(["---"] * len(HEADER))]
    for method, room in rows:
        folder = f"online-{data}", method if room is None else f"{method}-{room}"
        kept = HERE.joinpath("summaries", folder[0], f"{folder[1]}.json")
        found = recorded(runs.joinpath(*folder), kept)
        theirs = RECORDED.get((data, method, room))
        lines.append(line([method, "-" if room is None else f"{room:,}", *_cells(found, theirs)]))
    return lines


def _cells(found: dict[str, Any] | None, theirs: tuple[float, float] | None) -> list[str]:
    beside = "-" if theirs is None else f"{theirs[0]:.2f} ± {theirs[1]:.2f}"
    if found is None:
        return ["", "not run", beside, "", "", "", ""]
    ours = found["average_accuracy"]
    anytime = mean_sem([anytime_accuracy(matrix) for matrix in found["accuracy"]])
    seconds = np.mean([sum(each.values()) for each in found["task_seconds"]])
    return [
        *(str(len(found["seeds"])), mean_text(ours, 2), beside),
        "-" if theirs is None else verdict(ours, theirs),
        *(mean_text(anytime, 2), mean_text(found["forgetting"], 2), f"{seconds / 60:.1f}"),
    ]


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    parts = [
        "# Results",
        "Made by `results.py` from the summaries of runs; the commands stand in `run.sh`. Mean ±"
        " standard error over the seeds, percent and percentage points, on the tenth of the"
        " training images that is held out, as in the recorded runs. The verdict is *met* where"
        " both means are within two joint standard errors.",
    ]
    for data, name in NAMES.items():
        parts += [f"## {name}, in one pass", "\n".join(table(options.runs, data))]
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
