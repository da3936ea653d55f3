"""How the work grows with the number of tasks: steps, the time between tasks, memory, checkpoints.

    python experiments/benchmarks/work_over_tasks.py           # all; or some: ewc si lwf
    python experiments/benchmarks/work_over_tasks.py --table   # table and figure of what is there

Each method learns 200 tasks (50 where heads grow, 10 where convolutions do) of the built-in digits,
the pixels in another order in each, in a process of its own.  Measured is what a task costs at some
places of the stream, without the time that goes into compiling, which has a column of its own.
Writes ``work_over_tasks.json``, ``.md`` and ``.png``.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from report import machine

from jaxcl.core.runtime import compile_clock
from jaxcl.learner import snapshot
from jaxcl.learner.seed_loop import run
from jaxcl.learner.settings.configuration import configure
from jaxcl.reporting.pictures.style import looks, rendered, styled
from jaxcl.training.events import EpochEnded, StepsDone, TaskBegan

HERE = Path(__file__).parent
FILE = HERE / "work_over_tasks.json"
PLACES = (1, 10, 50, 200)
SHARED = {"setting": "domain", "tasks": 200, "hidden": (100, 100)}
HEADS = {**SHARED, "setting": "task", "tasks": 50}
LAYERS = {"setting": "task", "tasks": 10, "net": "cnn"}
CASES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("finetune", "ewc", "online_ewc", "si", "mas", "rwalk"), SHARED),
    "er": {**SHARED, "buffer": 500},
    "der_pp": {**SHARED, "buffer": 500},
    "agem": {**SHARED, "buffer": 500},
    "lwf": HEADS,
    "select": LAYERS,
}
"""Method -> settings: one head that all tasks share, or a head for each."""
STEPS = {
    "limit": 200,
    "epochs": 8,
    "batch_size": 20,
    "test_on": "newest",
    "scenario": "permuted-digits",
}
COLUMNS = {
    "step": ("step, ms", 1e3), "between": ("between tasks, s", 1.0),
    "compiling": ("compiling, s", 1.0), "state": ("state of the losses, MB", 1e-6),
    "checkpoint": ("checkpoint, MB", 1e-6), "resident": ("resident memory, MB", 1e-6),
}  # fmt: skip
"""Measure -> title and factor."""


def resident() -> int:
    """Bytes of this process that lie in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def measured(method: str) -> Iterator[dict[str, float]]:
    """What each task costs, in seconds and bytes, as the tasks go by."""
    config = configure(method, **STEPS, **CASES[method])
    with compile_clock() as clock:
        found: dict[str, float] = {}
        began, compiled = time.perf_counter(), 0.0
        for event in run(config):
            now, compiling = time.perf_counter(), clock()[0]
            match event:
                case TaskBegan():
                    found = {"between": now - began - (compiling - compiled)}
                case StepsDone(epoch=epoch, rate=rate) if epoch:
                    found["step"] = min(1 / rate, found.get("step", 1.0))
                case EpochEnded(learner=learner, epoch=epoch) if epoch + 1 == STEPS["epochs"]:
                    assert learner is not None
                    found |= _sizes(learner)
                    found["compiling"] = compiling - compiled
                    yield found
                    began, compiled = time.perf_counter(), clock()[0]


def _sizes(learner: Any) -> dict[str, float]:
    arrays = snapshot.take_all([learner]).arrays
    state = jax.tree.leaves(learner.transform_state)
    return {
        "state": sum(leaf.nbytes for leaf in state),
        "checkpoint": sum(leaf.nbytes for leaf in jax.tree.leaves(arrays)),
        "resident": resident(),
    }


def shown(value: float) -> str:
    """Three digits, but all of those before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def page(results: dict[str, Any]) -> str:
    """The table: a row for each method and place."""
    head = ["method", "task", *(title for title, _ in COLUMNS.values())]
    rows = [head, ["---"] * len(head)]
    for method, found in results["methods"].items():
        for place, cost in found.items():
            cells = (shown(cost[name] * by) for name, (_, by) in COLUMNS.items())
            rows.append([f"`{method}`", place, *cells])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    about = (
        "# How the work grows with the tasks\n\nWritten by `python experiments/benchmarks/"
        f"work_over_tasks.py` on {results['machine']}, with one seed. A"
        " task is 200 built-in digits with their pixels in another order, learned in 8 epochs of"
        " batches of 20 by an MLP 100-100 (`select`: by the CNN). Times are without compiling,"
        " which has a column of its own.\n\n"
        "![step, checkpoint](work_over_tasks.png)\n\nOf methods whose checkpoints are equally"
        " large, the line of the last one hides the others.\n\n"
    )
    return f"{about}{table}\n"


def picture(results: dict[str, Any]) -> Figure:
    """Time of a step and size of a checkpoint, by the number of tasks."""
    with styled():
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        for axes, name in zip(figure.subplots(1, 2), ("step", "checkpoint"), strict=True):
            title, by = COLUMNS[name]
            drawn = zip(looks(len(results["methods"])), results["methods"].items(), strict=True)
            for look, (method, found) in drawn:
                costs = [cost[name] * by for cost in found.values()]
                axes.plot(list(map(int, found)), costs, label=method, **look._asdict())
            axes.set(xscale="log", yscale="log", xlabel="tasks learned", ylabel=title)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper")
    return figure


def write(results: dict[str, Any]) -> None:
    """Writes the three files."""
    FILE.write_text(json.dumps(results, indent=1) + "\n")
    FILE.with_suffix(".md").write_text(page(results))
    FILE.with_suffix(".png").write_bytes(rendered(picture(results), "png"))


def main() -> None:
    """Measures methods, each in a process of its own, and writes the files after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("methods", nargs="*", choices=[[], *CASES], help="all by default")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        print(json.dumps(list(measured(*args.methods))))
        return
    results: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {"methods": {}}
    for method in [] if args.table else args.methods or CASES:
        command = [sys.executable, __file__, method, "--alone"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout)
        results["machine"] = machine()
        results["methods"][method] = {str(p): found[p - 1] for p in PLACES if p <= len(found)}
        write(results)
        print(method, "done", flush=True)
    if args.table:
        write(results)


if __name__ == "__main__":
    main()
