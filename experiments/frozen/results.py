"""The table of RESULTS.md, from the summaries of runs.

    python experiments/frozen/results.py RUNS

RUNS holds what run.sh wrote.  Runs that are missing are reported as such.  What the table is
made of is copied to ``summaries/`` beside this file.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.summary import recorded

HERE = Path(__file__).parent
METHODS, ORDERS = ("ncm", "slda", "ranpac", "ranpac-fixed"), range(10)


def summary(runs: Path, order: int, method: str) -> dict[str, Any] | None:
    """A run's summary, copied beside this file; None if there is none (yet)."""
    kept = HERE / "summaries" / f"order-{order}" / f"{method}.json"
    return recorded(runs / f"order-{order}" / method, kept)


def methods(runs: Path) -> list[str]:
    """Accuracy on all classes after the last task, with the classes in ten orders."""
    heads = ["method", "orders", "mean", "standard deviation", "lowest", "highest"]
    lines = [line([*heads, "forgetting", "seconds a run", "MB kept"]), line(["---"] * 9)]
    for method in METHODS:
        found = [summary(runs, order, method) for order in ORDERS]
        there = [s for s in found if s is not None]
        values = [s["average_accuracy"]["mean"] for s in there]
        cells = [f"{len(there)} of {len(ORDERS)}"]
        if there:
            kept = max(there[0]["state_bytes"][0].values()) / 1e6
            seconds = np.mean([s["seconds"] for s in there])
            forgetting = np.mean([s["forgetting"]["mean"] for s in there])
            cells += [f"{np.mean(values):.2f}", f"{np.std(values):.4f}"]
            cells += [f"{min(values):.2f}", f"{max(values):.2f}", f"{forgetting:.2f}"]
            cells += [f"{seconds:.0f}", f"{kept:.1f}"]
        lines.append(line([method, *cells, *["not run"] * (8 - len(cells))]))
    return lines


def ridge() -> list[str]:
    """Ridge regression on everything at once."""
    file = HERE / "ridge.json"
    if not file.exists():
        return ["not run"]
    found = json.loads(file.read_text())
    first, second = found["ridges"]
    apart = max(found["apart"].values())
    return [
        line(["ridge regression on all tasks at once", "lambda", "accuracy"]),
        line(["---"] * 3),
        line(["the features", f"{first:g}", f"{found['features']:.2f}"]),
        line(["random features of ranpac", f"{second:g}", f"{found['random_features']:.2f}"]),
        "",
        f"The weights of the runs at this lambda are within {apart:.1e} of the latter (of their"
        " norm), in any of the orders.",
    ]


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    parts = [
        "# Results",
        "Made by `results.py` from the summaries of runs; the commands stand in README.md.",
        "## Features of CIFAR-100, ten classes at a time: accuracy on all 100 after the last (%)",
        "\n".join(methods(options.runs)),
        "## The same features, all at once (%)",
        "\n".join(ridge()),
    ]
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
