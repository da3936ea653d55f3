"""What each setting does, from the sweeps of ablations.sh.

    python experiments/lwf-select/ablations.py RUNS

RUNS holds a folder a setting.  What the table is made of is copied to ablations.json
beside this file; settings that are not in RUNS keep what stands there.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from jaxcl.checkpointing.run_folder import SUMMARY
from jaxcl.reporting.labels import label, value_text
from jaxcl.reporting.metrics import average_accuracy, forgetting, mean_sem
from jaxcl.reporting.pages.caption import caption
from jaxcl.reporting.report import markdown_head, mean_text
from jaxcl.reporting.report import markdown_row as line

HERE = Path(__file__).parent
KEPT = HERE / "ablations.json"
KEPT_OF_POINT = ("point", "average_accuracy", "forgetting", "final", "weights", "seeds")
MADE_WITH = ("versions", "machine", "git")
BASE = "base"
FIGURES = {"average_accuracy": average_accuracy, "forgetting": forgetting}
HEADER = [
    *("setting", "value", "average accuracy", "change", "first task lost", "change"),
    *("each task", "weights added"),
]
INTRODUCTION = """\
# What each setting does

`select` on scenario 4 (CIFAR-10, then MNIST); the mean, and its standard error if there are several
seeds. Accuracies are of images held out from the training images, in percent. The scenario's
settings are threshold 0.93, Bures fidelity, a branch that starts as a copy, one epoch of warm-up,
T 2, lambda 15, L2 1e-3 and none in later tasks, cosine, later rate 3e-4, bilinear. A change is
that from the first line, seed by seed. Made by `ablations.py` from the runs of `ablations.sh`.

## 6,000 images a task, 5 epochs

The first line has the scenario's settings, each other line one of them changed. On 2,000 held-out
images an accuracy has a standard error of about one point.

"""


def collected(runs: Path) -> dict[str, list[dict[str, Any]]]:
    """Folder -> points; what is in RUNS takes the place of what was known."""
    known = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for file in sorted(runs.glob("*/sweep.json")):
        sweep = json.loads(file.read_text())
        made = {name: sweep[name] for name in MADE_WITH if name in sweep}
        known[file.parent.name] = [_kept(p, file.parent) | made for p in sweep["points"]]
    return known


def _kept(point: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the table is made of."""
    kept = {name: point[name] for name in KEPT_OF_POINT if name in point}
    if "task_seconds" in point:
        kept["seconds"] = sum(sum(seed.values()) for seed in point["task_seconds"])
    if (file := folder / label(point["point"]) / SUMMARY).exists():
        matrices = json.loads(file.read_text())["accuracy"]
        kept["of_seeds"] = {name: [of(m) for m in matrices] for name, of in FIGURES.items()}
    return kept


def change(point: dict[str, Any], base: dict[str, Any], name: str) -> dict[str, Any]:
    """Mean and standard error of a figure's change, seed by seed where these are known."""
    if "of_seeds" in point and "of_seeds" in base and point["seeds"] == base["seeds"]:
        pairs = zip(point["of_seeds"][name], base["of_seeds"][name], strict=True)
        return mean_sem([value - before for value, before in pairs])
    return {"mean": point[name]["mean"] - base[name]["mean"], "sem": None}


def rows(folder: str, points: list[dict[str, Any]], base: dict[str, Any]) -> list[str]:
    """A line for each value, beside the base."""
    lines = []
    for point in points:
        varied = point["point"]
        cells = [", ".join(varied), ", ".join(value_text(value) for value in varied.values())]
        cells = [BASE, ""] if folder == BASE else cells
        if "final" not in point:
            lines.append(line([*cells, "diverged", *[""] * 5]))
            continue
        for name in FIGURES:
            cells.append(mean_text(point[name], 2))
            known = None if point is base else change(point, base, name)
            cells.append("" if known is None else mean_text(known, 2))
        each = ", ".join(f"{task} {found['mean']:.1f}" for task, found in point["final"].items())
        added = mean_sem([float(weights["added"]) for weights in point["weights"]])
        lines.append(line([*cells, each, f"{added['mean']:,.0f}"]))
    return lines


SAME = "Gives the very same figures"
NONE = "Makes no difference that the seeds show (both changes are within two standard errors)"
SOME = "Makes a difference"
UNKNOWN = "Not known, as one seed was run or the seeds were not recorded one by one"


def finding(point: dict[str, Any], base: dict[str, Any]) -> str:
    """Whether a value makes a difference, as far as the seeds tell."""
    changes = [change(point, base, name) for name in FIGURES]
    if not any(each["mean"] or each["sem"] for each in changes):
        return SAME
    if any(each["sem"] is None for each in changes):
        return UNKNOWN
    return NONE if all(abs(each["mean"]) <= 2 * each["sem"] for each in changes) else SOME


def findings(points: list[dict[str, Any]], base: dict[str, Any]) -> str:
    """A line for each finding, with the values that it is true of."""
    found: dict[str, list[str]] = {SAME: [], NONE: [], SOME: [], UNKNOWN: []}
    for point in points:
        if "final" in point and point is not base:
            values = [f"`{name}={value_text(value)}`" for name, value in point["point"].items()]
            found[finding(point, base)].append(" and ".join(values))
    return "\n".join(f"- {what}: {', '.join(which)}." for what, which in found.items() if which)


def page(known: dict[str, list[dict[str, Any]]]) -> str:
    """The whole of ablations.md."""
    names = sorted(known, key=lambda name: (name != BASE, name))
    base = known[BASE][0]
    points = [point for name in names for point in known[name]]
    lines = [each for name in names for each in rows(name, known[name], base)]
    table = "\n".join([*markdown_head(HEADER), *lines])
    return "\n\n".join([INTRODUCTION + table, findings(points, base), caption(points) + "\n"])


def main() -> None:
    """Writes ablations.json and ablations.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    known = collected(parser.parse_args().runs)
    KEPT.write_text(json.dumps(known, indent=1) + "\n")
    (HERE / "ablations.md").write_text(page(known))


if __name__ == "__main__":
    main()
