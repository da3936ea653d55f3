"""The task loop: grow, begin, train, end, test; it yields events and prints nothing."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
import optax
from jax import tree_util

from jaxcl import data
from jaxcl.batching import examples
from jaxcl.config import Config
from jaxcl.data.task import Task, check, limit, on_device
from jaxcl.errors import NonFiniteLoss, check_name
from jaxcl.events import EpochEnded, Event, SeedEnded, StepsDone, TaskBegan
from jaxcl.growth import leaf_mask, merge, task_name, weights
from jaxcl.methods import METHODS, Method, Trains, all_on_route, new_head
from jaxcl.nets import Net, Routes, cnn
from jaxcl.random import stream
from jaxcl.routing import Seen, grow, layer_moments
from jaxcl.scenarios import SCENARIOS
from jaxcl.similarity import frechet_similarity
from jaxcl.train import (
    Program,
    TrainState,
    accuracy,
    adam,
    epoch_order,
    forward,
    no_totals,
    run_steps,
    start_phase,
)
from jaxcl.transforms import LossTransform, TaskData
from jaxcl.types import Batch, Params, PRNGKey, PyTree

REPORT_SECONDS = 1.0  # how often a run says how far it is


class Setup(NamedTuple):
    """What all seeds of a run have in common."""

    config: Config
    method: Method
    transform: LossTransform
    net: Net
    optimizer: optax.GradientTransformation
    names: list[str]
    classes: list[int]
    train: list[Batch]
    test: list[Batch]


class Learner(NamedTuple):
    """What is carried from one task to the next.

    Attributes:
      params: the whole tree.
      routes: of the tasks so far.
      seen: channel statistics that each branch saw on its own task.
      cl: the loss transform's state.
      matrix: accuracies after each task so far.
      similarity: what was measured as each task came.
      seconds: each task took.
    """

    params: Params
    routes: Routes
    seen: Seen
    cl: PyTree
    matrix: list[list[float | None]]
    similarity: list[dict[str, dict[str, float]]]
    seconds: list[float]


def check_config(config: Config) -> Config:
    """Returns the configuration if it can be run; raises UsageError if not."""
    check_name("method", config.method, METHODS)
    check_name("scenario", config.scenario, SCENARIOS)
    return config.check()


def load_tasks(
    config: Config, progress: Callable[[str], None] = lambda text: None
) -> list[Task]:
    """The scenario's tasks in host memory, checked; raises DataError."""
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
    setup = _set_up(config, tasks)
    for seed in config.seeds:
        yield from _run_seed(setup, seed)


def _set_up(config: Config, tasks: Sequence[Task] | None) -> Setup:
    check_config(config)
    if tasks is None:
        tasks = load_tasks(config)
    tasks = [check(task, config.batch_size) for task in tasks]
    method = METHODS[config.method]

    def device(split: str) -> list[Batch]:
        return [
            on_device(
                getattr(task, f"{split}_images"),
                getattr(task, f"{split}_labels"),
                position,
                config.resize,
            )
            for position, task in enumerate(tasks)
        ]

    return Setup(
        config,
        method,
        method.losses(config),
        cnn(),
        adam(config.lr),
        [task.name for task in tasks],
        [task.classes for task in tasks],
        device("train"),
        device("test"),
    )


def _run_seed(setup: Setup, seed: int) -> Iterator[Event]:
    key = jax.random.key(seed)
    params = setup.net.init(stream(key, "init"))
    seen: Seen = {layer: {} for layer in setup.net.layers}
    learner = Learner(params, (), seen, setup.transform.init(params), [], [], [])
    for position in range(len(setup.names)):
        task_key = stream(key, "task", position)
        learner = yield from _learn(setup, learner, position, seed, task_key)
    yield _seed_ended(setup, learner, seed)


def _learn(
    setup: Setup, learner: Learner, position: int, seed: int, key: PRNGKey
) -> Generator[Event, None, Learner]:
    """Learns one task."""
    began = time.perf_counter()
    config, net, task = setup.config, setup.net, task_name(position)
    probe = _probe(setup, position, stream(key, "probe"))
    growth = grow(
        net,
        setup.method.rule(config),
        learner.params,
        learner.routes,
        task=task,
        classes=setup.classes[position],
        images=probe,
        seen=learner.seen,
        similarity=frechet_similarity,
        start=config.start,
        key=stream(key, "grow"),
    )
    routes = (*learner.routes, (task, growth.route))
    batch = setup.method.data(setup.train[: position + 1])
    targets = tuple(int(p) for p in np.unique(batch["task"]))
    program = Program(net, routes, targets, setup.transform, setup.optimizer)
    phases = _phases(setup, position)
    epochs = sum(length for _, length, _ in phases)
    steps = examples(batch) // config.batch_size
    yield TaskBegan(seed, position, growth.route, growth.similarity, epochs, steps)

    before = TaskData(batch, forward(net, learner.routes))
    cl = setup.transform.begin_task(learner.cl, growth.params, before, stream(key, "begin"))
    params, done, row = growth.params, 0, {}
    for phase, length, trains in phases:
        mask = leaf_mask(params, lambda path, t=trains: t(net, growth.route, task, path))
        state = start_phase(program, params, mask, cl, stream(key, phase))
        for epoch in range(length):
            where = (setup.names[position], seed, position, done + epoch)
            order = epoch_order(stream(state.key, "shuffle", epoch), examples(batch), config.batch_size)
            state, metrics, seconds = yield from _epoch(program, state, batch, order, where)
            params, cl = merge(state.params, state.frozen), state.cl
            row = _test(setup, params, routes)
            yield EpochEnded(seed, position, done + epoch, phase, metrics, row, seconds)
        done += length

    after = TaskData(batch, forward(net, routes))
    cl = setup.transform.end_task(cl, params, after, stream(key, "end"))
    later = [None] * (len(setup.names) - position - 1)
    return Learner(
        params,
        routes,
        _remember(net, learner.seen, params, task, growth.route, probe),
        cl,
        [*learner.matrix, [*row.values(), *later]],
        [*learner.similarity, growth.similarity],
        [*learner.seconds, time.perf_counter() - began],
    )


def _phases(setup: Setup, position: int) -> list[tuple[str, int, Trains]]:
    """(name, epochs, what trains); the first task trains everything."""
    config = setup.config
    epochs = config.epochs or SCENARIOS[config.scenario].epochs
    if position == 0:
        return [("train", epochs, all_on_route)]
    train = ("train", epochs, setup.method.trains)
    return [("warmup", config.warmup_epochs, new_head), train] if config.warmup_epochs else [train]


def _epoch(
    program: Program, state: TrainState, batch: Batch, order: jax.Array, where: tuple
) -> Generator[Event, None, tuple[TrainState, dict[str, float], float]]:
    """One epoch in stretches of about a second; returns state, means and seconds."""
    name, seed, position, epoch = where
    began, steps, done, stretch = time.perf_counter(), len(order), 0, 1
    totals = no_totals(program, state, batch, order)
    while done < steps:
        since, first = time.perf_counter(), done
        done = min(done + stretch, steps)
        state, totals = run_steps(
            program, state, totals, batch, order, np.int32(first), np.int32(done)
        )
        if (bad := int(totals.bad_step)) >= 0:
            raise NonFiniteLoss(
                f"loss: not finite at step {bad + 1} of epoch {epoch + 1} of task {name!r}"
                f" (seed {seed}); what was written is kept; try a smaller --lr or --lam"
            )
        took = time.perf_counter() - since
        rate = (done - first) / took
        yield StepsDone(seed, position, epoch, done, float(totals.sums["loss"]) / done, rate)
        stretch = max(1, min(4 * stretch, int(rate * REPORT_SECONDS)))
    return state, _means(totals.sums, steps), time.perf_counter() - began


def _means(sums: PyTree, steps: int) -> dict[str, float]:
    """Sums of nested metrics as means under dotted names."""
    leaves = tree_util.tree_leaves_with_path(sums)
    return {tree_util.keystr(path, simple=True, separator="."): float(x) / steps for path, x in leaves}


def _test(setup: Setup, params: Params, routes: Routes) -> dict[str, float]:
    """Test accuracy of every task so far, percent."""
    return {
        name: float(accuracy(setup.net, (pair,), params, test))
        for name, pair, test in zip(setup.names, routes, setup.test, strict=False)
    }


def _probe(setup: Setup, position: int, key: PRNGKey) -> np.ndarray:
    """A random sample of a task's training images, without replacement."""
    images = setup.train[position]["image"]
    n = min(setup.config.probe, len(images))
    return np.asarray(images[jax.random.permutation(key, len(images))[:n]])


def _remember(
    net: Net, seen: Seen, params: Params, task: str, route: tuple[str, ...], probe: np.ndarray
) -> Seen:
    """The statistics, with those that the task's own new branches saw on it."""
    own = {layer for layer, branch in zip(net.layers, route, strict=True) if branch == task}
    if not own:
        return seen
    found = layer_moments(net, params, route, probe)
    return {
        layer: {**branches, task: found[layer]} if layer in own else branches
        for layer, branches in seen.items()
    }


def _seed_ended(setup: Setup, learner: Learner, seed: int) -> SeedEnded:
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
    return SeedEnded(seed, learner.matrix, learner.params, number, routes, similarity, seconds)
