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
from jaxcl.transforms.objectives.base import NO_OUTPUT, float32
from jaxcl.transforms.rehearsal.buffers import Buffer, Storage, reservoir, sample
from jaxcl.transforms.rehearsal.replay import any_filled, or_own

LOGITS = "der_logits"


class DarkState(NamedTuple):
    """State of :func:`der` and :func:`der_pp`.

    Attributes:
      alpha: weight of the logits, float32 scalar.
      beta: weight of the labels, float32 scalar; None in :func:`der`.
      buffer: a reservoir of examples with their logits; NaN stands for outputs
        that did not exist; without rows before the first task.
      updates: optimiser steps of the present task that were looked at, int32 scalar.
    """

    alpha: Scalar
    beta: Scalar | None
    buffer: Buffer
    updates: Int[Array, ""]


def der(
    capacity: int,
    classes: int,
    *,
    alpha: float = 0.5,
    name: str = "der",
    label: str = "label",
    objective: Objective = categorical,
) -> LossTransform:
    """Makes dark experience replay: earlier examples with the logits that they had.

    Every example that the network is trained on is offered to a reservoir together
    with its logits at that moment.  The loss becomes

        loss + alpha * mean |logits - remembered logits|^2

    over a draw from the reservoir, as large as the batch.  Outputs that were added since an
    example was remembered, and those of masked positions, are left out of its squared
    distance, which is divided by the number of outputs that are compared.  So where a head grows
    by new classes that compete with the old ones, nothing holds these back; give the network all
    of its outputs from the start.

    Args:
      capacity: examples in the reservoir.
      classes: the most logits that an example, or a position of it, will ever be judged by;
        where outputs are not logits, there are as many as labels, from the beginning.
      alpha: at least 0; 0 is fine-tuning.
      name: of the stream of random numbers; two of them in a chain need two names.
      label: name of the labels in the data; they say which positions are masked.
      objective: what is learned.

    Returns:
      A transform that reports ``{"dark": ...}``, needs ``key``, ``forward`` (and ``logits``)
      in its context and ``context`` in ``Step``.

    Raises:
      ValueError: a negative weight, or no room; from ``begin_task``, if the data has no
        labels of that name; from ``update``, more logits than ``classes``; from ``end_task``, if
        ``update`` was not called since.

    References:
      Buzzega et al., Dark experience for general continual learning, 2020
      (arXiv 2004.07211), eq. 5.

    >>> forward, key = lambda w, batch: batch["x"] @ w, jax.random.key(0)
    >>> w, data = jnp.zeros((2, 2)), {"x": jnp.eye(2), "label": jnp.arange(2)}
    >>> transform, context = der(2, 2), Context(w, forward(w, data), data, key, forward)
    >>> state = transform.begin_task(transform.init(w), w, TaskData(data, forward), key)
    >>> state = transform.update(state, Step(w, w, w, context=context))  # logits 0 are remembered
    >>> print(transform.apply(jnp.float32(0), state, context._replace(params=w + 2))[0])  # 4 / 2
    2.0
    """
    return _made(_DER(reservoir(capacity), classes, alpha, None, name, label, objective))


def der_pp(
    capacity: int,
    classes: int,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    name: str = "der",
    label: str = "label",
    objective: Objective = categorical,
) -> LossTransform:
    """Makes dark experience replay ++: :func:`der`, and the labels of a second draw.

    The loss becomes

        loss + alpha * mean |logits - remembered logits|^2 + beta * mean loss

    where the two terms are taken over two draws from the reservoir, the second of them with
    the loss of the objective: cross-entropy for classes.

    Args:
      capacity: as in :func:`der`.
      classes: as in :func:`der`.
      alpha: at least 0; with 0 this is plain replay from a reservoir.
      beta: at least 0; with 0 the numbers are those of :func:`der`, at the cost of a
        second forward pass.
      name: as in :func:`der`.
      label: as in :func:`der`.
      objective: as in :func:`der`.

    Returns:
      A transform like :func:`der`, that reports ``{"dark": ..., "replayed": ...}``.

    Raises:
      ValueError: as :func:`der` does.

    References:
      Buzzega et al., Dark experience for general continual learning, 2020
      (arXiv 2004.07211), eq. 6.

    >>> forward, key = lambda w, batch: batch["x"] @ w, jax.random.key(0)
    >>> w, data = jnp.zeros((2, 2)), {"x": jnp.eye(2), "label": jnp.arange(2)}
    >>> transform, context = der_pp(2, 2), Context(w, forward(w, data), data, key, forward)
    >>> state = transform.begin_task(transform.init(w), w, TaskData(data, forward), key)
    >>> state = transform.update(state, Step(w, w, w, context=context))  # logits 0 are remembered
    >>> loss, _ = transform.apply(jnp.float32(0), state, context._replace(params=w + 2))
    >>> print(f"{loss:.4f}")  # 4 / 2 + log(2) / 2
    2.3466
    """
    return _made(_DER(reservoir(capacity), classes, alpha, beta, name, label, objective))


class _DER(NamedTuple):
    """The arguments of :func:`der_pp`; without ``beta`` those of :func:`der`."""

    storage: Storage
    classes: int
    alpha: float
    beta: float | None
    name: str
    label: str
    objective: Objective


def _made(chosen: _DER) -> LossTransform:
    check_not_negative("alpha", chosen.alpha)
    if chosen.beta is not None:
        check_not_negative("beta", chosen.beta)
    return LossTransform(
        partial(_init, chosen), partial(_apply, chosen), partial(_begin, chosen),
        partial(_update, chosen), _end,
    )  # fmt: skip


def _init(chosen: _DER, params: Params) -> DarkState:
    del params
    beta = None if chosen.beta is None else jnp.asarray(chosen.beta, jnp.float32)
    alpha, updates = jnp.asarray(chosen.alpha, jnp.float32), jnp.zeros((), jnp.int32)
    return DarkState(alpha, beta, chosen.storage.nothing(), updates)


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
    more = chosen.classes - logits.shape[-1]
    if more < 0:
        raise ValueError(f"classes: {chosen.classes}, {-more} less than there are logits; give all")
    missing = (*((0, 0),) * (logits.ndim - 1), (0, more))
    return jnp.pad(known, missing, constant_values=jnp.nan)


def _apply(
    chosen: _DER, loss: Scalar, state: DarkState, context: Context
) -> tuple[Scalar, Metrics]:
    names = ("dark",) if state.beta is None else ("dark", "replayed")
    if not state.buffer.data:
        return loss, {name: jnp.float32(0) for name in names}
    batch, logits = _drawn(chosen, state, context, 0)
    terms = [_distance(logits, batch[LOGITS])]
    penalty = state.alpha * terms[0]
    if state.beta is not None:
        batch, logits = _drawn(chosen, state, context, 1)
        terms.append(chosen.objective.loss(logits, batch[chosen.label]).mean())
        penalty += state.beta * terms[1]
    penalty = jnp.where(any_filled(state.buffer), penalty, 0.0)
    return loss + penalty, dict(zip(names, terms, strict=True))


def _drawn(chosen: _DER, state: DarkState, context: Context, turn: int) -> tuple[Batch, Array]:
    """Examples of the reservoir, as many as the batch has, and their logits."""
    key, forward = required(context)
    found = sample(state.buffer, stream(key, chosen.name, turn), examples(context.batch))
    batch = or_own(found, state.buffer, context.batch)
    logits = context.logits(forward(context.params, batch), batch)
    check_logits(logits)
    return batch, float32(logits)


def _distance(logits: Array, remembered: Array) -> Scalar:
    """The mean squared distance from remembered logits, of the outputs that there were."""
    width = logits.shape[-1]  # the head may have grown, never shrunk
    known = ~jnp.isnan(remembered[..., :width]) & (logits > NO_OUTPUT)
    target = jnp.where(known, remembered[..., :width], 0.0)
    square = jnp.where(known, logits - target, 0.0) ** 2
    axes = tuple(range(1, square.ndim))
    return (square.sum(axes) / jnp.maximum(known.sum(axes), 1).astype(jnp.float32)).mean()


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
