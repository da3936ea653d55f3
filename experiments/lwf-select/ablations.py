"""One table of what each setting does, from the sweeps of ablations.sh.

    python experiments/lwf-select/ablations.py RUNS

RUNS holds a folder a setting.  What the table is made of is copied to ablations.json
beside this file; settings that are not in RUNS keep what stands there.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from jaxcl.grid import value_text
from jaxcl.metrics import mean_sem
from jaxcl.report import markdown_row as line
from jaxcl.report import mean_text

HERE = Path(__file__).parent
KEPT = HERE / "ablations.json"
BASE = "base"
HEADER = ["setting", "value", "average accuracy", "first task lost", "each task", "weights added"]
INTRODUCTION = """\
# What each setting does

`select` on scenario 4 (CIFAR-10, then MNIST): 6,000 training images a task, accuracies on 2,000
others that were held out from the training images, 5 epochs a task, one seed. The first line has
the scenario's settings: threshold 0.93, Bures fidelity, a branch starts as a copy, one epoch
of warm-up, T 2, lambda 15, L2 1e-3 and none in later tasks, cosine, later rate 3e-4, bilinear.
Each other line has one of them changed. Made by `ablations.py` from the runs of `ablations.sh`.
"""


def collected(runs: Path) -> dict[str, list[dict[str, Any]]]:
    """Folder -> points; what is in RUNS takes the place of what was known."""
    known = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    names = ("point", "average_accuracy", "forgetting", "final", "weights")
    for file in sorted(runs.glob("*/sweep.json")):
        points = json.loads(file.read_text())["points"]
        known[file.parent.name] = [{n: p[n] for n in names if n in p} for p in points]
    return known


def rows(folder: str, points: list[dict[str, Any]]) -> list[str]:
    """A line for each value."""
    lines = []
    for point in points:
        ((name, value),) = point["point"].items()
        cells = [BASE, ""] if folder == BASE else [name, value_text(value)]
        if "final" not in point:
            lines.append(line([*cells, "diverged", *[""] * 3]))
            continue
        each = ", ".join(f"{task} {found['mean']:.1f}" for task, found in point["final"].items())
        added = mean_sem([weights["added"] for weights in point["weights"]])
        figures = [mean_text(point[n], 2) for n in ("average_accuracy", "forgetting")]
        lines.append(line([*cells, *figures, each, f"{added['mean']:,.0f}"]))
    return lines


def page(known: dict[str, list[dict[str, Any]]]) -> str:
    """The whole of ablations.md."""
    table = [line(HEADER), line(["---"] * len(HEADER))]
    for name in sorted(known, key=lambda name: (name != BASE, name)):
        table += rows(name, known[name])
    return INTRODUCTION + "\n" + "\n".join(table) + "\n"


def main() -> None:
    """Writes ablations.json and ablations.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    known = collected(parser.parse_args().runs)
    KEPT.write_text(json.dumps(known, indent=1) + "\n")
    (HERE / "ablations.md").write_text(page(known))


if __name__ == "__main__":
    main()
