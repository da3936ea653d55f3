"""Learning one task: grow, train epoch by epoch, remember.

A :class:`Learner` is the whole of a run at some moment; each function here takes
one and returns the next.
"""

import time
from collections.abc import Generator
from typing import NamedTuple

import jax
import jax.numpy as jnp
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
    Totals,
    TrainState,
    accuracy,
    epoch_order,
    forget_programs,
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
    """The whole of a run at some moment between two steps.

    Attributes:
      seed: of the run.
      position: of the task that is being learned.
      epoch: epochs of it that are done, warm-up included.
      done: steps of the present epoch that are done.
      params: the whole tree.
      state: of the phase that is going on; None before the first.
      totals: of the present epoch; None between epochs.
      cl: the loss transform's state.
      seen: channel statistics that each branch saw on its own task.
      routes: of the tasks so far, the present one included once it has begun.
      row: accuracies after the latest epoch.
      matrix: accuracies after each task that is finished.
      similarity: what was measured as each task came.
      seconds: that each task took.
    """

    seed: int
    position: int
    epoch: int
    done: int
    params: Params
    state: TrainState | None
    totals: Totals | None
    cl: PyTree
    seen: Seen
    routes: Routes
    row: list[float]
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
    cl = setup.transform.init(params)
    return Learner(seed, 0, 0, 0, params, None, None, cl, seen, (), [], [], [], [])


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
    forget_programs()
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
    targets = tuple(int(p) for p in np.unique(data["task"]))
    program = Program(setup.net, learner.routes, targets, setup.transform, setup.optimizer)
    key = phase_key(learner, epoch)
    state, totals = learner.state, learner.totals
    if state is None or (epoch.number == 0 and learner.done == 0):
        mask = trained_mask(setup, learner, epoch)
        state = start_phase(program, learner.params, mask, learner.cl, key)
    order = epoch_order(
        stream(key, "shuffle", epoch.number), examples(data), setup.config.batch_size
    )
    if totals is None:
        totals = no_totals(program, state, data, order)
    learner = learner._replace(state=state, totals=totals)
    learner = yield from _stretches(setup, learner, program, data, order)
    assert learner.totals is not None
    if not all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(learner.params)):
        where = f"epoch {learner.epoch + 1} of task {setup.names[learner.position]!r}"
        raise NonFiniteLoss(f"parameters: not finite after {where}; try a smaller --lr or --lam")
    means = _means(learner.totals.sums, len(order))
    return learner._replace(epoch=learner.epoch + 1, done=0, totals=None), means


def phase_key(learner: Learner, epoch: Epoch) -> PRNGKey:
    """The key of the phase that an epoch belongs to."""
    return stream(_key(learner), epoch.phase)


def trained_mask(setup: Setup, learner: Learner, epoch: Epoch) -> PyTree:
    """Which leaves train in an epoch, as Python booleans."""
    task, route = learner.routes[-1]
    return leaf_mask(learner.params, lambda path: epoch.trains(setup.net, route, task, path))


def _stretches(
    setup: Setup, learner: Learner, program: Program, data: Batch, order: Array
) -> Generator[StepsDone, None, Learner]:
    """The rest of an epoch in stretches of about a second."""
    seed, position, epoch, first = learner.seed, learner.position, learner.epoch, learner.done
    stretch = 1
    while first < len(order):
        since, last = time.perf_counter(), min(first + stretch, len(order))
        bounds = np.int32(first), np.int32(last)
        state, totals = run_steps(program, learner.state, learner.totals, data, order, *bounds)
        if (bad := int(totals.bad_step)) >= 0:
            raise NonFiniteLoss(
                f"loss: not finite at step {bad + 1} of epoch {epoch + 1} of task"
                f" {setup.names[position]!r} (seed {seed}); what was written is kept;"
                " try a smaller --lr or --lam"
            )
        took = time.perf_counter() - since
        learner = learner._replace(
            done=last,
            params=merge(state.params, state.frozen),
            state=state,
            totals=totals,
            cl=state.cl,
            seconds=[*learner.seconds[:-1], learner.seconds[-1] + took],
        )
        rate, loss = (last - first) / took, float(totals.sums["loss"]) / last
        yield StepsDone(learner, seed, position, epoch, last, loss, rate)
        first, stretch = last, max(1, min(4 * stretch, int(rate * REPORT_SECONDS)))
    return learner


def _means(sums: PyTree, steps: int) -> dict[str, float]:
    """Sums of nested metrics as means under dotted names."""
    leaves = tree_util.tree_leaves_with_path(sums)
    name = {"simple": True, "separator": "."}
    return {tree_util.keystr(path, **name): float(x) / steps for path, x in leaves}


def test(setup: Setup, learner: Learner) -> Learner:
    """Tests every task so far; ``row`` holds the accuracies in percent."""
    row = [
        float(accuracy(setup.net, (pair,), learner.params, data))
        for pair, data in zip(learner.routes, setup.test, strict=False)
    ]
    return learner._replace(row=row)


def end(setup: Setup, learner: Learner, data: Batch) -> Learner:
    """Lets the transform and the branches remember the task, and goes to the next."""
    began = time.perf_counter()
    after = TaskData(data, forward(setup.net, learner.routes))
    key = stream(_key(learner), "end")
    later = [None] * (len(setup.names) - len(learner.row))
    learner = learner._replace(
        cl=setup.transform.end_task(learner.cl, learner.params, after, key),
        seen=_remember(setup, learner),
    )
    seconds = learner.seconds[-1] + time.perf_counter() - began
    return learner._replace(
        position=learner.position + 1,
        epoch=0,
        state=None,
        matrix=[*learner.matrix, [*learner.row, *later]],
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
