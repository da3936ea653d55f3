"""The algebra: a loss transform, its context, and ``chain``.

A :class:`LossTransform` is to a loss what ``optax.GradientTransformation`` is
to a gradient: a NamedTuple of pure functions over pytree state.  Everything
that fights forgetting is a value of this type, and :func:`chain` makes one out
of several.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxcl.core.types import Array, Batch, Data, Metrics, Outputs, Params, PRNGKey, PyTree, Scalar
from jaxcl.transforms.checks import check_outputs, check_owned


def first_output(outputs: Outputs, batch: Batch) -> Array:
    """Returns the logits, where the outputs are one array of them: the default of ``logits``."""
    del batch
    if isinstance(outputs, Mapping):
        raise TypeError("outputs: a dict; say with `logits` which of them an example is judged by")
    check_outputs(outputs)
    return outputs


class Context(NamedTuple):
    """What a transform may look at inside a training step.

    Attributes:
      params: the parameters the loss is differentiated at.
      outputs: ``forward(params, batch)``, computed once for loss and transforms.
      batch: the batch's arrays.  ``batch["index"]`` (int32, shape ``[b]``) says
        which rows of the task's data these examples are; transforms that
        recorded something per example need it.
      key: randomness for this step, or None where no transform asks for any.
      forward: ``forward(params, batch) -> outputs`` for other examples, or None
        where no transform asks for it (replay does).
      logits: ``(outputs, batch) -> [b, classes]``, those that each example is
        judged by; by default the outputs themselves.
    """

    params: Params
    outputs: Outputs
    batch: Batch
    key: PRNGKey | None = None
    forward: Callable[[Params, Batch], Outputs] | None = None
    logits: Callable[[Outputs, Batch], Array] = first_output


class TaskData(NamedTuple):
    """A task as a whole, handed to ``begin_task`` and ``end_task``.

    Attributes:
      data: all examples, arrays with leading axis N.
      forward: ``forward(params, batch) -> outputs``.  At the beginning of a
        task these are the outputs that existed before it: with one head per
        task, the old heads alone (an empty dict for the first task).
      logits: ``(outputs, batch) -> [b, classes]``, those that each example is
        judged by; by default the outputs themselves.
      gathered: for networks whose layers are known, a fast way to gradients
        example by example: ``gathered(f)`` is a ``forward`` whose gradient with
        respect to the parameters is ``sum_n f(g_n)``
        (:mod:`jaxcl.networks.layers`); None for any other network.
      generated: inputs like those of earlier tasks, made by a generator, for
        ``begin_task``; None where there is none.
    """

    data: Data
    forward: Callable[[Params, Batch], Outputs]
    logits: Callable[[Outputs, Batch], Array] = first_output
    gathered: Callable[[Callable[[Array], Array]], Callable[[Params, Batch], Outputs]] | None = None
    generated: Array | None = None


class Step(NamedTuple):
    """What an optimiser step did.

    Trees may have None where a parameter did not train.

    Attributes:
      before: the parameters before it.
      after: the parameters after it.
      gradient: the gradient of the whole loss, which the optimiser was given.
      loss_gradient: the gradient of the loss before any transform; None where
        no transform asks for it (SI does).
      context: of the step, at the parameters before it; None where no transform
        asks for it (DER does).
    """

    before: Params
    after: Params
    gradient: Params
    loss_gradient: Params | None = None
    context: Context | None = None


def required(context: Context) -> tuple[PRNGKey, Callable]:
    """Returns the key and the forward function of a context that must have them."""
    if context.key is None or context.forward is None:
        raise ValueError("context: this transform needs key and forward; give both to Context")
    return context.key, context.forward


def keep(state: Any, *unused: Any) -> Any:
    """Returns the state as it is: the default of every hook that writes state."""
    del unused
    return state


class LossTransform(NamedTuple):
    """Pure functions that turn one loss into another.

    Attributes:
      init: ``(params) -> state``; a pytree of arrays that holds everything the
        transform knows, its strength included.
      apply: ``(loss, state, context) -> (loss, metrics)``; differentiable in
        ``context.params`` and ``context.outputs``; never writes state.
      begin_task: ``(state, params, task, key) -> state``, before training: the
        place to record responses or to snapshot a teacher.
      update: ``(state, step) -> state`` after each optimiser step, inside the
        compiled loop; keeps the state's structure and shapes.
      end_task: ``(state, params, task, key) -> state``, after training.

    ``begin_task`` and ``end_task`` run outside ``jit`` and may change the
    state's shapes.  Three rules hold for the state:

    - It is an argument of the compiled step, and never something the step closes over:
      what is captured at the first trace would silently stay as it was in later tasks.
    - What it keeps of the parameters is a copy (:func:`~jaxcl.core.pytree.copy`), since a step
      may be given parameters and state for good (donated).
    - What has the shape of the parameters grows with them (:func:`~jaxcl.core.pytree.regrow`).
    """

    init: Callable[[Params], PyTree]
    apply: Callable[[Scalar, PyTree, Context], tuple[Scalar, Metrics]]
    begin_task: Callable[[PyTree, Params, TaskData, PRNGKey], PyTree] = keep
    update: Callable[[PyTree, Step], PyTree] = keep
    end_task: Callable[[PyTree, Params, TaskData, PRNGKey], PyTree] = keep


def chain(**transforms: LossTransform) -> LossTransform:
    """Applies transforms one after the other, in the order they are written.

    The order has meaning: a penalty adds to the loss it is given, a replay
    weighs it.  State and metrics are dicts under the given names.  ``chain()``
    is the identity.

    Raises:
      ValueError: from ``init``, ``begin_task`` and ``end_task``, where the state of a
        transform holds the parameters' own arrays.

    >>> import jax.numpy as jnp
    >>> double = LossTransform(lambda params: (), lambda l, s, c: (2 * l, {}))
    >>> add_one = LossTransform(lambda params: (), lambda l, s, c: (l + 1, {}))
    >>> context = Context(params={}, outputs={}, batch={})
    >>> for both in chain(a=double, b=add_one), chain(b=add_one, a=double):
    ...     loss, metrics = both.apply(jnp.float32(3), both.init({}), context)
    ...     print(loss)
    7.0
    8.0
    """

    def owned(state, params):
        for name in transforms:
            check_owned(name, state[name], params)
        return state

    def init(params):
        return owned({name: t.init(params) for name, t in transforms.items()}, params)

    def apply(loss, state, context):
        metrics = {}
        for name, t in transforms.items():
            loss, metrics[name] = t.apply(loss, state[name], context)
        return loss, metrics

    def begin_task(state, params, task, key):
        begun = {n: t.begin_task(state[n], params, task, key) for n, t in transforms.items()}
        return owned(begun, params)

    def update(state, step):
        return {n: t.update(state[n], step) for n, t in transforms.items()}

    def end_task(state, params, task, key):
        ended = {n: t.end_task(state[n], params, task, key) for n, t in transforms.items()}
        return owned(ended, params)

    return LossTransform(init, apply, begin_task, update, end_task)
