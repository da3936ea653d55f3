"""Compare methods on one scenario: ``python -m jaxcl.experiments.compare``."""

import dataclasses
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import tyro

from jaxcl.config import Config
from jaxcl.errors import UsageError
from jaxcl.experiments import cli, several

USUAL = ("finetune", "ewc", "si", "lwf", "er", "joint")


@dataclasses.dataclass(frozen=True)
class Command(Config):
    """Run several methods on one scenario and put their results side by side."""

    method: Annotated[str, tyro.conf.Suppress] = "finetune"
    methods: tuple[str, ...] = USUAL
    """What to compare."""
    out: Path | None = None
    """Output folder, one folder a method in it; default: runs/compare/<scenario>/<time>.
    What it holds already is gone on with."""
    checkpoint_every: str = "1"
    """Save after so many epochs, or seconds: 2, 30s."""
    keep: int = 2
    """Checkpoints to keep while a run goes on."""


def main(command: Command) -> None:
    """Runs what is missing, then prints and writes the comparison."""
    from rich.console import Console

    from jaxcl import comparison, output

    console = Console(soft_wrap=True, markup=False)
    if not command.methods or len(set(command.methods)) < len(command.methods):
        raise UsageError(f"methods: {' '.join(command.methods)}; give each method once")
    fields = {f.name: getattr(command, f.name) for f in dataclasses.fields(Config)}
    configs = {method: Config(**{**fields, "method": method}) for method in command.methods}
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    out = command.out or Path("runs", "compare", command.scenario, stamp)
    saving = {"checkpoint_every": command.checkpoint_every, "keep": command.keep}
    several.run_each(configs, out, saving, console, PROG)
    summaries = [json.loads((out / m / output.SUMMARY).read_text()) for m in command.methods]
    comparison.write(summaries, out)
    console.print(comparison.table(summaries))
    for line in comparison.expectations(summaries):
        console.print(line, highlight=False)
    console.print(f"written to {out}", highlight=False)


PROG = "python -m jaxcl.experiments.compare"

if __name__ == "__main__":
    cli.main(Command, main, PROG)
