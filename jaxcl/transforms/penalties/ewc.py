"""Elastic weight consolidation: quadratic penalties weighted by the Fisher information."""

from functools import partial
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxcl.core.pytree import copy, regrow
from jaxcl.core.types import Array, Metrics, Params, PRNGKey, PyTree, Scalar
from jaxcl.transforms.base import Context, LossTransform, TaskData
from jaxcl.transforms.checks import (
    check_choice,
    check_grown,
    check_label,
    check_not_negative,
    check_params,
)
from jaxcl.transforms.objectives import Objective, categorical
from jaxcl.transforms.objectives.base import Labels, wide
from jaxcl.transforms.penalties.importance import diagonal_fisher
from jaxcl.transforms.penalties.per_example import wide_zeros


class QuadraticState(NamedTuple):
    """State of :func:`ewc`, :func:`online_ewc` and :func:`mas`.

    Both trees are float32 where the parameters are narrower, since a mean of anchors, and
    importance that adds up, would be lost to rounding in bfloat16.

    Attributes:
      strength: lambda, float32 scalar.
      importance: the accumulated importance of each weight, a tree like the
        parameters; 0 before the first task has ended.
      anchor: where each weight is pulled to, a tree like the parameters.
      constant: what the separate penalties are worth at the anchor, float32 scalar.
    """

    strength: Scalar
    importance: PyTree
    anchor: PyTree
    constant: Scalar


def wide_copy(params: Params) -> PyTree:
    """Returns a copy of the parameters in memory of its own, in float32 at least."""
    return jax.tree.map(wide, copy(params))


def new_state(strength: float, params: Params) -> QuadraticState:
    """Returns the state before the first task; an importance of 0 pulls nowhere."""
    check_params(params)
    zero = jnp.zeros((), jnp.float32)
    strength_ = jnp.asarray(strength, jnp.float32)
    return QuadraticState(strength_, wide_zeros(params), wide_copy(params), zero)


def grown(state: QuadraticState, params: Params, task: TaskData) -> QuadraticState:
    """Returns the state for a tree that may have grown; new weights are free."""
    return state._replace(
        importance=regrow(state.importance, wide_zeros(params)),
        anchor=regrow(state.anchor, wide_copy(params), task.before),
    )


def distance(importance: PyTree, anchor: PyTree, params: Params) -> Scalar:
    """Returns ``sum importance * (theta - anchor)^2`` over all weights, float32."""
    check_grown(anchor, params)

    def term(importance: Array, anchor: Array, w: Array) -> Array:
        return jnp.vdot(importance, (wide(w) - anchor) ** 2)

    terms = jax.tree.map(term, importance, anchor, params)
    return jnp.asarray(sum(jax.tree.leaves(terms)), jnp.float32)


def ewc(
    strength: float,
    *,
    fisher: Labels = "exact",
    n: int | None = None,
    label: str = "label",
    objective: Objective = categorical,
) -> LossTransform:
    """Makes elastic weight consolidation, with one penalty for each task before.

    Adds ``lambda / 2 * sum over tasks k and weights i of F_ki (theta_i - theta*_ki)^2``,
    with ``F_k`` the diagonal Fisher information at the end of task k.  The sum over
    tasks is held as one: with ``F = sum_k F_k`` and the weighted mean ``m`` of the
    anchors it equals ``F (theta - m)^2`` plus a constant, so the state does not grow
    with the number of tasks, and close to the anchor nothing is lost to rounding.

    Args:
      strength: lambda, at least 0.
      fisher: ``"exact"``, ``"sampled"`` or ``"empirical"``; see
        :func:`diagonal_fisher`.  The scales differ.
      n: examples the Fisher is taken over; all of the task by default.
      label: name of the labels in the data, for the empirical Fisher and for the masks of
        sequences.
      objective: what is learned, and so of what the Fisher information is.

    Returns:
      A transform that reports ``{"penalty": ...}``, half of the sum above, without lambda.

    Raises:
      ValueError: a negative strength, or an unknown Fisher; from ``init``, parameters that are
        not all trained;
        from ``begin_task``, data without the labels of an empirical Fisher.

    References:
      Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks,
      2017 (arXiv 1612.00796); Huszar, 2018 (arXiv 1712.03847) on the sum.

    >>> import jax, jax.numpy as jnp
    >>> forward = lambda w, batch: batch["x"] @ w
    >>> data, w = {"x": jnp.eye(2), "label": jnp.array([0, 1])}, jnp.zeros((2, 2))
    >>> penalty, task = ewc(2.0), TaskData(data, forward)
    >>> state, w = penalty.end_task(penalty.init(w), w, task, jax.random.key(0))
    >>> print(state.importance.round(4))  # p (1 - p); half of the examples see each row
    [[0.125 0.125]
     [0.125 0.125]]
    """
    check_not_negative("strength", strength)
    check_choice("fisher", fisher, get_args(Labels))
    fisher_of = partial(
        diagonal_fisher, labels=fisher, examples=n, label=label, objective=objective
    )

    def end_task(
        state: QuadraticState, params: Params, task: TaskData, key: PRNGKey
    ) -> tuple[QuadraticState, Params]:
        new = fisher_of(params, task, key)
        return _merged(state, new, params), params

    return quadratic_penalty(strength, 0.5, end_task, label if fisher == "empirical" else None)


@jax.jit
def _merged(state: QuadraticState, new: PyTree, params: Params) -> QuadraticState:
    """The state with one more quadratic, of importance ``new`` around ``params``."""
    total = jax.tree.map(jnp.add, state.importance, new)
    # Where nothing is important, the anchor has no say: follow the weights.
    share = jax.tree.map(lambda f, t: jnp.where(t > 0, f / jnp.where(t > 0, t, 1), 1), new, total)
    anchor = jax.tree.map(lambda a, w, s: a + s * (wide(w) - a), state.anchor, params, share)
    between = jax.tree.map(jnp.multiply, state.importance, share)
    constant = state.constant + distance(between, state.anchor, params)
    return QuadraticState(state.strength, total, anchor, constant)


def online_ewc(
    strength: float,
    decay: float = 0.95,
    *,
    fisher: Labels = "exact",
    n: int | None = None,
    label: str = "label",
    objective: Objective = categorical,
) -> LossTransform:
    """Makes elastic weight consolidation with one running Fisher and the latest anchor.

    Adds ``lambda / 2 * sum_i F_i (theta_i - theta*_i)^2``; as a task ends,
    ``F <- decay * F + F_task`` and ``theta*`` are the present weights.  Schwarz et al. have
    ``decay * F`` in the penalty, too: a lambda of theirs is ``decay * lambda`` here.

    Args:
      strength: lambda, at least 0.
      decay: gamma in [0, 1]; 1 forgets nothing.
      fisher: as in :func:`ewc`.
      n: as in :func:`ewc`.
      label: as in :func:`ewc`.
      objective: as in :func:`ewc`.

    Returns:
      A transform that reports ``{"penalty": ...}``, half of the sum above, without lambda.

    Raises:
      ValueError: as :func:`ewc` does, or a decay outside [0, 1].

    References:
      Schwarz et al., Progress & compress: a scalable framework for continual learning, 2018
      (arXiv 1805.06370), section 4.

    >>> w, task = jnp.zeros((2, 2)), TaskData({"x": jnp.eye(2)}, lambda w, batch: batch["x"] @ w)
    >>> penalty, key = online_ewc(2.0, decay=0.5), jax.random.key(0)
    >>> state, w = penalty.end_task(penalty.init(w), w, task, key)
    >>> state, w = penalty.end_task(state, w, task, key)
    >>> print(state.importance[0].round(4))  # 0.5 * 0.125 + 0.125
    [0.1875 0.1875]
    """
    check_not_negative("strength", strength)
    check_choice("fisher", fisher, get_args(Labels))
    fisher_of = partial(
        diagonal_fisher, labels=fisher, examples=n, label=label, objective=objective
    )
    if not 0 <= decay <= 1:
        raise ValueError(f"decay: {decay} is outside [0, 1]; pass 1 to forget nothing")

    def end_task(
        state: QuadraticState, params: Params, task: TaskData, key: PRNGKey
    ) -> tuple[QuadraticState, Params]:
        new = fisher_of(params, task, key)
        total = jax.tree.map(lambda old, f: decay * old + f, state.importance, new)
        return state._replace(importance=total, anchor=wide_copy(params)), params

    return quadratic_penalty(strength, 0.5, end_task, label if fisher == "empirical" else None)


def quadratic_penalty(
    strength: float, factor: float, end_task, label: str | None = None
) -> LossTransform:
    """Makes a transform that adds ``strength * factor`` times the distance from the anchor.

    Args:
      strength: lambda.
      factor: 1/2 for EWC.
      end_task: as in :class:`LossTransform`: where importance and anchor are renewed.
      label: name of the labels that the end of a task needs; they are asked for at its
        beginning, before it is trained.
    """

    def init(params: Params) -> QuadraticState:
        return new_state(strength, params)

    def apply(loss: Scalar, state: QuadraticState, context: Context) -> tuple[Scalar, Metrics]:
        far = distance(state.importance, state.anchor, context.params)
        penalty = factor * (far + state.constant)
        return loss + state.strength * penalty, {"penalty": penalty}

    def begin_task(
        state: QuadraticState, params: Params, task: TaskData, key: PRNGKey
    ) -> QuadraticState:
        del key
        if label is not None:
            check_label(task.data, label)
        return grown(state, params, task)

    return LossTransform(init, apply, begin_task, end_task=end_task)
