"""Several methods on one scenario: a table, a picture, JSON, and what to expect."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from jaxcl.checkpointing import run_folder
from jaxcl.methods import METHODS
from jaxcl.reporting import plots
from jaxcl.reporting.metrics import average_so_far
from jaxcl.reporting.report import mean_text

Summary = dict[str, Any]
FIGURES = {
    "average_accuracy": "average",
    "learning_accuracy": "learned",
    "forgetting": "forgotten",
    "backward_transfer": "backward",
    "forward_transfer": "forward",
}
JSON, PICTURE = "comparison.json", "comparison.png"


def table(summaries: Sequence[Summary]) -> Table:
    """Methods against their figures, means and standard errors over the seeds."""
    first = summaries[0]
    n = len(first["seeds"])
    seeds = "1 seed" if n == 1 else f"mean ± standard error of {n} seeds"
    made = Table(
        title=f"scenario {first['scenario']} ({first['setting']}), {seeds}",
        caption="average and learning accuracy (%), forgetting, backward and forward transfer"
        " (points), wall time of a seed",
        box=box.SIMPLE_HEAD,
    )
    made.add_column("method", no_wrap=True)
    for name in (*FIGURES.values(), "time"):
        made.add_column(name, justify="right", no_wrap=True)
    for summary in summaries:
        made.add_row(summary["method"], *figures(summary))
    return made


def figures(summary: Summary) -> list[str]:
    """Returns the texts of a row: all of :data:`FIGURES`, and the wall time of a seed."""
    seconds = np.mean([sum(s.values()) for s in summary["task_seconds"]])
    return [*(mean_text(summary[name]) for name in FIGURES), f"{seconds:.0f} s"]


def expectations(summaries: Sequence[Summary]) -> list[str]:
    """Returns one line for each method that cannot be expected to do well here, and why."""
    lines = []
    for summary in summaries:
        why = METHODS[summary["method"]].fails.get(summary["setting"])
        if why is not None and summary.get("replay") in (None, "noise"):
            lines.append(f"{summary['method']} is expected to fail here: {why}.")
    return lines


def write(summaries: Sequence[Summary], folder: Path) -> None:
    """Writes ``comparison.json`` and ``comparison.png``."""
    kept = ("method", "scenario", "setting", "seeds", *FIGURES, "final", "weights", "task_seconds")
    rows = [{name: summary[name] for name in kept} for summary in summaries]
    run_folder.write_bytes(folder / JSON, json.dumps(rows, indent=1).encode())
    first = summaries[0]
    title = f"scenario {first['scenario']} ({first['setting']})"
    picture = plots.average_curves(
        {summary["method"]: average_so_far(summary["accuracy"]) for summary in summaries}, title
    )
    run_folder.write_bytes(folder / PICTURE, picture)
