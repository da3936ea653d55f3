"""Learn a scenario's tasks one after the other: ``python -m jaxcl.experiments.scenario``."""

import dataclasses
import itertools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from rich.console import Console

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import shown
from jaxcl.experiments.command_line import cli, early
from jaxcl.experiments.command_line.options import Parsed, choices, parse
from jaxcl.experiments.command_line.words import words_of
from jaxcl.learner.settings.config import Config, option
from jaxcl.learner.settings.configuration import configure
from jaxcl.learner.settings.protocols import scenario_of
from jaxcl.reporting.console import fail, make_console
from jaxcl.runner.commands import How, Place, RunCommand
from jaxcl.scenarios.settings import FileSettings


@dataclasses.dataclass(frozen=True)
class Options(How):
    """Learn a scenario's tasks one after the other and report what was kept.

    A data set of your own has options of its own: see --data FILE --help.
    """

    out: Annotated[Path | None, shown("runs/...", "PATH")] = None
    """Output folder."""
    overwrite: bool = False
    """Replace what --out holds."""
    resume: Annotated[Path | None, shown("begin anew", "PATH")] = None
    """Go on with the run in PATH."""
    list: bool = False
    """Name scenarios and methods."""
    explain: bool = False
    """Show what was decided."""
    dry_run: bool = False
    """Show settings and data."""


def read(args: Sequence[str]) -> Parsed[Options]:
    """Reads the command line, plug-ins first; a bare ``--resume`` stands for a folder.

    The settings of a run that is resumed are the usual ones, so those that are given
    and differ can be refused.
    """
    from jaxcl.checkpointing import saved_settings

    args, prog = early.prepared(args), cli.program("scenario")
    for i, arg in enumerate(args):
        if arg == "--resume" and (i + 1 == len(args) or args[i + 1].startswith("--")):
            args[i] = f"--resume={_value(args, '--out') or _newest()}"
    named, chosen = _value(args, "--resume"), choices(args)
    folder = None if named is None else Path(named)
    if folder is None or not _is_begun(folder):
        return parse(prog, Options, args, configure(**chosen))
    saved = saved_settings.saved_config(Config, folder, words_of(args, "plugin", ()))
    _check_registered(saved, folder, words_of(args, "plugin", ()))
    now = saved.flat() | {"replay": saved.replay_on_top}
    differ = {name: (now[name], value) for name, value in chosen.items() if now[name] != value}
    if differ:
        raise saved_settings.others("resume", folder, differ)
    return parse(prog, Options, args, saved)


def _is_begun(folder: Path) -> bool:
    """Whether a folder holds the settings of a run, which then hold."""
    from jaxcl.checkpointing import run_folder

    return (folder / run_folder.CONFIG).exists()


def _check_registered(saved: Config, folder: Path, given: Sequence[str]) -> None:
    """Raises a UsageError for a scenario or a data set that is not known without a plug-in."""
    from jaxcl.checkpointing import saved_settings

    try:
        scenario_of(saved.scenario)
        if isinstance(saved.data, FileSettings):
            from jaxcl.learner.tasks import check_data

            check_data(saved.data)
    except UsageError as error:
        raise saved_settings.unusable(folder, error, given) from None


def _value(args: Sequence[str], name: str) -> str | None:
    for arg, after in itertools.zip_longest(args, args[1:]):
        if arg == name:
            return after
        if arg.startswith(f"{name}="):
            return arg.split("=", 1)[1]
    return None


def _newest() -> Path:
    """The newest unfinished run below this folder or, if there is none, of all that were noted."""
    from jaxcl.checkpointing import lock, run_folder, unfinished

    here = Path.cwd()
    noted = [f.relative_to(here) if f.is_relative_to(here) else f for f in unfinished.noted()]
    usual = [path.parent for path in Path("runs").glob(f"*/*/*/{run_folder.CONFIG}")]
    open_ = [f for f in usual if not run_folder.finished(f) and not lock.is_held(f)]
    below = [*open_, *(folder for folder in noted if not folder.is_absolute())]
    if not (below or noted):
        where = f"runs/ and none noted in {unfinished.place()}"
        raise UsageError(f"resume: no unfinished run under {where}; give --resume=DIR")
    return max(below or noted, key=lambda folder: (folder / run_folder.CONFIG).stat().st_mtime)


def main(parsed: Parsed[Options]) -> None:
    """Runs the command."""
    console, options, config = make_console(), parsed.extra, parsed.config

    from jaxcl.front import fitting
    from jaxcl.runner import execute
    from jaxcl.runner.interrupt import Interrupted

    place = Place(options.out, options.resume, options.overwrite, options.explain, noted=True)
    command = RunCommand(config, options, place, own_process=True)
    begun = options.resume is not None and _is_begun(options.resume)
    if isinstance(config.data, FileSettings) and not (begun or "batch_size" in parsed.said):
        command = _with_whole_batches(command, console)
    if options.dry_run:
        from jaxcl.experiments.command_line import inspect

        return inspect.dry_run(console, *execute.settled(command))
    try:
        fitting.run(command, console)
    except Interrupted as stopped:
        again = " ".join([cli.go_on(Path(str(stopped)), config.plugins), *_how(options)])
        sys.exit(fail(f"interrupted and saved; go on with: {again}", 75))


def _with_whole_batches(command: RunCommand, console: Console) -> RunCommand:
    """The command with batches that a data set of one's own fills; nobody said how large."""
    from jaxcl.learner.tasks import with_whole_batches
    from jaxcl.runner import execute

    config, _ = execute.settled(command)
    tasks = execute.read_tasks(config.changed(batch_size=1), console)
    size = with_whole_batches(config, tasks).training.batch_size
    return dataclasses.replace(command, config=command.config.changed(batch_size=size))


def _how(options: Options) -> list[str]:
    """The options that are no settings of the run, as far as they were given."""
    usual, names = How(), [field.name for field in dataclasses.fields(How)]
    values = {name: getattr(options, name) for name in names}
    given = {option(name): v for name, v in values.items() if v != getattr(usual, name)}
    words: list[str] = []
    for name, value in given.items():
        if isinstance(value, tuple):
            words += [name, *value]
        else:
            words.append(name if value is True else f"{name}={value}")
    return [shlex.quote(word) for word in words]


def run() -> None:
    """Runs the command of this process."""
    cli.main(read, main)


if __name__ == "__main__":
    run()
