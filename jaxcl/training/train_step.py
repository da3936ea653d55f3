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
from jaxcl.growth.heads import View, own_logits, run_view
from jaxcl.growth.parameters import merge, partition
from jaxcl.networks.base import SHARED, Mode, Variables
from jaxcl.training.evaluation import judged
from jaxcl.training.loop import OneStep, Totals, run_loop, zero_totals
from jaxcl.training.vectorized import run_stacked, run_together
from jaxcl.transforms import Context, LossTransform, Step
from jaxcl.transforms.importance import compiled_mean


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
      stats: the network's statistics.
      opt: the optimiser's state.
      transform_state: the loss transform's state.
      key: the key of this phase.
    """

    step: Int[Array, ""]
    params: Params
    frozen: Params
    stats: PyTree
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
    variables: Variables,
    mask: PyTree,
    transform_state: PyTree,
    key: PRNGKey,
    kept: PyTree | None = None,
) -> TrainState:
    """Returns the state before the first step of a phase.

    Args:
      optimizer: an optax transformation.
      variables: of the network.
      mask: Python booleans, which leaves of the parameters train.
      transform_state: the transform's state.
      key: randomness of the phase.
      kept: an earlier state of the optimiser to go on with; a fresh one if None.
    """
    trained, frozen = partition(variables.params, mask)
    zero = jnp.zeros((), jnp.int32)
    opt = optimizer.init(trained)
    opt = opt if kept is None else regrow(kept, opt)
    return TrainState(zero, trained, frozen, variables.stats, opt, transform_state, key)


def make_step(program: Program) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Makes one optimiser step, not yet compiled: ``(state, batch) -> (state, metrics)``."""
    view, transform = program.view, program.transform
    # What a transform replays may belong to any task so far.
    any_logits_of = own_logits(view, tuple(range(len(view.routes))))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = stream(state.key, "step", state.step)

        def again(params: Params, batch: Batch) -> Outputs:
            variables = Variables(params, state.stats)
            return run_view(view, variables, batch, _mode(program, state, key, 1)).outputs

        context = Context(merge(state.params, state.frozen), {}, batch, key, again, any_logits_of)
        context = context._replace(teacher=_teacher(view, key))
        found, metrics = _gradients(program, state, context)
        gradient, context = found.gradient, context._replace(outputs=found.outputs)
        if transform.gradient is not None:
            gradient = transform.gradient(gradient, state.transform_state, context)
        change, opt = program.optimizer.update(gradient, state.opt, state.params)
        params = optax.apply_updates(state.params, change)
        done = Step(state.params, params, gradient, found.loss_gradient, context)
        new = state._replace(
            step=state.step + 1,
            params=params,
            stats=_of_what_trains(found.stats, state),
            opt=opt,
            transform_state=transform.update(state.transform_state, done),
        )
        return new, metrics

    return step


class _Found(NamedTuple):
    """Gradients of the whole loss and of the plain one, what the network said, its statistics."""

    gradient: Params
    loss_gradient: Params
    outputs: Outputs
    stats: PyTree


def _gradients(program: Program, state: TrainState, context: Context) -> tuple[_Found, Metrics]:
    """What an optimiser step is made of, and metrics."""
    view, transform, batch = program.view, program.transform, context.batch
    logits_of = own_logits(view, program.targets)
    assert context.key is not None
    mode_of = partial(_mode, program, state, context.key)

    def run(trained: Params):
        variables = Variables(merge(trained, state.frozen), state.stats)
        found = run_view(view, variables, batch, mode_of(0))
        seen = found.features[view.routes[program.targets[-1]].route]
        return (found.outputs, seen if transform.features else None), found.stats

    def plain(outputs: Outputs) -> Scalar:
        return view.objective.loss(logits_of(outputs, batch), batch["label"]).mean()

    def transformed(loss: Scalar, outputs: Outputs, features: PyTree, trained: Params):
        passes = [stats]  # those of a step follow on one another

        def again(params: Params, batch: Batch) -> Outputs:
            found = run_view(view, Variables(params, passes[-1]), batch, mode_of(len(passes)))
            passes.append(found.stats)
            return found.outputs

        here = context._replace(params=merge(trained, state.frozen), outputs=outputs)
        here = here._replace(features=features, forward=again)
        total, metrics = transform.apply(loss, state.transform_state, here)
        return total, (metrics, passes[-1])

    # The network is differentiated once: its pullback is linear, and where a
    # transform adds a function of the weights alone, both pulls are the same.
    (outputs, seen), pull, stats = jax.vjp(run, state.params, has_aux=True)
    loss, slope = jax.value_and_grad(plain)(outputs)
    whole = jax.value_and_grad(transformed, argnums=(0, 1, 2, 3), has_aux=True)
    (total, (metrics, stats)), slopes = whole(loss, outputs, seen, state.params)
    of_loss, of_outputs, of_features, direct = slopes
    combined = jax.tree.map(lambda s, o: of_loss * s + o, slope, of_outputs)
    gradient = jax.tree.map(jnp.add, pull((combined, of_features))[0], direct)
    nothing = jax.tree.map(jnp.zeros_like, of_features)
    found = _Found(gradient, pull((slope, nothing))[0], outputs, stats)
    return found, {"loss": total, "new_loss": loss, **metrics}


def _mode(program: Program, state: TrainState, key: PRNGKey, number: int) -> Mode:
    """How a forward pass of a step is made; a backbone that stays is passed as in a test."""
    trained = {part: tree for part, tree in state.params.items() if part != "heads"}
    routes = {program.view.routes[t].route for t in program.targets}
    return Mode(sorted(routes) if jax.tree.leaves(trained) else (), stream(key, "pass", number))


def _teacher(view: View, key: PRNGKey) -> Callable[[Params, PyTree, Batch], Outputs]:
    """The network of the tasks before, as it is tested, on what the first pass saw."""
    before = view if view.setting.shared_head else view._replace(routes=view.routes[:-1])
    mode = Mode(key=stream(key, "pass", 0))
    return lambda params, stats, batch: (
        run_view(before, Variables(params, stats), batch, mode).outputs
    )


def _of_what_trains(new: PyTree, state: TrainState) -> PyTree:
    """The new statistics; those of parts whose parameters are all frozen stay as they were."""

    def chosen(new: PyTree, *path: str) -> PyTree:
        old, trained, frozen = state.stats, state.params, state.frozen
        for name in path:
            # What has no parameters goes with the others: it has no place among them.
            old, trained, frozen = old[name], trained.get(name, {}), frozen.get(name, {})
        stays = jax.tree.leaves(frozen) and not jax.tree.leaves(trained)
        return old if stays else new

    found = {}
    for part, stats in state.stats.items():
        if part == SHARED:
            found[part] = chosen(new[part], part)
        else:
            found[part] = {branch: chosen(new[part][branch], part, branch) for branch in stats}
    return found


def epoch_order(key: PRNGKey, n: int, batch_size: int) -> Int[Array, "steps batch"]:
    """Returns a shuffle of ``n`` rows in batches; the remainder sits out."""
    steps = n // batch_size
    rows = jax.random.permutation(key, n)[: steps * batch_size]
    return rows.reshape(steps, batch_size).astype(jnp.int32)


def _rows(data: Batch, rows: Int[Array, "batch"]) -> Batch:
    rows = along(DATA, rows)
    return {**jax.tree.map(lambda x: x[rows], dict(data)), "index": rows}


def _one_step(program: Program, data: Batch, order: Array | None) -> OneStep[TrainState]:
    step = make_step(program)
    if order is not None:
        return lambda state, i: step(state, _rows(data, order[i]))
    held = examples(data)  # steps of a window
    return lambda state, i: step(state, jax.tree.map(lambda x: x[i % held], data))


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
