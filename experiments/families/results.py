"""The tables of RESULTS.md, from the summaries of runs.

    python experiments/families/results.py RUNS

RUNS holds what the commands in README.md wrote.  Runs that are missing are reported as
such.  What the tables are made of is copied to ``summaries/`` beside this file.
"""

import argparse
from pathlib import Path
from typing import Any

from jaxcl.reporting.metrics import mean_sem
from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.report import mean_text
from jaxcl.reporting.summary import recorded

HERE = Path(__file__).parent
SETTINGS = ("task", "domain", "class")
METHODS = ("finetune", "joint", "ewc", "si", "lwf", "er")
# van de Ven, Tuytelaars & Tolias 2022, split MNIST: mean and standard error of 20 seeds.
PUBLISHED = {
    "finetune": ((84.32, 0.94), (60.13, 1.66), (19.89, 0.02)),
    "joint": ((99.67, 0.03), (98.59, 0.05), (98.17, 0.04)),
    "ewc": ((99.06, 0.15), (63.03, 1.58), (20.64, 0.52)),
    "si": ((99.20, 0.11), (66.94, 1.13), (21.20, 0.57)),
    "lwf": ((99.60, 0.03), (71.18, 1.42), (21.89, 0.32)),
    "er": ((98.98, 0.07), (93.75, 0.24), (88.79, 0.20)),
}
PAIRS = {
    "mnist-fashion": ("mnist", "fashion_mnist"),
    "cifar10-mnist": ("cifar10", "mnist"),
}
BASELINE = ("finetune", "task")  # reported, not held to


def summary(runs: Path, *parts: str) -> dict[str, Any] | None:
    """A run's summary, copied beside this file; None if there is none (yet)."""
    kept = HERE.joinpath("summaries", *parts[:-1], f"{parts[-1]}.json")
    return recorded(runs.joinpath(*parts), kept)


def three_types(runs: Path) -> list[str]:
    """Split MNIST in three settings, ours beside the published figures."""
    lines = [line(["method", *SETTINGS]), line(["---"] * 4)]
    for method in METHODS:
        cells = []
        for setting, (mean, sem) in zip(SETTINGS, PUBLISHED[method], strict=True):
            found = summary(runs, "split-mnist", setting, method)
            if found is None:
                cells.append(f"not run (published {mean:.2f} ± {sem:.2f})")
                continue
            ours, bar = found["average_accuracy"], mean - 2 * sem - 0.5
            reached = "" if (method, setting) == BASELINE or ours["mean"] >= bar else " **below**"
            seeds = len(found["seeds"])
            text = f"{mean_text(ours, 2)} ({seeds} seeds; published {mean:.2f} ± {sem:.2f})"
            cells.append(text + reached)
        lines.append(line([method, *cells]))
    return lines


def orders(runs: Path) -> list[str]:
    """Split MNIST with another order of the digits in each run."""
    lines = [line(["method", "setting", "average accuracy", "published"]), line(["---"] * 4)]
    for method, setting in (("finetune", "domain"), ("si", "class")):
        folders = [(f"split-mnist-order-{order}", setting, method) for order in range(1, 6)]
        found = [s for parts in folders if (s := summary(runs, *parts)) is not None]
        values = mean_sem([s["average_accuracy"]["mean"] for s in found])
        mean, sem = PUBLISHED[method][SETTINGS.index(setting)]
        ours = f"{mean_text(values, 2)} ({len(found)} orders)" if found else "not run"
        lines.append(line([method, setting, ours, f"{mean:.2f} ± {sem:.2f}"]))
    return lines


def pairs(runs: Path) -> list[str]:
    """A similar pair of tasks and a dissimilar one, as Li & Hoiem compare them."""
    header = ["method", *(f"{old}, then {new}" for old, new in PAIRS.values())]
    lines = [line(header), line(["---"] * len(header))]
    for method in ("finetune", "feature_extraction", "lwf", "joint"):
        cells = []
        for folder, (old, new) in PAIRS.items():
            found = summary(runs, folder, "task", method)
            cells.append("not run" if found is None else _pair(found, old, new))
        lines.append(line([method, *cells]))
    return lines


def _pair(found: dict[str, Any], old: str, new: str) -> str:
    first, end = found["accuracy"][0][0][0], found["final"]
    kept, learned = (end[name]["mean"] for name in (old, new))
    return f"{old} {first:.1f} -> {kept:.1f}, {new} {learned:.1f}"


def others(runs: Path) -> list[str]:
    """Every other run: its scenario, method, accuracy of each task and what was forgotten."""
    header = ["scenario", "setting", "method", "seeds", "average accuracy", "forgetting", "final"]
    lines = [line(header), line(["---"] * len(header))]
    folders = {path.relative_to(runs).parent.parts for path in runs.glob("*/*/*/summary.json")}
    folders |= {
        path.relative_to(HERE / "summaries").with_suffix("").parts
        for path in (HERE / "summaries").glob("*/*/*.json")
    }
    for parts in sorted(folders):
        found = summary(runs, *parts)
        assert found is not None
        if parts[0] in PAIRS or (parts[0].startswith("split-mnist") and parts[2] in METHODS):
            continue
        final = ", ".join(f"{task} {value['mean']:.1f}" for task, value in found["final"].items())
        cells = [found["scenario"], found["setting"], found["method"], str(len(found["seeds"]))]
        figures = (mean_text(found[name], 2) for name in ("average_accuracy", "forgetting"))
        lines.append(line([*cells, *figures, final]))
    return lines


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    parts = [
        "# Results",
        "Made by `results.py` from the summaries of runs; the commands stand in README.md.",
        "## Split MNIST, three settings: average accuracy (%)",
        "Mean ± standard error over the seeds; **below** marks a mean that is lower than the"
        " published one by more than two of its standard errors and half a point. The published"
        " figures are those of van de Ven, Tuytelaars & Tolias (2022), whose protocol this is.",
        "\n".join(three_types(options.runs)),
        "## Split MNIST, the digits dealt out in another order in each run (%)",
        "\n".join(orders(options.runs)),
        "## A similar pair of tasks and a dissimilar one, a head for each (%)",
        "The older task before and after the newer one was learned, and the newer one; one seed,"
        " 10,000 images a task, 5 epochs.",
        "\n".join(pairs(options.runs)),
        "## Other runs (%)",
        "\n".join(others(options.runs)),
    ]
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
