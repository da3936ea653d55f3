"""Herding: the few examples whose mean feature stays nearest to that of all of them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples, in_portions, map_batches, take
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Data, Params, PRNGKey, PyTree
from jaxcl.transforms.objectives.base import float32
from jaxcl.transforms.rehearsal.buffers import Buffer
from jaxcl.transforms.rehearsal.memory import drawn, held

FEATURE_BATCH = 500
TINY = 1e-12  # the least length that a feature is divided by


def herding(features: np.ndarray, m: int) -> np.ndarray:
    """Returns the rows of exemplars, the most important one first.

    The k-th is the one, of those that are left, that brings the mean of k nearest to the mean of
    all, so any first few of them are exemplars as well:

        p_k = argmin over x of |mu - (f(x) + f(p_1) + ... + f(p_{k-1})) / k|

    Args:
      features: f of a class's examples, floating point ``[N, width]``; as iCaRL has them, of
        length 1.
      m: how many; all where there are fewer.

    Returns:
      ``min(m, N)`` rows, whole numbers, each once; of equally near ones the first in the order
      of the examples.

    References:
      Rebuffi, Kolesnikov, Sperl & Lampert, iCaRL, 2017 (arXiv 1611.07725), algorithm 4, with
      means that are not normalised again; Welling, Herding dynamical weights to learn, 2009.

    >>> herding(np.array([[0.0], [1.0], [2.0], [9.0]]), 2)  # their mean is 3
    array([2, 1])
    """
    rows = np.asarray(features, np.float64)
    mean, squares = rows.mean(0), (rows**2).sum(1)
    total, left, chosen = np.zeros_like(mean), np.ones(len(rows), bool), []
    for k in range(1, min(m, len(rows)) + 1):
        # k^2 times the squared distance, without what is the same for all.
        far = squares + 2 * rows @ (total - k * mean)
        best = int(np.argmin(np.where(left, far, np.inf)))
        chosen.append(best)
        left[best] = False
        total += rows[best]
    return np.asarray(chosen, int)


def selected(
    groups: np.ndarray, labels: np.ndarray, features: np.ndarray, old: int, capacity: int
) -> np.ndarray:
    """Returns the rows that are kept, class by class, the most important first.

    Args:
      groups: task of each candidate that its class belongs to, int ``[N]``.
      labels: its class there, int ``[N]``.
      features: its features, ``[N, width]``.
      old: so many candidates, the first ones, are exemplars already, in their order.
      capacity: of all classes together, of which each has ``capacity // classes``.

    Raises:
      ValueError: fewer than one exemplar for each class.
    """
    kinds, own = np.unique(np.stack([groups, labels]), axis=1, return_inverse=True)
    own, classes = np.ravel(own), kinds.shape[1]
    if capacity < classes:
        raise ValueError(f"capacity: {capacity} exemplars for {classes} classes; give more")
    kept = []
    for kind in range(classes):
        rows, m = np.flatnonzero(own == kind), capacity // classes
        again = rows[-1] >= old  # the class has new examples
        kept.append(rows[herding(features[rows], m)] if again else rows[:m])
    return np.concatenate(kept)


def taken(held: Batch, data: Data, rows: np.ndarray, old: int) -> Batch:
    """Returns some of the candidates, in an order.

    Args:
      held: the first ``old`` candidates, those that are exemplars already.
      data: the others, a task's data.
      rows: of the candidates.
      old: how many are exemplars already.
    """
    first, later = rows[rows < old], rows[rows >= old] - old
    new = jax.tree.map(jnp.asarray, take(dict(data), later))
    if not len(first):
        return new
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), take(held, first), new)
    order = np.argsort(np.argsort(rows >= old, kind="stable"), kind="stable")
    return take(both, jnp.asarray(order))


def with_room(exemplars: Batch, m: int) -> Buffer:
    """Returns exemplars in a buffer with room for m, so that a step serves for any number of them.

    >>> buffer = with_room({"x": jnp.ones(2)}, 3)
    >>> buffer.data["x"].shape, int(buffer.filled)
    ((3,), 2)
    """
    n = examples(exemplars)

    def wide(x: Array) -> Array:
        return jnp.pad(x, [(0, m - n), *[(0, 0)] * (x.ndim - 1)])

    data = jax.tree.map(wide, dict(exemplars))
    return Buffer(data, jnp.asarray(n, jnp.int32), jnp.zeros(1, jnp.int32))


def in_use(exemplars: Buffer, without: str) -> Batch:
    """Returns exemplars as arrays without room for more, but for one that was recorded."""
    n, data = int(exemplars.filled), exemplars.data
    return {name: jax.tree.map(lambda x: x[:n], x) for name, x in data.items() if name != without}


def drawn_beside(
    name: str, n: int | None, state: PyTree, batch: Batch, key: PRNGKey
) -> Batch | None:
    """Returns the exemplars that pass the network together with a batch; None if there are none.

    Args:
      name: of the stream of random numbers.
      n: how many, as many as the batch has by default.
      state: of the transform, with ``exemplars``, arrays under names or a buffer; none in the first
        task.
      batch: of the step.
      key: of the step.
    """
    kept = state.exemplars
    return drawn(kept, stream(key, name), n or examples(batch)) if held(kept) else None


def as_wide(classes: Array, width: int) -> Array:
    """Returns what is said of classes, bool, of so many: of those beyond it is not so.

    >>> print(as_wide(jnp.array([True, False, True]), 4), as_wide(jnp.array([True, False]), 1))
    [ True False  True False] [ True]
    """
    return jnp.pad(classes[:width], (0, max(0, width - len(classes))))


def class_means(
    features: Array, groups: np.ndarray, labels: np.ndarray, least: int = 0
) -> tuple[Array, Array]:
    """Returns the means of classes, divided by their length, and whether a class has one.

    Args:
      features: of exemplars, ``[P, width]``.
      groups: task that the class of each belongs to, int ``[P]``.
      labels: its class there, int ``[P]``.
      least: classes that there is room for at least.
    """
    classes = max(int(labels.max()) + 1, least)
    place, shape = (groups, labels), (int(groups.max()) + 1, classes)
    sums = jnp.zeros((*shape, features.shape[-1]), jnp.float32).at[place].add(features)
    # The sum has the direction of the mean.
    return unit(sums), jnp.zeros(shape, bool).at[place].set(True)


def unit(x: Array) -> Array:
    """Returns vectors of length 1, along the last axis; zeros stay zeros."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), TINY)


def unit_rows(features: PyTree, n: int) -> Array:
    """Returns features of n examples as vectors of length 1, float32 ``[n, width]``."""
    rows = [float32(x).reshape(n, -1) for x in jax.tree.leaves(features)]
    return unit(jnp.concatenate(rows, -1))


def unit_features(of: Callable[[Params, Batch], PyTree], params: Params, data: Data) -> Array:
    """Returns the features of all examples of a task, as :func:`unit_rows` does, part by part."""

    @jax.jit
    def found(params: Params, batch: Batch) -> Array:
        return map_batches(
            lambda part: unit_rows(of(params, part), examples(part)), batch, FEATURE_BATCH
        )

    return in_portions(lambda batch: found(params, batch), data)
