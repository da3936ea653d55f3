"""Runs that belong together, one folder each: what is done is not done again."""

import dataclasses
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from jaxcl.checkpointing import run_folder
from jaxcl.core import processes
from jaxcl.core.errors import UsageError
from jaxcl.core.sharding import on_mesh
from jaxcl.learner.build import check_config
from jaxcl.learner.settings.config import Config
from jaxcl.learner.tasks import check_tasks, with_whole_batches
from jaxcl.reporting.console import fail
from jaxcl.runner import execute, grouping
from jaxcl.runner.commands import How, Place, RunCommand
from jaxcl.runner.interrupt import Interrupted
from jaxcl.scenarios.settings import FileSettings
from jaxcl.scenarios.task import Task


def run_each(
    how: How,
    configs: Mapping[str, Config],
    out: Path,
    console: Console,
    prog: str,
    *,
    go_on: bool = False,
    said: bool = True,
    usual_batches: bool = False,
    same_start: bool = False,
) -> None:
    """Runs what is missing; exits with 75 if it is interrupted, when everything is saved.

    Args:
      how: to run them.
      configs: name of a folder -> settings of its run; checked before the first one runs.
      out: folder of all of them.
      console: where progress is shown.
      prog: name of the program, to say how to go on.
      go_on: whether to go on with the others where a loss is not finite.
      said: whether the command line names the folder.
      usual_batches: whether nobody said how large a batch is, so that a data set of one's own
        may be smaller than the usual one.
      same_start: whether all of them train the first task alike, to the bit, so that it is
        trained once.

    Raises:
      UsageError: a setting that cannot be used, or data that is missing.
      NonFiniteLoss: a run diverged.
    """
    again = shlex.join(prog.split() + sys.argv[1:])
    again += "" if said else f" --out {shlex.quote(str(out))}"
    try:
        with on_mesh(how.mesh, grouping.at_once(configs)):
            parts = [_checked(how, group, out) for group in grouping.groups(configs)]
            tasks, fitting = _tasks(configs, console, usual_batches=usual_batches)
            if fitting != configs:
                parts = [_checked(how, group, out) for group in grouping.groups(fitting)]
            if same_start:
                parts = _trained_once(parts)
            many = "1 run" if len(configs) == 1 else f"{len(configs)} runs"
            console.print(f"{many} in {out}", highlight=False)
            begun = 0
            for part in parts:
                _say_which(list(part), begun, len(configs), console)
                begun += len(part)
                _run(list(part.values()), console, tasks, go_on=go_on)
    except Interrupted:
        sys.exit(fail(f"interrupted and saved; go on with: {again}", 75))
    except KeyboardInterrupt:
        sys.exit(fail(f"interrupted; what was written is kept; go on with: {again}", 130))


def _say_which(names: Sequence[str], begun: int, of: int, console: Console) -> None:
    last = begun + len(names)
    which = f"{begun + 1} of {of}" if len(names) == 1 else f"{begun + 1} to {last} of {of}"
    together = "" if len(names) == 1 else ", side by side"
    console.print(f"{'; '.join(names)} ({which}{together})", highlight=False)


def _run(
    commands: Sequence[RunCommand], console: Console, tasks: Sequence[Task], *, go_on: bool
) -> None:
    for error in execute.execute(commands, console, tasks).values():
        if not go_on:
            raise error
        console.print(f"diverged: {error}", highlight=False)


def _checked(how: How, configs: Mapping[str, Config], out: Path) -> dict[str, RunCommand]:
    """The commands of all runs, if their options can be used."""
    if out == Path():
        raise UsageError("out: empty; name a folder of its own")
    processes.on_primary(lambda: run_folder.check_free(out, overwrite=False))
    execute.saving_of(how)
    return {
        name: RunCommand(config, how, Place(out / name, resume=out / name), own_process=True)
        for name, config in configs.items()
    }


def _trained_once(parts: Sequence[dict[str, RunCommand]]) -> list[dict[str, RunCommand]]:
    """The same commands; those of later parts are heirs of the first one."""
    (name, first), *beside = parts[0].items()
    heirs = tuple(command for part in parts[1:] for command in part.values())
    first = dataclasses.replace(first, place=dataclasses.replace(first.place, heirs=heirs))
    return [{name: first, **dict(beside)}, *parts[1:]]


def _tasks(
    configs: Mapping[str, Config], console: Console, *, usual_batches: bool
) -> tuple[list[Task], Mapping[str, Config]]:
    """The tasks, which are those of all runs, and the configurations, if they fit."""
    first = next(iter(configs.values()))
    if usual_batches and isinstance(first.data, FileSettings):
        tasks = execute.read_tasks(first.changed(batch_size=1), console)
        configs = {name: with_whole_batches(each, tasks) for name, each in configs.items()}
    else:
        tasks = execute.read_tasks(first, console)
    for config in configs.values():
        check_tasks(check_config(config), tasks)
    return tasks, configs
