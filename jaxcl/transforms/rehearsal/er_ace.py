"""ER-ACE: new examples are told apart from one another alone, remembered ones from all classes."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Bool, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, Step, TaskData, required
from jaxcl.transforms.checks import check_logits
from jaxcl.transforms.objectives import Objective, categorical
from jaxcl.transforms.objectives.base import float32
from jaxcl.transforms.rehearsal.buffers import Buffer
from jaxcl.transforms.rehearsal.memory import Memory, check_drawn, check_kept, drawn, held, offered
from jaxcl.transforms.rehearsal.replay import any_filled, or_own


class ACEState(NamedTuple):
    """State of :func:`er_ace`.

    Attributes:
      memory: what is remembered; without arrays before there is anything to remember.
      seen: classes that occur in the tasks so far, the present one included; None before the
        first task.
    """

    memory: Batch | Buffer
    seen: Bool[Array, "classes"] | None


def er_ace(
    memory: Memory,
    *,
    n: int | None = None,
    name: str = "er_ace",
    label: str = "label",
    objective: Objective = categorical,
    classes: int | None = None,
) -> LossTransform:
    """Makes experience replay with asymmetric cross-entropy.

    The loss is replaced by

        mean over the batch of -log(exp z_y / sum of exp z_c over classes c of the batch)
        + mean over the draw of -log(exp z_y / sum of exp z_c over classes c seen so far),

    so that new examples never push the logits of classes down that are not among them: these
    are told apart from the new ones by remembered examples alone.  Classes of the batch are those
    of its labels, in the first task too; classes seen so far are those of the data of all tasks
    that have begun.  The second term is left out until there is anything to draw.  A memory that is
    filled in every step (``stored(storage, online=True)``) is the paper's; with one that is filled
    as a task ends, new classes are told from old ones in the next task only.

    It is the given loss that is corrected: less the objective's mean loss of the batch, which
    is computed again, and plus the first term.  What was added to the loss before it in a chain
    stays, so the plain loss must be in it once, with weight 1: a transform that weighs
    it (``replay``) has no place before this one.

    Where each task has logits of its own (``Context.logits``), classes are those of an example's
    own task, of which a batch usually has all: it is replay with both weights 1.

    Args:
      memory: keeps examples with their labels (``per_class``, ``fraction``, ``stored``).
      n: examples drawn in a step, with replacement; by default as many as a batch has.
      name: of the stream of random numbers; two of them in a chain need two names.
      label: name of the labels in the data, classes ``[N]``, or ``[N, t]`` with one below 0
        where a position is masked.
      objective: what is learned; of classes.
      classes: of all tasks together, so that a step that was compiled for one task serves the
        next; by default those of the tasks so far.  More of them make room as they come.

    Returns:
      A transform that reports ``{"incoming": ..., "replayed": ...}``, the two terms in nats, and
      needs ``key``, ``forward`` and, if outputs are not one array, ``logits`` in its context;
      ``context`` in ``Step`` where the memory is filled in every step.

    Raises:
      ValueError: ``n`` not positive, an objective without classes, a memory that keeps no
        labels; from ``begin_task``, data without labels of that name, or with none that are
        classes of examples where the memory looks at them; of a memory that is
        filled in every step, from ``update`` a step without its context, and from ``end_task``,
        if ``update`` was not called since ``begin_task``.

    References:
      Caccia, Aljundi, Asadi, Tuytelaars, Pineau & Belilovsky, New insights on reducing abrupt
      representation change in online continual learning, 2022 (arXiv 2104.05025), section 4.

    >>> from jaxcl.transforms import fraction
    >>> forward, key = lambda w, batch: batch["x"] @ w, jax.random.key(0)
    >>> w, data = jnp.zeros((2, 3)), {"x": jnp.eye(2), "label": jnp.arange(2)}
    >>> transform, context = er_ace(fraction(1.0)), Context(w, w, data, key, forward)
    >>> state = transform.begin_task(transform.init(w), w, TaskData(data, forward), key)
    >>> print(f"{transform.apply(jnp.log(3.0), state, context)[0]:.4f}")  # log 2: two rivals
    0.6931
    """
    check_drawn(n)
    if not objective.classes:
        raise ValueError(f"er_ace: {objective.name} has no classes to tell apart; take categorical")
    if not memory.own_labels:
        raise ValueError(
            "er_ace: the memory keeps no examples with their labels; give per_class, fraction or"
            " stored"
        )
    chosen = _ACE(memory, n, name, label, objective, classes)
    return LossTransform(
        _init_of(chosen), partial(_apply, chosen), partial(_begin, chosen),
        partial(_update, chosen), partial(_end, chosen),
    )  # fmt: skip


class _ACE(NamedTuple):
    """The arguments of :func:`er_ace`."""

    memory: Memory
    n: int | None
    name: str
    label: str
    objective: Objective
    classes: int | None


def _init_of(chosen: _ACE):
    return lambda params: ACEState(chosen.memory.nothing(), None)


def _begin(chosen: _ACE, state: ACEState, params: Params, task: TaskData, key: PRNGKey) -> ACEState:
    check_kept(chosen.memory, task.data, chosen.label)
    labels = task.data[chosen.label]
    classes = np.unique(np.asarray(labels))
    known = np.zeros(0, bool) if state.seen is None else np.asarray(state.seen)
    seen = np.zeros(max(len(known), int(classes.max()) + 1, chosen.classes or 0), bool)
    seen[: len(known)] = known
    seen[classes[classes >= 0]] = True
    memory = chosen.memory.recall(state.memory, params, task, 0, stream(key, chosen.name))
    return ACEState(memory, jnp.asarray(seen))


def _apply(chosen: _ACE, loss: Scalar, state: ACEState, context: Context) -> tuple[Scalar, Metrics]:
    labels, objective = context.batch[chosen.label], chosen.objective
    logits = context.logits(context.outputs, context.batch)
    check_logits(logits)
    present = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool).reshape(-1, logits.shape[-1])
    incoming = objective.loss(among(logits, present.any(0)), labels).mean()
    corrected = (loss - objective.loss(logits, labels).mean()) + incoming
    if state.seen is None or not jax.tree.leaves(held(state.memory)):
        return corrected, {"incoming": incoming, "replayed": jnp.float32(0)}
    key, forward = required(context)
    n = examples(context.batch) if chosen.n is None else chosen.n
    found = drawn(state.memory, stream(key, chosen.name), n)
    batch = or_own(found, state.memory, context.batch)
    logits = context.logits(forward(context.params, batch), batch)
    check_logits(logits)
    replayed = objective.loss(among(logits, state.seen), batch[chosen.label]).mean()
    replayed = jnp.where(any_filled(state.memory), replayed, 0.0)
    return corrected + replayed, {"incoming": incoming, "replayed": replayed}


def among(logits: Array, classes: Bool[Array, "classes"]) -> Array:
    """Returns logits as float32, with ``-inf`` for a class that is not among those given.

    Args:
      logits: ``[b, ..., c]``.
      classes: whether a class is among them; those from its length on are not.

    >>> print(among(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([True, False])))
    [[  1. -inf -inf]]
    """
    width = logits.shape[-1]
    own = classes[:width]
    return jnp.where(jnp.pad(own, (0, width - len(own))), float32(logits), -jnp.inf)


def _update(chosen: _ACE, state: ACEState, step: Step) -> ACEState:
    return state._replace(memory=offered(chosen.memory, state.memory, step, chosen.name))


def _end(
    chosen: _ACE, state: ACEState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[ACEState, Params]:
    kept = chosen.memory.remember(state.memory, task, stream(key, chosen.name))
    return state._replace(memory=kept), params
