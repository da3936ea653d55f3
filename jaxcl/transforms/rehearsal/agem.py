"""A-GEM: no step may make the loss on remembered examples larger, to first order."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.batching import examples
from jaxcl.core.random import stream
from jaxcl.core.types import Batch, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, TaskData, required
from jaxcl.transforms.checks import check_logits
from jaxcl.transforms.objectives import Objective, categorical
from jaxcl.transforms.objectives.base import wide
from jaxcl.transforms.rehearsal.buffers import Buffer
from jaxcl.transforms.rehearsal.memory import Memory, check_drawn, check_kept, drawn, held


class AGEMState(NamedTuple):
    """State of :func:`agem`.

    Attributes:
      memory: examples of the tasks that have ended; without arrays before the first has.
    """

    memory: Batch | Buffer


def agem(
    memory: Memory,
    *,
    n: int | None = None,
    name: str = "agem",
    label: str = "label",
    objective: Objective = categorical,
) -> LossTransform:
    """Makes averaged gradient episodic memory.

    As a task ends some of its examples are kept.  In every step of a later one the reference
    gradient ``g_ref`` is that of the mean loss of ``n`` examples drawn evenly from all that are
    kept, at the parameters before the step.  The gradient ``g`` of the whole loss becomes

        g - (g . g_ref) / (g_ref . g_ref) g_ref    where g . g_ref < 0,

    the nearest one that has no negative product with ``g_ref``; else it stays what it is, to the
    bit, and so it does in the first task.  Products go over all leaves that train, frozen ones are
    None in both gradients; they are float32 (wider where the parameters are), and so is the
    projection before it is rounded to the dtype of the gradient.  A step's optimiser comes after
    it: what Adam makes of the gradient may still have a negative product.  The loss stays as it
    is, and statistics that a forward pass on remembered examples would renew are given up.

    In a chain it changes the gradient of the whole loss, penalties included, after the
    transforms before it have changed it.

    Args:
      memory: keeps examples with their labels (``per_class``, ``fraction``, ``stored``).
      n: examples of the reference gradient, drawn with replacement; by default as many as a
        batch has.
      name: of the stream of random numbers; two of them in a chain need two names.
      label: name of the labels in the data.
      objective: what is learned.

    Returns:
      A transform that reports nothing and leaves the loss as it is: what it does, it does in
      ``gradient``, which :func:`gradients` calls.  It needs ``key``, ``forward`` and, if outputs
      are not one array, ``logits`` in its context.

    Raises:
      ValueError: fewer than one example; a memory that keeps none with labels, that is filled
        before a task ends, or that needs classes where the objective has none; from
        ``begin_task``, data without labels of that name, or with none that are classes where the
        memory looks at them; from ``apply`` and ``gradient``, a context without ``key`` or
        ``forward``.

    References:
      Chaudhry, Ranzato, Rohrbach & Elhoseiny, Efficient lifelong learning with A-GEM, 2019
      (arXiv 1812.00420), eq. 10-11; the memory of all tasks together, its section 4.

    >>> from jaxcl.transforms import fraction, squared
    >>> forward, key = lambda w, batch: batch["x"] @ w, jax.random.key(0)
    >>> w, data = jnp.zeros((1, 1)), {"x": jnp.ones((1, 1)), "label": jnp.ones((1, 1))}
    >>> transform = agem(fraction(1.0), objective=squared)
    >>> state, w = transform.end_task(transform.init(w), w, TaskData(data, forward), key)
    >>> context = Context(w, None, data, key, forward)
    >>> print(transform.gradient(jnp.ones((1, 1)), state, context))  # -2 is remembered
    [[0.]]
    """
    check_drawn(n)
    if not memory.own_labels:
        raise ValueError(
            "agem: the memory keeps no examples with their labels; give per_class, fraction or"
            " stored"
        )
    if memory.offer is not None:
        raise ValueError("agem: the memory is filled in every step; give stored(storage) alone")
    if memory.label is not None and not objective.classes:
        raise ValueError(
            f"agem: the memory goes by classes, and {objective.name} labels are none; keep a"
            " fraction, or a reservoir"
        )
    chosen = _AGEM(memory, n, name, label, objective)
    return LossTransform(
        partial(_init, chosen), _apply, partial(_begin, chosen), end_task=partial(_end, chosen),
        gradient=partial(_gradient, chosen),
    )  # fmt: skip


class _AGEM(NamedTuple):
    """The arguments of :func:`agem`."""

    memory: Memory
    n: int | None
    name: str
    label: str
    objective: Objective


def _init(chosen: _AGEM, params: Params) -> AGEMState:
    del params
    return AGEMState(chosen.memory.nothing())


def _apply(loss: Scalar, state: AGEMState, context: Context) -> tuple[Scalar, Metrics]:
    if jax.tree.leaves(held(state.memory)):
        required(context)  # else the gradient is taken without it, as in a loop for penalties
    return loss, {}


def _begin(
    chosen: _AGEM, state: AGEMState, params: Params, task: TaskData, key: PRNGKey
) -> AGEMState:
    del params, key
    check_kept(chosen.memory, task.data, chosen.label)
    return state


def _end(
    chosen: _AGEM, state: AGEMState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[AGEMState, Params]:
    return AGEMState(chosen.memory.remember(state.memory, task, stream(key, chosen.name))), params


def _gradient(chosen: _AGEM, gradient: Params, state: AGEMState, context: Context) -> Params:
    if not jax.tree.leaves(held(state.memory)):  # no earlier task
        return gradient
    return projected(gradient, _reference(chosen, gradient, state, context))


def _reference(chosen: _AGEM, gradient: Params, state: AGEMState, context: Context) -> Params:
    """The gradient of the loss on a draw from the memory, None where the given one is."""
    key, forward = required(context)
    n = examples(context.batch) if chosen.n is None else chosen.n
    batch = drawn(state.memory, stream(key, chosen.name), n)

    def loss(trained: Params) -> Scalar:
        params = _filled(trained, context.params)
        logits = context.logits(forward(params, batch), batch)
        check_logits(logits)
        return chosen.objective.loss(logits, batch[chosen.label]).mean()

    trains = jax.tree.map(
        lambda g, x: None if g is None else x, gradient, context.params, is_leaf=_is_none
    )
    return jax.grad(loss)(trains)


def projected(gradient: Params, reference: Params) -> Params:
    """Returns the nearest gradient that has no negative product with a reference.

    Args:
      gradient: a tree of arrays.
      reference: a tree like it.

    >>> g, reference = jnp.array([1.0, -2.0]), jnp.array([0.0, 3.0])
    >>> print(projected(g, reference), projected(g, -reference))
    [1. 0.] [ 1. -2.]
    """
    along, size = _product(gradient, reference), _product(reference, reference)
    against = along < 0
    # Where the square of a tiny reference is 0 in its dtype, nothing can be divided by it.
    share = jnp.where(against & (size > 0), along, 0) / jnp.where(size > 0, size, 1)

    def change(g, r):
        less = wide(g) - jnp.asarray(share, wide(g).dtype) * wide(r)
        return jnp.where(against, less.astype(g.dtype), g)

    return jax.tree.map(change, gradient, reference)


def _product(a: Params, b: Params) -> Scalar:
    parts = jax.tree.map(lambda x, y: jnp.vdot(wide(x), wide(y)), a, b)
    return jnp.asarray(sum(jax.tree.leaves(parts)))


def _filled(trained: Params, params: Params) -> Params:
    """All parameters, those that train from the first tree."""
    return jax.tree.map(lambda t, x: x if t is None else t, trained, params, is_leaf=_is_none)


def _is_none(leaf: object) -> bool:
    return leaf is None
