"""One optimiser step: gradients of a network, the transform's hooks, statistics."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxcl.core.pytree import Reset, reset_moments, reset_values, state_and_reset
from jaxcl.core.random import stream
from jaxcl.core.types import Batch, ForwardPass, Metrics, Outputs, Params, PRNGKey, PyTree, Scalar
from jaxcl.growth.heads import View, own_logits, run_view
from jaxcl.growth.parameters import merge
from jaxcl.networks.base import SHARED, Mode, Route, Variables
from jaxcl.training.program import Program, TrainState
from jaxcl.transforms import Context, Step
from jaxcl.transforms.beside import beside_of, new_part, other_part, together


def make_step(program: Program) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Makes one optimiser step, not yet compiled: ``(state, batch) -> (state, metrics)``."""
    view, transform = program.view, program.transform
    # What a transform replays may belong to any task so far.
    any_logits_of = own_logits(view, tuple(range(len(view.routes))))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = stream(state.key, "step", state.step)

        def again(params: Params, batch: Batch) -> Outputs:
            variables = Variables(params, state.stats)
            return run_view(
                view, variables, batch, _mode(program, state, stream(key, "hooks"), 0)
            ).outputs

        context = Context(merge(state.params, state.frozen), {}, batch, key, again, any_logits_of)
        asked = transform.needs.features
        context = context._replace(teacher=_teacher(view, key, asked))
        found, metrics = _gradients(program, state, context)
        gradient, context = found.gradient, context._replace(outputs=found.outputs)
        if transform.gradient is not None:
            gradient = transform.gradient(gradient, state.transform_state, context)
        change, opt = program.optimizer.update(gradient, state.opt, state.params)
        params = optax.apply_updates(state.params, change)
        done = Step(state.params, params, gradient, found.loss_gradient, context)
        own, reset = state_and_reset(transform.update(state.transform_state, done))
        new = state._replace(
            step=state.step + 1,
            params=params,
            stats=_of_what_trains(found.stats, state),
            opt=opt,
            transform_state=own,
        )
        return (new if reset is None else _reset(new, reset)), metrics

    return step


def _reset(state: TrainState, reset: Reset) -> TrainState:
    """The state with some weights, frozen ones too, at other values, and without their moments."""
    return state._replace(
        params=reset_values(state.params, reset),
        frozen=reset_values(state.frozen, reset),
        opt=reset_moments(state.opt, state.params, reset),
    )


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
    route, asked = view.routes[program.targets[-1]].route, transform.needs.features
    extra = beside_of(transform, state.transform_state, batch, context.key)

    def run(trained: Params):
        variables = Variables(merge(trained, state.frozen), state.stats)
        found = run_view(view, variables, together(batch, extra), mode_of(0))
        return (found.outputs, found.features[route] if asked else None), found.stats

    def plain(outputs: Outputs) -> Scalar:
        logits = logits_of(new_part(outputs, batch, extra), batch)
        return view.objective.loss(logits, batch["label"]).mean()

    def transformed(loss: Scalar, outputs: Outputs, features: PyTree, trained: Params):
        again, passes = _further_passes(view, stats, mode_of, route if asked else None)
        here = context._replace(
            params=merge(trained, state.frozen),
            outputs=new_part(outputs, batch, extra),
            features=new_part(features, batch, extra),
            forward=again,
            beside=other_part(outputs, features, batch, extra),
        )
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
    plain_gradient = pull((slope, jax.tree.map(jnp.zeros_like, of_features)))[0]
    found = _Found(gradient, plain_gradient, new_part(outputs, batch, extra), stats)
    return found, {"loss": total, "new_loss": loss, **metrics}


def _further_passes(
    view: View, stats: PyTree, mode_of: Callable[[int], Mode], asked: Route | None
) -> tuple[Callable[[Params, Batch], Outputs | ForwardPass], list[PyTree]]:
    """The forward function for other examples, and the statistics after each pass so far.

    The passes of a step follow on one another.  With a route, features of it are given too.
    """
    passes = [stats]

    def again(params: Params, batch: Batch) -> Outputs | ForwardPass:
        found = run_view(view, Variables(params, passes[-1]), batch, mode_of(len(passes)))
        passes.append(found.stats)
        return found.outputs if asked is None else ForwardPass(found.outputs, found.features[asked])

    return again, passes


def _mode(program: Program, state: TrainState, key: PRNGKey, number: int) -> Mode:
    """How a forward pass of a step is made; a backbone that stays is passed as in a test."""
    trained = {part: tree for part, tree in state.params.items() if part != "heads"}
    routes = {program.view.routes[t].route for t in program.targets}
    return Mode(sorted(routes) if jax.tree.leaves(trained) else (), stream(key, "pass", number))


def _teacher(
    view: View, key: PRNGKey, asked: bool
) -> Callable[[Params, PyTree, Batch], Outputs | ForwardPass]:
    """The network of the tasks before, as it is tested, on what the first pass saw."""
    before = view if view.setting.shared_head else view._replace(routes=view.routes[:-1])
    mode = Mode(key=stream(key, "pass", 0))

    def of(params: Params, stats: PyTree, batch: Batch) -> Outputs | ForwardPass:
        found = run_view(before, Variables(params, stats), batch, mode)
        if not asked:
            return found.outputs
        return ForwardPass(found.outputs, found.features[before.routes[-1].route])

    return of


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
