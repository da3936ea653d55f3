"""The algebra: a loss transform and its context.

A :class:`LossTransform` is to a loss what ``optax.GradientTransformation`` is to a gradient: a
NamedTuple of pure functions over pytree state.  Everything that fights forgetting is a value of
this type, and :func:`chain` makes one out of several.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxcl.core.types import (
    Array,
    Batch,
    Data,
    ForwardPass,
    Metrics,
    Outputs,
    Params,
    PRNGKey,
    PyTree,
    Scalar,
)
from jaxcl.transforms.checks import first_output


class Beside(NamedTuple):
    """Examples that passed the network in one batch with the new ones.

    Attributes:
      batch: their arrays.
      outputs: the network's, of these examples.
      features: what the heads were given, ``[b, ...]``; None where nobody asks for it.
    """

    batch: Batch
    outputs: Outputs
    features: PyTree = None


class Needs(NamedTuple):
    """What a transform needs of the forward pass of a step.

    Attributes:
      features: whether ``apply`` looks at features: those of the context, and of ``forward``.
      beside: ``(state, batch, key) -> examples`` that are to pass the network in one batch with
        the new ones, so that batch normalisation sees both; ``apply`` finds what came of them as
        ``context.beside``.  It returns None where there are none yet.
    """

    features: bool = False
    beside: Callable[[PyTree, Batch, PRNGKey], Batch | None] | None = None


class Context(NamedTuple):
    """What a transform may look at inside a training step.

    Attributes:
      params: the parameters the loss is differentiated at.
      outputs: ``forward(params, batch)``, computed once for loss and transforms.
      batch: the batch's arrays.  ``batch["index"]`` (int32, shape ``[b]``) says which rows of the
        task's data these are; transforms that recorded something per example need it.
      key: randomness for this step, or None where no transform asks for any.
      forward: ``forward(params, batch) -> outputs`` for other examples, or None where no
        transform asks for it (replay does); a ``ForwardPass`` of outputs and features where
        one looks at features.
      logits: ``(outputs, batch) -> [b, classes]``, those that each example is
        judged by; by default the outputs themselves.
      features: what the heads are given, ``[b, ...]``; None where nobody gives them.
        A transform may differentiate through them.
      teacher: ``(params, stats, batch) -> outputs`` of the network as it stood before the task,
        at the parameters and statistics of that time, in evaluation mode, on inputs that are
        augmented as those of ``outputs`` are, and those beside them where the batch has both; with
        features where ``forward`` has them.  None: ``forward`` serves.
      beside: what passed the network together with the batch; None where nothing did.
    """

    params: Params
    outputs: Outputs
    batch: Batch
    key: PRNGKey | None = None
    forward: Callable[[Params, Batch], Outputs] | None = None
    logits: Callable[[Outputs, Batch], Array] = first_output
    features: PyTree = None
    teacher: Callable[[Params, PyTree, Batch], Outputs | ForwardPass] | None = None
    beside: Beside | None = None


class TaskData(NamedTuple):
    """A task as a whole, handed to ``begin_task`` and ``end_task``.

    Attributes:
      data: all examples, arrays with leading axis N.
      forward: ``forward(params, batch) -> outputs``.  At the beginning of a task these are the
        outputs before it: with a head for each task, the old ones (of the first, an empty dict).
      logits: ``(outputs, batch) -> [b, classes]``, those that each example is
        judged by; by default the outputs themselves.
      gathered: for networks whose layers are known, a fast way to gradients example by example:
        ``gathered(f)`` is a ``forward`` whose gradient with respect to the parameters is
        ``sum_n f(g_n)`` (``jaxcl.networks.layers`` has it); None for any other network.
      generated: inputs like those of earlier tasks, made by a generator, for
        ``begin_task``; None where there is none.
      features: ``(params, batch) -> [b, ...]``: what the heads are given; None where nobody
        gives them.
      stats: statistics of the network (those of batch normalisation) that ``forward`` holds
        beside the parameters; what is to ask ``Context.teacher`` later keeps a copy.
      before: for ``begin_task``, the parameters without what came with the task, where this has
        had its place in their arrays from the start: classes whose logits are -1e9 until they
        come.  None: what comes is new leaves, or nothing.
      augmented: whether steps see other inputs than ``data`` has, so that what is recorded
        for an example does not hold for what they see of it.
    """

    data: Data
    forward: Callable[[Params, Batch], Outputs]
    logits: Callable[[Outputs, Batch], Array] = first_output
    gathered: Callable[[Callable[[Array], Array]], Callable[[Params, Batch], Outputs]] | None = None
    generated: Array | None = None
    features: Callable[[Params, Batch], PyTree] | None = None
    stats: PyTree = ()
    augmented: bool = False
    before: Params | None = None


def as_before(params: Params, task: TaskData) -> Params:
    """Returns the parameters without what came with a task that begins."""
    return params if task.before is None else task.before


class Step(NamedTuple):
    """What an optimiser step did.

    Trees may have None where a parameter did not train.

    Attributes:
      before: the parameters before it.
      after: the parameters after it.
      gradient: the gradient of the whole loss, which the optimiser was given.
      loss_gradient: that of the loss before any transform; None where none asks for it (SI does).
      context: of the step, at the parameters before it; None where no transform
        asks for it (DER does).
    """

    before: Params
    after: Params
    gradient: Params
    loss_gradient: Params | None = None
    context: Context | None = None


def required(context: Context) -> tuple[PRNGKey, Callable]:
    """Returns the key of a context, and its forward function, which gives outputs alone.

    Args:
      context: of a step.

    Raises:
      ValueError: one of the two is missing.

    >>> required(Context(params={}, outputs={}, batch={}))
    Traceback (most recent call last):
    ValueError: context: this transform needs key and forward; give both to Context
    """
    if context.key is None or context.forward is None:
        raise ValueError("context: this transform needs key and forward; give both to Context")
    forward = context.forward
    return context.key, lambda params, batch: ForwardPass.alone(forward(params, batch))


def keep(state: Any, *unused: Any) -> Any:
    """Returns the state as it is: the default of every hook that writes state."""
    del unused
    return state


def keep_both(state: Any, params: Params, *unused: Any) -> tuple[Any, Params]:
    """Returns the state and the parameters as they are: the default of ``end_task``."""
    del unused
    return state, params


class PredictedLogits(NamedTuple):
    """A ``predict`` whose scores are logits, the loss of which is reported as examples are tested.

    Other scores, such as distances from means, have none.

    Attributes:
      function: ``(state, context) -> [b, classes]``.
    """

    function: Callable[[PyTree, Context], Array]

    def __call__(self, state: PyTree, context: Context) -> Array:
        """Returns the logits."""
        return self.function(state, context)


class LossTransform(NamedTuple):
    """Pure functions that turn one loss into another.

    Attributes:
      init: ``(params) -> state``; a pytree of all that the transform knows, its strength included.
      apply: ``(loss, state, context) -> (loss, metrics)``; differentiable in
        ``context.params`` and ``context.outputs``; never writes state.
      begin_task: ``(state, params, task, key) -> state``, before training: the place to record
        responses or to snapshot a teacher.
      update: ``(state, step) -> state`` after each optimiser step, inside the compiled loop; keeps
        structure and shapes.  To reset weights, :class:`WithReset`.
      end_task: ``(state, params, task, key) -> (state, params)``, after training.
      gradient: ``(gradient, state, context) -> gradient``: changes the gradient that the
        optimiser is given, where frozen leaves are None; None where nothing is changed.
      predict: ``(state, context) -> [b, classes]``: scores by which examples are classified
        when they are tested, in place of the logits; a :class:`PredictedLogits` where they have a
        loss, too. None where the logits serve.
      needs: what ``apply`` needs of the network's forward pass.

    ``begin_task`` and ``end_task`` run outside ``jit`` and may change the state's shapes.  For it:

    - It is an argument of the compiled step, and never something the step closes over:
      what is captured at the first trace would silently stay as it was in later tasks.
    - What it keeps of the parameters is a copy (:func:`copy`), since a step
      may be given parameters and state for good (donated).
    - What has the shape of the parameters grows with them (:func:`regrow`).
    """

    init: Callable[[Params], PyTree]
    apply: Callable[[Scalar, PyTree, Context], tuple[Scalar, Metrics]]
    begin_task: Callable[[PyTree, Params, TaskData, PRNGKey], PyTree] = keep
    update: Callable[[PyTree, Step], PyTree] = keep
    end_task: Callable[[PyTree, Params, TaskData, PRNGKey], tuple[PyTree, Params]] = keep_both
    gradient: Callable[[Params, PyTree, Context], Params] | None = None
    predict: Callable[[PyTree, Context], Array] | None = None
    needs: Needs = Needs()
