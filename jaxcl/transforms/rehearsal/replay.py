"""Replay: train on earlier examples, or what stands for them, beside the new ones."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.batching import examples, take
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Int, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, TaskData, required
from jaxcl.transforms.checks import check_classes, check_label, check_logits
from jaxcl.transforms.objectives import Objective, categorical
from jaxcl.transforms.rehearsal.buffers import Buffer, sample
from jaxcl.transforms.rehearsal.memory import LOGITS, Memory


def _data(memory: Batch | Buffer) -> Batch:
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
    rows = jax.random.randint(key, (n,), 0, examples(memory))
    return take(memory, rows)


class ReplayState(NamedTuple):
    """State of :func:`replay`.

    Attributes:
      tasks: how many tasks have ended, int32 scalar.
      weight: r of the new task, float32 scalar; below 0 stands for 1/k.
      temperature: T of remembered responses, float32 scalar.
      memory: what is remembered; without arrays before the first task has ended.
    """

    tasks: Int[Array, ""]
    weight: Scalar
    temperature: Scalar
    memory: Batch | Buffer


def replay(
    memory: Memory,
    *,
    weight: float | None = None,
    temperature: float = 2.0,
    name: str = "replay",
    label: str = "label",
    objective: Objective = categorical,
) -> LossTransform:
    """Weighs the loss against that of as many remembered examples.

    In task k the loss becomes ``r * loss + (1 - r) * replayed``, with ``r = 1/k`` or as
    given, and ``replayed`` the mean loss (cross-entropy, say) of examples drawn evenly from
    the memory in every step.  Where a memory has responses instead of labels, it is their
    mean distance, of logits times ``T^2``: for classes that of the softened responses,
    ``T^2 * -sum_i softmax(old / T)_i log softmax(new / T)_i``, with probability 0 for
    classes that came since.  The first task's loss stays as it is.

    Args:
      memory: one of those in :mod:`jaxcl.transforms.rehearsal.memory`.
      weight: r in [0, 1]; 1/k by default.
      temperature: T > 0 of remembered responses.
      name: of the stream of random numbers; two replays in a chain need two names.
      label: name of the labels in the data.
      objective: what is learned.

    Returns:
      A transform that reports ``{"replayed": ...}`` and needs ``key``,
      ``forward`` and, if outputs are not one array, ``logits`` in its context.

    Raises:
      ValueError: a weight outside [0, 1], or a temperature that is not positive; a memory that
        needs classes where the objective has none; from ``begin_task``, data without labels
        of that name where these are to be kept, or with none that are classes of examples
        where the memory looks at them.

    References:
      Rolnick et al., Experience replay for continual learning, 2019; Shin et al.,
      Continual learning with deep generative replay, 2017, on r.
    """
    if weight is not None and not 0 <= weight <= 1:
        raise ValueError(f"weight: {weight} is outside [0, 1]")
    if not temperature > 0:
        raise ValueError(f"temperature: {temperature} is not positive; pass 2, say")

    if not objective.classes and memory.by_class:
        raise ValueError(
            f"replay: the memory goes by classes, and {objective.name} labels are none; keep a"
            " fraction, or a reservoir"
        )
    if not objective.classes and memory.made_labels:
        raise ValueError(
            f"replay: the memory's labels are the likeliest classes, and {objective.name} labels"
            " are none; take generated(soft=True)"
        )
    chosen = _Replay(memory, weight, temperature, name, label, objective)
    return LossTransform(
        partial(_init, chosen), partial(_apply, chosen), partial(_begin, chosen),
        end_task=partial(_end, chosen),
    )  # fmt: skip


class _Replay(NamedTuple):
    """The arguments of :func:`replay`."""

    memory: Memory
    weight: float | None
    temperature: float
    name: str
    label: str
    objective: Objective


def _init(chosen: _Replay, params: Params) -> ReplayState:
    del params
    given = jnp.asarray(-1.0 if chosen.weight is None else chosen.weight, jnp.float32)
    softness = jnp.asarray(chosen.temperature, jnp.float32)
    return ReplayState(jnp.zeros((), jnp.int32), given, softness, chosen.memory.nothing())


def _begin(
    chosen: _Replay, state: ReplayState, params: Params, task: TaskData, key: PRNGKey
) -> ReplayState:
    if chosen.memory.own_labels:
        check_label(task.data, chosen.label)
    if chosen.memory.by_class:
        check_classes(task.data[chosen.label])
    tasks, own = int(state.tasks), stream(key, chosen.name)
    memory = chosen.memory.recall(state.memory, params, task, tasks, own)
    if task.augmented and LOGITS in _data(memory):
        raise ValueError(
            "replay: old responses do not hold for inputs that are augmented; give"
            " generated(soft=False), or leave the augmentation out"
        )
    return state._replace(memory=memory)


def _apply(
    chosen: _Replay, loss: Scalar, state: ReplayState, context: Context
) -> tuple[Scalar, Metrics]:
    if not jax.tree.leaves(_data(state.memory)):  # no earlier task
        return loss, {"replayed": jnp.zeros((), jnp.float32)}
    key, forward = required(context)
    n = examples(context.batch)
    batch = drawn(state.memory, stream(key, chosen.name), n)
    logits = context.logits(forward(context.params, batch), batch)
    check_logits(logits)
    if LOGITS in batch:
        distance = chosen.objective.distance
        softened = distance(logits, batch[LOGITS], state.temperature).mean()
        replayed = state.temperature**2 * softened if chosen.objective.logits else softened
    else:
        replayed = chosen.objective.loss(logits, batch[chosen.label]).mean()
    even = 1 / (state.tasks + 1).astype(jnp.float32)
    r = jnp.where(state.weight < 0, even, state.weight)
    return r * loss + (1 - r) * replayed, {"replayed": replayed}


def _end(
    chosen: _Replay, state: ReplayState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[ReplayState, Params]:
    remembered = chosen.memory.remember(state.memory, task, stream(key, chosen.name))
    return state._replace(tasks=state.tasks + 1, memory=remembered), params
