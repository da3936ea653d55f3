"""Learning one task: grow, train epoch by epoch, remember.

A :class:`Learner` is the whole of a run between two epochs; each function here
takes one and returns the next.
"""

import time
from collections.abc import Generator
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import tree_util

from jaxcl.batching import examples
from jaxcl.config import Config
from jaxcl.errors import NonFiniteLoss
from jaxcl.events import StepsDone
from jaxcl.growth import leaf_mask, merge, task_name
from jaxcl.methods import Method, Trains, all_on_route, new_head
from jaxcl.nets import Net, Routes
from jaxcl.random import stream
from jaxcl.routing import Seen, grow, layer_moments
from jaxcl.scenarios import SCENARIOS
from jaxcl.similarity import frechet_similarity
from jaxcl.train import (
    Program,
    TrainState,
    accuracy,
    epoch_order,
    forward,
    no_totals,
    run_steps,
    start_phase,
)
from jaxcl.transforms import LossTransform, TaskData
from jaxcl.types import Array, Batch, Params, PRNGKey, PyTree

REPORT_SECONDS = 1.0  # how often an epoch says how far it is


class Setup(NamedTuple):
    """What all seeds of a run have in common.

    Attributes:
      config: the settings.
      method: of the table.
      transform: the method's losses at these settings.
      net: the network.
      optimizer: an optax transformation.
      names: of the tasks.
      classes: of the tasks.
      train: the tasks' training data on the device.
      test: the tasks' test data on the device.
    """

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
    """The whole of a run between two epochs.

    Attributes:
      seed: of the run.
      position: of the task that is being learned.
      epoch: epochs of it that are done, warm-up included.
      params: the whole tree.
      state: of the phase that is going on; None before the first.
      cl: the loss transform's state.
      seen: channel statistics that each branch saw on its own task.
      routes: of the tasks so far, the present one included once it has begun.
      matrix: accuracies after each task that is finished.
      similarity: what was measured as each task came.
      seconds: that each task took.
    """

    seed: int
    position: int
    epoch: int
    params: Params
    state: TrainState | None
    cl: PyTree
    seen: Seen
    routes: Routes
    matrix: list[list[float | None]]
    similarity: list[dict[str, dict[str, float]]]
    seconds: list[float]


class Epoch(NamedTuple):
    """An entry of a task's schedule: the phase, the epoch of it, and what trains."""

    phase: str
    number: int
    trains: Trains


def new_learner(setup: Setup, seed: int) -> Learner:
    """A learner before its first task."""
    params = setup.net.init(stream(jax.random.key(seed), "init"))
    seen: Seen = {layer: {} for layer in setup.net.layers}
    return Learner(seed, 0, 0, params, None, setup.transform.init(params), seen, (), [], [], [])


def schedule(setup: Setup, position: int) -> list[Epoch]:
    """The epochs of a task; the first task trains everything, without warm-up."""
    config = setup.config
    epochs = config.epochs or SCENARIOS[config.scenario].epochs
    trains = setup.method.trains if position else all_on_route
    warmup = config.warmup_epochs if position else 0
    return [Epoch("warmup", number, new_head) for number in range(warmup)] + [
        Epoch("train", number, trains) for number in range(epochs)
    ]


def _key(learner: Learner) -> PRNGKey:
    return stream(jax.random.key(learner.seed), "task", learner.position)


def task_data(setup: Setup, position: int) -> Batch:
    """What the method trains on as a task comes."""
    return setup.method.data(setup.train[: position + 1])


def _probe(setup: Setup, learner: Learner) -> np.ndarray:
    """A random sample of the task's training images, without replacement."""
    images = setup.train[learner.position]["image"]
    n = min(setup.config.probe, len(images))
    rows = jax.random.permutation(stream(_key(learner), "probe"), len(images))[:n]
    return np.asarray(images[rows])


def begin(setup: Setup, learner: Learner, data: Batch) -> Learner:
    """Grows the network for the task and lets the transform look at the data."""
    began, key, task = time.perf_counter(), _key(learner), task_name(learner.position)
    growth = grow(
        setup.net,
        setup.method.rule(setup.config),
        learner.params,
        learner.routes,
        task=task,
        classes=setup.classes[learner.position],
        images=_probe(setup, learner),
        seen=learner.seen,
        similarity=frechet_similarity,
        start=setup.config.start,
        key=stream(key, "grow"),
    )
    before = TaskData(data, forward(setup.net, learner.routes))
    return learner._replace(
        params=growth.params,
        cl=setup.transform.begin_task(learner.cl, growth.params, before, stream(key, "begin")),
        routes=(*learner.routes, (task, growth.route)),
        similarity=[*learner.similarity, growth.similarity],
        seconds=[*learner.seconds, time.perf_counter() - began],
    )


def train_epoch(
    setup: Setup, learner: Learner, data: Batch, epoch: Epoch
) -> Generator[StepsDone, None, tuple[Learner, dict[str, float]]]:
    """One epoch; returns the learner and the means of the metrics."""
    began = time.perf_counter()
    targets = tuple(int(p) for p in np.unique(data["task"]))
    program = Program(setup.net, learner.routes, targets, setup.transform, setup.optimizer)
    state = learner.state
    if epoch.number == 0 or state is None:
        task, route = learner.routes[-1]
        mask = leaf_mask(learner.params, lambda path: epoch.trains(setup.net, route, task, path))
        key = stream(_key(learner), epoch.phase)
        state = start_phase(program, learner.params, mask, learner.cl, key)
    key = stream(state.key, "shuffle", epoch.number)
    order = epoch_order(key, examples(data), setup.config.batch_size)
    state, sums = yield from _stretches(setup, learner, program, state, data, order)
    seconds = learner.seconds[-1] + time.perf_counter() - began
    learner = learner._replace(
        epoch=learner.epoch + 1,
        params=merge(state.params, state.frozen),
        state=state,
        cl=state.cl,
        seconds=[*learner.seconds[:-1], seconds],
    )
    return learner, _means(sums, len(order))


def _stretches(
    setup: Setup,
    learner: Learner,
    program: Program,
    state: TrainState,
    data: Batch,
    order: Array,
) -> Generator[StepsDone, None, tuple[TrainState, PyTree]]:
    """The steps of an epoch in stretches of about a second; returns state and sums."""
    steps, done, stretch = len(order), 0, 1
    totals = no_totals(program, state, data, order)
    while done < steps:
        since, first = time.perf_counter(), done
        done = min(done + stretch, steps)
        bounds = np.int32(first), np.int32(done)
        state, totals = run_steps(program, state, totals, data, order, *bounds)
        if (bad := int(totals.bad_step)) >= 0:
            raise NonFiniteLoss(
                f"loss: not finite at step {bad + 1} of epoch {learner.epoch + 1} of task"
                f" {setup.names[learner.position]!r} (seed {learner.seed}); what was written"
                " is kept; try a smaller --lr or --lam"
            )
        rate = (done - first) / (time.perf_counter() - since)
        loss = float(totals.sums["loss"]) / done
        yield StepsDone(learner.seed, learner.position, learner.epoch, done, loss, rate)
        stretch = max(1, min(4 * stretch, int(rate * REPORT_SECONDS)))
    return state, totals.sums


def _means(sums: PyTree, steps: int) -> dict[str, float]:
    """Sums of nested metrics as means under dotted names."""
    leaves = tree_util.tree_leaves_with_path(sums)
    name = {"simple": True, "separator": "."}
    return {tree_util.keystr(path, **name): float(x) / steps for path, x in leaves}


def test(setup: Setup, learner: Learner) -> dict[str, float]:
    """Test accuracy of every task so far, percent."""
    return {
        name: float(accuracy(setup.net, (pair,), learner.params, data))
        for name, pair, data in zip(setup.names, learner.routes, setup.test, strict=False)
    }


def end(setup: Setup, learner: Learner, data: Batch, row: list[Any]) -> Learner:
    """Lets the transform and the branches remember the task, and goes to the next."""
    began = time.perf_counter()
    after = TaskData(data, forward(setup.net, learner.routes))
    key = stream(_key(learner), "end")
    later = [None] * (len(setup.names) - len(row))
    learner = learner._replace(
        cl=setup.transform.end_task(learner.cl, learner.params, after, key),
        seen=_remember(setup, learner),
    )
    seconds = learner.seconds[-1] + time.perf_counter() - began
    return learner._replace(
        position=learner.position + 1,
        epoch=0,
        state=None,
        matrix=[*learner.matrix, [*row, *later]],
        seconds=[*learner.seconds[:-1], seconds],
    )


def _remember(setup: Setup, learner: Learner) -> Seen:
    """The statistics, with those that the task's own new branches saw on it."""
    task, route = learner.routes[-1]
    own = {layer for layer, b in zip(setup.net.layers, route, strict=True) if b == task}
    if not own:
        return learner.seen
    found = layer_moments(setup.net, learner.params, route, _probe(setup, learner))
    return {
        layer: {**branches, task: found[layer]} if layer in own else branches
        for layer, branches in learner.seen.items()
    }
