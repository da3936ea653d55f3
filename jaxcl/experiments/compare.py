"""Compare methods on one scenario: ``python -m jaxcl.experiments.compare``."""

import dataclasses
import json
from typing import Annotated

import tyro

from jaxcl.core.errors import UsageError
from jaxcl.experiments import cli
from jaxcl.reporting.console import make_console
from jaxcl.runner import several

USUAL = ("finetune", "ewc", "si", "lwf", "er", "joint")


@dataclasses.dataclass(frozen=True)
class Command(several.Several):
    """Run several methods on one scenario and put their results side by side.

    What is None follows from the scenario and the method.
    """

    method: Annotated[str, tyro.conf.Suppress] = "finetune"
    methods: tuple[str, ...] = USUAL
    """What to compare."""


def main(command: Command) -> None:
    """Runs what is missing, then prints and writes the comparison."""
    from jaxcl.checkpointing import run_folder
    from jaxcl.core import processes
    from jaxcl.reporting import comparison

    console = make_console()
    if not command.methods or len(set(command.methods)) < len(command.methods):
        raise UsageError(f"methods: {' '.join(command.methods)}; give each method once")
    configs = command.for_methods(command.methods)
    out = command.out or several.new_folder("compare", command.scenario)
    several.run_each(command, configs, out, console, PROG)
    files = [out / method / run_folder.SUMMARY for method in command.methods]
    summaries = processes.first(lambda: [json.loads(file.read_text()) for file in files])
    processes.first(lambda: comparison.write(summaries, out))
    console.print(comparison.table(summaries))
    for line in comparison.expectations(summaries):
        console.print(line, highlight=False)
    console.print(f"written to {out}", highlight=False)


PROG = "python -m jaxcl.experiments.compare"

if __name__ == "__main__":
    cli.main(Command, main, PROG)
