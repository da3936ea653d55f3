"""Means over examples of a function of *each example's* gradient.

The square of a batch's mean gradient, which many programs take for a Fisher, shrinks as the
batch grows.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples as count_examples
from jaxcl.core.batching import on_host, portions, resident, take
from jaxcl.core.pytree import zeros_like
from jaxcl.core.sharding import along_all, devices
from jaxcl.core.types import Array, Batch, Int, Params, PRNGKey, PyTree
from jaxcl.transforms.base import TaskData
from jaxcl.transforms.checks import check_logits
from jaxcl.transforms.objectives.base import Directions, wide

Entrywise = Callable[[Array], Array]
"""A multiplicative function of each entry."""

OfChunk = Callable[[Params, Batch, Array, Array], PyTree]
"""(params, batch, keys, weight [b]) -> a sum over the batch, like the params."""

KEPT = 32  # networks whose functions are kept, and what is compiled of them
GATHERED_CHUNK = 100  # examples in a backward pass where the layers are known
TOGETHER = 16  # directions, at most, that one backward pass pulls back
ENTRIES = 2**26  # of the gradients, at most, that are held for that


def wide_zeros(params: Params) -> PyTree:
    """Returns a tree of zeros like the parameters, in float32 at least."""
    return jax.tree.map(wide, zeros_like(params))


def mean_importance(
    params: Params,
    task: TaskData,
    key: PRNGKey,
    directions: Directions,
    f: Entrywise,
    examples: int | None = None,
    chunk: int | None = None,
) -> PyTree:
    """Returns ``1/N sum_n sum_m f(J_n^T d_nm)`` with ``J_n`` the Jacobian of example n's logits.

    Examples are seen alone, so the task's ``forward`` is the network in evaluation mode: a batch
    of one has no statistics.  Where the task knows its layers, a backward pass serves a chunk.
    Elsewhere there is one for each example and several directions: one example at a time on a
    CPU, where a vectorised gradient is slower, and a chunk at once on an accelerator.

    Args:
      params: where the Jacobian is taken.
      task: data and network.
      key: for ``directions`` and the choice of examples.
      directions: in which the logits are pulled back.
      f: the square or the absolute value.
      examples: how many, drawn without replacement; all by default.
      chunk: examples in a backward pass; by default what suits the platform.

    Raises:
      ValueError: fewer than one example is asked for or there.
    """
    n = count_examples(task.data)
    if n == 0:
        raise ValueError("examples: the task's data has none; give at least one")
    if examples is not None and examples < 1:
        raise ValueError(f"examples: {examples} is not positive; give at least 1, or None for all")
    rows = jnp.arange(n)
    if examples is not None and examples < n:
        rows = jax.random.permutation(jax.random.fold_in(key, 0), n)[:examples]
    if chunk is None:
        slow = 1 if jax.default_backend() == "cpu" else 32
        chunk = devices() * (GATHERED_CHUNK if task.gathered else slow)

    # One draw for each example, whatever the chunks are.
    keys = jax.random.split(jax.random.fold_in(key, 1), len(rows))
    # A network whose layers are known has nothing but its parameters, so what was compiled
    # serves again.  Any other function may have come to close over something else.
    compiled = compiled_mean if task.gathered else compiled_mean.__wrapped__
    mean = compiled(task.forward, task.logits, task.gathered, directions, f, chunk)
    if not on_host(task.data):
        return mean(params, resident(task.data), rows, keys)
    total, done = wide_zeros(params), 0
    for part in portions(task.data, np.asarray(rows)):
        m = count_examples(part)
        found = mean(params, part, jnp.arange(m), keys[done : done + m])
        total = jax.tree.map(lambda t, x, m=m: t + m / len(rows) * x, total, found)
        done += m
    return total


@lru_cache(KEPT)
def compiled_mean(forward, logits, gathered, directions: Directions, f: Entrywise, chunk: int):
    """Returns ``(params, data, rows, keys) -> mean``, for a network."""
    of_chunk = _of_chunk(TaskData({}, forward, logits, gathered), directions, f)
    return jax.jit(partial(_mean, of_chunk, chunk))


def _of_chunk(task: TaskData, directions: Directions, f: Entrywise) -> OfChunk:
    """``(params, batch, keys, weight [b]) -> sum over the chunk``."""

    def drawn(logits: Array, batch: Batch, keys: Array) -> Array:
        one = jax.vmap(lambda z, b, k: directions(z[None], _alone(b), k)[:, 0])
        return jnp.moveaxis(one(logits, batch, keys), 1, 0)

    def known_layers(params: Params, batch: Batch, keys: Array, weight: Array) -> PyTree:
        assert task.gathered is not None
        forward = task.gathered(f)
        logits, pull = jax.vjp(lambda p: wide(task.logits(forward(p, batch), batch)), params)
        pulled = drawn(logits, batch, keys) * weight.reshape(-1, *(1,) * (logits.ndim - 1))
        sums, _ = jax.lax.scan(
            lambda total, d: (jax.tree.map(jnp.add, total, jax.tree.map(wide, pull(d)[0])), None),
            wide_zeros(params),
            pulled.astype(logits.dtype),
        )
        return sums

    def any_network(params: Params, batch: Batch, keys: Array, weight: Array) -> PyTree:
        def one(batch: Batch, key: PRNGKey, weight: Array) -> PyTree:
            alone = _alone(batch)

            def judged(params: Params) -> Array:
                logits = task.logits(task.forward(params, alone), alone)
                check_logits(logits)
                return wide(logits)

            logits, pull = jax.vjp(judged, params)

            def body(total: PyTree, part: Array) -> tuple[PyTree, None]:
                (pulled,) = jax.vmap(pull)(part.astype(logits.dtype))
                return jax.tree.map(lambda t, g: t + f(wide(g)).sum(0), total, pulled), None

            parts = _in_parts(weight * directions(logits, alone, key), params, len(keys))
            return jax.lax.scan(body, wide_zeros(params), parts)[0]

        if len(keys) == 1:
            return one(take(batch, 0), keys[0], weight[0])
        each = jax.vmap(one)(batch, keys, weight)
        return jax.tree.map(lambda x: x.sum(0), each)

    return known_layers if task.gathered else any_network


def _in_parts(pulled: Array, params: Params, examples: int) -> Array:
    """The directions ``[m, ...]`` as ``[parts, m / parts, ...]``, with zeros, of which f is 0."""
    held = examples * sum(leaf.size for leaf in jax.tree.leaves(params))
    most = max(1, min(TOGETHER, ENTRIES // max(held, 1)))
    parts = -(-len(pulled) // most)
    size = -(-len(pulled) // parts)
    rest = [(0, parts * size - len(pulled)), *[(0, 0)] * (pulled.ndim - 1)]
    return jnp.pad(pulled, rest).reshape(parts, size, *pulled.shape[1:])


def _alone(example: Batch) -> Batch:
    """An example as a batch of one."""
    return jax.tree.map(lambda leaf: leaf[None], example)


def _mean(
    of_chunk: OfChunk, chunk: int, params: Params, data: Batch, rows: Int[Array, "n"], keys: Array
) -> PyTree:
    """The mean over the rows, a chunk at a time; the last chunk is filled up."""
    n = len(rows)
    chunk = min(chunk, n)
    chunks = -(-n // chunk)
    place = jnp.minimum(jnp.arange(chunks * chunk), n - 1).reshape(chunks, chunk)
    weight = (jnp.arange(chunks * chunk) < n).astype(jnp.float32).reshape(chunks, chunk)

    def body(total: PyTree, part):
        place, weight = (along_all(x) for x in part)
        batch = take(data, rows[place])
        found = of_chunk(params, batch, keys[place], weight)
        return jax.tree.map(jnp.add, total, found), None

    total, _ = jax.lax.scan(body, wide_zeros(params), (place, weight))
    return jax.tree.map(lambda x: x / n, total)
