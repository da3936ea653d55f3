"""Learn a scenario's tasks one after the other: ``python -m jaxcl.experiments.scenario``."""

import dataclasses
import itertools
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxcl.core.errors import UsageError
from jaxcl.experiments import cli
from jaxcl.methods.config import Config
from jaxcl.reporting.console import fail, make_console
from jaxcl.runner.commands import HOW, Command


def defaults(argv: Sequence[str]) -> tuple[list[str], Command]:
    """The command line with a folder for a bare ``--resume``, and what to fill it up with.

    The settings of a run that is resumed are the defaults, so those that are given
    and differ can be refused.
    """
    from jaxcl.checkpointing import run_folder

    args = list(argv)
    for i, arg in enumerate(args):
        if arg == "--resume" and (i + 1 == len(args) or args[i + 1].startswith("--")):
            args[i] = f"--resume={_value(args, '--out') or _newest()}"
    folder = _value(args, "--resume")
    if folder is None or not (Path(folder) / run_folder.CONFIG).exists():
        return args, Command()
    saved = run_folder.saved_config(Config, Path(folder))
    return args, Command(**{f.name: getattr(saved, f.name) for f in dataclasses.fields(Config)})


def _value(args: Sequence[str], option: str) -> str | None:
    for arg, after in itertools.zip_longest(args, args[1:]):
        if arg == option:
            return after
        if arg.startswith(f"{option}="):
            return arg.split("=", 1)[1]
    return None


def _newest() -> Path:
    from jaxcl.checkpointing import run_folder

    found = [path.parent for path in Path("runs").glob(f"*/*/*/{run_folder.CONFIG}")]
    open_ = [folder for folder in found if not run_folder.finished(folder)]
    if not open_:
        raise UsageError("resume: no unfinished run under runs/; give --resume=DIR")
    return max(open_, key=lambda folder: (folder / run_folder.CONFIG).stat().st_mtime)


def main(command: Command) -> None:
    """Runs the command."""
    from jaxcl.core.sharding import on_mesh
    from jaxcl.experiments import inspect
    from jaxcl.runner import execute
    from jaxcl.runner.interrupt import Interrupted

    console = make_console()
    if command.list:
        return inspect.listing(console)
    if command.dry_run:
        return inspect.dry_run(console, *execute.settled(command))
    try:
        at_once = math.gcd(len(command.seeds), command.together or len(command.seeds))
        with on_mesh(command.mesh, at_once):
            for error in execute.run([command], console).values():
                raise error
    except Interrupted as stopped:
        again = " ".join([f"{PROG} --resume={shlex.quote(str(stopped))}", *_how(command)])
        sys.exit(fail(f"interrupted and saved; go on with: {again}", 75))


def _how(command: Command) -> list[str]:
    """The options that are no settings of the run, as far as they were given."""
    usual = Command()
    names = [n for n in HOW if getattr(command, n) != getattr(usual, n)]
    return [f"--{name.replace('_', '-')}={getattr(command, name)}" for name in names]


PROG = "python -m jaxcl.experiments.scenario"

if __name__ == "__main__":
    cli.main(Command, main, PROG, defaults)
