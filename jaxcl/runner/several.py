"""Runs that belong together, one folder each: what is done is not done again."""

import dataclasses
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxcl.core.errors import UsageError, check_name
from jaxcl.methods.config import Config
from jaxcl.reporting.console import fail
from jaxcl.runner import commands

if TYPE_CHECKING:
    from jaxcl.scenarios.task import Task


@dataclasses.dataclass(frozen=True)
class Several(commands.How):
    """Settings that the runs have in common, and where they go."""

    out: Path | None = None
    """Folder of the runs, a new one by default; what it holds already is gone on with."""

    def varied(self, **changes: Any) -> Config:
        """The settings of a run."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(Config)}
        return Config(**fields | changes)

    def for_methods(self, methods: Sequence[str], **changes: Any) -> dict[str, Config]:
        """The settings of a run of each method, without those that the method does not have.

        Raises:
          UsageError: a setting that none of the methods has.
        """
        from jaxcl.methods.applicable import check_used, in_vain
        from jaxcl.methods.resolve import situated
        from jaxcl.methods.table import METHODS
        from jaxcl.scenarios.protocols import SCENARIOS

        configs = {name: self.varied(method=name, **changes) for name in methods}
        for name, config in configs.items():
            check_name("method", name, METHODS)
            check_name("scenario", config.scenario, SCENARIOS)
        vain = {name: in_vain(situated(config)) for name, config in configs.items()}
        # What one of the methods has is given for that one; what none has is refused.
        of_none = set.intersection(*map(set, vain.values()))
        check_used(situated(next(iter(configs.values()))), of_none)
        usual = {f.name: f.default for f in dataclasses.fields(Config)}
        return {
            name: dataclasses.replace(config, **{each: usual[each] for each in vain[name]})
            for name, config in configs.items()
        }


def new_folder(*parts: str) -> Path:
    """A folder under ``runs`` that is named after the moment."""
    return Path("runs", *parts, datetime.now().strftime("%Y%m%d-%H%M%S"))


def run_each(
    command: Several,
    configs: Mapping[str, Config],
    out: Path,
    console,
    prog: str,
    *,
    go_on: bool = False,
) -> None:
    """Runs what is missing; exits with 75 if it is interrupted, when everything is saved.

    Args:
      command: how to save.
      configs: name of a folder -> settings of its run; checked before the first one runs.
      out: folder of all of them.
      console: where progress is shown.
      prog: name of the program, to say how to go on.
      go_on: whether to go on with the others where a loss is not finite.

    Raises:
      UsageError: a setting that cannot be used, or data that is missing.
      NonFiniteLoss: a run diverged.
    """
    from jaxcl.core.sharding import on_mesh
    from jaxcl.runner import grouping
    from jaxcl.runner.interrupt import Interrupted

    again = shlex.join(prog.split() + sys.argv[1:])
    again += "" if command.out else f" --out {shlex.quote(str(out))}"
    try:
        with on_mesh(command.mesh, grouping.at_once(configs)):
            groups = grouping.groups(configs)
            parts = [_checked(command, group, out) for group in groups]
            tasks = _tasks(list(configs.values()), console)
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


def _say_which(names: Sequence[str], begun: int, of: int, console) -> None:
    last = begun + len(names)
    which = f"{begun + 1} of {of}" if len(names) == 1 else f"{begun + 1} to {last} of {of}"
    together = "" if len(names) == 1 else ", side by side"
    console.print(f"{'; '.join(names)} ({which}{together})", highlight=False)


def _run(commands: Sequence[commands.Command], console, tasks, *, go_on: bool) -> None:
    from jaxcl.runner import execute

    for error in execute.run(commands, console, tasks).values():
        if not go_on:
            raise error
        console.print(f"diverged: {error}", highlight=False)


def _checked(
    command: Several, configs: Mapping[str, Config], out: Path
) -> dict[str, commands.Command]:
    """The commands of all runs, if their options can be used."""
    from jaxcl.checkpointing import run_folder
    from jaxcl.core import processes
    from jaxcl.runner import execute

    if command.out == Path():
        raise UsageError("out: empty; name a folder of its own")
    processes.first(lambda: run_folder.check_free(out, overwrite=False))
    how = {name: getattr(command, name) for name in commands.HOW}
    runs = {}
    for name, config in configs.items():
        runs[name] = commands.Command(**vars(config), **how, out=out / name, resume=out / name)
        execute.saving_of(runs[name])
    return runs


def _tasks(configs: Sequence[Config], console) -> "list[Task]":
    """The tasks, which are those of all runs, if each can be run on them."""
    from jaxcl.learner.build import check_config, fit
    from jaxcl.runner import execute

    tasks = execute.load(configs[0], console)
    for config in configs:
        fit(check_config(config), tasks)
    return tasks
