"""The compiled part: a train state, steps in a loop on the device, evaluation."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxcl.batching import examples, map_batches
from jaxcl.growth import merge, partition
from jaxcl.images import to_float
from jaxcl.losses import cross_entropy
from jaxcl.nets.base import Net, Routes
from jaxcl.random import stream
from jaxcl.transforms import Context, LossTransform, Step
from jaxcl.types import Array, Batch, Float, Int, Metrics, Outputs, Params, PRNGKey, PyTree, Scalar

EVALUATION_BATCH = 500


class Program(NamedTuple):
    """What a step is compiled from: static, hashable, the same for every seed.

    Attributes:
      net: the network.
      routes: of the tasks so far; ``batch["task"]`` is a position in it.
      targets: positions of the tasks that the data belongs to.
      transform: what is done to the loss.
      optimizer: an optax transformation.
    """

    net: Net
    routes: Routes
    targets: tuple[int, ...]
    transform: LossTransform
    optimizer: optax.GradientTransformation


class TrainState(NamedTuple):
    """Arrays only, so it is donated, saved, sharded and compared as one tree.

    Attributes:
      step: optimiser steps done in this phase, int32.
      params: the leaves that train, None elsewhere.
      frozen: the others, None where ``params`` has a leaf.
      opt: the optimiser's state.
      cl: the loss transform's state.
      key: the key of this phase.
    """

    step: Int[Array, ""]
    params: Params
    frozen: Params
    opt: PyTree
    cl: PyTree
    key: PRNGKey


class Totals(NamedTuple):
    """What the steps of an epoch report; carried from one run of steps to the next.

    Attributes:
      sums: the metrics of every step so far, added up.
      bad_step: position of the first step whose loss is not finite, or -1.
    """

    sums: Metrics
    bad_step: Int[Array, ""]


def adam(lr: float) -> optax.GradientTransformationExtraArgs:
    """Adam whose learning rate is a leaf of its state."""
    return optax.inject_hyperparams(optax.adam)(learning_rate=lr)


def start_phase(
    program: Program, params: Params, mask: PyTree, cl: PyTree, key: PRNGKey
) -> TrainState:
    """The state before the first step of a phase, with a fresh optimiser.

    Args:
      program: what will be run.
      params: the whole tree.
      mask: Python booleans, which leaves train.
      cl: the transform's state.
      key: randomness of the phase.
    """
    trained, frozen = partition(params, mask)
    zero = jnp.zeros((), jnp.int32)
    return TrainState(zero, trained, frozen, program.optimizer.init(trained), cl, key)


def forward(net: Net, routes: Routes) -> Callable[[Params, Batch], dict[str, Array]]:
    """``forward(params, batch) -> {task: logits}`` for batches whose images are bytes."""
    return lambda params, batch: net.apply(params, to_float(batch["image"]), routes)


def task_loss(outputs: Outputs, batch: Batch, tasks: dict[int, str]) -> Scalar:
    """Mean cross-entropy of each example under its own task's head.

    Args:
      outputs: task -> logits ``[b, classes]``.
      batch: ``label`` and ``task`` (a key of ``tasks``), int32 ``[b]``.
      tasks: position -> name of the tasks that occur.
    """
    total = jnp.zeros((), jnp.float32)
    for position, name in tasks.items():
        own = batch["task"] == position
        # Another task's label may not exist here; its loss is masked out.
        label = jnp.where(own, batch["label"], 0)
        total += jnp.where(own, jax.vmap(cross_entropy)(outputs[name], label), 0.0).sum()
    return total / len(batch["label"])


def make_step(program: Program) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """One optimiser step, not yet compiled: ``(state, batch) -> (state, metrics)``."""
    outputs_of = forward(program.net, program.routes)
    tasks = {position: program.routes[position][0] for position in program.targets}

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = stream(state.key, "step", state.step)

        def loss_of(trained: Params) -> tuple[Scalar, Metrics]:
            params = merge(trained, state.frozen)
            outputs = outputs_of(params, batch)
            loss = task_loss(outputs, batch, tasks)
            context = Context(params, outputs, batch, key)
            total, metrics = program.transform.apply(loss, state.cl, context)
            return total, {"loss": total, "new_loss": loss, **metrics}

        gradient, metrics = jax.grad(loss_of, has_aux=True)(state.params)
        change, opt = program.optimizer.update(gradient, state.opt, state.params)
        params = optax.apply_updates(state.params, change)
        cl = program.transform.update(state.cl, Step(state.params, params, gradient))
        return TrainState(state.step + 1, params, state.frozen, opt, cl, state.key), metrics

    return step


def epoch_order(key: PRNGKey, n: int, batch_size: int) -> Int[Array, "steps batch"]:
    """A shuffle of ``n`` rows in batches; the remainder sits out."""
    steps = n // batch_size
    rows = jax.random.permutation(key, n)[: steps * batch_size]
    return rows.reshape(steps, batch_size).astype(jnp.int32)


def _rows(data: Batch, rows: Int[Array, "batch"]) -> Batch:
    return {**{name: x[rows] for name, x in data.items()}, "index": rows}


def no_totals(program: Program, state: TrainState, data: Batch, order: Array) -> Totals:
    """Totals of an epoch before its first step."""
    step = make_step(program)
    shapes = jax.eval_shape(lambda s, d: step(s, _rows(d, order[0]))[1], state, data)
    sums = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return Totals(sums, jnp.full((), -1, jnp.int32))


@partial(jax.jit, static_argnames="program", donate_argnames=("state", "totals"))
def run_steps(
    program: Program,
    state: TrainState,
    totals: Totals,
    data: Batch,
    order: Int[Array, "steps batch"],
    first: Int[Array, ""],
    last: Int[Array, ""],
) -> tuple[TrainState, Totals]:
    """Steps ``first`` to ``last - 1`` of an epoch, in one loop on the device.

    The bounds are data, so one compilation serves every stretch of an epoch, and
    the result does not depend on where an epoch is cut.

    Args:
      program: what is compiled.
      state: donated.
      totals: donated; of the epoch's earlier steps.
      data: the whole task on the device, ``image`` as bytes.
      order: rows of each step's batch.
      first: position of the first step.
      last: position after the last step.
    """
    step = make_step(program)

    def body(i, carry: tuple[TrainState, Totals]):
        state, totals = carry
        state, metrics = step(state, _rows(data, order[i]))
        failed = (totals.bad_step < 0) & ~jnp.isfinite(metrics["loss"])
        bad = jnp.where(failed, i, totals.bad_step)
        return state, Totals(jax.tree.map(jnp.add, totals.sums, metrics), bad)

    return jax.lax.fori_loop(first, last, body, (state, totals))


@partial(jax.jit, static_argnames=("net", "routes"))
def accuracy(net: Net, routes: Routes, params: Params, data: Batch) -> Float[Array, ""]:
    """Accuracy of one task in percent.

    Args:
      net: the network.
      routes: the (task, route) pair of that task alone.
      params: the whole tree.
      data: ``image`` (bytes) and ``label``.
    """
    ((task, _),) = routes
    outputs_of = forward(net, routes)

    def correct(batch: Batch) -> Array:
        return jnp.argmax(outputs_of(params, batch)[task], -1) == batch["label"]

    hits = map_batches(correct, data, EVALUATION_BATCH)
    return 100 * hits.sum().astype(jnp.float32) / examples(data)


def forget_programs() -> None:
    """Gives up the compiled programs of a smaller network; they hold memory.

    A process may also map no more than so many pieces of it (65,530 on Linux), and
    every program takes a few hundred.  What is needed again comes from JAX's
    persistent cache.
    """
    run_steps.clear_cache()
    accuracy.clear_cache()
