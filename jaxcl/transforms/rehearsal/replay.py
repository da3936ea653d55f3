"""Replay: train on earlier examples, or what stands for them, beside the new ones."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.batching import examples, take
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Bool, Int, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Beside, Context, LossTransform, Needs, Step, TaskData, required
from jaxcl.transforms.beside import passed_beside
from jaxcl.transforms.checks import check_logits
from jaxcl.transforms.objectives import Objective, categorical
from jaxcl.transforms.rehearsal.buffers import Buffer
from jaxcl.transforms.rehearsal.memory import (
    LOGITS,
    Memory,
    check_drawn,
    check_kept,
    drawn,
    held,
    offered,
)


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
    n: int | None = None,
    joined: bool = False,
    temperature: float = 2.0,
    name: str = "replay",
    label: str = "label",
    objective: Objective = categorical,
) -> LossTransform:
    """Weighs the loss against that of remembered examples.

    In task k the loss becomes ``r * loss + (1 - r) * replayed``, with ``r = 1/k`` or as
    given, and ``replayed`` the mean loss (cross-entropy, say) of examples drawn evenly from
    the memory in every step.  Where a memory has responses instead of labels, it is their
    mean distance, of logits times ``T^2``: for classes that of the softened responses,
    ``T^2 * -sum_i softmax(old / T)_i log softmax(new / T)_i``, with probability 0 for
    classes that came since.  The first task's loss stays as it is; with a memory that is filled
    in every step and ``weight`` as given, only until there is anything to draw.

    Args:
      memory: as :func:`per_class`, :func:`fraction`, :func:`stored`, :func:`noise` and
        :func:`generated` make it.
      weight: r in [0, 1]; 1/k by default.
      n: examples drawn in a step, with replacement; by default as many as a batch has.
      joined: whether new and drawn examples pass the network as one batch: where batch
        normalisation is, it then takes its mean over both.
      temperature: T > 0 of remembered responses.
      name: of the stream of random numbers; two replays in a chain need two names.
      label: name of the labels in the data.
      objective: what is learned.

    Returns:
      A transform that reports ``{"replayed": ...}`` and needs ``key``,
      ``forward`` and, if outputs are not one array, ``logits`` in its context; ``context`` in
      ``Step`` where the memory is filled in every step.

    Raises:
      ValueError: a weight outside [0, 1], a temperature or ``n`` not positive; a memory that
        needs classes where the objective has none; from ``begin_task``, data without labels
        of that name where these are to be kept, or with none that are classes of examples
        where the memory looks at them; from ``apply``, ``joined`` in a loop that has no
        examples pass beside the batch (:func:`gradients` has); of a memory that is
        filled in every step, from ``update`` a step without its context, and from ``end_task``,
        if ``update`` was not called since ``begin_task``.

    References:
      Rolnick et al., Experience replay for continual learning, 2019; Shin et al.,
      Continual learning with deep generative replay, 2017, on r.

    >>> from jaxcl.transforms import fraction
    >>> forward, key = lambda w, batch: batch["x"] @ w, jax.random.key(0)
    >>> w, data = jnp.zeros((2, 4)), {"x": jnp.eye(2), "label": jnp.arange(2)}
    >>> transform = replay(fraction(1.0))
    >>> state, w = transform.end_task(transform.init(w), w, TaskData(data, forward), key)
    >>> loss, found = transform.apply(jnp.float32(1), state, Context(w, None, data, key, forward))
    >>> print(f"{found['replayed']:.4f} {loss:.4f}")  # log 4; 1/2 + log 4 / 2
    1.3863 1.1931
    """
    if weight is not None and not 0 <= weight <= 1:
        raise ValueError(f"weight: {weight} is outside [0, 1]")
    if not temperature > 0:
        raise ValueError(f"temperature: {temperature} is not positive; pass 2, say")
    check_drawn(n)
    if not objective.classes and memory.label is not None:
        raise ValueError(
            f"replay: the memory goes by classes, and {objective.name} labels are none; keep a"
            " fraction, or a reservoir"
        )
    if not objective.classes and memory.made_labels:
        raise ValueError(
            f"replay: the memory's labels are the likeliest classes, and {objective.name} labels"
            " are none; take generated(soft=True)"
        )
    chosen = _Replay(memory, weight, n, joined, temperature, name, label, objective)
    return LossTransform(
        partial(_init, chosen), partial(_apply, chosen), partial(_begin, chosen),
        partial(_update, chosen), partial(_end, chosen),
        needs=Needs(beside=partial(_beside, chosen) if joined else None),
    )  # fmt: skip


def any_filled(memory: Batch | Buffer) -> Bool[Array, ""]:
    """Returns whether there is an example to draw, of a memory that has arrays."""
    return memory.filled > 0 if isinstance(memory, Buffer) else jnp.asarray(True)


def or_own(found: Batch, memory: Batch | Buffer, batch: Batch) -> Batch:
    """Returns what was drawn from a memory; while it is empty, examples of the batch in its place.

    Rows of zeros stand in an empty memory, at which a network may not be finite, nor its gradient.

    Args:
      found: examples from the memory.
      memory: it.
      batch: new examples.
    """
    begun, rows = any_filled(memory), jnp.arange(examples(found)) % examples(batch)
    own = take({name: batch[name] for name in found if name in batch}, rows)
    kept = {name: found[name] for name in own}
    return found | jax.tree.map(lambda a, b: jnp.where(begun, a, b.astype(a.dtype)), kept, own)


class _Replay(NamedTuple):
    """The arguments of :func:`replay`."""

    memory: Memory
    weight: float | None
    n: int | None
    joined: bool
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
    check_kept(chosen.memory, task.data, chosen.label)
    tasks, own = int(state.tasks), stream(key, chosen.name)
    memory = chosen.memory.recall(state.memory, params, task, tasks, own)
    if task.augmented and LOGITS in held(memory):
        raise ValueError(
            "replay: old responses do not hold for inputs that are augmented; give"
            " generated(soft=False), or leave the augmentation out"
        )
    return state._replace(memory=memory)


def _beside(chosen: _Replay, state: ReplayState, batch: Batch, key: PRNGKey) -> Batch | None:
    """What is drawn, to pass together with the batch; None in the first task."""
    if not jax.tree.leaves(held(state.memory)):
        return None
    found = drawn(state.memory, stream(key, chosen.name), chosen.n or examples(batch))
    # While nothing is kept, the batch itself passes twice, which no mean over it notices.
    return found if chosen.memory.offer is None else or_own(found, state.memory, batch)


def _passed(chosen: _Replay, state: ReplayState, context: Context) -> Beside:
    """What is replayed in a step, and the network's outputs of it."""
    if chosen.joined:
        return passed_beside("replay", context)
    key, forward = required(context)
    n = examples(context.batch) if chosen.n is None else chosen.n
    batch = drawn(state.memory, stream(key, chosen.name), n)
    if chosen.memory.offer is not None:
        batch = or_own(batch, state.memory, context.batch)
    return Beside(batch, forward(context.params, batch))


def _apply(
    chosen: _Replay, loss: Scalar, state: ReplayState, context: Context
) -> tuple[Scalar, Metrics]:
    if not jax.tree.leaves(held(state.memory)):  # no earlier task
        return loss, {"replayed": jnp.zeros((), jnp.float32)}
    batch, outputs, _ = _passed(chosen, state, context)
    logits = context.logits(outputs, batch)
    check_logits(logits)
    if LOGITS in batch:
        distance = chosen.objective.distance
        softened = distance(logits, batch[LOGITS], state.temperature).mean()
        replayed = state.temperature**2 * softened if chosen.objective.logits else softened
    else:
        replayed = chosen.objective.loss(logits, batch[chosen.label]).mean()
    even = 1 / (state.tasks + 1).astype(jnp.float32)
    r = jnp.where(state.weight < 0, even, state.weight)
    if chosen.memory.offer is not None:  # it has arrays before it has examples
        begun = any_filled(state.memory)
        r, replayed = jnp.where(begun, r, 1.0), jnp.where(begun, replayed, 0.0)
    return r * loss + (1 - r) * replayed, {"replayed": replayed}


def _update(chosen: _Replay, state: ReplayState, step: Step) -> ReplayState:
    return state._replace(memory=offered(chosen.memory, state.memory, step, chosen.name))


def _end(
    chosen: _Replay, state: ReplayState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[ReplayState, Params]:
    remembered = chosen.memory.remember(state.memory, task, stream(key, chosen.name))
    return state._replace(tasks=state.tasks + 1, memory=remembered), params
