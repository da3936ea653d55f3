"""What the LwF path-selection paper claims, beside what our runs found."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxcl.experiments.reproduce import tables_of
from jaxcl.reporting.pages.claims import (
    NOT_COMPARABLE,
    Claim,
    Measured,
    Place,
    Section,
    against_figure,
    against_ours,
    measured,
)

HERE = Path(__file__).parent
TABLES = tables_of("lwf-select")
SOURCE = """\
"Performance improvement of LwF by efficient path selection in a continual learning environment": \
test accuracy after all tasks (%), and thousands of weights added in branches. The paper's figures \
were read in it; they are of single runs. Scenarios 1, 5 and 6 need EMNIST, which could not be \
downloaded."""
INSTEAD = """\
Letters that were rendered from fonts stand for EMNIST, which could not be downloaded, and a task \
has at most 4,000 training images. So the paper's figures show the direction alone."""
COMMAND = "python -m jaxcl.experiments.reproduce lwf-select --scenarios NAME"
REST = "--limit 4000 --out runs/rendered --report experiments/lwf-select/rendered"
TASKS = {
    "1": "MNIST, letters",
    "2": "Fashion, CIFAR-10",
    "3": "MNIST, CIFAR-10",
    "4": "CIFAR-10, MNIST",
    "5": "MNIST, letters, Fashion, CIFAR-10",
    "6": "CIFAR-10, Fashion, letters, MNIST",
}
SHORT = ("2", "3", "4")
"""Scenarios without EMNIST."""
Results = Sequence[TABLES.Result]


def section() -> Section:
    """Tables 4 and 5, figure 2, and what the text says of the first task."""
    results = _results("")
    claims = _means(results)
    for scenario in TASKS:
        claims += _accuracies(results, scenario)
    claims += [_beside_lwf(results, scenario, 0) for scenario in TASKS]
    # Of later tasks there are runs without letters alone.
    claims += [
        _beside_lwf(results, scenario, index)
        for scenario in SHORT
        for index in range(1, len(TABLES.TABLE_4[scenario]))
    ]
    for scenario in TASKS:
        claims += _added(results, scenario)
    claims.append(_figure(results))
    return Section("LwF with path selection", SOURCE, COMMAND, claims, TABLES.summaries(results))


def rendered() -> Section:
    """What the text says of the first task, where there are letters rendered from fonts."""
    results = _results("rendered")
    claims = [
        _beside_lwf(results, f"{number}-rendered", 0) for number in TASKS if number not in SHORT
    ]
    title, command = "Path selection, rendered letters", f"{COMMAND} {REST}"
    return Section(title, INSTEAD, command, claims, TABLES.summaries(results))


def _results(folder: str) -> Results:
    return json.loads((HERE / folder / TABLES.RESULTS).read_text())


def _title(scenario: str) -> str:
    return f"scenario {scenario} ({TASKS[scenario.removesuffix('-rendered')]})"


def _place(scenario: str, table: str = "4") -> Place:
    folder = "rendered/" if scenario.endswith("rendered") else ""
    return Place(f"table {table}", f"lwf-select/{folder}table{table}.md", scenario)


def _means(results: Results) -> list[Claim]:
    """The mean over all cells of the scenarios without EMNIST: select alone, and beside LwF."""
    cells = [figures for scenario in SHORT for figures in TABLES.TABLE_4[scenario].values()]
    lwf, _, select = (round(float(np.mean(column)), 1) for column in zip(*cells, strict=True))
    ours, other = (_mean(results, method, len(cells)) for method in ("select", "lwf"))
    text = f"mean of the {len(cells)} cells of scenarios 2, 3, 4, of seeds that have all"
    place = _place(" ".join(SHORT))
    return [
        against_figure(f"Select, {text}", ours, (select, None), place, digits=1),
        against_ours(
            f"Select is better than LwF, {text}",
            ours,
            other,
            place,
            better=True,
            published=f"{select:.1f} against {lwf:.1f}",
            digits=1,
            headline=True,
        ),
    ]


def _mean(results: Results, method: str, cells: int) -> Measured | None:
    """The mean of a method over the seeds that have so many cells."""
    seeds: dict[int, list[float]] = {}
    for scenario in SHORT:
        for each in TABLES.of(results, scenario, method):
            seeds.setdefault(each["seed"], []).extend(each["accuracy"][-1])
    return measured([float(np.mean(found)) for found in seeds.values() if len(found) == cells])


def _accuracies(results: Results, scenario: str) -> list[Claim]:
    """A row for each task of a scenario: the accuracy of select at the end."""
    claims = []
    for index, (task, figures) in enumerate(TABLES.TABLE_4[scenario].items()):
        found = TABLES.of(results, scenario, "select")
        ours = measured([each["accuracy"][-1][index] for each in found])
        text = f"{_title(scenario)}: Select, {task}"
        claims.append(against_figure(text, ours, (figures[-1], None), _place(scenario), digits=1))
    return claims


def _beside_lwf(results: Results, scenario: str, index: int) -> Claim:
    """Select has more of a task at the end than LwF where it does so in the paper, else as much."""
    ours, other = (
        measured([each["accuracy"][-1][index] for each in TABLES.of(results, scenario, method)])
        for method in ("select", "lwf")
    )
    figures = TABLES.TABLE_4[scenario.removesuffix("-rendered")]
    task, (lwf, _, select) = list(figures.items())[index]
    more, than = ("more", "than") if select > lwf else ("as much", "as")
    text = f"keeps {more} of the first task {than} LwF"
    if index > 0:
        more, than = ("better", "than") if select > lwf else ("as well", "as")
        text = f"learns {task} {more} {than} LwF"
    return against_ours(
        f"{_title(scenario)}: Select {text}",
        ours,
        other,
        _place(scenario),
        better=select > lwf,
        published=f"{select:.1f} against {lwf:.1f}",
        digits=1,
        headline=scenario == "4" and index == 0,
    )


def _added(results: Results, scenario: str) -> list[Claim]:
    """The weights that split and select add in branches, in thousands."""
    claims = []
    for method, figure in zip(("split", "select"), TABLES.TABLE_5[scenario], strict=True):
        found = TABLES.of(results, scenario, method)
        # As the paper has them: rounded to thousands.
        ours = measured([float(round(each["added"] / 1000)) for each in found])
        theirs = float(figure.removesuffix("K"))
        text = f"{_title(scenario)}: thousands of weights that {method} adds"
        place = _place(scenario, "5")
        claims.append(against_figure(text, ours, (theirs, None), place, digits=0, less=True))
    return claims


def _figure(results: Results) -> Claim:
    """Figure 2 is a picture, of which no figure can be compared."""
    place = Place("figure 2", "lwf-select/figure2.png", " ".join(SHORT))
    counts = sorted({len({e["seed"] for e in results if e["scenario"] == s}) for s in SHORT})
    text = "Figure 2: accuracy of every task as training goes on"
    number = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    return Claim(text, "a picture", "a picture", number, NOT_COMPARABLE, place)
