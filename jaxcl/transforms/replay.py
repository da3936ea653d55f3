"""Replay: train on earlier examples, or what stands for them, beside the new ones."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.batching import examples, map_batches
from jaxcl.buffers import Buffer, Storage, sample
from jaxcl.losses import mean_cross_entropy
from jaxcl.random import stream
from jaxcl.transforms.base import Context, LossTransform, TaskData, keep
from jaxcl.types import Array, Batch, Int, Metrics, Params, PRNGKey, Scalar


class Memory(NamedTuple):
    """Where replayed examples come from; what is remembered is a pytree of its own.

    Attributes:
      nothing: ``() -> memory`` before the first task has ended, in arrays of its own.
      recall: ``(memory, params, task, tasks, key) -> memory`` as a task begins, with
        the network as it stood and the number of tasks before.
      remember: ``(memory, task, key) -> memory`` as a task ends.
    """

    nothing: Callable[[], Batch | Buffer] = dict
    remember: Callable[[Batch | Buffer, TaskData, PRNGKey], Batch | Buffer] = keep
    recall: Callable[[Batch | Buffer, Params, TaskData, int, PRNGKey], Batch | Buffer] = keep


def per_class(n: int, label: str = "label") -> Memory:
    """``n`` random examples of every class of every task (all, where there are fewer)."""
    _positive("n", n)

    def remember(memory, task: TaskData, key: PRNGKey) -> Batch:
        labels = np.asarray(task.data[label])
        shuffled = np.asarray(jax.random.permutation(key, len(labels)))
        rows = [shuffled[labels[shuffled] == c][:n] for c in np.unique(labels)]
        return _appended(memory, task.data, np.concatenate(rows))

    return Memory(remember=remember)


def fraction(ratio: float) -> Memory:
    """A random part of every task; with ``ratio=1`` all earlier data (exact replay)."""
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio: {ratio} is outside (0, 1]; give 0.1, say")

    def remember(memory, task: TaskData, key: PRNGKey) -> Batch:
        n = examples(task.data)
        if ratio == 1:
            return _appended(memory, task.data, np.arange(n))
        rows = jax.random.permutation(key, n)[: max(1, round(ratio * n))]
        return _appended(memory, task.data, np.asarray(rows))

    return Memory(remember=remember)


def stored(storage: Storage) -> Memory:
    """A buffer of fixed size for all tasks together, such as a reservoir."""
    add = jax.jit(storage.add)

    def remember(memory, task: TaskData, key: PRNGKey) -> Buffer:
        order, draw = jax.random.split(key)
        shuffled = jax.random.permutation(order, examples(task.data))
        data = {name: leaf[shuffled] for name, leaf in task.data.items()}
        buffer = memory if memory.data else storage.init(data)
        return add(buffer, data, draw)

    return Memory(storage.nothing, remember)


def noise(n: int = 10_000, image: str = "image", label: str = "label") -> Memory:
    """Gaussian noise, labelled by the network as it stood before the task.

    The control of Shin et al. (2017): it holds the old network's responses where no
    data lies.  Pixels have mean 0.5 and standard deviation 0.25, cut to [0, 1];
    images of bytes are rounded.  ``batch["task"]``, where there is one, is an earlier
    task drawn evenly.

    Args:
      n: how many images are drawn as a task begins.
      image: name of the inputs in the data.
      label: name of the labels that are made.
    """
    _positive("n", n)

    def recall(memory, params: Params, task: TaskData, tasks: int, key: PRNGKey) -> Batch:
        if tasks == 0:
            return memory
        pixels, which = jax.random.split(key)
        like = task.data[image]
        made = jnp.clip(0.5 + 0.25 * jax.random.normal(pixels, (n, *like.shape[1:])), 0, 1)
        bytes_ = jnp.issubdtype(like.dtype, jnp.integer)
        images = jnp.round(255 * made) if bytes_ else made
        drawn: dict[str, Array] = {image: images.astype(like.dtype)}
        if "task" in task.data:
            drawn["task"] = jax.random.randint(which, (n,), 0, tasks)

        @jax.jit
        def labels(params: Params, drawn: Batch) -> Array:
            def one(batch: Batch) -> Array:
                return jnp.argmax(task.logits(task.forward(params, batch), batch), -1)

            return map_batches(one, drawn, 500)

        return {**drawn, label: labels(params, drawn).astype(jnp.int32)}

    return Memory(recall=recall)


def _positive(name: str, n: int) -> None:
    if n < 1:
        raise ValueError(f"{name}: {n} is not positive; give at least 1")


def _appended(memory, data: Batch, rows: np.ndarray) -> Batch:
    more = {name: leaf[rows] for name, leaf in data.items()}
    if not memory:
        return more
    return {name: jnp.concatenate([memory[name], leaf]) for name, leaf in more.items()}


def _data(memory: Batch | Buffer) -> Batch:
    return memory.data if isinstance(memory, Buffer) else memory


def drawn(memory: Batch | Buffer, key: PRNGKey, n: int) -> Batch:
    """``n`` examples drawn evenly, with replacement."""
    if isinstance(memory, Buffer):
        return sample(memory, key, n)
    rows = jax.random.randint(key, (n,), 0, examples(memory))
    return {name: leaf[rows] for name, leaf in memory.items()}


class ReplayState(NamedTuple):
    """State of :func:`replay`.

    Attributes:
      tasks: how many tasks have ended, int32 scalar.
      weight: r of the new task, float32 scalar; below 0 stands for 1/k.
      memory: what is remembered; without arrays before the first task has ended.
    """

    tasks: Int[Array, ""]
    weight: Scalar
    memory: Batch | Buffer


def replay(
    memory: Memory, *, weight: float | None = None, name: str = "replay", label: str = "label"
) -> LossTransform:
    """Weighs the loss against that of as many remembered examples.

    In task k the loss becomes ``r * loss + (1 - r) * replayed``, with ``r = 1/k`` or as
    given, and ``replayed`` the mean cross-entropy of examples drawn evenly from the
    memory in every step.  The first task's loss stays as it is.

    Args:
      memory: :func:`per_class`, :func:`fraction`, :func:`stored` or :func:`noise`.
      weight: r in [0, 1]; 1/k by default.
      name: of the stream of random numbers; two replays in a chain need two names.
      label: name of the labels in the data.

    Returns:
      A transform that reports ``{"replayed": ...}`` (nats) and needs ``key``,
      ``forward`` and, if outputs are not one array, ``logits`` in its context.

    Raises:
      ValueError: a weight outside [0, 1].

    References:
      Rolnick et al., Experience replay for continual learning, 2019; Shin et al.,
      Continual learning with deep generative replay, 2017, on r.
    """
    if weight is not None and not 0 <= weight <= 1:
        raise ValueError(f"weight: {weight} is outside [0, 1]")

    def init(params: Params) -> ReplayState:
        del params
        given = jnp.asarray(-1.0 if weight is None else weight, jnp.float32)
        return ReplayState(jnp.zeros((), jnp.int32), given, memory.nothing())

    def begin_task(state: ReplayState, params: Params, task: TaskData, key: PRNGKey) -> ReplayState:
        tasks = int(state.tasks)
        recalled = memory.recall(state.memory, params, task, tasks, stream(key, name))
        return state._replace(memory=recalled)

    def apply(loss: Scalar, state: ReplayState, context: Context) -> tuple[Scalar, Metrics]:
        if not jax.tree.leaves(_data(state.memory)):  # no earlier task
            return loss, {"replayed": jnp.zeros((), jnp.float32)}
        key, forward = required(context)
        n = examples(context.batch)
        batch = drawn(state.memory, stream(key, name), n)
        logits = context.logits(forward(context.params, batch), batch)
        replayed = mean_cross_entropy(logits, batch[label])
        even = 1 / (state.tasks + 1).astype(jnp.float32)
        r = jnp.where(state.weight < 0, even, state.weight)
        return r * loss + (1 - r) * replayed, {"replayed": replayed}

    def end_task(state: ReplayState, params: Params, task: TaskData, key: PRNGKey) -> ReplayState:
        del params
        remembered = memory.remember(state.memory, task, stream(key, name))
        return state._replace(tasks=state.tasks + 1, memory=remembered)

    return LossTransform(init, apply, begin_task, end_task=end_task)


def required(context: Context) -> tuple[PRNGKey, Callable]:
    """The key and the forward function of a context that must have them."""
    if context.key is None or context.forward is None:
        raise ValueError("context: replay needs key and forward; give both to Context")
    return context.key, context.forward
