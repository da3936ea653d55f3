"""Learn a scenario's tasks one after the other: ``python -m jaxcl.experiments.scenario``."""

import dataclasses
import time
from datetime import datetime
from pathlib import Path

from jaxcl.config import Config
from jaxcl.experiments import cli


@dataclasses.dataclass(frozen=True)
class Command(Config):
    """Learn a scenario's tasks one after the other and report what was kept."""

    out: Path | None = None
    """Output folder; default: runs/<scenario>/<method>/<time>."""
    overwrite: bool = False
    """Replace the run that the output folder holds."""
    list: bool = False
    """Name the scenarios and methods, then stop."""
    dry_run: bool = False
    """Show settings, parameters and data, then stop."""


def main(command: Command) -> None:
    """Runs the command."""
    from rich.console import Console

    from jaxcl.experiments import inspect
    from jaxcl.run import check_config, load_tasks, run

    console = Console(soft_wrap=True)
    config = Config(**{f.name: getattr(command, f.name) for f in dataclasses.fields(Config)})
    if command.list:
        return inspect.listing(console)
    check_config(config)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    out = command.out or Path("runs", config.scenario, config.method, stamp)
    if command.dry_run:
        return inspect.dry_run(console, config, out)

    from jaxcl import output, record, runtime

    began = time.perf_counter()
    runtime.use_compilation_cache()
    tasks = load_tasks(config, lambda text: console.print(text, style="dim"))
    output.create(out, config, overwrite=command.overwrite)
    names = [task.name for task in tasks]
    summary = record.record(run(config, tasks), config, names, out, console, began)
    record.show(summary, out, console)
    return None


if __name__ == "__main__":
    cli.main(Command, main, "python -m jaxcl.experiments.scenario")
