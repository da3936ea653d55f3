"""The compiled part: a train state, steps in a loop on the device, evaluation."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxcl.core.batching import examples
from jaxcl.core.pytree import regrow
from jaxcl.core.random import stream
from jaxcl.core.sharding import DATA, along
from jaxcl.core.types import Array, Batch, Int, Metrics, Outputs, Params, PRNGKey, PyTree, Scalar
from jaxcl.growth.heads import View, forward, own_logits
from jaxcl.growth.parameters import merge, partition
from jaxcl.training.evaluation import judged
from jaxcl.training.loop import OneStep, Totals, run_loop, zero_totals
from jaxcl.training.vectorized import run_stacked, run_together
from jaxcl.transforms import Context, LossTransform, Step
from jaxcl.transforms.importance import compiled_mean
from jaxcl.transforms.losses import mean_cross_entropy


class Program(NamedTuple):
    """What a step is compiled from: static, hashable, the same for every seed.

    Attributes:
      view: the network and the pathways of the tasks so far; ``batch["task"]`` is an
        index among these.
      targets: indices of the tasks that the data belongs to.
      transform: what is done to the loss.
      optimizer: an optax transformation.
    """

    view: View
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
      transform_state: the loss transform's state.
      key: the key of this phase.
    """

    step: Int[Array, ""]
    params: Params
    frozen: Params
    opt: PyTree
    transform_state: PyTree
    key: PRNGKey


def adam(lr: float) -> optax.GradientTransformationExtraArgs:
    """Makes Adam whose learning rate is a leaf of its state."""
    return optax.inject_hyperparams(optax.adam)(learning_rate=lr)


def sgd(lr: float) -> optax.GradientTransformationExtraArgs:
    """Makes stochastic gradient descent whose learning rate is a leaf of its state."""
    return optax.inject_hyperparams(optax.sgd)(learning_rate=lr)


def at_rate(opt: PyTree, lr: float) -> PyTree:
    """Returns the state of such an optimiser with another learning rate."""
    rate = jnp.asarray(lr, opt.hyperparams["learning_rate"].dtype)
    return opt._replace(hyperparams={**opt.hyperparams, "learning_rate": rate})


OPTIMIZERS = {"adam": adam, "sgd": sgd}


def start_phase(
    optimizer: optax.GradientTransformation,
    params: Params,
    mask: PyTree,
    transform_state: PyTree,
    key: PRNGKey,
    kept: PyTree | None = None,
) -> TrainState:
    """Returns the state before the first step of a phase.

    Args:
      optimizer: an optax transformation.
      params: the whole tree.
      mask: Python booleans, which leaves train.
      transform_state: the transform's state.
      key: randomness of the phase.
      kept: an earlier state of the optimiser to go on with; a fresh one if None.
    """
    trained, frozen = partition(params, mask)
    zero = jnp.zeros((), jnp.int32)
    opt = optimizer.init(trained)
    opt = opt if kept is None else regrow(kept, opt)
    return TrainState(zero, trained, frozen, opt, transform_state, key)


def make_step(program: Program) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Makes one optimiser step, not yet compiled: ``(state, batch) -> (state, metrics)``."""
    outputs_of = forward(program.view)
    # What a transform replays may belong to any task so far.
    any_logits_of = own_logits(program.view, tuple(range(len(program.view.routes))))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = stream(state.key, "step", state.step)
        context = Context(merge(state.params, state.frozen), {}, batch, key)
        context = context._replace(forward=outputs_of, logits=any_logits_of)
        gradient, plain, outputs, metrics = _gradients(program, state, context)
        change, opt = program.optimizer.update(gradient, state.opt, state.params)
        params = optax.apply_updates(state.params, change)
        done = Step(state.params, params, gradient, plain, context._replace(outputs=outputs))
        transform_state = program.transform.update(state.transform_state, done)
        new = state._replace(
            step=state.step + 1, params=params, opt=opt, transform_state=transform_state
        )
        return new, metrics

    return step


def _gradients(
    program: Program, state: TrainState, context: Context
) -> tuple[Params, Params, Outputs, Metrics]:
    """Gradients of the whole loss and of the plain one, the outputs, and metrics."""
    batch, outputs_of = context.batch, forward(program.view)
    logits_of = own_logits(program.view, program.targets)

    def run(trained: Params) -> Outputs:
        return outputs_of(merge(trained, state.frozen), batch)

    def plain(outputs: Outputs) -> Scalar:
        return mean_cross_entropy(logits_of(outputs, batch), batch["label"])

    def transformed(loss: Scalar, outputs: Outputs, trained: Params):
        here = context._replace(params=merge(trained, state.frozen), outputs=outputs)
        return program.transform.apply(loss, state.transform_state, here)

    # The network is differentiated once: its pullback is linear, and where a
    # transform adds a function of the weights alone, both pulls are the same.
    outputs, pull = jax.vjp(run, state.params)
    loss, slope = jax.value_and_grad(plain)(outputs)
    transformed_grad = jax.value_and_grad(transformed, argnums=(0, 1, 2), has_aux=True)
    (total, metrics), (of_loss, of_outputs, direct) = transformed_grad(loss, outputs, state.params)
    combined = jax.tree.map(lambda s, o: of_loss * s + o, slope, of_outputs)
    gradient = jax.tree.map(jnp.add, pull(combined)[0], direct)
    return gradient, pull(slope)[0], outputs, {"loss": total, "new_loss": loss, **metrics}


def epoch_order(key: PRNGKey, n: int, batch_size: int) -> Int[Array, "steps batch"]:
    """Returns a shuffle of ``n`` rows in batches; the remainder sits out."""
    steps = n // batch_size
    rows = jax.random.permutation(key, n)[: steps * batch_size]
    return rows.reshape(steps, batch_size).astype(jnp.int32)


def _rows(data: Batch, rows: Int[Array, "batch"]) -> Batch:
    rows = along(DATA, rows)
    return {**{name: x[rows] for name, x in data.items()}, "index": rows}


def _one_step(program: Program, data: Batch, order: Array | None) -> OneStep[TrainState]:
    step = make_step(program)
    if order is not None:
        return lambda state, i: step(state, _rows(data, order[i]))
    held = examples(data)  # steps of a window
    return lambda state, i: step(state, {name: x[i % held] for name, x in data.items()})


@partial(jax.jit, static_argnames="program")  # so that it is traced once, not in each epoch
def no_totals(program: Program, state: TrainState, data: Batch, order: Array | None) -> Totals:
    """Returns the totals of an epoch before its first step."""
    return zero_totals(_one_step(program, data, order), state)


@partial(jax.jit, static_argnames="program", donate_argnames=("state", "totals"))
def run_steps(
    program: Program,
    state: TrainState,
    totals: Totals,
    data: Batch,
    order: Int[Array, "steps batch"] | None,
    first: Int[Array, ""],
    last: Int[Array, ""],
) -> tuple[TrainState, Totals]:
    """Makes the steps ``first`` to ``last - 1`` of an epoch, in one loop on the device.

    Args:
      program: what is compiled.
      state: donated.
      totals: donated; of the epoch's earlier steps.
      data: the whole task on the device, ``image`` as bytes; or a window of it.
      order: rows of each step's batch; None for a window, whose arrays are
        ``[steps, batch, ...]`` and begin at a multiple of so many steps.
      first: position of the first step.
      last: position after the last step.
    """
    return run_loop(_one_step(program, data, order), state, totals, first, last)


def forget_programs() -> None:
    """Gives up the compiled programs of a smaller network; they hold memory.

    A process may also map no more than so many pieces of it (65,530 on Linux), and
    every program takes a few hundred.  What is needed again comes from JAX's
    persistent cache.
    """
    for compiled in (no_totals, run_steps, run_stacked, run_together, judged):
        compiled.clear_cache()  # pyright: ignore[reportAttributeAccessIssue]
    compiled_mean.cache_clear()
