"""Compare methods on one scenario: ``python -m jaxcl.experiments.compare``."""

import dataclasses
import json
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import tyro

from jaxcl.config import Config
from jaxcl.errors import UsageError
from jaxcl.experiments import cli, scenario

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
    from jaxcl.interrupt import Interrupted
    from jaxcl.run import check_config

    console = Console(soft_wrap=True, markup=False)
    if not command.methods or len(set(command.methods)) < len(command.methods):
        raise UsageError(f"methods: {' '.join(command.methods)}; give each method once")
    fields = {f.name: getattr(command, f.name) for f in dataclasses.fields(Config)}
    for method in command.methods:  # all are checked before the first one runs
        check_config(Config(**{**fields, "method": method}))
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    out = command.out or Path("runs", "compare", command.scenario, stamp)
    saving = {"checkpoint_every": command.checkpoint_every, "keep": command.keep}
    for method in command.methods:
        folder = out / method
        each = scenario.Command(**{**fields, **saving, "method": method, "out": folder})
        each = dataclasses.replace(each, resume=folder)
        console.print(f"{method} ({command.methods.index(method) + 1} of {len(command.methods)})")
        try:
            scenario.execute(each, console)
        except Interrupted:
            again = shlex.join(["python", "-m", "jaxcl.experiments.compare", *sys.argv[1:]])
            again += "" if command.out else f" --out {shlex.quote(str(out))}"
            sys.exit(cli.fail(f"interrupted and saved; go on with: {again}", 75))
    summaries = [json.loads((out / m / output.SUMMARY).read_text()) for m in command.methods]
    comparison.write(summaries, out)
    console.print(comparison.table(summaries))
    for line in comparison.expectations(summaries):
        console.print(line, highlight=False)
    console.print(f"written to {out}", highlight=False)


PROG = "python -m jaxcl.experiments.compare"

if __name__ == "__main__":
    cli.main(Command, main, PROG)
