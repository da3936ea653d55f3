"""The tables of RESULTS.md, from the summaries of runs.

    python experiments/online/results.py RUNS

RUNS holds what run.sh and aml.sh wrote.  Runs that are missing are reported as such.  What the
tables are made of is copied to ``summaries/`` and ``aml.json`` beside this file.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from jaxcl.reporting.metrics import average_accuracy, mean_sem, verdict
from jaxcl.reporting.pages.caption import caption
from jaxcl.reporting.pages.claims import Place, Section, against_figure, average
from jaxcl.reporting.pages.seeds import joined
from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.report import mean_text
from jaxcl.reporting.summary import recorded

HERE = Path(__file__).parent
ROOMS = {"cifar10": (200, 1000), "cifar100": (2000, 10000)}
METHODS = ("er", "er_ace", "der_pp", "agem", "icarl")
THEIR_LOSS = ("labels_for_new", "labels_apart")  # of labels_for_new.py: together, and apart
AVERAGE = average_accuracy.__name__
Published = dict[tuple[str, str, int | None], tuple[float, float]]
NAMES = {"cifar10": "CIFAR-10, 5 times two classes", "cifar100": "CIFAR-100, 20 times five classes"}
# Caccia et al. 2022 (arXiv 2104.05025v3), read there: tables 1 and 6 for CIFAR-10, table 2 for
# CIFAR-100; mean and standard error of ten runs.
PUBLISHED: Published = {
    ("cifar10", "finetune", None): (18.4, 0.3),
    ("cifar10", "iid", None): (62.7, 0.7),
    ("cifar10", "er", 200): (40.3, 0.6),
    ("cifar10", "er", 1000): (49.4, 1.3),
    ("cifar10", "er_ace", 200): (43.4, 1.6),
    ("cifar10", "er_ace", 1000): (53.7, 1.1),
    ("cifar10", "der_pp", 200): (39.3, 1.0),
    ("cifar10", "der_pp", 1000): (52.3, 1.1),
    ("cifar10", "icarl", 200): (41.7, 0.6),
    ("cifar10", "icarl", 1000): (45.1, 0.6),
    ("cifar100", "iid", None): (19.8, 0.3),
    ("cifar100", "er", 10000): (19.8, 0.4),
    ("cifar100", "er_ace", 10000): (25.8, 0.4),
    ("cifar100", "der_pp", 10000): (15.1, 0.4),
    ("cifar100", "icarl", 10000): (17.3, 0.2),
}
# Runs that the authors recorded while they chose rates, on a tenth of the training images that
# was held out: sweeps/hp_result_final.csv of github.com/pclucas14/AML, commit 7c92936, read there;
# mean and standard error of three runs at the settings that these here have.
RECORDED: Published = {
    ("cifar10", "agem", 200): (18.75, 0.12),
    ("cifar10", "agem", 1000): (18.61, 0.10),
    ("cifar100", "er", 2000): (11.38, 0.46),
    ("cifar100", "er_ace", 2000): (17.92, 0.33),
    ("cifar100", "der_pp", 2000): (13.87, 0.92),
    ("cifar100", "agem", 2000): (3.67, 0.05),
    ("cifar100", "agem", 10000): (3.52, 0.14),
    ("cifar100", "icarl", 2000): (14.77, 0.78),
}
SOURCE = """\
Figures of Caccia et al. (2022), read in the paper and in the record of their own runs: average \
accuracy on all classes after a single pass (%)."""
COMMAND = "METHODS=NAME experiments/online/run.sh RUNS"
HEADER = [
    *("method", "images kept", "seeds", "average accuracy", "published", "verdict"),
    *("anytime accuracy", "forgetting", "minutes a seed"),
]


def rows_of(data: str) -> list[tuple[str, int | None]]:
    """Method and images kept of every run on a data set."""
    kept = [(method, room) for room in ROOMS[data] for method in METHODS]
    return [("finetune", None), ("iid", None), *kept]


def _name(method: str, room: int | None) -> str:
    """Of a run's folder."""
    return method if room is None else f"{method}-{room}"


def parts(runs: Path | None, data: str, method: str, room: int | None) -> list[dict[str, Any]]:
    """Summaries of the runs behind one row, of some seeds each, copied beside this file."""
    name = _name(method, room)
    kept = HERE / "summaries" / f"online-{data}" / name
    for run in [] if runs is None else runs.glob(f"online-{data}/{name}/*/"):
        recorded(run, kept / f"{run.name}.json")
    return [json.loads(file.read_text()) for file in sorted(kept.glob("*.json"))]


def summaries(runs: Path | None, data: str) -> list[dict[str, Any]]:
    """All runs on a data set that there are."""
    return [part for row in rows_of(data) for part in parts(runs, data, *row)]


def section() -> Section:
    """Every published figure, beside what was recorded."""
    claims = []
    for (data, method, room), theirs in sorted(
        {**PUBLISHED, **RECORDED}.items(), key=lambda each: [*ROOMS].index(each[0][0])
    ):
        kept = "" if room is None else f", {room:,} images kept"
        text = f"{_title(data)}, `{method}`{kept}"
        place = Place("table", "online/RESULTS.md", method)
        ours = average(joined(parts(None, data, method, room)))
        claims.append(against_figure(text, ours, theirs, place, digits=1))
    runs = [each for data in ROOMS for each in summaries(None, data)]
    return Section("Online learning in one pass", SOURCE, COMMAND, claims, runs)


def table(runs: Path, data: str) -> list[str]:
    """Every method on one data set, beside the recorded figures."""
    lines = [line(HEADER), line(["---"] * len(HEADER))]
    for method, room in rows_of(data):
        found = joined(parts(runs, data, method, room))
        where = data, method, room
        theirs = PUBLISHED.get(where) or RECORDED.get(where)
        room_text = "-" if room is None else f"{room:,}"
        lines.append(line([method, room_text, *_cells(found, theirs, _beside(where))]))
    return lines


def _beside(where: tuple[str, str, int | None]) -> str:
    """The figure of others, with a star where it is of held-out images."""
    theirs = PUBLISHED.get(where) or RECORDED.get(where)
    star = "*" if where in RECORDED else ""
    return "-" if theirs is None else f"{theirs[0]:.1f} ± {theirs[1]:.1f}{star}"


def _cells(
    found: dict[str, Any] | None, theirs: tuple[float, float] | None, beside: str
) -> list[str]:
    """Seeds, our figures and the published one, and what both together say."""
    if found is None:
        return ["", "not run", beside, "", "", "", ""]
    ours = found[AVERAGE]
    seconds = np.mean([sum(each.values()) for each in found["task_seconds"]])
    return [
        *(str(len(found["seeds"])), mean_text(ours, 2), beside),
        "-" if theirs is None else verdict(ours, theirs),
        *(mean_text(found[name], 2) for name in ("anytime_accuracy", "forgetting")),
        f"{seconds / 60:.1f}",
    ]


def keep_theirs(runs: Path) -> None:
    """Copies the accuracies of the authors' code, where there are any, beside this file."""
    logs = sorted((runs / "aml").glob("cifar*/*-*.log"))
    if not logs:
        return
    kept = theirs_here()
    found = kept["accuracy"]
    for log in logs:
        name, number = log.stem.rsplit("-", 1)
        last = re.findall(r"Avg Acc: ([\d.]+)", log.read_text())[-1]
        found.setdefault(log.parent.name, {}).setdefault(name, {})[number] = float(last)
    commit = runs / "aml/commit"
    if commit.exists():
        kept["commit"] = commit.read_text().strip()
    (HERE / "aml.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def theirs_here() -> dict[str, Any]:
    """The accuracies of the authors' code by data set, run and number, and its commit."""
    file = HERE / "aml.json"
    return json.loads(file.read_text()) if file.exists() else {"accuracy": {}, "commit": None}


def beside_theirs() -> list[str]:
    """What the authors' code came to here, beside the published figure and ours."""
    heads = ["data", "method", "images kept", "published", "their code here", "ours"]
    lines = [line(heads), line(["---"] * len(heads))]
    accuracy = theirs_here()["accuracy"]
    for data in ROOMS:
        for method, room in rows_of(data):
            runs = accuracy.get(data, {}).get(_name(method, room), {})
            if runs:
                published = _beside((data, method, room))
                here = _counted(mean_sem([*runs.values()]), len(runs))
                ours = joined(parts(None, data, method, room))
                mine = "not run" if ours is None else _counted(ours[AVERAGE], len(ours["seeds"]))
                kept = "-" if room is None else f"{room:,}"
                lines.append(line([_title(data), method, kept, published, here, mine]))
    return lines


def with_their_loss(runs: Path) -> list[str]:
    """iCaRL, and what it comes to with the loss that the authors' code gives it."""
    heads = ["data", "images kept", "published", "ours", "with their loss", "and passed apart"]
    lines = [line(heads), line(["---"] * len(heads))]
    for data, rooms in ROOMS.items():
        for room in rooms:
            names = ("icarl", *THEIR_LOSS)
            found = [joined(parts(runs, data, name, room)) for name in names]
            if not any(found[1:]):
                continue
            cells = [
                "not run" if one is None else _counted(one[AVERAGE], len(one["seeds"]))
                for one in found
            ]
            published = _beside((data, "icarl", room))
            lines.append(line([_title(data), f"{room:,}", published, *cells]))
    return lines


def _title(data: str) -> str:
    return data.replace("cifar", "CIFAR-")


def _counted(value: dict[str, float | None], runs: int) -> str:
    return f"{mean_text(value, 2)} ({runs})"


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    page = [
        "# Results",
        "Made by `results.py` from the summaries of runs; the commands stand in `run.sh`. Mean ±"
        " standard error over the seeds, percent and percentage points. Published are the figures"
        " of Caccia et al. (2022), ten runs each, and with a star those of their own runs on"
        " held-out images. The verdict is *met* where both means are within two joint standard"
        " errors.",
    ]
    for data, name in NAMES.items():
        page += [f"## {name}, in one pass", "\n".join(table(options.runs, data))]
        page.append(caption(summaries(options.runs, data)))
    keep_theirs(options.runs)
    page += ["## Their code, run here (in brackets the runs)", "\n".join(beside_theirs())]
    page += ["## iCaRL with the loss of their code (in brackets the seeds)"]
    page += ["\n".join(with_their_loss(options.runs))]
    (HERE / "RESULTS.md").write_text("\n\n".join(page) + "\n")


if __name__ == "__main__":
    main()
