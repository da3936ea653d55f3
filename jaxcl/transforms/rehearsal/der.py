"""Dark experience replay: remembered examples with the logits they had."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.batching import examples, take
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Int, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, Step, TaskData, required
from jaxcl.transforms.checks import check_label, check_logits, check_not_negative, check_updated
from jaxcl.transforms.objectives import Objective, categorical
from jaxcl.transforms.objectives.base import float32
from jaxcl.transforms.rehearsal.buffers import Buffer, Storage, reservoir, sample

LOGITS = "der_logits"
NO_OUTPUT = -1e8  # a logit below stands for a class that the example's head does not have


class DarkState(NamedTuple):
    """State of :func:`der`.

    Attributes:
      alpha: weight of the logits, float32 scalar.
      beta: weight of the labels, float32 scalar.
      buffer: a reservoir of examples with their logits; NaN stands for outputs
        that did not exist; without rows before the first task.
      updates: optimiser steps of the present task that were looked at, int32 scalar.
    """

    alpha: Scalar
    beta: Scalar
    buffer: Buffer
    updates: Int[Array, ""]


def der(
    capacity: int,
    classes: int,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    name: str = "der",
    label: str = "label",
    objective: Objective = categorical,
) -> LossTransform:
    """Makes dark experience replay ++.

    Every example that the network is trained on is offered to a reservoir together
    with its logits at that moment.  The loss becomes

        loss + alpha * mean |logits - remembered logits|^2 + beta * mean loss

    where the two terms are taken over two draws from the reservoir, the second of them with
    the loss of the objective: cross-entropy for classes.  Outputs that were added since an
    example was remembered, and those of masked positions, are left out of its squared
    distance, which is divided by the number of outputs that are compared.

    Args:
      capacity: examples in the reservoir.
      classes: the most logits that an example, or a position of it, will ever be judged by;
        where outputs are not logits, there are as many as labels, from the beginning.
      alpha: at least 0; with ``beta=0`` this is DER, with ``alpha=0`` plain replay.
      beta: at least 0.
      name: of the stream of random numbers.
      label: name of the labels in the data.
      objective: what is learned.

    Returns:
      A transform that reports ``{"dark": ..., "replayed": ...}``, needs ``key``,
      ``forward`` (and ``logits``) in its context and ``context`` in ``Step``.

    Raises:
      ValueError: a negative weight, or no room; from ``begin_task``, if the data has no
        labels of that name; from ``end_task``, if ``update`` was not called since.

    References:
      Buzzega et al., Dark experience for general continual learning, 2020
      (arXiv 2004.07211), eq. 6.
    """
    check_not_negative("alpha", alpha)
    check_not_negative("beta", beta)
    chosen = _DER(reservoir(capacity), classes, alpha, beta, name, label, objective)
    return LossTransform(
        partial(_init, chosen), partial(_apply, chosen), partial(_begin, chosen),
        partial(_update, chosen), _end,
    )  # fmt: skip


class _DER(NamedTuple):
    """The arguments of :func:`der`."""

    storage: Storage
    classes: int
    alpha: float
    beta: float
    name: str
    label: str
    objective: Objective


def _init(chosen: _DER, params: Params) -> DarkState:
    del params
    logits, labels = (jnp.asarray(value, jnp.float32) for value in (chosen.alpha, chosen.beta))
    return DarkState(logits, labels, chosen.storage.nothing(), jnp.zeros((), jnp.int32))


def _begin(
    chosen: _DER, state: DarkState, params: Params, task: TaskData, key: PRNGKey
) -> DarkState:
    del params, key
    check_label(task.data, chosen.label)
    if state.buffer.data:
        return state
    one = jax.tree.map(jnp.asarray, take(dict(task.data), slice(1)))
    one |= {LOGITS: jnp.zeros(_shape(chosen, one[chosen.label]))}
    return state._replace(buffer=chosen.storage.init(one))


def _shape(chosen: _DER, labels: Array) -> tuple[int, ...]:
    """The shape of all outputs that there will ever be for these labels."""
    if not chosen.objective.logits:
        return labels.shape
    return (*(labels.shape if chosen.objective.classes else labels.shape[:-1]), chosen.classes)


def _padded(chosen: _DER, logits: Array, labels: Array) -> Array:
    """All outputs that there will ever be; NaN stands for those not there yet or masked."""
    known = float32(logits)
    if not chosen.objective.logits:
        return known
    known = jnp.where(known < NO_OUTPUT, jnp.nan, known)
    if chosen.objective.classes and labels.ndim > 1:
        known = jnp.where(labels[..., None] < 0, jnp.nan, known)
    missing = (*((0, 0),) * (logits.ndim - 1), (0, chosen.classes - logits.shape[-1]))
    return jnp.pad(known, missing, constant_values=jnp.nan)


def _apply(
    chosen: _DER, loss: Scalar, state: DarkState, context: Context
) -> tuple[Scalar, Metrics]:
    if not state.buffer.data:
        return loss, {"dark": jnp.float32(0), "replayed": jnp.float32(0)}
    key, forward = required(context)

    def drawn(turn: int) -> tuple[Batch, Array]:
        batch = sample(state.buffer, stream(key, chosen.name, turn), examples(context.batch))
        logits = context.logits(forward(context.params, batch), batch)
        check_logits(logits)
        return batch, float32(logits)

    batch, logits = drawn(0)
    width = logits.shape[-1]  # the head may have grown, never shrunk
    known = ~jnp.isnan(batch[LOGITS][..., :width])
    target = jnp.where(known, batch[LOGITS][..., :width], 0.0)
    square = jnp.where(known, logits - target, 0.0) ** 2
    axes = tuple(range(1, square.ndim))
    dark = (square.sum(axes) / jnp.maximum(known.sum(axes), 1).astype(jnp.float32)).mean()
    batch, logits = drawn(1)
    replayed = chosen.objective.loss(logits, batch[chosen.label]).mean()
    begun = (state.buffer.filled > 0).astype(jnp.float32)
    penalty = begun * (state.alpha * dark + state.beta * replayed)
    return loss + penalty, {"dark": dark, "replayed": replayed}


def _update(chosen: _DER, state: DarkState, step: Step) -> DarkState:
    if not state.buffer.data:
        return state
    if step.context is None or step.context.key is None:
        raise ValueError("context: missing; give Step the context of the step")
    batch = step.context.batch
    logits = step.context.logits(step.context.outputs, batch)
    check_logits(logits)
    logits = jax.lax.stop_gradient(logits)
    offered = {**batch, LOGITS: _padded(chosen, logits, batch[chosen.label])}
    added = chosen.storage.add(state.buffer, offered, stream(step.context.key, chosen.name, 2))
    return state._replace(buffer=added, updates=state.updates + 1)


def _end(
    state: DarkState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[DarkState, Params]:
    del task, key
    check_updated("der", state.updates)
    return state._replace(updates=jnp.zeros((), jnp.int32)), params
