"""Walking through more examples than fit in one forward pass."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from jaxcl.core.sharding import along_all, replicated
from jaxcl.core.types import Array, Batch, Data, PyTree


def examples(data: PyTree) -> int:
    """Returns the number of examples: the length of the common leading axis."""
    lengths = {len(leaf) for leaf in jax.tree.leaves(data)}
    if not lengths:
        raise ValueError("data: there is no array in it; give one with a row for each example")
    if len(lengths) != 1:
        raise ValueError(f"data: leading axes differ ({sorted(lengths)}); make them equal")
    return lengths.pop()


def take(data: PyTree, rows: Any) -> PyTree:
    """Returns some rows, or one, of every array of a tree."""
    return jax.tree.map(lambda leaf: leaf[rows], data)


PORTION_BYTES = 2**28


def on_host(data: PyTree) -> bool:
    """Returns whether a part of the data stays on the host, since it does not fit the device."""
    return any(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(data))


def resident(data: Data) -> Batch:
    """Returns the data, all of it on the device."""
    return jax.tree.map(jnp.asarray, data)


def portions(data: Data, rows: np.ndarray) -> Iterator[Batch]:
    """Returns the rows of data on the host, so many at a time as the device can hold at once."""
    each = sum(math.prod(x.shape[1:]) * x.dtype.itemsize for x in jax.tree.leaves(data))
    for part in np.array_split(rows, -(-len(rows) * each // PORTION_BYTES)):
        yield jax.tree.map(jnp.asarray, take(data, part))


def in_portions(f: Callable[[Batch], PyTree], data: Data) -> PyTree:
    """Returns ``f(data)`` for an ``f`` that treats examples alone, wherever the data lies."""
    if not on_host(data):
        return f(resident(data))
    found = [f(part) for part in portions(data, np.arange(examples(data)))]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *found)


def map_batches(f: Callable[[Batch], PyTree], data: Batch, size: int) -> PyTree:
    """Returns ``f(data)`` in batches of ``size``, for an ``f`` that treats examples alone.

    The last batch is filled up by repeating the last example and its results
    are cut off again, so every batch has the same shape and ``f`` is compiled
    once.

    Args:
      f: maps a batch to a tree of arrays with the same leading axis.
      data: the arrays, leading axis N.
      size: examples in a batch, at least 1.

    Returns:
      The tree that ``f`` returns, with leading axis N.
    """
    n = examples(data)
    if n == 0:
        raise ValueError("data: no examples; pass at least one")
    size = min(size, n)
    batches = -(-n // size)
    index = jnp.minimum(jnp.arange(batches * size), n - 1).reshape(batches, size)

    def one(rows):
        return f(take(data, along_all(rows)))

    stacked = jax.lax.map(one, index)
    return replicated(jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:])[:n], stacked))


@partial(jax.jit, static_argnames="n")
def filled(data: PyTree, n: int) -> Any:
    """Returns ``n`` examples: those that there are, then the last one again and again.

    Arrays of one length are served by one compiled program, so data that is filled up to a common
    length spares the compiling for each length.
    """

    def longer(x):
        rest = jnp.broadcast_to(x[-1:], (n - len(x), *x.shape[1:]))
        return jnp.concatenate([x, rest])

    return jax.tree.map(longer, data)


@jax.jit
def written(data: PyTree, others: PyTree, first: Array) -> Any:
    """Returns examples with others in their rows from ``first`` on."""
    put = jax.lax.dynamic_update_slice_in_dim
    return jax.tree.map(lambda x, y: put(x, y, first, 0), data, others)


def ordinals(kinds: ndarray, before: ndarray) -> ndarray:
    """Returns for each example how many of its kind came before it.

    Args:
      kinds: integers from 0 on, ``[n]``.
      before: how many of each kind came before the first of these.

    >>> ordinals(np.array([2, 0, 2, 2, 0]), np.array([10, 0, 0])).tolist()
    [0, 10, 1, 2, 11]
    """
    order = np.argsort(kinds, kind="stable")
    counts = np.bincount(kinds, minlength=len(before))
    found = np.empty(len(kinds), np.int64)
    found[order] = np.arange(len(kinds)) - np.repeat(np.cumsum(counts) - counts, counts)
    return found + before[kinds]
