"""From commands to runs in their folders."""

import contextlib
import dataclasses
import os
import re
import time
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from jaxcl.checkpointing import checkpoint, lock, run_folder, saved_settings, unfinished
from jaxcl.checkpointing.config_file import from_toml, to_toml
from jaxcl.core import processes, runtime
from jaxcl.core.errors import NonFiniteLoss, UsageError
from jaxcl.core.paths import expanded
from jaxcl.learner.build import check_config, check_stream, set_up
from jaxcl.learner.settings.config import Config
from jaxcl.learner.state import Setup
from jaxcl.learner.tasks import check_tasks, load_tasks
from jaxcl.runner import grouping, resume, session
from jaxcl.runner.commands import How, RunCommand
from jaxcl.runner.interrupt import Interrupted
from jaxcl.runner.recorder import Recording
from jaxcl.scenarios.datasets import tfds
from jaxcl.scenarios.settings import FileSettings
from jaxcl.scenarios.task import Task


def settled(command: RunCommand) -> tuple[Config, Path]:
    """Returns the whole configuration, checked, and the output folder."""
    config, place = command.config, command.place
    if config.data.data_dir is not None:  # a run can be resumed from another folder
        config = config.changed(data_dir=tfds.data_dir(config.data.data_dir).absolute())
    if isinstance(config.data, FileSettings) and config.data.data:
        path = expanded("data", config.data.data)
        config = config.changed(data=os.path.abspath(path)) if path.exists() else config
    folder = place.resume
    if folder is not None and (folder / run_folder.CONFIG).exists():
        # As it was where the run began: to the bit, it decides the result.  The plug-ins may lie
        # elsewhere now, and the run's settings stay as they are.
        saved = saved_settings.saved_config(Config, folder, config.plugins)
        together = saved.together if config.together is None else config.together
        config = dataclasses.replace(config, together=together, plugins=saved.plugins)
    config = check_config(config)
    if command.how.stream:
        check_stream(config)
    if place.out == Path() or place.resume == Path():
        raise UsageError("out: empty; name a folder of its own")
    usual = run_folder.new(config.title, config.method.name)
    return config, place.resume or place.out or usual


def read_tasks(config: Config, console: Console) -> list[Task]:
    """Returns the scenario's tasks; says that they are being read."""
    with console.status("loading data"):
        return load_tasks(config, lambda text: console.print(text, style="dim"))


def execute(
    commands: Sequence[RunCommand], console: Console, tasks: Sequence[Task] | None = None
) -> dict[Path, NonFiniteLoss]:
    """Runs what is left of one run, or of several that differ in numbers alone.

    Args:
      commands: what to run; the results of one alone are shown.
      console: where progress is shown.
      tasks: of the scenario, if they were read already.

    Returns:
      The folders of those that diverged, and where.

    Raises:
      Interrupted: a signal came and everything is saved; names the first folder.
    """
    began = time.perf_counter(), 0.0, 0.0
    lead = commands[0]
    saving = saving_of(lead.how)
    told = processes.on_primary(lambda: [_left(command, console) for command in commands])
    left = {
        Path(out): (command, from_toml(Config, config).with_code(command.config), resumes)
        for command, (out, config, resumes) in zip(commands, told, strict=True)
        if resumes is not None
    }
    if not left:
        return {}
    runtime.use_compilation_cache()
    first = next(iter(left.values()))[1]
    tasks = read_tasks(first, console) if tasks is None else check_tasks(first, tasks)
    diverged: dict[Path, NonFiniteLoss] = {}
    with contextlib.ExitStack() as held:
        compiling = held.enter_context(runtime.compile_clock())
        for part in _side_by_side(_opened(left, tasks, console, held)):

            def spent(began: tuple[float, float, float] = began) -> tuple[float, float, float]:
                seconds, programs = compiling()
                return time.perf_counter() - began[0], seconds - began[1], programs - began[2]

            try:
                how = {"explain": lead.place.explain, "own_process": lead.own_process}
                found = session.record(part, console, saving, spent, **how)
            except Interrupted as stopped:
                raise Interrupted(part[0].out) from stopped
            for each, result in zip(part, found, strict=True):
                if isinstance(result, NonFiniteLoss):
                    diverged[each.out] = result
                elif len(commands) == 1 and processes.is_primary():
                    session.show(result, each.out, console)
            began = time.perf_counter(), *compiling()
    return diverged


def _left(command: RunCommand, console: Console) -> tuple[str, str, bool | None]:
    """Folder and settings of a run, and whether it goes on; None if it is finished."""
    config, out = settled(command)
    if (resumes := _resumes(command, config, out)) is None:
        console.print(f"{out}: this run is finished; jaxcl show {out} prints it", highlight=False)
        checkpoint.clean(out / run_folder.CHECKPOINTS, set())  # killed before it could
    return str(out), to_toml(config), resumes


def _opened(
    left: Mapping[Path, tuple[RunCommand, Config, bool]],
    tasks: Sequence[Task],
    console: Console,
    held: contextlib.ExitStack,
) -> list[Recording]:
    """The runs, whose folders are this process's until it is done with all of them."""
    setups: list[Setup] = []
    # First, so that what cannot be learned or made leaves no folder.
    for command, config, _ in left.values():
        if setups:
            setups.append(grouping.set_up_like(setups[0], config))
        else:
            setups.append(set_up(config, tasks, stream=command.how.stream))

    def take_folders() -> int | None:
        for out, (command, config, resumes) in left.items():
            held.enter_context(lock.locked(out))
            # Another process may have begun or ended a run here meanwhile.
            if _resumes(command, config, out) != resumes:
                raise UsageError(f"out: {out} was changed by another process; look there first")
            (saved_settings.note_place if resumes else run_folder.create)(out, config)
            if command.place.noted:
                unfinished.note(out)
        return _last_common([out for out, (_, _, resumes) in left.items() if resumes])

    common = processes.on_primary(take_folders)
    runs: list[Recording] = []
    for setup, (out, (command, _, resumes)) in zip(setups, left.items(), strict=True):
        found = resume.find_progress(setup, out, console, common) if resumes else None
        heirs = [(out, config) for config, out in map(settled, command.place.heirs)]
        run = Recording(setup, out, found or resume.NO_PROGRESS, heirs=heirs)
        runs.append(_logged(run, command.how.log, held) if command.how.log else run)
    return runs


def _logged(run: Recording, names: Sequence[str], held: contextlib.ExitStack) -> Recording:
    """A run whose events loggers are told of, in the first process, while its folder is held."""
    from jaxcl.reporting.loggers.base import Logged  # here, so that others need not wait
    from jaxcl.reporting.loggers.known import opened

    if not processes.is_primary():
        return run
    config, (learners, epochs, results, *_) = run.setup.config, run.progress
    title = f"{config.scenario} {config.method.name}"
    told = Logged(run.out, title, to_toml(config), run.setup.tasks.names, bool(learners))
    return run._replace(tell=held.enter_context(opened(names, told, [*epochs, *results])))


def _last_common(folders: Sequence[Path]) -> int | None:
    """The checkpoint that all runs have, if a process died while it saved one more of some."""
    there = [checkpoint.numbers(each / run_folder.CHECKPOINTS) for each in folders]
    newest = [max(numbers, default=0) for numbers in there]
    if newest and max(newest) == min(newest) + 1 and all(min(newest) in each for each in there):
        return min(newest)
    return None


def _side_by_side(runs: Sequence[Recording]) -> list[list[Recording]]:
    """Runs that are at the same moment, and so can go on side by side."""
    found: dict[Hashable, list[Recording]] = {}
    for each in runs:
        at = each.setup.config.together, grouping.moment(each.progress.learners)
        found.setdefault(at, []).append(each)
    return list(found.values())


def _resumes(command: RunCommand, config: Config, out: Path) -> bool | None:
    """Whether a run goes on; None if it is finished; UsageError if the folder is not free.

    One that is resumed and overwritten begins anew with the settings that it has.
    """
    if command.place.resume is not None and command.place.out not in (None, command.place.resume):
        raise UsageError(
            f"resume: {command.place.resume} is not --out {command.place.out}; give one of the two"
        )
    if command.place.resume is None or not run_folder.holds_run(out):
        if command.place.resume is not None and command.place.out is None:
            raise UsageError(f"resume: {out} holds no run; give --out with it to begin one there")
        run_folder.check_free(out, overwrite=command.place.overwrite)
        return False
    if command.place.overwrite:
        run_folder.check_free(out, overwrite=True)
        return False
    what = "resume" if command.place.out is None else "out"
    saved_settings.check_same(out, config, what)
    return None if run_folder.finished(out) else True


def saving_of(how: How) -> session.Saving:
    """Returns when to save; UsageError if the options do not say, or a logger is not there."""
    text = how.checkpoint_every
    if not re.fullmatch("[1-9][0-9]{0,8}s?", text):
        raise UsageError(f"checkpoint_every: {text!r} is neither epochs (2) nor seconds (30s)")
    if how.keep < 1:
        raise UsageError(f"keep: {how.keep} is not positive; give a number above 0")
    number = int(text.removesuffix("s"))
    every = (None, float(number)) if text.endswith("s") else (number, None)
    if how.log:
        from jaxcl.reporting.loggers import known

        processes.on_primary(lambda: known.check(how.log))
    return session.Saving(*every, keep=how.keep)
