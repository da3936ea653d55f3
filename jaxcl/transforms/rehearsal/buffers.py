"""Small memories of examples, as pytrees with ``init``, ``add`` and ``sample``.

All three can be jitted; a buffer has the same shapes from the beginning to the end.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.batching import examples, take
from jaxcl.core.types import Array, Batch, Int, PRNGKey


class Buffer(NamedTuple):
    """A memory with room for M examples.

    Attributes:
      data: arrays with leading axis M, or trees of them, under names; rows that are not
        filled mean nothing.
      filled: rows in use, from the first on, int32 scalar.
      seen: examples of each kind that were offered so far, int32 ``[kinds]``.
      earlier: how many of them were offered before the present task, int32 scalar; None where
        steps offer none, and between two tasks.
    """

    data: Batch
    filled: Int[Array, ""]
    seen: Int[Array, "kinds"]
    earlier: Int[Array, ""] | None = None


class Storage(NamedTuple):
    """A rule for what a buffer keeps.

    Attributes:
      nothing: ``() -> Buffer``: without rows, before it is known what examples look
        like; new arrays each time, since a train step may be given them for good.
      init: ``(batch) -> Buffer``: empty, for examples like those of a batch.
      add: ``(buffer, batch, key) -> Buffer``: offers the examples one by one.
      add_each: ``(buffer, batch, keys [b]) -> Buffer``: the same with a key for each example,
        so that examples may be offered in parts of any size.
      label: name of the labels by whose class the rule keeps; None where it looks at none.
      classes: labels are below it; None where it looks at none.
    """

    nothing: Callable[[], Buffer]
    init: Callable[[Batch], Buffer]
    add: Callable[[Buffer, Batch, PRNGKey], Buffer]
    add_each: Callable[[Buffer, Batch, Array], Buffer]
    label: str | None = None
    classes: int | None = None


def sample(buffer: Buffer, key: PRNGKey, n: int) -> Batch:
    """Returns ``n`` examples drawn evenly, with replacement, from the rows in use."""
    rows = jax.random.randint(key, (n,), 0, jnp.maximum(buffer.filled, 1))
    return take(buffer.data, rows)


Place = Callable[[Buffer, Batch, PRNGKey], Array]
"""(full buffer, example, key) -> the row it takes; a row of M drops the example."""


def _all_alike(example: Batch) -> Array:
    del example
    return jnp.zeros((), jnp.int32)


def without_rows(kinds: int = 1) -> Buffer:
    """Returns a new buffer before it is known what examples look like."""
    return Buffer({}, jnp.zeros((), jnp.int32), jnp.zeros(kinds, jnp.int32))


def _storage(
    capacity: int, place: Place, kinds: int = 1, kind: Callable[[Batch], Array] = _all_alike
) -> Storage:
    if capacity < 1:
        raise ValueError(f"capacity: {capacity} is not positive; give room for an example")

    nothing = partial(without_rows, kinds)

    def init(batch: Batch) -> Buffer:
        def empty(leaf: Array) -> Array:
            return jnp.zeros((capacity, *leaf.shape[1:]), leaf.dtype)

        return nothing()._replace(data=jax.tree.map(empty, dict(batch)))

    def add_each(buffer: Buffer, batch: Batch, keys: Array) -> Buffer:
        def one(buffer: Buffer, offered: tuple[Batch, PRNGKey]):
            example, key = offered
            buffer = buffer._replace(seen=buffer.seen.at[kind(example)].add(1))
            row = jnp.where(buffer.filled < capacity, buffer.filled, place(buffer, example, key))
            data = jax.tree.map(
                lambda leaf, x: leaf.at[row].set(x, mode="drop"), buffer.data, example
            )
            filled = jnp.minimum(buffer.filled + 1, capacity)
            return buffer._replace(data=data, filled=filled), None

        offered = {name: batch[name] for name in buffer.data}
        return jax.lax.scan(one, buffer, (offered, keys))[0]

    def add(buffer: Buffer, batch: Batch, key: PRNGKey) -> Buffer:
        n = examples({name: batch[name] for name in buffer.data})
        return add_each(buffer, batch, jax.random.split(key, n))

    return Storage(nothing, init, add, add_each)


def reservoir(capacity: int) -> Storage:
    """Keeps an even sample of all examples offered: each with probability M / n.

    Args:
      capacity: M, at least 1.

    Raises:
      ValueError: no room.

    References:
      Vitter, Random sampling with a reservoir, 1985 (Algorithm R).

    >>> import jax, jax.numpy as jnp
    >>> storage, batch = reservoir(2), {"x": jnp.arange(5.0)}
    >>> buffer = storage.add(storage.init(batch), batch, jax.random.key(0))
    >>> int(buffer.filled), int(buffer.seen[0])
    (2, 5)
    """

    def place(buffer: Buffer, example: Batch, key: PRNGKey) -> Array:
        del example
        row = jax.random.randint(key, (), 0, buffer.seen[0])
        return jnp.minimum(row, capacity)

    return _storage(capacity, place)


def ring(capacity: int) -> Storage:
    """Keeps the latest M examples: each new one takes the place of the oldest.

    Args:
      capacity: M, at least 1.

    Raises:
      ValueError: no room.

    >>> import jax, jax.numpy as jnp
    >>> storage, batch = ring(2), {"x": jnp.arange(5.0)}
    >>> print(storage.add(storage.init(batch), batch, jax.random.key(0)).data["x"])
    [4. 3.]
    """

    def place(buffer: Buffer, example: Batch, key: PRNGKey) -> Array:
        del example, key
        return (buffer.seen[0] - 1) % capacity

    return _storage(capacity, place)


def class_balanced(capacity: int, classes: int, label: str = "label") -> Storage:
    """Keeps as even a sample over classes as can be, and a reservoir within a class.

    A full buffer gives up a random example of a class that has the most for one of a
    class that has at least two fewer, or none.  With fewer slots than classes, a class has
    one slot or none: all classes that were offered, early or late, have the same chance of
    a slot, and a class that lost its slot does not come back.

    Args:
      capacity: M, at least 1.
      classes: labels are 0 to ``classes - 1``; transforms refuse a task with others.
      label: name of the labels in the data, classes ``[N]``.

    Raises:
      ValueError: no room.

    References:
      Chrysakis & Moens, Online continual learning from imbalanced data, 2020.

    >>> storage, batch = class_balanced(2, 2), {"label": jnp.array([0, 0, 0, 1])}
    >>> buffer = storage.add(storage.init(batch), batch, jax.random.key(0))
    >>> print(jnp.sort(buffer.data["label"]))  # one of each
    [0 1]
    """

    def place(buffer: Buffer, example: Batch, key: PRNGKey) -> Array:
        labels, own = buffer.data[label], example[label]  # the buffer is full
        stored = jnp.zeros(classes, jnp.int32).at[labels].add(1)
        most = stored == stored.max()
        # One more would not make it more even: the class is a reservoir of its own.
        full = (stored[own] > 0) & (stored[own] + 1 >= stored.max())
        victims = jnp.where(full, labels == own, most[labels])
        which, chance = jax.random.split(key)
        row = jax.random.categorical(which, jnp.where(victims, 0.0, -jnp.inf)).astype(jnp.int32)
        # A class without a slot where each has one at most: the slots are a reservoir of
        # classes, in which a class is drawn for once, with its first example.
        crowded = (stored[own] == 0) & (stored.max() == 1)
        offered = jnp.where(crowded, (buffer.seen > 0).sum(), buffer.seen[own])
        slots = jnp.where(crowded, capacity, stored[own])
        keep = jax.random.randint(chance, (), 0, offered) < slots
        keep &= ~crowded | (buffer.seen[own] == 1)
        return jnp.where((full | crowded) & ~keep, capacity, row)

    made = _storage(capacity, place, classes, lambda example: example[label])
    return made._replace(label=label, classes=classes)


def greedy(capacity: int, classes: int, label: str = "label") -> Storage:
    """Keeps equally many examples of every class, as far as there are any: GDumb's sampler.

    While there is room every example is kept.  A full buffer takes one of a class of which it has
    fewer than M / (classes offered so far, this one included) for a random example of the class
    that it has most of; of several such classes any row may go.

    Args:
      capacity: M, at least 1.
      classes: labels are 0 to ``classes - 1``; transforms refuse a task with others.
      label: name of the labels in the data, classes ``[N]``.

    Raises:
      ValueError: no room.

    References:
      Prabhu, Torr & Dokania, GDumb, 2020, algorithm 1; there a class has no more than its share
      even while there is room, so that how full the buffer is hangs on the order.

    >>> storage, batch = greedy(2, 2), {"label": jnp.array([0, 0, 0, 1])}
    >>> buffer = storage.add(storage.init(batch), batch, jax.random.key(0))
    >>> print(jnp.sort(buffer.data["label"]))  # one of each
    [0 1]
    """

    def place(buffer: Buffer, example: Batch, key: PRNGKey) -> Array:
        labels, own = buffer.data[label], example[label]  # the buffer is full
        stored = jnp.zeros(classes, jnp.int32).at[labels].add(1)
        fewer = stored[own] * (buffer.seen > 0).sum() < capacity
        most = (stored == stored.max())[labels]
        row = jax.random.categorical(key, jnp.where(most, 0.0, -jnp.inf)).astype(jnp.int32)
        return jnp.where(fewer, row, capacity)

    made = _storage(capacity, place, classes, lambda example: example[label])
    return made._replace(label=label, classes=classes)
