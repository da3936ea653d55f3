"""RanPAC: ridge regression on random features of features, exact over all tasks."""

from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from jaxcl.core.batching import ordinals
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Float, Int, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, TaskData
from jaxcl.transforms.between_tasks.class_statistics import (
    Place,
    Size,
    Where,
    check_task,
    features_of,
    gathered,
    judged,
    linear_scores,
    logits_of,
    tasks_of,
    unchanged,
)
from jaxcl.transforms.between_tasks.ridge import Products, chosen, plus, solved

FIFTH = 5  # one example of so many of a class is held out, where lambda is chosen
ROWS = 4096  # examples whose random features are in memory at once


class Kept(NamedTuple):
    """What is kept of :class:`Products`; all None before the first task has ended.

    A record that takes the place of None would come back from a file as something else.
    """

    gram: Float[Array, "units units"] | None = None
    sums: Float[Array, "tasks classes units"] | None = None
    counts: Int[Array, "tasks classes"] | None = None

    @property
    def products(self) -> Products | None:
        """Returns what is known of the random features, if any task has ended."""
        if self.gram is None or self.sums is None or self.counts is None:
            return None
        return Products(self.gram, self.sums, self.counts)


class RanPACState(NamedTuple):
    """State of :func:`ranpac`; before the first task has ended all but lambda is None.

    Attributes:
      ridge: lambda, float32 scalar; NaN until it is chosen.
      projection: P, which stays as it was drawn.
      gram: as in :class:`Products`, of all tasks that have ended.
      sums: likewise.
      counts: likewise.
      weights: W.
      held: of those examples among them that are held out, where lambda is chosen.
    """

    ridge: Scalar
    projection: Float[Array, "width units"] | None = None
    gram: Float[Array, "units units"] | None = None
    sums: Float[Array, "tasks classes units"] | None = None
    counts: Int[Array, "tasks classes"] | None = None
    weights: Float[Array, "tasks classes units"] | None = None
    held: Kept = Kept()

    @property
    def products(self) -> Products | None:
        """Returns what is known of the random features, if any task has ended."""
        return Kept(self.gram, self.sums, self.counts).products


def ranpac(
    units: int = 2000,
    ridge: float | None = None,
    *,
    by_task: bool = False,
    label: str = "label",
    task: str = "task",
    classes: int | None = None,
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

    As each task ends lambda is chosen anew, from powers of ten between 1e-8 and 1e8: the one whose
    weights, from four fifths of the examples, have the least squared error on the fifth that is
    held out.  Every fifth example of each class is, the second one first; W is then that of all
    examples.  The paper holds out a fifth of the latest task and chooses by this alone, so its
    lambda hangs on which task is last.  Here sums are kept over what was held out of every
    task, so that it is the same in whatever order tasks come; they double the state.

    Args:
      units: M, random features; the paper has 10,000.  The state has ``M^2`` numbers.
      ridge: lambda, above 0; None: chosen.  It is compared with G, which grows with examples and
        with the squared length of features.
      by_task: each task has classes of its own, counted from 0, and an example is compared with
        those of its task, ``batch[task]``; G is that of all.  Of a task that has not ended, the
        logits predict.
      label: name of the labels in the data, classes int ``[N]``.
      task: name of the indices of tasks in the data, int ``[N]``.
      classes: of all tasks together, so that what is compiled for the first task serves the
        others; None: what is kept grows with the classes that come.
      name: of the stream of random numbers.

    Returns:
      A transform that reports nothing and has ``predict``: scores float32 ``[b, classes]``, as
      many as there are logits, or known classes where these are more.  It needs ``features`` in
      its context and in ``TaskData``.

    Raises:
      ValueError: a number out of its range; from ``begin_task``, data without labels, or
        indices of tasks, of that name, or with labels that are no classes of examples; from
        ``end_task`` and ``predict``, no features; from ``end_task``, a lambda so small that
        rounding of G leaves no solution, or one to be chosen where each class has one example.

    References:
      McDonnell, Gong, Parvaneh, Abbasnejad & van den Hengel, RanPAC: random projections and
      pre-trained models for continual learning, 2023 (arXiv 2307.02251), section 4 and
      algorithm 1, without its first phase, which adapts the backbone.

    >>> data = {"x": jnp.array([[1.0, 0.0], [0.0, 1.0]]), "label": jnp.arange(2)}
    >>> task = TaskData(data, lambda w, b: jnp.zeros((2, 2)), features=lambda w, b: b["x"])
    >>> transform = ranpac(64, ridge=1e-2)
    >>> state, _ = transform.end_task(transform.init({}), {}, task, jax.random.key(0))
    >>> context = Context({}, jnp.zeros((2, 2)), {}, features=data["x"])
    >>> print(transform.predict(state, context).argmax(-1))
    [0 1]
    """
    if not units > 0:
        raise ValueError(f"units: {units} is not positive; give 2000, say")
    if ridge is not None and not 0 < ridge < float("inf"):
        raise ValueError(f"ridge: {ridge} is not positive and finite; give 1e4, say")
    where = Where(by_task, label, task, classes)
    return LossTransform(
        partial(_init, ridge), unchanged, partial(_begin, where),
        end_task=partial(_end, where, units, ridge is None, name), predict=partial(_predict, where),
    )  # fmt: skip


def _init(ridge: float | None, params: Params) -> RanPACState:
    del params
    return RanPACState(jnp.asarray(jnp.nan if ridge is None else ridge, jnp.float32))


def _begin(
    where: Where, state: RanPACState, params: Params, task: TaskData, key: PRNGKey
) -> RanPACState:
    del params, key
    check_task(where, task, "ridge regression on classes")
    return state


def _end(
    where: Where,
    units: int,
    choose: bool,
    name: str,
    state: RanPACState,
    params: Params,
    task: TaskData,
    key: PRNGKey,
) -> tuple[RanPACState, Params]:
    projection, seen = state.projection, np.zeros(1, np.int64)

    def products(rows: Array, place: Place, size: Size) -> tuple[Products, Products | None]:
        nonlocal projection, seen
        if projection is None:
            shape = rows.shape[-1], units
            projection = jax.random.normal(stream(key, name), shape, jnp.float32)
        whole = _in_parts(projection, rows, place, size)
        if not choose:
            return whole, None
        held, seen = _held_out(place, size, seen)
        own = place[0][held], place[1][held]
        return whole, _in_parts(projection, rows[held], own, size)

    def both(old: tuple, new: tuple) -> tuple[Products, Products | None]:
        return plus(old[0], new[0]), plus(old[1], new[1]) if choose else None

    found, held = gathered(where, params, task, products, both)
    if state.products is not None:
        found, held = both((state.products, state.held.products), (found, held))
    ridge = float(state.ridge) if held is None else chosen(found, held)
    scalar = jnp.asarray(ridge, jnp.float32)
    kept = Kept() if held is None else Kept(*held)
    return RanPACState(scalar, projection, *found, solved(ridge, found), kept), params


def _held_out(place: Place, size: Size, seen: ndarray) -> tuple[ndarray, ndarray]:
    """Rows of a portion that are held out; examples of each class up to and with this portion."""
    kinds = np.asarray(place[0]) * size[1] + np.asarray(place[1])
    seen = np.broadcast_to(seen, size[0] * size[1])
    held = np.flatnonzero(ordinals(kinds, seen) % FIFTH == 1)
    return held, seen + np.bincount(kinds, minlength=len(seen))


def _in_parts(projection: Array, rows: Array, place: Place, size: Size) -> Products:
    """The products of any number of examples, some at a time."""
    firsts = range(0, max(len(rows), 1), ROWS)
    parts = [_products(projection, rows[i : i + ROWS], _part(place, i, rows), size) for i in firsts]
    return reduce(plus, parts)


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


def _predict(where: Where, state: RanPACState, context: Context) -> Array:
    logits = logits_of(context)
    if state.projection is None or state.weights is None or state.counts is None:
        return logits
    own = tasks_of(where, context.batch, len(logits))
    hidden = _hidden(state.projection, features_of(context, len(logits)))
    return judged(linear_scores(hidden, state.weights, own), state.counts > 0, own, logits)
