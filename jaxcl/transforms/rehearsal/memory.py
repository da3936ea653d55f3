"""What is replayed: kept examples, or all of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples, filled, on_host, portions, resident, take, written
from jaxcl.core.pytree import kinds
from jaxcl.core.random import stream
from jaxcl.core.types import Batch, Data, Params, PRNGKey
from jaxcl.transforms.base import Step, TaskData, keep
from jaxcl.transforms.checks import check_classes, check_label, check_positive, check_updated
from jaxcl.transforms.rehearsal.buffers import Buffer, Storage, sample, without_rows

LOGITS = "logits"  # name of remembered responses in the data


class Memory(NamedTuple):
    """Where replayed examples come from; what is remembered is a pytree of its own.

    Attributes:
      nothing: ``() -> memory`` before the first task has ended, in arrays of its own.
      recall: ``(memory, params, task, tasks, key) -> memory`` as a task begins, with
        the network as it stood and the number of tasks before.
      remember: ``(memory, task, key) -> memory`` as a task ends.
      own_labels: whether examples keep the labels that the task's data has.
      label: name of the labels by whose class it keeps; None where it looks at none.
      classes: labels are below it; None where any class will do.
      made_labels: whether a label is the class that a network finds most probable.
      offer: ``(memory, batch, key) -> memory`` after each step, inside the compiled loop;
        None where nothing is kept before a task ends.
    """

    nothing: Callable[[], Batch | Buffer] = dict
    remember: Callable[[Batch | Buffer, TaskData, PRNGKey], Batch | Buffer] = keep
    recall: Callable[[Batch | Buffer, Params, TaskData, int, PRNGKey], Batch | Buffer] = keep
    own_labels: bool = False
    label: str | None = None
    classes: int | None = None
    made_labels: bool = False
    offer: Callable[[Batch | Buffer, Batch, PRNGKey], Batch | Buffer] | None = None


def per_class(n: int, label: str = "label", *, room: int = 0) -> Memory:
    """Keeps ``n`` random examples of every class of every task (all, where there are fewer).

    Args:
      n: examples of each class, at least 1.
      label: name of the labels in the data, classes ``[N]``.
      room: for so many examples there is room from the first task on, so that shapes stay and a
        compiled step serves every task; more are kept all the same.

    Raises:
      ValueError: ``n`` not positive.

    >>> memory, task = per_class(1), TaskData({"label": jnp.array([0, 0, 0, 1])}, lambda w, b: {})
    >>> print(memory.remember(memory.nothing(), task, jax.random.key(0)).data["label"])
    [0 1]
    """
    check_positive("n", n)

    def remember(memory, task: TaskData, key: PRNGKey) -> Buffer:
        labels = np.asarray(task.data[label])
        shuffled = np.asarray(jax.random.permutation(key, len(labels)))
        rows = [shuffled[labels[shuffled] == c][:n] for c in np.unique(labels)]
        return _appended(memory, task.data, np.concatenate(rows), room)

    return Memory(without_rows, remember, _recalled, own_labels=True, label=label)


def fraction(ratio: float) -> Memory:
    """Keeps a random part of every task; with ``ratio=1`` all earlier data (exact replay).

    Args:
      ratio: the part, a fraction in (0, 1]; at least one example is kept.

    Raises:
      ValueError: a part that is nothing, or more than all.

    >>> memory, task = fraction(0.5), TaskData({"x": jnp.arange(4)}, lambda w, b: {})
    >>> memory.remember(memory.nothing(), task, jax.random.key(0)).data["x"].shape
    (2,)
    """
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio: {ratio} is outside (0, 1]; give 0.1, say")

    def remember(memory, task: TaskData, key: PRNGKey) -> Buffer:
        n = examples(task.data)
        rows = np.arange(n) if ratio == 1 else np.asarray(jax.random.permutation(key, n))
        return _appended(memory, task.data, rows[: max(1, round(ratio * n))])

    return Memory(without_rows, remember, _recalled, own_labels=True)


def stored(storage: Storage, *, online: bool = False) -> Memory:
    """Keeps a buffer of fixed size for all tasks together, such as a reservoir.

    Args:
      storage: which examples stay: :func:`reservoir`, :func:`ring`, :func:`class_balanced` or
        :func:`greedy`.
      online: offer every example of every step as it is trained on, again in each epoch, so that
        examples of the present task are replayed as well; by default each once, as its task ends.

    >>> from jaxcl.transforms import ring
    >>> memory, task = stored(ring(2)), TaskData({"x": jnp.arange(4)}, lambda w, b: {})
    >>> found = memory.remember(memory.nothing(), task, jax.random.key(0))
    >>> found.data["x"].shape, int(found.seen[0])  # two stay of four
    ((2,), 4)
    """
    if online:
        return _filled_by_steps(storage)
    add = jax.jit(storage.add_each)

    def remember(memory, task: TaskData, key: PRNGKey) -> Buffer:
        check_alike(memory, task.data)
        order, draw = jax.random.split(key)
        n = examples(task.data)
        shuffled, keys = jax.random.permutation(order, n), jax.random.split(draw, n)
        if not on_host(task.data):
            data = take(resident(task.data), shuffled)
            buffer = memory if memory.data else storage.init(data)
            return add(buffer, data, keys)
        done = 0  # a key is an example's own, so the size of the parts changes nothing
        for data in portions(task.data, np.asarray(shuffled)):
            memory, part = memory if memory.data else storage.init(data), examples(data)
            memory = add(memory, data, keys[done : done + part])
            done += part
        return memory

    made = Memory(storage.nothing, remember, _recalled, own_labels=True)
    return made._replace(label=storage.label, classes=storage.classes)


def _filled_by_steps(storage: Storage) -> Memory:
    def recall(memory, params: Params, task: TaskData, tasks: int, key: PRNGKey) -> Buffer:
        memory = _recalled(memory, params, task)
        if not memory.data:
            memory = storage.init(jax.tree.map(jnp.asarray, take(dict(task.data), slice(1))))
        return memory._replace(earlier=memory.seen.sum(dtype=jnp.int32))

    def remember(memory, task: TaskData, key: PRNGKey) -> Buffer:
        del task, key
        earlier = 0 if memory.earlier is None else memory.earlier  # of an older checkpoint
        check_updated("memory", memory.seen.sum() - earlier)
        return memory._replace(earlier=None)

    made = Memory(storage.nothing, remember, recall, own_labels=True)
    return made._replace(offer=storage.add, label=storage.label, classes=storage.classes)


def _recalled(memory, params: Params, task: TaskData, *unused: Any) -> Buffer:
    """A memory as it is; a task that it cannot keep is refused before it is trained on."""
    check_alike(memory, task.data)
    return memory


def held(memory: Batch | Buffer) -> Batch:
    """Returns the arrays of a memory: none before there is anything to remember."""
    return memory.data if isinstance(memory, Buffer) else memory


def drawn(memory: Batch | Buffer, key: PRNGKey, n: int) -> Batch:
    """Returns ``n`` examples drawn evenly, with replacement.

    Args:
      memory: arrays under names with the same leading axis, or a buffer.
      key: for the draw; within a step, one of the transform's own, made of ``context.key``.
      n: how many, whatever the memory holds.

    >>> batch = drawn({"x": jnp.arange(3), "y": -jnp.arange(3)}, jax.random.key(0), 5)
    >>> batch["x"].shape, bool((batch["x"] == -batch["y"]).all())  # rows stay together
    ((5,), True)
    """
    if isinstance(memory, Buffer):
        return sample(memory, key, n)
    return take(memory, jax.random.randint(key, (n,), 0, examples(memory)))


def check_drawn(n: int | None) -> None:
    """Raises a ValueError for a number of examples to draw that is not positive."""
    if n is not None and n < 1:
        raise ValueError(f"n: {n} is not positive; give at least 1, or None for as many as a batch")


def offered(memory: Memory, kept: Batch | Buffer, step: Step, name: str) -> Batch | Buffer:
    """Returns what is kept after a step, of a memory that is filled in every step.

    Args:
      memory: the rule.
      kept: what it has kept so far.
      step: with its context, key included.
      name: of the stream of random numbers.
    """
    if memory.offer is None:
        return kept
    if step.context is None or step.context.key is None:
        raise ValueError("context: missing; give Step the context of the step")
    check_alike(kept, {k: x for k, x in step.context.batch.items() if k in held(kept)})
    return memory.offer(kept, step.context.batch, stream(step.context.key, name, 1))


def check_kept(memory: Memory, data: Data, label: str) -> None:
    """Raises a ValueError where a memory cannot keep a task's examples.

    >>> check_kept(per_class(40), {"x": jnp.zeros(1), "y": jnp.zeros(1, int)}, "y")
    Traceback (most recent call last):
    ValueError: label: the memory keeps by 'label', the task's data has x, y; make it with label='y'
    """
    if memory.own_labels:
        check_label(data, label)
    if memory.label is None:
        return
    if memory.label not in data:
        raise ValueError(
            f"label: the memory keeps by {memory.label!r}, the task's data has {', '.join(data)};"
            f" make it with label={label!r}"
        )
    labels = data[memory.label]
    check_classes(labels)
    if memory.classes is not None and int(np.max(labels)) >= memory.classes:
        raise ValueError(
            f"classes: {memory.classes}, a label is {np.max(labels)}; give the classes of all tasks"
        )


def check_alike(memory: Batch | Buffer, data: Data) -> None:
    """Raises a ValueError where data differ from what a memory holds in a name, shape or dtype.

    >>> check_alike({"x": jnp.zeros((4, 3), jnp.uint8)}, {"x": jnp.zeros((2, 3))})
    Traceback (most recent call last):
    ValueError: data: 'x' is float32 [..., 3], the memory holds uint8 [..., 3]; give every ...
    """
    old, new = kinds(dict(held(memory))), kinds(dict(data))
    for name in old and {**old, **new}:
        there, given = old.get(name, "none"), new.get(name, "missing")
        if there != given:
            what = f"data: {name!r} is {given}, the memory holds {there}"
            raise ValueError(f"{what}; give every task the same names, shapes and dtypes")


def _appended(memory: Buffer, data: Data, rows: np.ndarray, room: int = 0) -> Buffer:
    """Returns a memory with some rows of the data too, and room for at least so many in all."""
    check_alike(memory, data)
    more = jax.tree.map(jnp.asarray, take(dict(data), rows))
    total = int(memory.filled) + len(rows)
    there = filled(there := memory.data or more, max(room, total, examples(there)))
    return Buffer(written(there, more, memory.filled), jnp.int32(total), memory.seen + len(rows))
