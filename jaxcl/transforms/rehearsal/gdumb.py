"""GDumb: a balanced buffer of all tasks, which is all that a fresh network is trained on."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import on_host, take
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Int, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, TaskData
from jaxcl.transforms.checks import check_classes, check_label
from jaxcl.transforms.rehearsal.buffers import Buffer, Storage, greedy
from jaxcl.transforms.rehearsal.memory import Memory, stored

CLASS = "gdumb_class"  # name, in the buffer, of what it is balanced by


class GreedyState(NamedTuple):
    """State of :func:`gdumb`.

    Attributes:
      memory: examples of all tasks that have begun, the present one included; without arrays
        before the first.
      classes: that a task's own are counted from, where tasks have classes of their own, int32.
    """

    memory: Buffer
    classes: Int[Array, ""]


def gdumb(
    capacity: int,
    classes: int,
    *,
    by_task: bool = False,
    name: str = "gdumb",
    label: str = "label",
    task: str = "task",
) -> LossTransform:
    """Makes GDumb's memory: it is filled, and leaves loss and weights as they are.

    As a task begins, its examples are offered one by one, in a random order, to a greedy
    balanced buffer (:func:`greedy`).  What is then trained is
    the business of the loop: a network with fresh weights, on ``content`` of the state's
    memory alone, before it is tested.  Rows in use are kept in an order that follows from their
    content (all arrays but the indices of tasks, byte by byte), so training is the same in
    whichever order the same examples came.

    Args:
      capacity: examples of all tasks together.
      classes: of all tasks together.
      by_task: each task has classes of its own, counted from 0, that the buffer is balanced by;
        where tasks share their classes, a later task would otherwise find no room.
      name: of the stream of random numbers.
      label: name of the labels in the data, classes ``[N]``.
      task: name of the indices of tasks in the data, if it has any.

    Returns:
      A transform that reports nothing and needs nothing of its context.

    Raises:
      ValueError: no room; from ``begin_task``, data without labels of that name, or with
        labels that are no classes of examples, or more classes than was said.

    References:
      Prabhu, Torr & Dokania, GDumb: a simple approach that questions our progress in continual
      learning, 2020.  Their training (a cosine schedule, CutMix) is left to the loop.

    >>> data = {"x": jnp.arange(6.0), "label": jnp.array([0, 0, 0, 0, 0, 1])}
    >>> transform, task = gdumb(4, 2), TaskData(data, lambda w, b: {})
    >>> state = transform.begin_task(transform.init({}), {}, task, jax.random.key(0))
    >>> print(sorted(state.memory.data["label"].tolist()))  # as balanced as the data allow
    [0, 0, 0, 1]
    """
    storage = greedy(capacity, classes, CLASS)
    chosen = _GDumb(storage, stored(storage), classes, by_task, name, label, task)
    return LossTransform(partial(_init, chosen), _apply, partial(_begin, chosen))


class _GDumb(NamedTuple):
    """The arguments of :func:`gdumb`."""

    storage: Storage
    memory: Memory
    classes: int
    by_task: bool
    name: str
    label: str
    task: str


def _init(chosen: _GDumb, params: Params) -> GreedyState:
    del params
    return GreedyState(chosen.storage.nothing(), jnp.zeros((), jnp.int32))


def _apply(loss: Scalar, state: GreedyState, context: Context) -> tuple[Scalar, Metrics]:
    del state, context
    return loss, {}


def _begin(
    chosen: _GDumb, state: GreedyState, params: Params, task: TaskData, key: PRNGKey
) -> GreedyState:
    del params
    check_label(task.data, chosen.label)
    check_classes(task.data[chosen.label], "take replay or der")
    first = int(state.classes) if chosen.by_task else 0
    kinds = np.asarray(task.data[chosen.label], np.int32) + np.int32(first)
    if kinds.max() >= chosen.classes:
        raise ValueError(
            f"classes: {kinds.max() + 1} in the tasks so far, and {chosen.classes} were said; give"
            " those of all tasks"
        )
    data = {**task.data, CLASS: kinds if on_host(task.data) else jnp.asarray(kinds)}
    kept = chosen.memory.remember(state.memory, task._replace(data=data), stream(key, chosen.name))
    assert isinstance(kept, Buffer)
    return GreedyState(_ordered(chosen, kept), jnp.asarray(kinds.max() + 1, jnp.int32))


def _ordered(chosen: _GDumb, buffer: Buffer) -> Buffer:
    """A buffer whose rows in use are in an order of their own."""
    n, unlike = int(buffer.filled), (CLASS, chosen.task)
    leaves = jax.tree.leaves({k: x for k, x in buffer.data.items() if k not in unlike})
    rows = [np.ascontiguousarray(np.asarray(leaf)[:n]).reshape(n, -1) for leaf in leaves]
    order = np.arange(len(leaves[0]))
    order[:n] = sorted(range(n), key=lambda i: [row[i].tobytes() for row in rows])
    return buffer._replace(data=take(buffer.data, jnp.asarray(order)))


def content(memory: Buffer) -> Batch:
    """Returns the examples of a buffer in arrays of their own, without rows that are not in use.

    Args:
      memory: the buffer, such as that in the state of :func:`gdumb`.
    """
    n = int(memory.filled)
    own = {name: leaf for name, leaf in memory.data.items() if name != CLASS}
    return jax.tree.map(lambda leaf: jnp.copy(leaf[:n]), own)
