"""Try settings out: ``python -m jaxcl.experiments.sweep``."""

import dataclasses
import json
import sys

from jaxcl.errors import NonFiniteLoss, UsageError, check_name
from jaxcl.experiments import cli, several


@dataclasses.dataclass(frozen=True)
class Command(several.Several):
    """Run a method with every combination of some settings, and find the best one."""

    grid: tuple[str, ...] = ()
    """What to vary, one or more of: strength=1e2:1e10:9 (first, last, how many: each the
    same multiple of the one before), lam=1,5,15, start=copy,fresh."""
    validation: float = 0.1
    """Part of each task's training images that is held out, and tested on instead of the
    test set; 0: the test set."""


def main(command: Command) -> None:
    """Runs what is missing, then prints and writes what was found."""
    from rich.console import Console

    from jaxcl import grid, output, tuning
    from jaxcl.methods import METHODS

    console = Console(soft_wrap=True, markup=False)
    check_name("method", command.method, METHODS)
    if sum(arg.partition("=")[0] == "--grid" for arg in sys.argv[1:]) > 1:
        raise UsageError("grid: given twice; give all settings after one --grid")
    varied = grid.axes(command.grid, command.method)
    for name in varied:
        if getattr(command, name) != getattr(Command, name):
            raise UsageError(f"{name}: given, and in the grid as well; give one of the two")
    points = grid.points(varied)
    configs = {grid.label(point): command.varied(**point) for point in points}
    out = command.out or several.new_folder("sweep", command.scenario, command.method)
    several.run_each(command, configs, out, console, PROG, go_on=True)
    tried = []
    for point in points:
        file = out / grid.label(point) / output.SUMMARY
        tried.append(tuning.Tried(point, json.loads(file.read_text()) if file.exists() else None))
    if all(each.summary is None for each in tried):
        raise NonFiniteLoss("grid: every run diverged; try smaller values, or a smaller --lr")
    tuning.write(tried, varied, out)
    console.print(tuning.table(tried))
    console.print(tuning.best_text(tried), highlight=False)
    where = "the test set" if command.validation == 0 else "images held out from training"
    console.print(f"accuracies are on {where}; written to {out}", highlight=False)


PROG = "python -m jaxcl.experiments.sweep"

if __name__ == "__main__":
    cli.main(Command, main, PROG)
