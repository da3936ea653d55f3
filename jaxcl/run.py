"""The task loop: it yields events and prints nothing."""

from collections.abc import Callable, Iterator, Sequence

from jaxcl import data
from jaxcl.batching import examples
from jaxcl.config import Config
from jaxcl.data.task import Task, check, limit, on_device
from jaxcl.errors import check_name
from jaxcl.events import EpochEnded, Event, SeedEnded, TaskBegan
from jaxcl.growth import task_name, weights
from jaxcl.learn import (
    Learner,
    Setup,
    begin,
    end,
    new_learner,
    schedule,
    task_data,
    test,
    train_epoch,
)
from jaxcl.methods import METHODS
from jaxcl.nets import cnn
from jaxcl.scenarios import SCENARIOS
from jaxcl.train import adam
from jaxcl.types import Batch


def check_config(config: Config) -> Config:
    """Returns the configuration if it can be run; raises UsageError if not."""
    check_name("method", config.method, METHODS)
    check_name("scenario", config.scenario, SCENARIOS)
    return config.check()


def load_tasks(config: Config, progress: Callable[[str], None] = lambda text: None) -> list[Task]:
    """The scenario's tasks in host memory, checked.

    Args:
      config: names the scenario and says where the data is.
      progress: told what is being read, when that takes a while.

    Raises:
      DataError: data that is missing, damaged or not fit to train on.
    """
    names = SCENARIOS[config.scenario].tasks
    tasks = [limit(data.load(name, config.data_dir, progress), config.limit) for name in names]
    return [check(task, config.batch_size) for task in tasks]


def run(config: Config, tasks: Sequence[Task] | None = None) -> Iterator[Event]:
    """Runs a configuration, one seed after the other.

    Args:
      config: what to run.
      tasks: the tasks; by default those of the configured scenario.

    Yields:
      For each seed: for each task a ``TaskBegan``, then ``StepsDone`` about once
      a second and an ``EpochEnded`` for each epoch; at the end a ``SeedEnded``.

    Raises:
      UsageError: a setting that cannot be used, or data that is missing.
      NonFiniteLoss: training diverged; names the task, the epoch and the step.
    """
    check_config(config)
    yield from go_on(set_up(config, load_tasks(config) if tasks is None else tasks))


def go_on(setup: Setup, learner: Learner | None = None) -> Iterator[Event]:
    """Runs all seeds, or what is left of them.

    Args:
      setup: of the run.
      learner: where to go on; None to begin with the first seed.
    """
    seeds = setup.config.seeds
    if learner is not None:
        yield from _run_seed(setup, learner)
        seeds = seeds[seeds.index(learner.seed) + 1 :]
    for seed in seeds:
        yield from _run_seed(setup, new_learner(setup, seed))


def set_up(config: Config, tasks: Sequence[Task]) -> Setup:
    """Brings the tasks to the device and builds what all seeds have in common."""
    tasks = [check(task, config.batch_size) for task in tasks]
    train: list[Batch] = []
    test: list[Batch] = []
    for i, task in enumerate(tasks):
        train.append(on_device(task.train_images, task.train_labels, i, config.resize))
        test.append(on_device(task.test_images, task.test_labels, i, config.resize))
    method = METHODS[config.method]
    names, classes = [task.name for task in tasks], [task.classes for task in tasks]
    transform, optimizer = method.losses(config), adam(config.lr)
    return Setup(config, method, transform, cnn(), optimizer, names, classes, train, test)


def _run_seed(setup: Setup, learner: Learner) -> Iterator[Event]:
    seed = learner.seed
    while learner.position < len(setup.names):
        position = learner.position
        batch, epochs = task_data(setup, position), schedule(setup, position)
        if len(learner.routes) == position:
            learner = begin(setup, learner, batch)
        route, similarity = learner.routes[-1][1], learner.similarity[-1]
        steps = examples(batch) // setup.config.batch_size
        yield TaskBegan(seed, position, route, similarity, len(epochs), steps)
        for number, epoch in enumerate(epochs[learner.epoch :], learner.epoch):
            began = learner.seconds[-1]
            learner, metrics = yield from train_epoch(setup, learner, batch, epoch)
            learner = test(setup, learner)
            row = dict(zip(setup.names, learner.row, strict=False))
            seconds = learner.seconds[-1] - began
            yield EpochEnded(learner, seed, position, number, epoch.phase, metrics, row, seconds)
        learner = end(setup, learner, batch)
    yield _seed_ended(setup, learner)


def _seed_ended(setup: Setup, learner: Learner) -> SeedEnded:
    names = {task_name(position): name for position, name in enumerate(setup.names)}
    routes = {
        names[task]: dict(zip(setup.net.layers, (names[b] for b in route), strict=True))
        for task, route in learner.routes
    }
    similarity = {
        name: {layer: {names[b]: v for b, v in found.items()} for layer, found in layers.items()}
        for name, layers in zip(setup.names, learner.similarity, strict=True)
    }
    seconds = dict(zip(setup.names, learner.seconds, strict=True))
    number = dict(weights(setup.net, learner.params))
    return SeedEnded(
        learner.seed, learner.matrix, learner.params, number, routes, similarity, seconds
    )
