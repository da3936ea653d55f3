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
from jaxcl.reporting.report import markdown_head, mean_text
from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.summary import recorded

HERE = Path(__file__).parent
ROOMS = {"cifar10": (200, 1000), "cifar100": (2000, 10000)}
METHODS = ("er", "er_ace", "der_pp", "agem", "icarl")
NEARER = {
    "icarl": {
        "labels_for_new": "with their loss",
        "labels_apart": "and passed apart",
        "labels_of_all": "and classes to come pushed down",
    },
    "er_ace": {
        "ace_cosine": "with a cosine classifier",
        "ace_of_all": "and classes to come pushed down",
    },
}
"""Runs of plug-ins, each with one more of what their code does, and their columns."""
SCALED = "scaled-cifar10/finetune"  # the run of scaled.py
AVERAGE = average_accuracy.__name__
NAMES = {"cifar10": "CIFAR-10, 5 times two classes", "cifar100": "CIFAR-100, 20 times five classes"}
FIGURES = json.loads((HERE / "figures.json").read_text())
"""What others published and recorded: data set -> run -> mean and error, each with its source."""
STARRED = """\
A star marks figures of another kind: three runs that the authors recorded while they chose rates, \
tested on a tenth of the training images that was held out and not on the test set."""
SOURCE = f"""\
Figures of Caccia et al. (2022), read in the paper and in the record of their own runs: average \
accuracy on all classes after a single pass (%), ten runs each. {STARRED}"""
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


def figure(data: str, method: str, room: int | None) -> tuple[tuple[float, float] | None, str]:
    """Mean and error that others have, and as a text: with a star where images were held out."""
    name = _name(method, room)
    for kind, star in (("published", ""), ("recorded", "*")):
        if name in FIGURES[kind][data]:
            mean, error = FIGURES[kind][data][name]
            return (mean, error), f"{mean:.1f} ± {error:.1f}{star}"
    return None, "-"


def parts(runs: Path | None, data: str, method: str, room: int | None) -> list[dict[str, Any]]:
    """Summaries of the runs behind one row, of some seeds each, copied beside this file."""
    return _copied(runs, f"online-{data}/{_name(method, room)}")


def _copied(runs: Path | None, name: str) -> list[dict[str, Any]]:
    kept = HERE / "summaries" / name
    for run in [] if runs is None else runs.glob(f"{name}/*/"):
        recorded(run, kept / f"{run.name}.json")
    return [json.loads(file.read_text()) for file in sorted(kept.glob("*.json"))]


def of_all(runs: Path | None, data: str) -> list[dict[str, Any]]:
    """All runs on a data set that there are."""
    return [part for row in rows_of(data) for part in parts(runs, data, *row)]


def section() -> Section:
    """Every published figure, beside what was recorded."""
    claims = []
    for data in ROOMS:
        for method, room in rows_of(data):
            theirs, published = figure(data, method, room)
            if theirs is not None:
                kept = "" if room is None else f", {room:,} images kept"
                text = f"{_title(data)}, `{method}`{kept}"
                place = Place("table", "online/RESULTS.md", method)
                ours = average(joined(parts(None, data, method, room)))
                claim = against_figure(text, ours, theirs, place, digits=1)
                claims.append(claim._replace(published=published))
    runs = [each for data in ROOMS for each in of_all(None, data)]
    return Section("Online learning in one pass", SOURCE, COMMAND, claims, runs)


def table(runs: Path, data: str) -> list[str]:
    """Every method on one data set, beside the recorded figures."""
    lines = markdown_head(HEADER)
    for method, room in rows_of(data):
        found = joined(parts(runs, data, method, room))
        room_text = "-" if room is None else f"{room:,}"
        lines.append(line([method, room_text, *_cells(found, *figure(data, method, room))]))
    return lines


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
    lines = markdown_head(["data", "method", "images kept", "published", "their code here", "ours"])
    accuracy = theirs_here()["accuracy"]
    for data in ROOMS:
        for method, room in rows_of(data):
            runs = accuracy.get(data, {}).get(_name(method, room), {})
            if runs:
                _, published = figure(data, method, room)
                here = f"{mean_text(mean_sem([*runs.values()]), 2)} ({len(runs)})"
                ours = joined(parts(None, data, method, room))
                kept = "-" if room is None else f"{room:,}"
                cells = [_title(data), method, kept, published, here, _counted(ours)]
                lines.append(line(cells))
    return lines


def nearer(runs: Path, method: str) -> list[str]:
    """A method, what it comes to the nearer it is to the authors' code, and a caption."""
    steps, behind = NEARER[method], []
    lines = markdown_head(["data", "images kept", "published", "ours", *steps.values(), "verdict"])
    for data, rooms in ROOMS.items():
        for room in rooms:
            each = [parts(runs, data, name, room) for name in (method, *steps)]
            found = [joined(one) for one in each]
            if not any(found[1:]):
                continue
            behind += [part for one in each[1:] for part in one]
            theirs, published = figure(data, method, room)
            last = [one for one in found[1:] if one][-1]
            cells = [_title(data), f"{room:,}", published, *map(_counted, found)]
            assert theirs is not None, f"{method} has a figure of every size"
            lines.append(line([*cells, verdict(last[AVERAGE], theirs)]))
    return [*lines, "", caption(behind)]


def with_their_scale(runs: Path) -> list[str]:
    """All classes at once, and what it comes to with images from -1 to 1."""
    lines = markdown_head(["data", "published", "ours", "with images from -1 to 1"])
    found = [joined(parts(runs, "cifar10", "iid", None)), joined(_copied(runs, SCALED))]
    row = [_title("cifar10"), figure("cifar10", "iid", None)[1], *map(_counted, found)]
    return [*lines, line(row)]


def _title(data: str) -> str:
    return data.replace("cifar", "CIFAR-")


def _counted(found: dict[str, Any] | None) -> str:
    """The average accuracy, and of how many seeds."""
    if found is None:
        return "not run"
    return f"{mean_text(found[AVERAGE], 2)} ({len(found['seeds'])})"


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    page = [
        "# Results",
        "Made by `results.py` from the summaries of runs; the commands stand in `run.sh`. Mean ±"
        " standard error over the seeds, percent and percentage points. Published are figures of"
        f" Caccia et al. (2022), ten runs each. {STARRED} *Met* is what lies within two joint"
        " standard errors.",
    ]
    for data, name in NAMES.items():
        page += [f"## {name}, in one pass", "\n".join(table(options.runs, data))]
        page.append(caption(of_all(options.runs, data)))
    keep_theirs(options.runs)
    page += ["## Their code, run here (in brackets the runs)", "\n".join(beside_theirs())]
    page += [f"Their code: pclucas14/AML, commit {theirs_here()['commit']}."]
    for method, title in (
        ("icarl", "iCaRL with the loss of their code"),
        ("er_ace", "ER-ACE with the classifier and the rivals of their code"),
    ):
        page += [f"## {title} (in brackets the seeds)", "\n".join(nearer(options.runs, method))]
    page += ["## All classes at once, images as in their code (in brackets the seeds)"]
    page += ["\n".join(with_their_scale(options.runs)), caption(_copied(options.runs, SCALED))]
    (HERE / "RESULTS.md").write_text("\n\n".join(page) + "\n")


if __name__ == "__main__":
    main()
