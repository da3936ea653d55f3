"""Learning one task: grow, train epoch by epoch, remember.

A :class:`Learner` is the whole of a run at some moment; each function here takes
one and returns the next.
"""

import time
from collections.abc import Generator, Iterable
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
from jaxcl.nets import Net, Pathway, Routes
from jaxcl.nets.layers import gathering
from jaxcl.random import stream
from jaxcl.routing import Seen, grow, layer_moments
from jaxcl.settings import Setting, View, forward, head_classes, own_logits
from jaxcl.similarity import frechet_similarity
from jaxcl.train import (
    Program,
    Totals,
    TrainState,
    accuracy,
    epoch_order,
    forget_programs,
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
      setting: what must be told apart.
      transform: the method's losses at these settings.
      net: the network.
      optimizer: an optax transformation.
      names: of the tasks.
      classes: of the tasks.
      data: a checksum of all images and labels.
      train: the tasks' training data on the device.
      test: the tasks' test data on the device.
    """

    config: Config
    method: Method
    setting: Setting
    transform: LossTransform
    net: Net
    optimizer: optax.GradientTransformation
    names: list[str]
    classes: list[int]
    data: str
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
      opt: the optimiser's state as the task before ended.
      totals: of the present epoch; None between epochs.
      cl: the loss transform's state.
      seen: channel statistics that each branch saw on its own task.
      routes: of the tasks so far, the present one included once it has begun.
      row: accuracies after the latest epoch.
      matrix: accuracies after each task that is finished.
      similarity: what was measured as each task came.
      first: accuracy of each task before its first step.
      bytes: that the transform's state took as each task ended.
      seconds: that each task took.
    """

    seed: int
    position: int
    epoch: int
    done: int
    params: Params
    state: TrainState | None
    opt: PyTree
    totals: Totals | None
    cl: PyTree
    seen: Seen
    routes: Routes
    row: list[float]
    matrix: list[list[float | None]]
    similarity: list[dict[str, dict[str, float]]]
    first: list[float]
    bytes: list[int]
    seconds: list[float]


class Epoch(NamedTuple):
    """An entry of a task's schedule: the phase, the epoch of it, its steps, what trains."""

    phase: str
    number: int
    steps: int
    trains: Trains


def new_learner(setup: Setup, seed: int) -> Learner:
    """A learner before its first task."""
    params = setup.net.init(stream(jax.random.key(seed), "init"))
    seen: Seen = {layer: {} for layer in setup.net.layers}
    cl = setup.transform.init(params)
    return Learner(seed, 0, 0, 0, params, None, None, None, cl, seen, (), [], [], [], [], [], [])


def schedule(setup: Setup, position: int) -> list[Epoch]:
    """The epochs of a task; the first task trains everything, without warm-up."""
    config = setup.config
    assert config.batch_size is not None
    shapes = jax.eval_shape(setup.method.data, setup.train[: position + 1])
    full = examples(shapes) // config.batch_size
    trains = setup.method.trains if position else all_on_route
    warmup = config.warmup_epochs if position else 0
    if config.epochs is not None:
        steps = [full] * config.epochs
    else:
        assert config.iterations is not None
        whole, rest = divmod(config.iterations, full)
        steps = [full] * whole + [rest] * (rest > 0)
    return [Epoch("warmup", number, full, new_head) for number in range(warmup)] + [
        Epoch("train", number, n, trains) for number, n in enumerate(steps)
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
        classes=head_classes(setup.setting, setup.classes, learner.position),
        images=_probe(setup, learner),
        seen=learner.seen,
        similarity=frechet_similarity,
        start="fresh" if setup.method.columns else setup.config.start,
        key=stream(key, "grow"),
    )
    pathway = Pathway(task, growth.route, task_name(0) if setup.setting.shared_head else task)
    before = whole_task(setup, learner.routes, data)
    return learner._replace(
        params=growth.params,
        cl=setup.transform.begin_task(learner.cl, growth.params, before, stream(key, "begin")),
        routes=(*learner.routes, pathway),
        similarity=[*learner.similarity, growth.similarity],
        seconds=[*learner.seconds, time.perf_counter() - began],
    )


def whole_task(setup: Setup, routes: Routes, data: Batch) -> TaskData:
    """A task as a transform sees it, with the outputs of the tasks so far."""
    view = View(setup.net, routes, setup.setting)
    judged = own_logits(view, range(len(routes)))
    # Gathered gradients are right where no weight is used twice for an example.
    once = setup.net.gathers and len({pathway.route for pathway in routes}) == 1

    def gathered(f):
        return forward(view, gathering(f))

    return TaskData(data, forward(view), judged, gathered if once else None)


def train_epoch(
    setup: Setup, learner: Learner, data: Batch, epoch: Epoch
) -> Generator[StepsDone, None, tuple[Learner, dict[str, float]]]:
    """One epoch; returns the learner and the means of the metrics."""
    targets = tuple(int(p) for p in np.unique(data["task"]))
    view = View(setup.net, learner.routes, setup.setting)
    program = Program(view, targets, setup.transform, setup.optimizer)
    key = phase_key(learner, epoch)
    state, totals = learner.state, learner.totals
    if state is None or (epoch.number == 0 and learner.done == 0):
        mask = trained_mask(setup, learner, epoch)
        opt = learner.opt if state is None else state.opt
        kept = opt if setup.config.keep_optimizer else None
        state = start_phase(program, learner.params, mask, learner.cl, key, kept)
    assert setup.config.batch_size is not None
    shuffle = stream(key, "shuffle", epoch.number)
    order = epoch_order(shuffle, examples(data), setup.config.batch_size)
    if totals is None:
        totals = no_totals(program, state, data, order)
    learner = learner._replace(state=state, totals=totals)
    learner = yield from _stretches(setup, learner, program, data, order, epoch.steps)
    assert learner.totals is not None
    if not _finite(learner.params):
        where = f"epoch {learner.epoch + 1} of task {setup.names[learner.position]!r}"
        raise NonFiniteLoss(f"parameters: not finite after {where}; try a smaller --lr or --lam")
    means = _means(learner.totals.sums, epoch.steps)
    return learner._replace(epoch=learner.epoch + 1, done=0, totals=None), means


@jax.jit
def _finite(params: Params) -> Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]).all()


def phase_key(learner: Learner, epoch: Epoch) -> PRNGKey:
    """The key of the phase that an epoch belongs to."""
    return stream(_key(learner), epoch.phase)


def trained_mask(setup: Setup, learner: Learner, epoch: Epoch) -> PyTree:
    """Which leaves train in an epoch, as Python booleans."""
    pathway, joined = learner.routes[-1], setup.setting.joined
    heads = sorted({p.head for p in learner.routes} if joined else {pathway.head})
    return leaf_mask(learner.params, lambda path: epoch.trains(setup.net, pathway, heads, path))


def _stretches(
    setup: Setup, learner: Learner, program: Program, data: Batch, order: Array, steps: int
) -> Generator[StepsDone, None, Learner]:
    """The rest of an epoch in stretches of about a second."""
    seed, position, epoch, first = learner.seed, learner.position, learner.epoch, learner.done
    stretch = 1
    while first < steps:  # the last epoch of so many iterations may be a shorter one
        since, last = time.perf_counter(), min(first + stretch, steps)
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
    return learner._replace(row=_accuracies(setup, learner, range(learner.position + 1)))


def test_untrained(setup: Setup, learner: Learner) -> Learner:
    """Tests the task that has just begun: what earlier tasks did for it."""
    return learner._replace(first=learner.first + _accuracies(setup, learner, [learner.position]))


def chance(setup: Setup) -> list[float]:
    """Accuracy that can be expected of a random network as each task comes, percent."""
    classes, (_, shared, joined) = setup.classes, setup.setting
    so_far = [sum(classes[: i + 1]) for i in range(len(classes))] if joined else classes
    return [100 / (sum(classes) if joined and shared else n) for n in so_far]


def _accuracies(setup: Setup, learner: Learner, positions: Iterable[int]) -> list[float]:
    view = View(setup.net, learner.routes, setup.setting)
    return [float(accuracy(view, p, learner.params, setup.test[p])) for p in positions]


def end(setup: Setup, learner: Learner, data: Batch) -> Learner:
    """Lets the transform and the branches remember the task, and goes to the next."""
    began = time.perf_counter()
    after = whole_task(setup, learner.routes, data)
    key = stream(_key(learner), "end")
    later = [None] * (len(setup.names) - len(learner.row))
    learner = learner._replace(
        cl=setup.transform.end_task(learner.cl, learner.params, after, key),
        seen=_remember(setup, learner),
    )
    seconds = learner.seconds[-1] + time.perf_counter() - began
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(learner.cl))
    assert learner.state is not None
    return learner._replace(
        position=learner.position + 1,
        epoch=0,
        state=None,
        opt=learner.state.opt if setup.config.keep_optimizer else None,
        bytes=[*learner.bytes, size],
        matrix=[*learner.matrix, [*learner.row, *later]],
        seconds=[*learner.seconds[:-1], seconds],
    )


def _remember(setup: Setup, learner: Learner) -> Seen:
    """The statistics, with those that the task's own new branches saw on it."""
    task, route, _ = learner.routes[-1]
    own = {layer for layer, b in zip(setup.net.layers, route, strict=True) if b == task}
    if not own:
        return learner.seen
    found = layer_moments(setup.net, learner.params, route, _probe(setup, learner))
    return {
        layer: {**branches, task: found[layer]} if layer in own & found.keys() else branches
        for layer, branches in learner.seen.items()
    }
