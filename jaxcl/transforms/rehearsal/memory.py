"""What is replayed: kept examples, all of them, noise, or what a generator makes."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import (
    examples,
    in_portions,
    map_batches,
    on_host,
    portions,
    resident,
    take,
)
from jaxcl.core.types import Array, Batch, Data, Params, PRNGKey
from jaxcl.transforms.base import TaskData, keep
from jaxcl.transforms.checks import check_logits, check_updated
from jaxcl.transforms.objectives.base import float32
from jaxcl.transforms.rehearsal.buffers import Buffer, Storage

LABEL_BATCH = 500
LOGITS = "logits"  # name of remembered responses in the data


class Memory(NamedTuple):
    """Where replayed examples come from; what is remembered is a pytree of its own.

    Attributes:
      nothing: ``() -> memory`` before the first task has ended, in arrays of its own.
      recall: ``(memory, params, task, tasks, key) -> memory`` as a task begins, with
        the network as it stood and the number of tasks before.
      remember: ``(memory, task, key) -> memory`` as a task ends.
      own_labels: whether examples keep the labels that the task's data has.
      by_class: whether it looks at the class of an example.
      made_labels: whether a label is the class that a network finds most probable.
      offer: ``(memory, batch, key) -> memory`` after each step, inside the compiled loop;
        None where nothing is kept before a task ends.
    """

    nothing: Callable[[], Batch | Buffer] = dict
    remember: Callable[[Batch | Buffer, TaskData, PRNGKey], Batch | Buffer] = keep
    recall: Callable[[Batch | Buffer, Params, TaskData, int, PRNGKey], Batch | Buffer] = keep
    own_labels: bool = False
    by_class: bool = False
    made_labels: bool = False
    offer: Callable[[Batch | Buffer, Batch, PRNGKey], Batch | Buffer] | None = None


def per_class(n: int, label: str = "label") -> Memory:
    """Keeps ``n`` random examples of every class of every task (all, where there are fewer)."""
    _positive("n", n)

    def remember(memory, task: TaskData, key: PRNGKey) -> Batch:
        labels = np.asarray(task.data[label])
        shuffled = np.asarray(jax.random.permutation(key, len(labels)))
        rows = [shuffled[labels[shuffled] == c][:n] for c in np.unique(labels)]
        return _appended(memory, task.data, np.concatenate(rows))

    return Memory(remember=remember, own_labels=True, by_class=True)


def fraction(ratio: float) -> Memory:
    """Keeps a random part of every task; with ``ratio=1`` all earlier data (exact replay)."""
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio: {ratio} is outside (0, 1]; give 0.1, say")

    def remember(memory, task: TaskData, key: PRNGKey) -> Batch:
        n = examples(task.data)
        if ratio == 1:
            return _appended(memory, task.data, np.arange(n))
        rows = jax.random.permutation(key, n)[: max(1, round(ratio * n))]
        return _appended(memory, task.data, np.asarray(rows))

    return Memory(remember=remember, own_labels=True)


def stored(storage: Storage, *, online: bool = False) -> Memory:
    """Keeps a buffer of fixed size for all tasks together, such as a reservoir.

    Args:
      storage: which examples stay.
      online: offer every example of every step as it is trained on, again in each epoch, so that
        examples of the present task are replayed as well; by default each once, as its task ends.
    """
    if online:
        return _filled_by_steps(storage)
    add = jax.jit(storage.add_each)

    def remember(memory, task: TaskData, key: PRNGKey) -> Buffer:
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

    return Memory(storage.nothing, remember, own_labels=True, by_class=storage.by_class)


def _filled_by_steps(storage: Storage) -> Memory:
    def recall(memory, params: Params, task: TaskData, tasks: int, key: PRNGKey) -> Buffer:
        del params, tasks, key
        if memory.data:
            return memory
        return storage.init(jax.tree.map(jnp.asarray, take(dict(task.data), slice(1))))

    def remember(memory, task: TaskData, key: PRNGKey) -> Buffer:
        del task, key
        check_updated("memory", memory.filled)
        return memory

    how = {"own_labels": True, "by_class": storage.by_class, "offer": storage.add}
    return Memory(storage.nothing, remember, recall, **how)


def noise(n: int = 10_000, inputs: str = "input", label: str = "label") -> Memory:
    """Remembers nothing: Gaussian noise, labelled by the network before the task.

    The control of Shin et al. (2017): it holds the old network's responses where no
    data lies.  Pixels have mean 0.5 and standard deviation 0.25, cut to [0, 1];
    images of bytes are rounded.  ``batch["task"]``, where there is one, is an earlier
    task drawn evenly.

    Args:
      n: how many images are drawn as a task begins.
      inputs: name of the inputs in the data.
      label: name of the labels that are made.
    """
    _positive("n", n)

    def recall(memory, params: Params, task: TaskData, tasks: int, key: PRNGKey) -> Batch:
        like = task.data[inputs]
        if not hasattr(like, "shape"):
            raise ValueError(f"noise: {inputs!r} is a tree; it is drawn for one array of images")
        if tasks == 0:
            return memory
        pixels, which = jax.random.split(key)
        made = jnp.clip(0.5 + 0.25 * jax.random.normal(pixels, (n, *like.shape[1:])), 0, 1)
        bytes_ = jnp.issubdtype(like.dtype, jnp.integer)
        images = (jnp.round(255 * made) if bytes_ else made).astype(like.dtype)
        batch, logits = _judged(images, inputs, params, task, tasks, which)
        return {**batch, label: jnp.argmax(logits, -1).astype(jnp.int32)}

    return Memory(recall=recall, made_labels=True)


def generated(*, soft: bool = True, inputs: str = "input", label: str = "label") -> Memory:
    """Remembers nothing: images of a generator, with responses of the network before.

    The scholar of Shin et al. (2017).  ``batch["task"]``, where there is one, is an
    earlier task drawn evenly, whose head then responds.

    Args:
      soft: remember the old network's logits, as in distillation; otherwise the
        class that it finds most probable.
      inputs: name of the inputs in the data.
      label: name of the labels that are made.

    Raises:
      ValueError: in the second task or later, without generated images.

    References:
      Shin, Lee, Kim & Kim, Continual learning with deep generative replay, 2017
      (arXiv 1705.08690); soft: van de Ven & Tolias, 2018 (arXiv 1809.10635).
    """

    def recall(memory, params: Params, task: TaskData, tasks: int, key: PRNGKey) -> Batch:
        if tasks == 0:
            return memory
        batch, logits = _judged(drawn_images(task), inputs, params, task, tasks, key)
        if soft:
            return {**batch, LOGITS: logits}
        return {**batch, label: jnp.argmax(logits, -1).astype(jnp.int32)}

    return Memory(recall=recall, made_labels=not soft)


def recorded(task: TaskData, params: Params, data: Data) -> Array:
    """Returns the logits of the network as it stands for some data, float32."""

    @jax.jit
    def found(params: Params, batch: Batch) -> Array:
        def one(part: Batch) -> Array:
            logits = task.logits(task.forward(params, part), part)
            check_logits(logits)
            return float32(logits)

        return map_batches(one, batch, LABEL_BATCH)

    return in_portions(lambda batch: found(params, batch), data)


def drawn_images(task: TaskData) -> Array:
    """Returns the images of a generator that a task was given, in memory of their own.

    A train step may be given the state for good, and two transforms may keep them.

    Raises:
      ValueError: there are none.
    """
    if task.generated is None:
        raise ValueError("task: no generated images; give TaskData(generated=...)")
    return jnp.copy(task.generated)


def _judged(
    images: Array, inputs: str, params: Params, task: TaskData, tasks: int, key: PRNGKey
) -> tuple[Batch, Array]:
    """Made images with the task they are taken for, and the old network's logits."""
    batch: dict[str, Array] = {inputs: images}
    if "task" in task.data:
        batch["task"] = jax.random.randint(key, (len(images),), 0, tasks)

    @jax.jit
    def logits(params: Params, batch: Batch) -> Array:
        def one(batch: Batch) -> Array:
            return task.logits(task.forward(params, batch), batch)

        return map_batches(one, batch, LABEL_BATCH)

    return batch, logits(params, batch)


def _positive(name: str, n: int) -> None:
    if n < 1:
        raise ValueError(f"{name}: {n} is not positive; give at least 1")


def _appended(memory, data: Data, rows: np.ndarray) -> Batch:
    more = jax.tree.map(jnp.asarray, take(dict(data), rows))
    if not memory:
        return more
    return jax.tree.map(lambda old, new: jnp.concatenate([old, new]), memory, more)
