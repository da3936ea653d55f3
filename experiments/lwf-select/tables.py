"""The tables and the figure of the LwF path-selection paper, our runs beside its figures."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxcl.checkpointing import run_folder
from jaxcl.checkpointing.config_file import from_toml
from jaxcl.core.errors import UsageError
from jaxcl.core.fields import hints
from jaxcl.learner.settings.config import Config
from jaxcl.methods import METHODS as KINDS
from jaxcl.reporting.metrics import mean_sem, verdict
from jaxcl.reporting.pages.caption import caption
from jaxcl.reporting.pictures.panels import Panel, accuracy_panels
from jaxcl.reporting.pictures.style import rendered
from jaxcl.reporting.report import markdown_row, mean_text
from jaxcl.reporting.summary import curves, portable
from jaxcl.training.events import events_of

METHODS = ("lwf", "split", "select")
PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text())
TABLE_4: dict[str, dict[str, list[float]]] = PUBLISHED["final accuracy of lwf, split, select (%)"]
"""scenario -> task -> accuracy (%) at the end: LwF, split, select."""
TABLE_5: dict[str, list[str]] = PUBLISHED["weights added by split, select"]
"""scenario -> weights added: split, select."""
RESULTS, FIGURE = "results.json", "figure2.png"
TABLE_4_FILE, TABLE_5_FILE = "table4.md", "table5.md"
COPIED = ("scenario", "method", "tasks", "versions", "machine", "seconds", "git")
OWN = ("method", "scenario", "seeds", "data_dir", "together")
"""Settings in which the runs of one set differ."""
OF_METHODS = frozenset(name for method in METHODS for name in hints(KINDS[method]))
"""Settings that only some of the methods have."""

Result = dict[str, Any]
"""A run: ``scenario, method, seed, tasks``; ``accuracy`` [trained up to task][task];
``curves`` task -> [epoch], ``ends`` of the tasks; ``added`` weights; ``settings``, ``versions``,
``git``, and if it is known ``machine`` and ``seconds``."""


def result(folder: Path) -> Result | None:
    """What a finished run of one seed found; None if it is not finished."""
    file = folder / run_folder.SUMMARY
    if not file.exists():
        return None
    whole = json.loads(file.read_text())
    summary = portable(whole)
    if run_folder.metrics_mark(folder)["metrics_sha256"] != summary["metrics_sha256"]:
        raise UsageError(
            f"runs: {folder / run_folder.METRICS} was changed since the run ended; remove"
            f" {folder} to run it again"
        )
    epochs, _ = events_of((folder / run_folder.METRICS).read_text())
    lines, ends = curves(epochs, summary["tasks"])
    return {
        **{name: summary[name] for name in COPIED if name in summary},
        "seed": summary["seeds"][0],
        "accuracy": summary["accuracy"][0],
        "added": summary["weights"][0]["added"],
        "curves": {task: [_rounded(value) for value in line] for task, (line,) in lines.items()},
        "ends": ends,
        "settings": settings(from_toml(Config, whole["config"])),
    }


def settings(config: Config) -> dict[str, Any]:
    """What must be the same in all runs of a set."""
    flat = json.loads(json.dumps(config.flat(), default=str))  # as it is read again
    return {name: value for name, value in flat.items() if name not in OWN and value is not None}


def check_same(known: Sequence[Result], own: dict[str, Any]) -> None:
    """Raises a UsageError if results were made with other settings."""
    for each in known:
        first = each["settings"]
        # A setting that one of the two methods does not have cannot differ.
        of_one = (first.keys() ^ own.keys()) & OF_METHODS
        both = (first.keys() | own.keys()) - of_one
        differing = [name for name in sorted(both) if first.get(name) != own.get(name)]
        if differing:
            raise UsageError(
                f"report: it holds results with other settings ({', '.join(differing)}); give"
                " another folder, or remove them"
            )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def merged(known: Sequence[Result], new: Sequence[Result]) -> list[Result]:
    """All results, new ones in place of known ones, in order.

    Raises:
      UsageError: they were made with different settings.
    """
    by_run = {_run_of(each): each for each in (*known, *new)}
    found = [by_run[run] for run in sorted(by_run)]
    if found:
        check_same(found, found[0]["settings"])
    return found


def _run_of(each: Result) -> tuple[str, int, int]:
    return each["scenario"], METHODS.index(each["method"]), each["seed"]


def of(results: Sequence[Result], scenario: str, method: str) -> list[Result]:
    """The runs of a method on a scenario."""
    return [r for r in results if (r["scenario"], r["method"]) == (scenario, method)]


def _scenarios(results: Sequence[Result]) -> list[str]:
    return sorted({each["scenario"] for each in results})


def _cell(values: Sequence[float], digits: int = 1) -> str:
    if not values:
        return "not run"
    seeds = "1 seed" if len(values) == 1 else f"{len(values)} seeds"
    return f"{mean_text(mean_sem(values), digits)} ({seeds})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    columns = [c for c in zip(header, *rows, strict=True) if {*c[1:]} != {"-"}]  # nothing in it
    header, *rows = zip(*columns, strict=True)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(markdown_row(cells) for cells in lines)


def table_4(results: Sequence[Result]) -> str:
    """Final accuracies, the paper's figures beside ours, and what became of the first task."""
    own = [each for each in results if each["scenario"] not in TABLE_4]
    paper = [each for each in results if each["scenario"] in TABLE_4]
    parts = [f"# Accuracy after all tasks (%)\n\n{SEEDS}{THEIRS if paper else ''}\n"]
    if paper:
        parts += [_accuracies(paper), _average(paper)]
    if own:
        parts += ["## With rendered letters in place of EMNIST\n", _accuracies(own)]
    return "\n".join([*parts, _lost(results), caption(summaries(results)) + "\n"])


def summaries(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The results as a caption has them."""
    return [{**each, "seeds": [each["seed"]]} for each in results]


def _accuracies(results: Sequence[Result]) -> str:
    rows = []
    for scenario in _scenarios(results):
        tasks = next(r["tasks"] for r in results if r["scenario"] == scenario)
        for place, task in enumerate(tasks):
            found = [
                [r["accuracy"][-1][place] for r in of(results, scenario, method)]
                for method in METHODS
            ]
            paper = TABLE_4.get(scenario, {}).get(task)
            figures = [f"{value:.1f}" for value in paper] if paper else ["-"] * 3
            cells = [_cell(values) for values in found]
            rows.append([scenario, task, *figures, *cells, _difference(paper, found[-1])])
    names = ("LwF", "+Split", "+Select")
    header = ["scenario", "task", *(f"paper: {n}" for n in names), *(f"ours: {n}" for n in names)]
    return _table([*header, "Select, ours - paper"], rows) + "\n"


def _average(results: Sequence[Result]) -> str:
    """The mean of select over all cells for which there is a run, and the paper's."""
    ours, theirs = [], []
    for scenario in _scenarios(results):
        found = of(results, scenario, METHODS[-1])
        for place, figures in enumerate(TABLE_4[scenario].values() if found else ()):
            ours.append(mean_sem([r["accuracy"][-1][place] for r in found])["mean"])
            theirs.append(figures[-1])
    if not ours:
        return "+Select: not run.\n"
    means = f"{np.mean(ours):.1f} (paper: {np.mean(theirs):.1f})"
    return f"Mean of +Select over these {len(ours)} cells: {means}.\n"


SEEDS = "Mean ± standard error over the seeds."
THEIRS = (
    " The paper's figures are of single runs. **Lower** marks a mean of ours that is below the"
    " paper's by more than two standard errors."
)


def _difference(paper: Sequence[float] | None, values: Sequence[float]) -> str:
    """Ours minus theirs, of the last method."""
    if paper is None or not values:
        return "-"
    found = mean_sem(values)
    assert found["mean"] is not None
    lower = verdict(found, (paper[-1], 0.0)) == "below"
    return f"{found['mean'] - paper[-1]:+.1f}" + (" **lower**" if lower else "")


def _lost(results: Sequence[Result]) -> str:
    """What the first task lost from its own end to the end of all tasks."""
    rows = []
    for scenario in _scenarios(results):
        lost = [
            [r["accuracy"][0][0] - r["accuracy"][-1][0] for r in of(results, scenario, method)]
            for method in METHODS
        ]
        first = next(r["tasks"][0] for r in results if r["scenario"] == scenario)
        rows.append([scenario, first, *(_cell(values, 2) for values in lost)])
    header = ["scenario", "first task", "LwF", "+Split", "+Select"]
    return f"## What the first task lost (points)\n\n{_table(header, rows)}\n"


def table_5(results: Sequence[Result]) -> str:
    """Weights that split and select added in branches, the paper's figures beside ours."""
    rows = []
    for scenario in _scenarios(results):
        cells = []
        for method in METHODS[1:]:
            added = sorted({r["added"] for r in of(results, scenario, method)})
            cells.append(" or ".join(f"{n:,}" for n in added) or "not run")
        rows.append([scenario, *TABLE_5.get(scenario, ("-", "-")), *cells])
    header = ["scenario", "paper: split", "paper: select", "ours: split", "ours: select"]
    return (
        f"# Weights added in branches\n\n{_table(header, rows)}\n\n{caption(summaries(results))}\n"
    )


def figure_2(results: Sequence[Result]) -> bytes:
    """Accuracy of every task while training goes on, a panel a scenario, as a PNG.

    All scenarios of the paper have a panel where one of them has a run.
    """
    own = _scenarios(results)
    every = sorted(TABLE_4) if set(own) & set(TABLE_4) else []
    panels = {}
    for scenario in dict.fromkeys([*every, *own]):
        by_method = {m: found for m in METHODS if (found := of(results, scenario, m))}
        first = next((found[0] for found in by_method.values()), None)
        lines = {
            method: {task: [r["curves"][task] for r in found] for task in found[0]["tasks"]}
            for method, found in by_method.items()
        }
        panels[f"scenario {scenario}"] = Panel(lines, first["ends"] if first else [])
    return rendered(accuracy_panels(panels, columns=min(3, len(panels))), "png")


def write(results: Sequence[Result], folder: Path) -> None:
    """Writes ``results.json``, and from it the tables and the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    run_folder.write_bytes(folder / RESULTS, (json.dumps(results, indent=1) + "\n").encode())
    run_folder.write_bytes(folder / TABLE_4_FILE, table_4(results).encode())
    run_folder.write_bytes(folder / TABLE_5_FILE, table_5(results).encode())
    run_folder.write_bytes(folder / FIGURE, figure_2(results))
