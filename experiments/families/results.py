"""The tables of RESULTS.md, from the summaries of runs.

    python experiments/families/results.py RUNS

RUNS holds what run.sh wrote.  Its summaries are copied to ``summaries/`` beside this file.
"""

import argparse
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxcl.reporting.metrics import mean_sem, verdict
from jaxcl.reporting.pages.caption import caption
from jaxcl.reporting.pages.claims import (
    Claim,
    Measured,
    Place,
    Section,
    against_figure,
    against_ours,
    average,
)
from jaxcl.reporting.pages.seeds import joined
from jaxcl.reporting.report import markdown_head, mean_text
from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.summary import recorded

HERE = Path(__file__).parent
SETTINGS = ("task", "domain", "class")
SEEDS = (1, 2)  # in folders of their own, where a run was made with seed 0 first
METHODS = ("finetune", "joint", "ewc", "si", "lwf", "er")
# What others published, with its source in the file; on split MNIST by setting.
_FIGURES = json.loads((HERE / "figures.json").read_text())
PUBLISHED, PERMUTED, PRIMER = (
    _FIGURES[name]["figures"] for name in ("split-mnist", "permuted-mnist", "digits-0-4-5-9")
)
Cells = dict[tuple[str, str], list[tuple[str, ...]]]
"""Method and setting -> folders of runs, of which the cell of a table is made."""
SPLIT: Cells = {(m, s): [("split-mnist", s, m)] for s in SETTINGS for m in METHODS}
WITH_FULL: Cells = {(m, "class"): [("split-mnist-full", "class", m)] for m in METHODS}
IN_ORDERS: Cells = {
    (m, s): [(f"split-mnist-order-{order}", s, m) for order in range(1, 6)]
    for m, s in (("finetune", "task"), ("finetune", "domain"), ("si", "domain"), ("si", "class"))
}
OF_SPLIT = {
    "": SPLIT,
    ", all outputs from the start": WITH_FULL,
    ", other orders of the digits": IN_ORDERS,
}
OTHER = {"dgr": " (theirs: with a VAE and old responses)"}
PAIR_METHODS = ("finetune", "feature_extraction", "lwf", "joint")
PAIRS = {
    "mnist-fashion": ("mnist", "fashion_mnist"),
    "cifar10-mnist": ("cifar10", "mnist"),
}
SOURCE = """\
Average accuracy (%) beside the figures of van de Ven, Tuytelaars & Tolias (2022) on split MNIST \
and van de Ven & Tolias (2019) on permuted MNIST, both recalled; the two figures of one layer in \
a primer on continual learning, read there (kept images are mixed into the new ones there, while \
here they weigh as much as these, so the figure of `er` is not comparable); and what Li & Hoiem \
(2016) and Rusu et al. (2016) say in words, as recalled."""
HEADLINES = (("domain", "ewc"), ("class", "lwf"), ("class", "er"))
PLACE, COMMAND = Place("table", "families/RESULTS.md"), "experiments/families/run.sh RUNS"


def theirs(method: str, setting: str) -> tuple[float, float]:
    """Mean and error that others have on split MNIST."""
    mean, error = PUBLISHED[method][SETTINGS.index(setting)]
    return mean, error


def summaries(runs: Path | None, folders: Iterable[tuple[str, ...]]) -> list[dict[str, Any]]:
    """Those of some runs that there are, copied beside this file."""
    found = []
    for folder in folders:
        kept = HERE.joinpath("summaries", *folder[:-1], f"{folder[-1]}.json")
        found.append(recorded(runs and runs.joinpath(*folder), kept))
    return [one for one in found if one is not None]


def of_seeds(folder: str, *parts: str) -> list[tuple[str, ...]]:
    """A run, and those with other seeds, each in a folder of its own."""
    return [(name, *parts) for name in (folder, *(f"{folder}-seed-{seed}" for seed in SEEDS))]


def summary(runs: Path | None, *parts: str) -> dict[str, Any] | None:
    """That of a run with all its seeds; None if there is none (yet)."""
    return joined(summaries(runs, of_seeds(*parts)))


def of_pairs() -> list[tuple[str, ...]]:
    """Runs on pairs of tasks."""
    return [x for f in PAIRS for method in PAIR_METHODS for x in of_seeds(f, "task", method)]


def section() -> Section:
    """What is claimed of these methods, beside what was recorded."""
    claims = [
        against_figure(
            f"split MNIST, {setting}: `{method}`{how}",
            average(joined(summaries(None, folders))),
            theirs(method, setting),
            PLACE,
            headline=not how and (setting, method) in HEADLINES,
        )
        for how, cells in OF_SPLIT.items()
        for (method, setting), folders in cells.items()
    ]
    for method, (mean, error) in PERMUTED.items():
        ours = average(summary(None, "permuted-mnist", "domain", method))
        text = f"permuted MNIST, domain: `{method}`{OTHER.get(method, '')}"
        claims.append(against_figure(text, ours, (mean, error), PLACE))
    for method, figure in PRIMER.items():
        ours = _final(summary(None, "digits-0-4-5-9", "class", method), 0)
        text, alike = f"one layer, digits 0-4 once 5-9 are learned: `{method}`", method != "er"
        claims += [against_figure(text, ours, (figure, None), PLACE, digits=1, comparable=alike)]
    claims += _of_pairs()
    lost = _final(summary(None, "mnist-cifar10", "task", "pnn"), "forgetting")
    text = "MNIST, then CIFAR-10: `pnn` forgets nothing (points)"
    claims.append(against_figure(text, lost, (0.0, None), PLACE, less=True))
    every = sorted((HERE / "summaries").glob("*/*/*.json"))
    kept = [json.loads(file.read_text()) for file in every]
    return Section("Families of methods", SOURCE, COMMAND, claims, kept)


def _of_pairs() -> list[Claim]:
    """Learning without Forgetting beside fine-tuning, feature extraction and joint training."""
    claims = []
    for folder, (old, new) in PAIRS.items():
        found = {method: summary(None, folder, "task", method) for method in PAIR_METHODS}
        for other, place, name, better in (
            ("finetune", 0, f"keeps more of {old} than", True),
            ("feature_extraction", 1, f"learns {new} better than", True),
            ("joint", 0, f"keeps as much of {old} as", False),
        ):
            ours, beside = (_final(found[method], place) for method in ("lwf", other))
            text = f"{old}, then {new}: `lwf` {name} `{other}`"
            claims.append(against_ours(text, ours, beside, PLACE, better=better, digits=1))
    return claims


def _final(found: dict[str, Any] | None, what: int | str) -> Measured | None:
    """Accuracy on a task at the end, by its place, or a figure by its name."""
    if found is None:
        return None
    value = [*found["final"].values()][what] if isinstance(what, int) else found[what]
    return Measured(value, len(found["seeds"]))


def compared(what: str, runs: Path, cells: Cells) -> str:
    """A row for each method and setting, with so many of what, beside the published figure."""
    header = ["setting", "method", what, "ours", "published", "verdict"]
    lines = markdown_head(header)
    for (method, setting), folders in cells.items():
        run, figure = joined(summaries(runs, folders)), theirs(method, setting)
        beside = mean_text({"mean": figure[0], "sem": figure[1]}, 2)
        shown = ["-", "not run", beside, "not run"]
        if run is not None:
            ours, count = run["average_accuracy"], str(len(run["seeds"]))
            shown = [count, mean_text(ours, 2), beside, verdict(ours, figure)]
        lines.append(line([setting, method, *shown]))
    every = summaries(runs, itertools.chain(*cells.values()))
    return "\n".join([*lines, "", caption(every)])


def pairs(runs: Path) -> list[str]:
    """A similar pair of tasks and a dissimilar one, as Li & Hoiem compare them."""
    header = ["method", *(f"{old}, then {new}" for old, new in PAIRS.values())]
    lines = markdown_head(header)
    for method in PAIR_METHODS:
        cells = []
        for folder, (old, new) in PAIRS.items():
            found = summary(runs, folder, "task", method)
            cells.append("not run" if found is None else _pair(found, old, new))
        lines.append(line([method, *cells]))
    return lines


def _pair(found: dict[str, Any], old: str, new: str) -> str:
    first = mean_sem([matrix[0][0] for matrix in found["accuracy"]])
    values = first, found["final"][old], found["final"][new]
    before, kept, learned = (mean_text(value, 1) for value in values)
    seeds = len(found["seeds"])
    return f"{old} {before} -> {kept}, {new} {learned} ({seeds} seed{'s' if seeds > 1 else ''})"


def of_others(runs: Path) -> list[tuple[str, ...]]:
    """Every other run."""
    folders = {path.relative_to(runs).parent.parts for path in runs.glob("*/*/*/summary.json")}
    folders |= {
        path.relative_to(HERE / "summaries").with_suffix("").parts
        for path in (HERE / "summaries").glob("*/*/*.json")
    }
    of_split = (folders for cells in OF_SPLIT.values() for folders in cells.values())
    known = {*of_pairs(), *itertools.chain(*of_split)}
    return sorted(folders - known)


def others(runs: Path) -> list[str]:
    """Every other run: its folder, method, accuracy of each task and what was forgotten."""
    header = ["run", "setting", "method", "seeds", "average accuracy", "forgetting", "final"]
    lines = markdown_head(header)
    folders = [parts for parts in of_others(runs) if "-seed-" not in parts[0]]
    for folder, *parts in folders:
        if (found := summary(runs, folder, *parts)) is None:
            continue
        final = ", ".join(f"{task} {value['mean']:.1f}" for task, value in found["final"].items())
        cells = [folder, found["setting"], found["method"], str(len(found["seeds"]))]
        figures = (mean_text(found[name], 2) for name in ("average_accuracy", "forgetting"))
        lines.append(line([*cells, *figures, final]))
    return lines


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    runs = parser.parse_args().runs
    parts = [
        "# Results",
        "Made by `results.py` from the summaries of runs; the commands stand in README.md.",
        "## Split MNIST, three settings: average accuracy (%)",
        "Mean ± standard error over the seeds; *met* where both means are within two joint"
        " standard errors. Published are the figures of van de Ven, Tuytelaars & Tolias (2022),"
        " whose protocol this is.",
        compared("seeds", runs, SPLIT),
        "## Split MNIST, class setting, all ten outputs from the start (%)",
        "The first table has an output for each class seen so far.",
        compared("seeds", runs, WITH_FULL),
        "## Split MNIST, the digits dealt out in another order in each run (%)",
        compared("orders", runs, IN_ORDERS),
        "## A similar pair of tasks and a dissimilar one, a head for each (%)",
        "The older task before and after the newer one was learned, and the newer one; 10,000"
        " images a task, 5 epochs.",
        "\n".join(pairs(runs)),
        caption(summaries(runs, of_pairs())),
        "## Other runs (%)",
        "\n".join(others(runs)),
        caption(summaries(runs, of_others(runs))),
    ]
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
