"""Learning one task: grow, train epoch by epoch, remember.

Each function here takes a :class:`~jaxcl.training.learner_state.Learner` and returns the next.
"""

import math
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples, filled, on_host
from jaxcl.core.errors import NonFiniteLoss
from jaxcl.core.pytree import all_finite, copy
from jaxcl.core.random import stream
from jaxcl.core.sharding import split_large
from jaxcl.core.types import Array, Data
from jaxcl.growth.heads import (
    features,
    first_label,
    forward,
    gathered_forward,
    head_classes,
    own_logits,
    place_in,
)
from jaxcl.growth.parameters import merge, restarted, task_name, with_hidden_classes
from jaxcl.growth.plasticity import measured
from jaxcl.growth.routing import grow
from jaxcl.learner.state import (
    Epoch,
    EpochPlan,
    Setup,
    phase_key,
    schedule,
    task_key,
    trained_mask,
    view_so_far,
)
from jaxcl.learner.task_comparison import compared, first_weights, remembered
from jaxcl.learner.testing import test, test_all
from jaxcl.networks import Pathway
from jaxcl.training.events import TRAIN
from jaxcl.training.learner_state import Learner
from jaxcl.training.loop import means
from jaxcl.training.program import Program, TrainState, at_rate, start_phase
from jaxcl.training.stream import window_steps, windows
from jaxcl.training.train_step import Trained, epoch_order, no_totals, run_steps
from jaxcl.training.vectorized import StepRequest
from jaxcl.transforms import TaskData

PROBED = 1000  # training examples, at most, that plasticity is measured on


def begin(setup: Setup, learner: Learner, data: Data, generated: Array | None = None) -> Learner:
    """Grows the network for the task and lets the transform look at the data.

    Args:
      setup: of the run.
      learner: before the task.
      data: what the method trains on.
      generated: images of earlier tasks that a generator made.
    """
    began, key, method = time.perf_counter(), task_key(learner), setup.config.method
    classes, index = setup.tasks.classes, learner.at.task_index
    task, old = task_name(index), None
    growth = grow(
        setup.net,
        method.rule(),
        learner.model.variables,
        task=task,
        classes=head_classes(setup.setting, classes, index),
        similarity=compared(setup, learner),
        start=first_weights(method),
        key=stream(key, "grow"),
    )
    pathway = Pathway(task, growth.route, task_name(0) if setup.setting.shared_head else task)
    params, stats = growth.variables
    if setup.setting.hidden:
        own = first_label(setup.setting, classes, index), classes[index]
        head = stream(stream(key, "grow"), "head")
        old, params = with_hidden_classes(setup.net, params, pathway.head, *own, head)
    before = whole_task(setup, learner, data)._replace(generated=generated, before=old)
    begun = stream(key, "begin")
    transform_state = setup.transform.begin_task(learner.transform_state, params, before, begun)
    return learner.changed(
        params=params,
        stats=stats,
        transform_state=transform_state,
        routes=(*learner.model.routes, pathway),
        similarity=[*learner.history.similarity, growth.similarity],
        seconds=[*learner.history.seconds, time.perf_counter() - began],
    )


def whole_task(setup: Setup, learner: Learner, data: Data) -> TaskData:
    """Returns a task as a transform sees it, with the outputs of the tasks so far."""
    view, stats = view_so_far(setup, learner), learner.model.stats
    judged = own_logits(view, tuple(range(len(view.routes))))
    # Gathered gradients are right where no weight is used twice for an example.
    once = setup.net.gathers and len({pathway.route for pathway in view.routes}) == 1
    return TaskData(
        data,
        forward(view, stats),
        judged,
        gathered_forward(view) if once else None,
        features=features(view, stats, len(view.routes) - 1) if view.routes else None,
        stats=stats,
        augmented=setup.tasks.inputs.augment is not None,
    )


def plan_epoch(
    setup: Setup, learner: Learner, trained: Trained, epoch: Epoch
) -> tuple[Learner, EpochPlan]:
    """Prepares an epoch of the network's training.

    Args:
      setup: of the run.
      learner: before the epoch, or within it where a run goes on.
      trained: what the network trains on.
      epoch: an entry of the task's schedule.

    Returns:
      The learner with the state of the first step, and how the steps are made.
    """
    view, (data, held) = view_so_far(setup, learner), trained
    targets = tuple(sorted({place_in(view, int(p)) for p in np.unique(data["task"])}))
    program = Program(view, targets, *setup.compiled)
    learner = _start_epoch(setup, learner, epoch)
    assert learner.phase.train is not None
    key = phase_key(learner, epoch)
    shuffles = [stream(key, "shuffle", number) for number in epoch.passes]
    n, size = examples(data), setup.config.training.batch_size
    order = jnp.concatenate([epoch_order(shuffle, n, size) for shuffle in shuffles])
    if on_host(data):
        streamed, rows, most = windows(data, order), None, window_steps(data, order)
    else:
        rows = order if held is data else filled(order, examples(held) // size * len(shuffles))
        streamed, most = (lambda step: held), None
    if learner.phase.totals is None:
        totals = no_totals(program, learner.phase.train, streamed(learner.at.step), rows)
        learner = learner.changed(totals=totals)

    def request(learner: Learner, first: np.int32, last: np.int32) -> StepRequest:
        given = program, learner.phase.train, learner.phase.totals, (streamed(int(first)), rows)
        return StepRequest(run_steps, *given, first, last)

    finish = partial(_finish_epoch, setup, epoch)
    return learner, EpochPlan(request, _take, finish, most, setup.config.too_large)


def _start_epoch(setup: Setup, learner: Learner, epoch: Epoch) -> Learner:
    """The learner with the state of the epoch's first step, unless it is within the epoch."""
    training, before = setup.config.training, learner.phase.train
    if before is None and training.scratch:  # not before: the old solver labels
        fresh = restarted(setup.net, learner.model.params, stream(task_key(learner), "scratch"))
        learner = learner.changed(params=fresh.params, stats=fresh.stats)
    state = before
    if state is None or (epoch.number == 0 and learner.at.step == 0):
        mask = trained_mask(setup, learner, epoch)
        # Of the task before, and of a warm-up, in which most of the network does not train.
        old = [] if training.scratch else [learner.phase.opt]  # of weights that are gone
        kept = old + ([] if before is None else [before.opt])
        kept = kept if training.keep_optimizer else []
        variables, key = learner.model.variables, phase_key(learner, epoch)
        state = start_phase(setup.optimizer, variables, mask, learner.transform_state, key, kept)
        if epoch.phase == TRAIN:
            learner = learner.changed(opt=None)
        else:  # what the steps are given for good is theirs alone
            state = state._replace(opt=copy(state.opt))
    if learner.at.step == 0:
        state = state._replace(opt=at_rate(state.opt, _rate(setup, learner, epoch)))
    return learner.changed(train=split_large(state))


def _take(learner: Learner, state: TrainState) -> Learner:
    params = merge(state.params, state.frozen)
    return learner.changed(
        params=params, stats=state.stats, train=state, transform_state=state.transform_state
    )


def _finish_epoch(setup: Setup, epoch: Epoch, learner: Learner) -> tuple[Learner, dict[str, float]]:
    """The learner after the epoch, and the means of its metrics."""
    assert learner.phase.totals is not None
    if not all_finite(learner.model.params):
        task = setup.tasks.names[learner.at.task_index]
        text = f"not finite after epoch {learner.at.epoch + 1} of task {task!r}"
        raise NonFiniteLoss(f"parameters: {text}; try a smaller {setup.config.too_large}")
    found = means(learner.phase.totals.sums, epoch.steps)
    return learner.changed(epoch=learner.at.epoch + 1, step=0, totals=None), found


def _rate(setup: Setup, learner: Learner, epoch: Epoch) -> float:
    """The learning rate of an epoch; with a cosine, ``(1 + cos(pi e/E)) / 2`` of it."""
    lr, later = setup.config.training.lr, setup.config.training.later_lr
    if epoch.phase != TRAIN:
        return lr
    lr = later if later is not None and learner.at.task_index else lr
    epochs = sum(each.phase == TRAIN for each in schedule(setup, learner.at.task_index))
    falling = setup.config.training.schedule == "cosine"
    return lr * (1 + math.cos(math.pi * epoch.number / epochs)) / 2 if falling else lr


def _measured(setup: Setup, learner: Learner, data: Data) -> list[dict[str, float | None]]:
    """Plasticity as training left it, before the transform changes anything; if asked for."""
    if not setup.config.data.plasticity:
        return []
    some = jax.tree.map(lambda x: jnp.asarray(x[:PROBED]), data["input"])
    route = learner.model.routes[-1].route
    found = measured(setup.net, learner.model.variables, route, some, setup.tasks.inputs)
    return [{"accuracy": learner.history.row[-1], **found}]


def end(setup: Setup, learner: Learner, data: Data) -> Learner:
    """Lets the transform and the branches remember the task, and goes to the next."""
    began, key = time.perf_counter(), stream(task_key(learner), "end")
    after = whole_task(setup, learner, data)
    later = [None] * (len(setup.tasks.names) - len(learner.history.row))
    trained = learner.model.params
    transform_state, params = setup.transform.end_task(learner.transform_state, trained, after, key)
    last = learner.at.task_index + 1 == len(setup.tasks.names)
    learner = learner.changed(
        transform_state=transform_state,
        params=params,
        plasticity=[*learner.history.plasticity, *_measured(setup, learner, data)],
    )
    if params is not trained or setup.transform.predict is not None:
        learner, _ = test(setup, learner)  # the network is another one now
    if last and None in learner.history.row:
        learner = test_all(setup, learner)
    learner = learner.changed(seen=remembered(setup, learner))
    seconds = learner.history.seconds[-1] + time.perf_counter() - began
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(learner.transform_state))
    assert learner.phase.train is not None
    return learner.changed(
        task_index=learner.at.task_index + 1,
        epoch=0,
        train=None,
        opt=learner.phase.train.opt if setup.config.training.keep_optimizer else None,
        bytes=[*learner.history.bytes, size],
        matrix=[*learner.history.matrix, [*learner.history.row, *later]],
        seconds=[*learner.history.seconds[:-1], seconds],
    )
