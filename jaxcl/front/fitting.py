"""Learning a sequence of tasks, from a program or from a command."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxcl.checkpointing import run_folder
from jaxcl.checkpointing.config_file import from_toml, to_toml
from jaxcl.core import processes
from jaxcl.core.errors import UsageError
from jaxcl.core.fields import hints
from jaxcl.core.paths import expanded
from jaxcl.core.sharding import on_mesh
from jaxcl.front.arguments import check_arguments, check_given, plain_number, seeds_of, tasks_of
from jaxcl.front.plugins import kept, load_plugins
from jaxcl.front.results import Result, load
from jaxcl.learner.build import set_up
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.configuration import configure
from jaxcl.learner.settings.protocols import OWN
from jaxcl.learner.tasks import cut_given, with_whole_batches
from jaxcl.methods import METHODS
from jaxcl.methods.base import Method
from jaxcl.methods.replay import Replay
from jaxcl.networks.choices import Foreign, Network
from jaxcl.reporting.console import make_console
from jaxcl.runner import execute, resume
from jaxcl.runner.commands import How, Place, RunCommand
from jaxcl.scenarios.settings import OWN as OWN_AUGMENTATION
from jaxcl.scenarios.task import Task
from jaxcl.training.settings import Training

Augmentation = Callable[[Any, Any], Any]


def fit(
    tasks: Iterable[Task] | str,
    /,
    method: str | Method = "finetune",
    network: str | Network | None = None,
    *,
    setting: str | None = None,
    training: Training | None = None,
    replay: str | Replay | None = None,
    augment: Augmentation | Sequence[str] | None = None,
    seeds: Iterable[int] = (0,),
    out: Path | str | None = None,
    overwrite: bool = False,
    plugins: Sequence[str] = (),
    how: How | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Learns tasks one after the other, shows progress, saves the run, and returns what it found.

    It is what the command ``jaxcl scenario`` runs.  Called again with the same folder and
    settings, it goes on where it was interrupted, and returns what is there if it is finished.

    While it trains, SIGTERM and Ctrl-C are caught: what runs is saved before Interrupted is raised.
    A second signal, a second or more later, does what it does without jaxcl, Ctrl-C raises
    KeyboardInterrupt, and the folder holds the latest checkpoint.

    Args:
      tasks: in order, a list or what else gives them one by one; or the name of a scenario, such
        as ``"split-mnist"``.
      method: a method such as ``jaxcl.methods.EWC(1e4)``, or its name, at its usual settings.
      network: ``jaxcl.from_linen(...)`` and the like, ``jaxcl.networks.MLP((400, 400))``, or a
        name; by default that of the scenario, and dense layers for tasks that are given.
      setting: ``"task"`` (the task is known when it is tested: a head for each), ``"domain"``
        (the same classes in every task, one head) or ``"class"`` (all classes told apart);
        by default that of the scenario, and ``"task"`` for tasks that are given.
      training: epochs, batches, optimiser, all as the object has them; single ones can be given
        as settings instead, beside what is usual for the scenario and the method.  The usual
        batch is no larger than the smallest task that is given.
      replay: what is replayed on top of the method, such as ``"buffer"``.
      augment: a function ``(key, inputs) -> inputs`` on a batch as float32, done in training
        alone, or names: ``crop``, ``flip``, ``cutout``; ``()`` for none.  By default that of the
        scenario.
      seeds: each is a run of its own.
      out: folder of the run; by default a new one in ``runs/``.
      overwrite: replace the run that the folder holds.
      plugins: modules or files that register methods, networks or scenarios.
      how: checkpoints, devices and loggers, of which the results are independent.
      console: where progress is shown.
      settings: further settings by name, as on the command line: ``epochs=5, lr=1e-3``.

    Raises:
      UsageError: a setting that cannot be used, or a folder that holds another run.
      DataError: tasks that cannot be trained on.
      NonFiniteLoss: training diverged.
      Interrupted: a signal came; everything is saved, and the same call goes on.

    Two tasks of two classes each, learned by a small network:

        x = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
        y = (x[:, 0] > 0).astype(int)
        tasks = [jaxcl.Task("first", x, y, x, y), jaxcl.Task("second", -x, y, -x, y)]
        network = jaxcl.networks.MLP((16,))
        result = jaxcl.fit(tasks, method="ewc", network=network, epochs=2, out="runs/small")
        result.accuracy.shape  # (1, 2, 2): seed, after task, task
    """
    given = tasks_of(tasks)
    check_arguments(method, network)
    load_plugins(plugins)
    names = {"setting": setting, "plugins": kept(plugins) or None, "seeds": seeds_of(seeds)}
    names |= {"replay": _on_top(method, replay)}
    settings = {name: plain_number(value) for name, value in settings.items()}
    check_given(settings, method=method, network=network, training=training, replay=replay)
    scenario = tasks if isinstance(tasks, str) else OWN
    config = _configured(scenario, method, network, **names, **settings)
    if training is not None:
        config = _trained(config, training)
    if isinstance(replay, Replay):
        config = dataclasses.replace(config, replay=replay)
    config = _augmented(config, augment).check()
    place = Place(None if out is None else expanded("out", out), overwrite=overwrite)
    if place.out is not None and not overwrite and run_folder.holds_run(place.out):
        place = dataclasses.replace(place, resume=place.out)
    if given is not None:
        usual = training is None and "batch_size" not in settings
        config, given = _as_settings_say(config, given, usual_batches=usual)
    command = RunCommand(config, how or How(), place)
    return run(command, console or make_console(), given)


def _trained(config: Config, training: Training) -> Config:
    """The configuration with settings of training that are given as they are."""
    if config.method.from_scratch:  # whatever else is given
        training = dataclasses.replace(training, scratch=True, keep_optimizer=False)
    return dataclasses.replace(config, training=training)


def _as_settings_say(
    config: Config, tasks: list[Task], *, usual_batches: bool
) -> tuple[Config, list[Task]]:
    """The tasks cut and with a part held out, as is said; batches that the smallest one fills."""
    if usual_batches:
        config = with_whole_batches(config, tasks)
    tasks = cut_given(config, tasks)
    return (with_whole_batches(config, tasks) if usual_batches else config), tasks


def run(command: RunCommand, console: Console, tasks: Sequence[Task] | None = None) -> Result:
    """Runs what is left of a run, and returns what it found.

    With several processes, each of them returns; what was found is told by the first one, as the
    others may not see its files at once.

    Args:
      command: the run.
      console: where progress is shown.
      tasks: of the run; by default those of its scenario.

    Raises:
      As :func:`fit`.
    """
    # A name that has the time in it is the first process's, and it says what cannot be used.
    out = Path(processes.on_primary(lambda: str(execute.settled(command)[1])))
    if command.place.resume is None:
        command = dataclasses.replace(command, place=dataclasses.replace(command.place, out=out))
    config = command.config
    at_once = math.gcd(len(config.seeds), config.together or len(config.seeds))
    done = processes.on_primary(lambda: run_folder.finished(out) and not command.place.overwrite)
    with on_mesh(command.how.mesh, at_once):
        for error in execute.execute([command], console, tasks).values():
            raise error
        settings, summary = processes.on_primary(lambda: _found(out))
        result = Result(out, summary, from_toml(Config, settings).with_code(config))
        if done and tasks is not None:
            programs = isinstance(config.network, Foreign)  # others are in the settings
            variables = result.variables if programs else ()
            resume.check_finished(set_up(result.config, tasks), out, summary, variables)
    return result


def _found(out: Path) -> tuple[str, dict[str, Any]]:
    """Settings and summary of a finished run."""
    found = load(out)
    return to_toml(found.config), found.summary


def _configured(
    scenario: str,
    method: str | Method,
    network: str | Network | None,
    /,
    **given: Any,
) -> Config:
    """The configuration with a method and a network that are given as they are."""
    chosen = method if isinstance(method, str) else method.name
    net = network if isinstance(network, str) else None
    given = {name: value for name, value in given.items() if value is not None}
    if given.get("setting") is None:
        given.pop("setting", None)
    config = configure(chosen, scenario, net=net, **given)
    if isinstance(method, Method):
        config = dataclasses.replace(config, method=method)
    if isinstance(network, Network):
        parts = [part for name, part in config.parts() if name != "network"]
        others = {name for part in parts for name in hints(type(part))}
        for name in given.keys() & hints(type(config.network)).keys() - others:
            raise UsageError(f"{name}: the network that is given has no {name}; leave it out")
        config = dataclasses.replace(config, network=network)
    return config


def _on_top(method: str | Method, replay: str | Replay | None) -> str | None:
    """The name of what is replayed on top of a method; None where it replays that by itself."""
    if replay is None or isinstance(replay, str):
        return replay
    kind = METHODS.get(method) if isinstance(method, str) else type(method)
    if kind is not None and kind.replay is type(replay):
        return None
    return next((name for name, each in Replay.kinds().items() if each is type(replay)), None)


def _augmented(config: Config, augment: Augmentation | Sequence[str] | None) -> Config:
    if augment is None:
        return config
    if not callable(augment):
        names = (augment,) if isinstance(augment, str) else tuple(augment)
        return config.changed(augment=names)
    names = (*config.data.augment, OWN_AUGMENTATION)
    if OWN_AUGMENTATION in config.data.augment:
        raise UsageError("augment: given twice; give one function")
    data = dataclasses.replace(config.data, augment=names, augmentation=augment)
    return dataclasses.replace(config, data=data)
