"""Learn a scenario's tasks one after the other: ``python -m jaxcl.experiments.scenario``."""

import dataclasses
import itertools
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jaxcl.config import Config
from jaxcl.errors import UsageError
from jaxcl.experiments import cli


@dataclasses.dataclass(frozen=True)
class How(Config):
    """Settings, and how they are run, of which the result is independent."""

    checkpoint_every: str = "1"
    """Save after so many epochs, or seconds: 2, 30s."""
    keep: int = 2
    """Checkpoints to keep while a run goes on."""
    mesh: str | None = None
    """Devices: seed=4,data=2: 4 networks at a time, 2 devices each; model=2: large arrays split."""
    data: Literal["device", "stream"] = "device"
    """stream: images stay on the host, and come to the device as they are needed."""


HOW = ("checkpoint_every", "keep", "mesh", "data")


@dataclasses.dataclass(frozen=True)
class Command(How):
    """Learn a scenario's tasks one after the other and report what was kept.

    What is None follows from the scenario and the method.
    """

    out: Path | None = None
    """Output folder; default: runs/<scenario>/<method>/<time>."""
    overwrite: bool = False
    """Replace the run that the output folder holds."""
    resume: Path | None = None
    """Go on with the run in PATH; without one, in --out, or the newest that is not finished."""
    list: bool = False
    """Name the scenarios and methods, then stop."""
    explain: bool = False
    """Show how similar each layer is to each branch as a task comes, and what was decided."""
    dry_run: bool = False
    """Show settings, parameters and data, then stop."""


def defaults(argv: Sequence[str]) -> tuple[list[str], Command]:
    """The command line with a folder for a bare ``--resume``, and what to fill it up with.

    The settings of a run that is resumed are the defaults, so those that are given
    and differ can be refused.
    """
    from jaxcl import output

    args = list(argv)
    for i, arg in enumerate(args):
        if arg == "--resume" and (i + 1 == len(args) or args[i + 1].startswith("--")):
            args[i] = f"--resume={_value(args, '--out') or _newest()}"
    folder = _value(args, "--resume")
    if folder is None or not (Path(folder) / output.CONFIG).exists():
        return args, Command()
    saved = output.saved_config(Path(folder))
    return args, Command(**{f.name: getattr(saved, f.name) for f in dataclasses.fields(Config)})


def _value(args: Sequence[str], option: str) -> str | None:
    for arg, after in itertools.zip_longest(args, args[1:]):
        if arg == option:
            return after
        if arg.startswith(f"{option}="):
            return arg.split("=", 1)[1]
    return None


def _newest() -> Path:
    from jaxcl import output

    found = [path.parent for path in Path("runs").glob(f"*/*/*/{output.CONFIG}")]
    open_ = [folder for folder in found if not output.finished(folder)]
    if not open_:
        raise UsageError("resume: no unfinished run under runs/; give --resume=DIR")
    return max(open_, key=lambda folder: (folder / output.CONFIG).stat().st_mtime)


def main(command: Command) -> None:
    """Runs the command."""
    from jaxcl.experiments import execute, inspect
    from jaxcl.interrupt import Interrupted
    from jaxcl.sharding import on_mesh

    console = cli.console()
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
        sys.exit(cli.fail(f"interrupted and saved; go on with: {again}", 75))


def _how(command: Command) -> list[str]:
    """The options that are no settings of the run, as far as they were given."""
    usual = Command()
    names = [n for n in HOW if getattr(command, n) != getattr(usual, n)]
    return [f"--{name.replace('_', '-')}={getattr(command, name)}" for name in names]


PROG = "python -m jaxcl.experiments.scenario"

if __name__ == "__main__":
    cli.main(Command, main, PROG, defaults)
