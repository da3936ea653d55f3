"""Riemannian walk: a running Fisher, and the drop of the loss for each step of KL divergence."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxcl.core.batching import examples
from jaxcl.core.pytree import regrow, where_trained
from jaxcl.core.types import Array, Int, Metrics, Params, PRNGKey, PyTree, Scalar
from jaxcl.transforms.base import Context, LossTransform, Step, TaskData
from jaxcl.transforms.checks import check_not_negative, check_params, check_updated
from jaxcl.transforms.objectives.base import wide
from jaxcl.transforms.penalties.ewc import distance, wide_copy
from jaxcl.transforms.penalties.per_example import wide_zeros

RESTING = -1.0  # in place of a sum of squares: the weight has not trained in this segment


class Walk(NamedTuple):
    """The present task's way; trees like the parameters, in float32 at least.

    Attributes:
      score: s of the segments that are complete.
      squares: sum over the present segment's steps of what estimates the Fisher; -1 where the
        weight has not trained in any of them.
      path: drop of the loss in the present segment that each weight is responsible for.
      start: the weights as the present segment began.
      updates: optimiser steps of the task so far, int32 scalar.
    """

    score: PyTree
    squares: PyTree
    path: PyTree
    start: PyTree
    updates: Int[Array, ""]


class RWalkState(NamedTuple):
    """State of :func:`rwalk`; trees like the parameters, in float32 at least.

    Attributes:
      strength: lambda, float32 scalar.
      alpha: share of a new segment in the running Fisher, float32 scalar.
      epsilon: damping of the score, float32 scalar.
      importance: F + s, each divided by its largest entry, as the latest task ended.
      anchor: the weights as the latest task ended.
      fisher: the running Fisher.
      score: mean of the scores of the tasks that have ended.
      walk: of the present task.
    """

    strength: Scalar
    alpha: Scalar
    epsilon: Scalar
    importance: PyTree
    anchor: PyTree
    fisher: PyTree
    score: PyTree
    walk: Walk


def rwalk(
    strength: float, *, alpha: float = 0.9, epsilon: float = 1e-3, segment: int = 10
) -> LossTransform:
    """Adds ``lambda * sum_i (F_i + s_i) (theta_i - theta*_i)^2``, with both found on the way.

    A task is walked in segments of some steps.  As each of them ends,

        F <- alpha * F~ + (1 - alpha) * F
        s_i += max(0, drop_i / (F_i / 2 * (change of theta_i)^2 + epsilon))

    where ``F~`` is the segment's own Fisher, ``drop_i`` sums ``-g_i * (step of theta_i)`` over
    its steps, with g the gradient of the *unregularised* loss, and the denominator is the KL
    divergence that weight i has moved the predictions by.  The F there is the one before the
    segment; a weight that has none yet takes the segment's own, and one that does not train in a
    segment keeps the F that it has.  As a task ends, ``theta*`` are
    the present weights, s becomes the mean of the score so far and the task's own (the first
    task's own alone), and F and s, whose scales differ, are divided by their largest entries,
    so that both lie in [0, 1].

    ``F~`` is the mean over steps of ``b * g^2``, for a batch of b examples with mean gradient g.
    In expectation it is the empirical Fisher and ``b - 1`` times the square of the mean
    gradient, which vanishes where the loss is least.  The authors' program has ``g^2``, which
    shrinks as the batch grows; it takes the smallest entry away before it divides, and its
    denominator is without the half.

    Args:
      strength: lambda, at least 0.
      alpha: in [0, 1]; 0.9 in the paper's supplement.
      epsilon: damping, above 0; 1e-3 in the authors' program.
      segment: steps, at least 1; the paper has 10 on MNIST, 50 on CIFAR-100.

    Returns:
      A transform that reports ``{"penalty": ...}``, the sum above without lambda.  Its
      ``update`` needs ``Step.loss_gradient`` and ``Step.context``.

    Raises:
      ValueError: a number out of its range; from ``update``, a step without gradient of the
        plain loss or without context; from ``end_task``, if ``update`` was not called since
        ``begin_task``.

    References:
      Chaudhry, Dokania, Ajanthan & Torr, Riemannian walk for incremental learning:
      understanding forgetting and intransigence, 2018 (arXiv 1801.10112), section 4, without
      its replay of kept images, which goes on top.

    >>> import jax, jax.numpy as jnp
    >>> task, key = TaskData({}, lambda w, batch: {}), jax.random.key(0)
    >>> transform, w = rwalk(1.0, epsilon=1.0), jnp.array([1.0, 1.0])
    >>> state = transform.begin_task(transform.init(w), w, task, key)
    >>> after, g = jnp.array([0.0, 1.0]), jnp.array([2.0, 1.0])  # the second does not move
    >>> here = Context(w, None, {"x": jnp.ones(1)})  # a batch of one
    >>> state = transform.update(state, Step(w, after, g, g, here))
    >>> state, _ = transform.end_task(state, after, task, key)
    >>> print(state.fisher, state.score, state.importance)  # g^2; 2 / (4 / 2 + 1), 0
    [4. 1.] [0.6666667 0.       ] [2.   0.25]
    """
    check_not_negative("strength", strength)
    check_numbers(alpha, epsilon)
    if segment < 1:
        raise ValueError(f"segment: {segment} steps; pass 1 or more")
    init = partial(_init, (strength, alpha, epsilon))
    return LossTransform(init, _apply, _begin, partial(_update, segment), partial(_end, segment))


def check_numbers(alpha: float | Array, epsilon: float | Array) -> None:
    """Raises a ValueError for a number out of its range.

    One that is traced, as within ``jax.vmap``, has no value yet and is not looked at.
    """
    if not isinstance(alpha, Tracer) and not 0 <= alpha <= 1:
        raise ValueError(f"alpha: {alpha} is outside [0, 1]; pass 0.9, say")
    if not isinstance(epsilon, Tracer) and not epsilon > 0:
        raise ValueError(f"epsilon: {epsilon} is not positive; pass 1e-3, say")


def _init(numbers: tuple[float, float, float], params: Params) -> RWalkState:
    check_params(params)
    strength, alpha, epsilon = (jnp.asarray(number, jnp.float32) for number in numbers)
    none, fisher, score = (wide_zeros(params) for _ in range(3))
    anchor, walk = wide_copy(params), _begun(params)
    return RWalkState(strength, alpha, epsilon, none, anchor, fisher, score, walk)


def _begun(params: Params) -> Walk:
    score, squares, path = wide_zeros(params), _resting(params), wide_zeros(params)
    return Walk(score, squares, path, wide_copy(params), jnp.zeros((), jnp.int32))


def _resting(params: PyTree) -> PyTree:
    return jax.tree.map(lambda x: jnp.full_like(x, RESTING), wide_zeros(params))


def _begin(state: RWalkState, params: Params, task: TaskData, key: PRNGKey) -> RWalkState:
    del key
    return state._replace(
        importance=regrow(state.importance, wide_zeros(params)),
        anchor=regrow(state.anchor, wide_copy(params), task.before),
        fisher=regrow(state.fisher, wide_zeros(params)),
        score=regrow(state.score, wide_zeros(params)),
        walk=_begun(params),
    )


def _apply(loss: Scalar, state: RWalkState, context: Context) -> tuple[Scalar, Metrics]:
    far = distance(state.importance, state.anchor, context.params)
    return loss + state.strength * far, {"penalty": far}


def _update(segment: int, state: RWalkState, step: Step) -> RWalkState:
    if step.loss_gradient is None or step.context is None:
        raise ValueError(
            "step: the gradient of the plain loss or the context is missing;"
            " jaxcl.transforms.gradients(...).step(after) has both"
        )
    walk, b = state.walk, examples(step.context.batch)

    def squared(squares, g):
        return jnp.maximum(squares, 0) + b * wide(g) ** 2

    def paid(path, g, before, after):
        return path - wide(g) * (wide(after) - wide(before))

    def reached(_, after):
        return wide(after)

    g, after = step.loss_gradient, step.after
    walk = walk._replace(
        squares=where_trained(squared, walk.squares, g),
        path=where_trained(paid, walk.path, g, step.before, after),
        updates=walk.updates + 1,
    )
    state = state._replace(walk=walk)
    now = where_trained(reached, walk.start, after)
    ended = partial(_segment_ended, steps=segment, now=now)
    return jax.lax.cond(walk.updates % segment == 0, ended, lambda state: state, state)


def _segment_ended(state: RWalkState, *, steps: int, now: Params) -> RWalkState:
    """The state with a segment of so many steps in its Fisher and its score."""
    walk = state.walk

    def scored(score, fisher, squares, path, start, now):
        squares = jnp.maximum(squares, 0)
        known = jnp.where(fisher > 0, fisher, squares / steps)
        moved = known / 2 * (wide(now) - start) ** 2
        return score + jax.nn.relu(path / (moved + state.epsilon))

    def mixed(fisher, squares):
        new = squares / steps
        new = jnp.where(fisher > 0, state.alpha * new + (1 - state.alpha) * fisher, new)
        return jnp.where(squares < 0, fisher, new)

    trees = walk.score, state.fisher, walk.squares, walk.path, walk.start, now
    begun = Walk(
        jax.tree.map(scored, *trees),
        _resting(walk.squares),
        jax.tree.map(jnp.zeros_like, walk.path),
        wide_copy(now),
        walk.updates,
    )
    return state._replace(fisher=jax.tree.map(mixed, state.fisher, walk.squares), walk=begun)


def _end(
    segment: int, state: RWalkState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[RWalkState, Params]:
    del task, key
    check_updated("rwalk", state.walk.updates)
    if left := int(state.walk.updates) % segment:  # the last segment is a short one
        state = jax.jit(partial(_segment_ended, steps=left))(state, now=params)
    earlier, own = state.score, state.walk.score
    later = jnp.stack([jnp.any(leaf > 0) for leaf in jax.tree.leaves(earlier)]).any()
    own = jax.tree.map(lambda old, new: jnp.where(later, (old + new) / 2, new), earlier, own)
    importance = jax.tree.map(jnp.add, _scaled(state.fisher), _scaled(own))
    anchor, walk = wide_copy(params), _begun(params)
    return state._replace(importance=importance, anchor=anchor, score=own, walk=walk), params


@jax.jit
def _scaled(tree: PyTree) -> PyTree:
    """The tree divided by its largest entry; zeros stay."""
    largest = jnp.stack([leaf.max(initial=0) for leaf in jax.tree.leaves(tree)]).max()
    return jax.tree.map(lambda x: x / jnp.where(largest > 0, largest, 1), tree)
