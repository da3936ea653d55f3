"""Try settings out: ``python -m jaxcl.experiments.sweep``."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from jaxcl.core.errors import NonFiniteLoss, UsageError, check_name
from jaxcl.experiments import cli
from jaxcl.reporting.console import make_console
from jaxcl.runner import several


@dataclasses.dataclass(frozen=True)
class Command(several.Several):
    """Run a method with every combination of some settings, and find the best one.

    What is None follows from the scenario and the method.
    """

    grid: tuple[str, ...] = ()
    """What to vary: strength=1e2:1e10:9 (first, last, how many), lam=1,5,15, start=copy,fresh."""
    validation: float = 0.1
    """Part of a task's training images, held out and tested on; 0: the test set."""
    halving: int | None = None
    """Train all for a part of the steps; one in so many goes on, so many times as long."""


def main(command: Command) -> None:
    """Runs what is missing, then prints and writes what was found."""
    from jaxcl.core import processes
    from jaxcl.methods.table import METHODS
    from jaxcl.reporting import tuning
    from jaxcl.runner import grid

    console = make_console()
    check_name("method", command.method, METHODS)
    if sum(arg.partition("=")[0] == "--grid" for arg in sys.argv[1:]) > 1:
        raise UsageError("grid: given twice; give all settings after one --grid")
    varied = grid.axes(command.grid, command.method)
    for name in varied:
        if getattr(command, name) != getattr(Command, name):
            raise UsageError(f"{name}: given, and in the grid as well; give one of the two")
    points = grid.points(varied)
    out = command.out or several.new_folder("sweep", command.scenario, command.method)
    tried, first = _run(command, points, out, console)
    processes.first(lambda: tuning.write(tried, first, varied, out))
    console.print(tuning.table(tried))
    console.print(tuning.best_text(tried), highlight=False)
    where = "the test set" if command.validation == 0 else "images held out from training"
    console.print(f"accuracies are on {where}; written to {out}", highlight=False)


def _run(command: Command, points: list[dict[str, Any]], out: Path, console):
    """Each point as far as it was trained, and all of them after the first round."""
    from jaxcl.checkpointing import run_folder
    from jaxcl.core import processes
    from jaxcl.reporting.labels import label
    from jaxcl.reporting.tuning import Tried
    from jaxcl.runner import halving

    factor = command.halving
    parts = [1] if factor is None else halving.parts(len(points), factor)
    tried: dict[str, Tried] = {}
    first: list[Tried] = []
    for part in parts:
        names = {f"1-{part}/{label(p)}" if part > 1 else label(p): p for p in points}
        configs = {name: command.varied(**point) for name, point in names.items()}
        if part > 1:
            console.print(f"1/{part} of the training", highlight=False)
            configs = {n: halving.shortened(config, part) for n, config in configs.items()}
        several.run_each(command, configs, out, console, PROG, go_on=True)
        files = [out / name / run_folder.SUMMARY for name in names]
        found = processes.first(
            lambda files=files: [json.loads(f.read_text()) if f.exists() else None for f in files]
        )
        now = [Tried(p, summary, part) for p, summary in zip(names.values(), found, strict=True)]
        if all(each.summary is None for each in now):
            raise NonFiniteLoss("grid: every run diverged; try smaller values, or a smaller --lr")
        first = first or now
        tried |= {label(each.point): each for each in now}
        points = halving.best(now, factor) if factor else points
    return list(tried.values()), first


PROG = "python -m jaxcl.experiments.sweep"

if __name__ == "__main__":
    cli.main(Command, main, PROG)
