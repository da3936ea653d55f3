"""Synaptic intelligence: importance from what each weight did for the loss."""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.pytree import regrow, where_trained
from jaxcl.core.types import Array, Int, Metrics, Params, PRNGKey, PyTree, Scalar
from jaxcl.transforms.base import Context, LossTransform, Step, TaskData
from jaxcl.transforms.checks import (
    check_choice,
    check_not_negative,
    check_params,
    check_updated,
)
from jaxcl.transforms.objectives.base import wide
from jaxcl.transforms.penalties.ewc import distance, wide_copy
from jaxcl.transforms.penalties.per_example import wide_zeros

Gradient = Literal["loss", "total"]


class SIState(NamedTuple):
    """State of :func:`si`.

    Attributes:
      strength: c, float32 scalar.
      xi: the damping, float32 scalar.
      importance: Omega, a tree like the parameters, never negative.  This tree and the
        others are float32 where the parameters are narrower.
      anchor: the weights as the latest task ended.
      path: omega, the path integral of the present task.
      start: the weights as the present task began.
      updates: optimiser steps of the present task that were looked at, int32 scalar.
    """

    strength: Scalar
    xi: Scalar
    importance: PyTree
    anchor: PyTree
    path: PyTree
    start: PyTree
    updates: Int[Array, ""]


def si(strength: float, *, xi: float = 0.1, gradient: Gradient = "loss") -> LossTransform:
    """Adds ``c * sum_i Omega_i (theta~_i - theta_i)^2``.

    In every step ``omega_i -= g_i * (change of theta_i)``, with g the gradient of the
    *unregularised* loss and the change that the optimiser really made: what weight i
    did for the loss.  As a task ends,
    ``Omega_i += max(0, omega_i / ((theta_i - theta_i at its start)^2 + xi))`` and
    ``theta~`` are the present weights.  A weight that was always held at its place
    has importance 0 from this task.  The paper has no maximum, and its authors' program takes that
    of 0 and the sum over tasks; here each task's share is at least 0, so no task lowers what
    another has found.

    Args:
      strength: c, at least 0.
      xi: damping, above 0.
      gradient: ``"loss"`` as in the paper; ``"total"`` takes the gradient of the
        whole loss, penalty included, as some programs do.

    Returns:
      A transform that reports ``{"penalty": ...}``, the sum above without c.  Its
      ``update`` needs ``Step.loss_gradient`` (``Step.gradient`` with ``"total"``).

    Raises:
      ValueError: a negative strength, a damping that is not positive, or an unknown gradient; from
        ``end_task``,
        if ``update`` was not called since ``begin_task``.

    References:
      Zenke, Poole & Ganguli, Continual learning through synaptic intelligence,
      2017 (arXiv 1703.04200).

    >>> import jax, jax.numpy as jnp
    >>> task, key = TaskData({}, lambda w, batch: {}), jax.random.key(0)
    >>> transform, w = si(1.0, xi=1.0), jnp.array([1.0, 1.0])
    >>> state = transform.begin_task(transform.init(w), w, task, key)
    >>> after, g = jnp.array([0.0, 1.0]), jnp.array([2.0, 5.0])  # the second does not move
    >>> state = transform.update(state, Step(w, after, g, g))
    >>> state, _ = transform.end_task(state, after, task, key)
    >>> print(state.importance)  # 2 / (1 + 1), 0
    [1. 0.]
    """
    check_not_negative("strength", strength)
    check_choice("gradient", gradient, ("loss", "total"))
    if not xi > 0:
        raise ValueError(f"xi: {xi} is not positive; pass 0.1, say")

    return LossTransform(
        partial(_init, strength, xi), _apply, _begin, partial(_update, gradient), _end
    )


def _init(strength: float, xi: float, params: Params) -> SIState:
    check_params(params)
    scalars = jnp.asarray(strength, jnp.float32), jnp.asarray(xi, jnp.float32)
    zeros = wide_zeros(params), wide_zeros(params)
    none = jnp.zeros((), jnp.int32)
    return SIState(*scalars, zeros[0], wide_copy(params), zeros[1], wide_copy(params), none)


def _begin(state: SIState, params: Params, task: TaskData, key: PRNGKey) -> SIState:
    del key
    return state._replace(
        importance=regrow(state.importance, wide_zeros(params)),
        anchor=regrow(state.anchor, wide_copy(params), task.before),
        path=wide_zeros(params),
        start=wide_copy(params),
    )


def _apply(loss: Scalar, state: SIState, context: Context) -> tuple[Scalar, Metrics]:
    far = distance(state.importance, state.anchor, context.params)
    return loss + state.strength * far, {"penalty": far}


def _update(gradient: Gradient, state: SIState, step: Step) -> SIState:
    slope = step.loss_gradient if gradient == "loss" else step.gradient
    if slope is None:
        raise ValueError(
            "loss_gradient: missing; give Step the gradient of the plain loss, which"
            " jaxcl.transforms.gradients(...).step(after) has"
        )

    def add(path, g, before, after):
        return path - wide(g) * (wide(after) - wide(before))

    path = where_trained(add, state.path, slope, step.before, step.after)
    return state._replace(path=path, updates=state.updates + 1)


def _end(state: SIState, params: Params, task: TaskData, key: PRNGKey) -> tuple[SIState, Params]:
    del task, key
    check_updated("si", state.updates)
    none = jnp.zeros((), jnp.int32)
    found = _importance(state, params)
    return state._replace(importance=found, anchor=wide_copy(params), updates=none), params


@jax.jit
def _importance(state: SIState, params: Params) -> PyTree:
    """Omega after the present task."""

    def more(importance, path, now, then):
        return importance + jax.nn.relu(path / ((wide(now) - then) ** 2 + state.xi))

    return jax.tree.map(more, state.importance, state.path, params, state.start)
