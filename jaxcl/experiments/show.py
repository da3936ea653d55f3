"""Print what finished runs found: ``python -m jaxcl.experiments.show RUN``.

Reads ``summary.json`` alone and starts without JAX, so that it answers at once.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from jaxcl.checkpointing import run_folder
from jaxcl.core.errors import UsageError
from jaxcl.experiments.command_line import cli, early
from jaxcl.experiments.command_line.words import run_tyro
from jaxcl.reporting.console import make_console

PLUGIN = tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: none)")


@dataclasses.dataclass(frozen=True)
class Command:
    """Print the tables of finished runs, and where their pictures are."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders of runs, such as runs/builtin/ewc/20261121-191612."""
    plugin: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], PLUGIN] = ()
    """Is read first; what runs found is shown without it, too."""


def read(args: Sequence[str], prog: str | None = None) -> Command:
    """Reads the command line, here or of another program."""
    known = [field.name for field in dataclasses.fields(Command)]
    return run_tyro(Command, prog or cli.program("show"), Command.__doc__ or "", args, known)


def main(command: Command) -> None:
    """Prints all runs, if all are finished."""
    summaries, console = found(command), make_console()
    for folder, summary in zip(command.runs, summaries, strict=True):
        _show(folder, summary, console)
        picture = folder / run_folder.PLOT
        where = f"picture: {picture}" if picture.exists() else f"run: {folder}, without a picture"
        console.print(where, highlight=False)


def found(command: Command) -> list[Any]:
    """Returns what the runs found.

    Raises:
      UsageError: none is named, or one of them is not finished.
    """
    if command.plugin:
        early.load(command.plugin)
    if not command.runs:
        raise UsageError("runs: none given; name the folder of a run, such as runs/.../...")
    return [_summary(folder) for folder in command.runs]


def _summary(folder: Path) -> Any:
    """What a finished run found; a UsageError says how to get there."""
    if not run_folder.holds_run(folder):
        what = "holds no run" if folder.is_dir() else "is not there"
        raise UsageError(f"run: {folder} {what}; name the folder that a run wrote")
    if not run_folder.finished(folder):
        again = cli.go_on(folder, run_folder.plugins(folder))
        raise UsageError(f"run: {folder} is not finished; go on with: {again}")
    try:
        return json.loads((folder / run_folder.SUMMARY).read_text())
    except ValueError as error:
        raise _damaged(folder) from error


def _show(folder: Path, summary: Any, console: Console) -> None:
    from jaxcl.reporting import report

    try:
        report.show_accuracy(summary, console)
        console.print(report.facts_table(summary))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise _damaged(folder) from error


def _damaged(folder: Path) -> UsageError:
    file = folder / run_folder.SUMMARY
    return UsageError(f"run: {file} is damaged; restore it, or run again with --overwrite")


def run() -> None:
    """Runs the command of this process."""
    cli.main(read, main)


if __name__ == "__main__":
    run()
