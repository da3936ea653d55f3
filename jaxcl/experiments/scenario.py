"""Learn a scenario's tasks one after the other: ``python -m jaxcl.experiments.scenario``."""

import dataclasses
import itertools
import re
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jaxcl.config import Config
from jaxcl.errors import UsageError
from jaxcl.experiments import cli

if TYPE_CHECKING:  # it imports JAX, and the help need not wait for it
    from jaxcl.data.task import Task


@dataclasses.dataclass(frozen=True)
class Command(Config):
    """Learn a scenario's tasks one after the other and report what was kept."""

    out: Path | None = None
    """Output folder; default: runs/<scenario>/<method>/<time>."""
    overwrite: bool = False
    """Replace the run that the output folder holds."""
    resume: Path | None = None
    """Go on with the run in this folder; without a folder, with that in --out (a new run
    if there is none yet), or else with the newest that is not finished."""
    checkpoint_every: str = "1"
    """Save after so many epochs, or seconds: 2, 30s."""
    keep: int = 2
    """Checkpoints to keep while the run goes on."""
    list: bool = False
    """Name the scenarios and methods, then stop."""
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
    from rich.console import Console

    from jaxcl.experiments import inspect
    from jaxcl.interrupt import Interrupted

    console = Console(soft_wrap=True, markup=False)  # names of folders are no markup
    if command.list:
        return inspect.listing(console)
    if command.dry_run:
        return inspect.dry_run(console, *_settled(command))
    try:
        execute(command, console)
    except Interrupted as stopped:
        again = " ".join([f"{PROG} --resume={shlex.quote(str(stopped))}", *_how(command)])
        sys.exit(cli.fail(f"interrupted and saved; go on with: {again}", 75))


def _how(command: Command) -> list[str]:
    """The options that are no settings of the run, as far as they were given."""
    usual = Command()
    names = [n for n in ("checkpoint_every", "keep") if getattr(command, n) != getattr(usual, n)]
    return [f"--{name.replace('_', '-')}={getattr(command, name)}" for name in names]


def _settled(command: Command) -> tuple[Config, Path]:
    """The whole configuration, checked, and the output folder."""
    from jaxcl import output
    from jaxcl.build import check_config
    from jaxcl.data import tfds

    config = Config(**{f.name: getattr(command, f.name) for f in dataclasses.fields(Config)})
    if config.data_dir is not None:  # a run can be resumed from another folder
        config = dataclasses.replace(config, data_dir=tfds.data_dir(config.data_dir).absolute())
    folder = command.resume
    if config.together is None and folder is not None and (folder / output.CONFIG).exists():
        # As it was on the machine on which the run began: to the bit, it decides the result.
        config = dataclasses.replace(config, together=output.saved_config(folder).together)
    config = check_config(config)
    if command.out == Path() or command.resume == Path():
        raise UsageError("out: empty; name a folder of its own")
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    usual = Path("runs", config.scenario, config.method, stamp)
    return config, command.resume or command.out or usual


def load(config: Config, console) -> list["Task"]:
    """The scenario's tasks; says that they are being read."""
    from jaxcl.build import load_tasks

    with console.status("loading data"):
        return load_tasks(config, lambda text: console.print(text, style="dim"))


def execute(command: Command, console, tasks: Sequence["Task"] | None = None) -> None:
    """Runs what is left of a run, and shows its results.

    Args:
      command: what to run.
      console: where progress is shown.
      tasks: of the scenario, if they were read already.

    Raises:
      Interrupted: a signal came and everything is saved; names the folder.
    """
    from jaxcl import checkpoint, lock, output, record, runtime
    from jaxcl.build import set_up
    from jaxcl.interrupt import Interrupted

    began = time.perf_counter()
    config, out = _settled(command)
    when = saving(command)
    if command.resume is not None and command.overwrite:
        raise UsageError("resume: not together with --overwrite; give one of the two")
    if command.resume is not None and command.out not in (None, command.resume):
        raise UsageError(
            f"resume: {command.resume} is not --out {command.out}; give one of the two"
        )
    if (resumes := _resumes(command, config, out)) is None:
        console.print(f"{out}: this run is finished", highlight=False)
        checkpoint.clean(out / output.CHECKPOINTS, set())  # killed before it could
        return
    runtime.use_compilation_cache()
    tasks = load(config, console) if tasks is None else tasks
    with lock.locked(out), runtime.compile_clock() as compiling:
        # Another process may have begun or ended a run here meanwhile.
        if _resumes(command, config, out) != resumes:
            raise UsageError(f"out: {out} was changed by another process; look there first")
        if not resumes:
            output.create(out, config)
        setup = set_up(config, tasks)
        past = record.find_past(setup, out, console) if resumes else record.NOTHING
        try:
            summary = record.record(
                setup, out, console, when, past, lambda: (time.perf_counter() - began, compiling())
            )
        except Interrupted as stopped:
            raise Interrupted(out) from stopped
        record.show(summary, out, console)


def _resumes(command: Command, config: Config, out: Path) -> bool | None:
    """Whether a run goes on; None if it is finished; UsageError if the folder is not free."""
    from jaxcl import output

    if command.resume is None or not output.holds_run(out):
        if command.resume is not None and command.out is None:
            raise UsageError(f"resume: {out} holds no run; give --out with it to begin one there")
        output.check_free(out, overwrite=command.overwrite)
        return False
    output.check_same(out, config)
    return None if output.finished(out) else True


def saving(command: Command):
    """When to save; UsageError if the options do not say."""
    from jaxcl.record import Saving

    text = command.checkpoint_every
    if not re.fullmatch("[1-9][0-9]{0,8}s?", text):
        raise UsageError(f"checkpoint_every: {text!r} is neither epochs (2) nor seconds (30s)")
    if command.keep < 1:
        raise UsageError(f"keep: {command.keep} is not positive; give a number above 0")
    number = int(text.removesuffix("s"))
    every = (None, float(number)) if text.endswith("s") else (number, None)
    return Saving(*every, keep=command.keep)


PROG = "python -m jaxcl.experiments.scenario"

if __name__ == "__main__":
    cli.main(Command, main, PROG, defaults)
