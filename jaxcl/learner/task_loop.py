"""Learning one task: grow, train epoch by epoch, remember.

Each function here takes a :class:`~jaxcl.learner.Learner` and returns the next.
"""

import math
import time
from collections.abc import Iterable
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples, on_host
from jaxcl.core.errors import NonFiniteLoss
from jaxcl.core.random import stream
from jaxcl.core.sharding import split_large
from jaxcl.core.types import Array, Data, Params
from jaxcl.growth.heads import (
    forward,
    gathered_forward,
    head_classes,
    own_logits,
    place_in,
    view_of,
)
from jaxcl.growth.parameters import merge, restarted, task_name
from jaxcl.growth.routing import Seen, grow, layer_moments
from jaxcl.growth.task_similarity import SIMILARITIES, Likeness, Look
from jaxcl.learner.epoch_chunks import Learning, Steps, means, stretches
from jaxcl.learner.reference_network import second_net
from jaxcl.learner.state import (
    Epoch,
    Learner,
    Setup,
    new_task_weight,
    phase_key,
    schedule,
    task_key,
    trained_mask,
)
from jaxcl.methods.split import Split
from jaxcl.networks import Pathway, Routes
from jaxcl.networks.base import Route
from jaxcl.training.evaluation import Evaluation, evaluate
from jaxcl.training.events import TRAIN
from jaxcl.training.stream import window_steps, windows
from jaxcl.training.train_step import (
    Program,
    TrainState,
    at_rate,
    epoch_order,
    no_totals,
    run_steps,
    start_phase,
)
from jaxcl.training.vectorized import Work
from jaxcl.transforms import TaskData


def _probe(setup: Setup, learner: Learner) -> np.ndarray:
    """A random sample of the task's training images, without replacement."""
    images = setup.train[learner.position]["image"]
    n = min(_branching(setup).probe, len(images))
    rows = jax.random.permutation(stream(task_key(learner), "probe"), len(images))[:n]
    return np.asarray(images[np.asarray(rows)])


def begin(setup: Setup, learner: Learner, data: Data, generated: Array | None = None) -> Learner:
    """Grows the network for the task and lets the transform look at the data.

    Args:
      setup: of the run.
      learner: before the task.
      data: what the method trains on.
      generated: images of earlier tasks that a generator made.
    """
    began, key, task = time.perf_counter(), task_key(learner), task_name(learner.position)
    probe = cache(partial(_probe, setup, learner))
    method = setup.config.method
    trained = cache(partial(second_net, setup, learner))

    def second(route: Route) -> tuple[Params, Route]:
        return trained(route if _branching(setup).second == "copy" else None)

    look = Look(setup.net, learner.params, learner.routes, learner.seen, probe, second)
    growth = grow(
        setup.net,
        method.rule(),
        learner.params,
        task=task,
        classes=head_classes(setup.setting, setup.classes, learner.position),
        likeness=_likeness(setup, look),
        start="fresh" if method.columns else method.start if isinstance(method, Split) else "copy",
        key=stream(key, "grow"),
    )
    pathway = Pathway(task, growth.route, task_name(0) if setup.setting.shared_head else task)
    before = whole_task(setup, learner.routes, data)._replace(generated=generated)
    return learner._replace(
        params=growth.params,
        cl=setup.transform.begin_task(learner.cl, growth.params, before, stream(key, "begin")),
        routes=(*learner.routes, pathway),
        similarity=[*learner.similarity, growth.similarity],
        seconds=[*learner.seconds, time.perf_counter() - began],
    )


def _branching(setup: Setup) -> Split:
    """The method, where it is one that compares tasks."""
    assert isinstance(setup.config.method, Split)
    return setup.config.method


def _likeness(setup: Setup, look: Look) -> Likeness:
    """How alike the task is to earlier ones."""
    if not setup.config.method.branches:
        return _not_asked
    return SIMILARITIES[_branching(setup).similarity](look)


def _not_asked(layer: str, branch: str) -> float:
    raise AssertionError(f"{layer}, {branch}: a method without branches compares no tasks")


def whole_task(setup: Setup, routes: Routes, data: Data) -> TaskData:
    """A task as a transform sees it, with the outputs of the tasks so far."""
    view = view_of(setup.net, routes, setup.setting)
    judged = own_logits(view, tuple(range(len(view.routes))))
    # Gathered gradients are right where no weight is used twice for an example.
    once = setup.net.gathers and len({pathway.route for pathway in view.routes}) == 1
    return TaskData(data, forward(view), judged, gathered_forward(view) if once else None)


def train_epoch(setup: Setup, learner: Learner, data: Data, epoch: Epoch) -> Learning:
    """One epoch; returns the learner and the means of the metrics."""
    view = view_of(setup.net, learner.routes, setup.setting)
    targets = tuple(sorted({place_in(view, int(p)) for p in np.unique(data["task"])}))
    program = Program(view, targets, *setup.compiled)
    key = phase_key(learner, epoch)
    if learner.state is None and setup.config.training.scratch:  # not before: the old solver labels
        fresh = restarted(setup.net, learner.params, stream(task_key(learner), "scratch"))
        learner = learner._replace(params=fresh)
    state, totals = learner.state, learner.totals
    if state is None or (epoch.number == 0 and learner.done == 0):
        mask = trained_mask(setup, learner, epoch)
        opt = learner.opt if state is None else state.opt
        kept = opt if setup.config.training.keep_optimizer else None
        state = start_phase(setup.optimizer, learner.params, mask, learner.cl, key, kept)
    if learner.done == 0:
        state = state._replace(opt=at_rate(state.opt, _rate(setup, learner, epoch)))
    state = split_large(state)
    shuffles = [stream(key, "shuffle", number) for number in epoch.passes]
    n, size = examples(data), setup.config.training.batch_size
    order = jnp.concatenate([epoch_order(shuffle, n, size) for shuffle in shuffles])
    streamed, rows, most = (lambda step: data), order, None
    if on_host(data):
        streamed, rows, most = windows(data, order), None, window_steps(data, order)
    if totals is None:
        totals = no_totals(program, state, streamed(learner.done), rows)

    def ask(learner: Learner, first: np.int32, last: np.int32) -> Work:
        given = program, learner.state, learner.totals, (streamed(int(first)), rows)
        return Work(run_steps, *given, first, last)

    def take(learner: Learner, state: TrainState) -> Learner:
        params = merge(state.params, state.frozen)
        return learner._replace(params=params, state=state, cl=state.cl)

    learner = learner._replace(state=state, totals=totals)
    learner = yield from stretches(setup, learner, Steps(ask, take, most), epoch.steps)
    assert learner.totals is not None
    if not _finite(learner.params):
        where = f"epoch {learner.epoch + 1} of task {setup.names[learner.position]!r}"
        raise NonFiniteLoss(f"parameters: not finite after {where}; try a smaller --lr or --lam")
    found = means(learner.totals.sums, epoch.steps)
    return learner._replace(epoch=learner.epoch + 1, done=0, totals=None), found


def _rate(setup: Setup, learner: Learner, epoch: Epoch) -> float:
    """The learning rate of an epoch; with a cosine, ``(1 + cos(pi e/E)) / 2`` of it."""
    lr, later = setup.config.training.lr, setup.config.training.later_lr
    if epoch.phase != TRAIN:
        return lr
    lr = later if later is not None and learner.position else lr
    epochs = sum(each.phase == TRAIN for each in schedule(setup, learner.position))
    falling = setup.config.training.schedule == "cosine"
    return lr * (1 + math.cos(math.pi * epoch.number / epochs)) / 2 if falling else lr


@jax.jit
def _finite(params: Params) -> Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]).all()


def test(setup: Setup, learner: Learner) -> tuple[Learner, float]:
    """Tests every task so far; ``row`` holds the accuracies in percent.

    Returns:
      The learner, and the test loss of Shin et al. (2017) in nats: ``r`` times that of
      the new task and ``1 - r`` times the mean over the earlier ones, with the weight
      that the new task has in replay.
    """
    found = _evaluations(setup, learner, range(learner.position + 1))
    *past, new = [float(one.loss) for one in found]
    r = new_task_weight(setup, learner.position)
    loss = r * new + (1 - r) * float(np.mean(past)) if past else new
    return learner._replace(row=[float(one.accuracy) for one in found]), loss


def test_untrained(setup: Setup, learner: Learner) -> Learner:
    """Tests the task that has just begun: what earlier tasks did for it."""
    (found,) = _evaluations(setup, learner, [learner.position])
    return learner._replace(first=[*learner.first, float(found.accuracy)])


def _evaluations(setup: Setup, learner: Learner, positions: Iterable[int]) -> list[Evaluation]:
    view = view_of(setup.net, learner.routes, setup.setting)
    return [evaluate(view, p, learner.params, setup.test[p]) for p in positions]


def end(setup: Setup, learner: Learner, data: Data) -> Learner:
    """Lets the transform and the branches remember the task, and goes to the next."""
    began = time.perf_counter()
    after = whole_task(setup, learner.routes, data)
    key = stream(task_key(learner), "end")
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
        opt=learner.state.opt if setup.config.training.keep_optimizer else None,
        bytes=[*learner.bytes, size],
        matrix=[*learner.matrix, [*learner.row, *later]],
        seconds=[*learner.seconds[:-1], seconds],
    )


def _remember(setup: Setup, learner: Learner) -> Seen:
    """The statistics, with those that the task's own new branches saw on it."""
    task, route, _ = learner.routes[-1]
    own = {layer for layer, b in zip(setup.net.layers, route, strict=True) if b == task}
    if not own or not setup.config.method.branches:  # nobody compares
        return learner.seen
    found = layer_moments(setup.net, learner.params, route, _probe(setup, learner))
    return {
        layer: {**branches, task: found[layer]} if layer in own & found.keys() else branches
        for layer, branches in learner.seen.items()
    }
