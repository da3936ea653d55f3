"""RanPAC: ridge regression on random features of features, exact over all tasks."""

from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from jaxcl.core.random import stream
from jaxcl.core.types import Array, Float, Int, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, TaskData
from jaxcl.transforms.between_tasks.class_statistics import (
    Place,
    Size,
    Where,
    as_large,
    check_task,
    features_of,
    gathered,
    judged,
    linear_scores,
    logits_of,
    tasks_of,
    unchanged,
)

ROWS = 4096  # examples whose random features are in memory at once


class Products(NamedTuple):
    """What ridge regression needs to know of the random features h of all examples.

    Attributes:
      gram: sum of ``h h^T``.
      sums: of h over each class.
      counts: examples of each class.
    """

    gram: Float[Array, "units units"]
    sums: Float[Array, "tasks classes units"]
    counts: Int[Array, "tasks classes"]


class RanPACState(NamedTuple):
    """State of :func:`ranpac`; before the first task has ended all but the strength is None.

    Attributes:
      ridge: lambda, float32 scalar.
      projection: P, which stays as it was drawn.
      gram: as in :class:`Products`, of all tasks that have ended.
      sums: likewise.
      counts: likewise.
      weights: W.
    """

    ridge: Scalar
    projection: Float[Array, "width units"] | None = None
    gram: Float[Array, "units units"] | None = None
    sums: Float[Array, "tasks classes units"] | None = None
    counts: Int[Array, "tasks classes"] | None = None
    weights: Float[Array, "tasks classes units"] | None = None

    @property
    def products(self) -> Products | None:
        """Returns what is known of the random features, if any task has ended."""
        if self.gram is None or self.sums is None or self.counts is None:
            return None
        return Products(self.gram, self.sums, self.counts)


def ranpac(
    units: int = 2000,
    ridge: float = 1e4,
    *,
    by_task: bool = False,
    label: str = "label",
    task: str = "task",
    name: str = "ranpac",
) -> LossTransform:
    """Makes RanPAC: it predicts, and leaves loss and weights as they are.

    Features f (all axes but the first laid out in one) become random features
    ``h = relu(P^T f)``, where P has entries from N(0, 1) that are drawn as the first task ends.
    As each task ends, ``G``, the sum of ``h h^T``, and ``c_k``, the sum of h over class k, grow
    by those of its examples.  An example then has the scores

        w_k . h,    w_k = (G + lambda I)^-1 c_k,

    and ``-inf`` of a class that was never seen.  It is ridge regression of the one-hot labels on
    all examples of all tasks at once, in whatever order they come, but for rounding: sums are
    float32, the linear system is solved in float64 on the host.

    The paper chooses lambda anew with each task, from powers of ten, by the squared error on a
    fifth of it that is held out.  Here it is a number that is given: chosen by a task, it would
    hang on which one comes first.  It is compared with G, which grows with examples and with
    the squared length of features.

    Args:
      units: M, random features; the paper has 10,000.  The state has ``M^2`` numbers.
      ridge: lambda, above 0.
      by_task: each task has classes of its own, counted from 0, and an example is compared with
        those of its task, ``batch[task]``; G is that of all.  Of a task that has not ended, the
        logits predict.
      label: name of the labels in the data, classes int ``[N]``.
      task: name of the indices of tasks in the data, int ``[N]``.
      name: of the stream of random numbers.

    Returns:
      A transform that reports nothing and has ``predict``: scores float32 ``[b, classes]``, as
      many as there are logits, or known classes where these are more.  It needs ``features`` in
      its context and in ``TaskData``.

    Raises:
      ValueError: a number out of its range; from ``begin_task``, data without labels, or
        indices of tasks, of that name, or with labels that are no classes of examples; from
        ``end_task`` and ``predict``, no features; from ``end_task``, a lambda so small that
        rounding of G leaves no solution.

    References:
      McDonnell, Gong, Parvaneh, Abbasnejad & van den Hengel, RanPAC: random projections and
      pre-trained models for continual learning, 2023 (arXiv 2307.02251), section 4 and
      algorithm 1, without its first phase, which adapts the backbone.
    """
    if not units > 0:
        raise ValueError(f"units: {units} is not positive; give 2000, say")
    if not 0 < ridge < float("inf"):
        raise ValueError(f"ridge: {ridge} is not positive and finite; give 1e4, say")
    where = Where(by_task, label, task)
    return LossTransform(
        partial(_init, ridge), unchanged, partial(_begin, where),
        end_task=partial(_end, where, units, name), predict=partial(_predict, where),
    )  # fmt: skip


def _init(ridge: float, params: Params) -> RanPACState:
    del params
    return RanPACState(jnp.asarray(ridge, jnp.float32))


def _begin(
    where: Where, state: RanPACState, params: Params, task: TaskData, key: PRNGKey
) -> RanPACState:
    del params, key
    check_task(where, task, "ridge regression on classes")
    return state


def _end(
    where: Where,
    units: int,
    name: str,
    state: RanPACState,
    params: Params,
    task: TaskData,
    key: PRNGKey,
) -> tuple[RanPACState, Params]:
    projection = state.projection

    def products(rows: Array, place: Place, size: Size) -> Products:
        nonlocal projection
        if projection is None:
            shape = rows.shape[-1], units
            projection = jax.random.normal(stream(key, name), shape, jnp.float32)
        firsts = range(0, len(rows), ROWS)
        parts = [
            _products(projection, rows[i : i + ROWS], _part(place, i, rows), size) for i in firsts
        ]
        return reduce(_plus, parts)

    found = gathered(where, params, task, products, _plus)
    if state.products is not None:
        found = _plus(state.products, found)
    return RanPACState(state.ridge, projection, *found, _solved(float(state.ridge), found)), params


def _part(place: Place, first: int, rows: Array) -> Place:
    tasks, classes = (x[first : min(first + ROWS, len(rows))] for x in place)
    return tasks, classes


def _hidden(projection: Array, rows: Array) -> Array:
    return jax.nn.relu(jnp.matmul(rows, projection, precision="highest"))


@partial(jax.jit, static_argnames="size")
def _products(projection: Array, rows: Array, place: Place, size: Size) -> Products:
    hidden = _hidden(projection, rows)
    sums = jnp.zeros((*size, hidden.shape[-1]), jnp.float32).at[place].add(hidden)
    gram = jnp.matmul(hidden.T, hidden, precision="highest")
    return Products(gram, sums, jnp.zeros(size, jnp.int32).at[place].add(1))


def _plus(old: Products, new: Products) -> Products:
    """The sums of two, as large as both of them."""
    sums, counts = (sum(as_large(a, b)) for a, b in zip(old[1:], new[1:], strict=True))
    return Products(old.gram + new.gram, jnp.asarray(sums), jnp.asarray(counts))


def _solved(ridge: float, products: Products) -> Array:
    """The weights, in float64 on the host."""
    gram, sums = (np.asarray(x, np.float64) for x in products[:2])
    try:
        factor = scipy.linalg.cho_factor(gram + ridge * np.eye(len(gram)), lower=True)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"ridge: {ridge:g} is too small for these features; give more") from error
    weights = scipy.linalg.cho_solve(factor, sums.reshape(-1, len(gram)).T).T
    return jnp.asarray(weights.reshape(sums.shape), jnp.float32)


def _predict(where: Where, state: RanPACState, context: Context) -> Array:
    logits = logits_of(context)
    if state.projection is None or state.weights is None or state.counts is None:
        return logits
    own = tasks_of(where, context.batch, len(logits))
    hidden = _hidden(state.projection, features_of(context, len(logits)))
    return judged(linear_scores(hidden, state.weights, own), state.counts > 0, own, logits)
