"""Learning without Forgetting: hold on to the old responses to new data."""

from collections.abc import Mapping
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.types import (
    Array,
    Batch,
    Int,
    Metrics,
    Outputs,
    Params,
    PRNGKey,
    PyTree,
    Scalar,
)
from jaxcl.transforms.base import Context, LossTransform, TaskData
from jaxcl.transforms.checks import (
    check_choice,
    check_not_negative,
    check_outputs,
    check_recorded,
)
from jaxcl.transforms.objectives import Objective, categorical
from jaxcl.transforms.objectives.base import NO_OUTPUT
from jaxcl.transforms.old_responses import answers, of_a_draw, recorded, rows_of, teacher
from jaxcl.transforms.rehearsal.made_examples import drawn_images

NOBODY = "nobody"  # is asked in the first task: the mark in place of a teacher


class DistillState(NamedTuple):
    """State of :func:`distill`.

    Attributes:
      strength: lambda, float32 scalar.
      temperature: T, float32 scalar.
      tasks: how many tasks have ended, int32 scalar; with none there is nothing
        to hold on to, and the loss stays as it is.
      responses: the recorded outputs, float arrays ``[N, ...]`` in the tree that the
        task's ``forward`` returned.
      inputs: what they are responses to, where that is not the task's own data.
      teacher: ``params`` and ``stats`` of the network before, where inputs are augmented and
        so what was recorded would not hold for them, or in the first task a mark; else empty.
    """

    strength: Scalar
    temperature: Scalar
    tasks: Int[Array, ""]
    responses: Outputs
    inputs: Batch
    teacher: dict[str, PyTree]


def distill(
    strength: float = 15.0,
    temperature: float = 2.0,
    *,
    t_squared: bool = False,
    weighting: Literal["one", "tasks"] = "one",
    padded: bool = False,
    generated: bool = False,
    inputs: str = "input",
    record_batch: int = 500,
    objective: Objective = categorical,
) -> LossTransform:
    """Distils knowledge from the network as it stood before the task.

    Before training, the old network's responses to the *new* task's inputs are
    recorded once; where these are augmented (``TaskData.augmented``), the old network itself is
    kept and asked in every step.  In every step

        loss + lambda * sum over old outputs of mean over the batch of
            -sum_i softmax(old / T)_i log softmax(new / T)_i

    is minimised; another objective has its own distance in place of this one.  During the
    first task nothing is added.  An output that tasks share counts once, however many tasks
    there were.

    Args:
      strength: lambda >= 0, the weight of the old responses.
      temperature: T > 0; 2 in the paper.
      t_squared: multiply by T^2, which keeps the gradient's scale as T grows
        (Hinton et al. 2015); the LwF paper does not.  Only logits have a temperature.
      weighting: ``"one"`` as in the LwF paper; ``"tasks"`` takes the mean over old outputs
        and weighs it by the number of tasks before, as van de Ven et al. do.  With a head
        for each task the two are equal; with one output for all, lambda grows by itself
        from task to task.
      padded: where an output has grown by new classes since it was recorded, these
        had probability 0 in the old response; by default they are left out of the
        comparison, which then says nothing about new classes against old ones.
      generated: record the responses to ``task.generated``, what a generator makes of
        the earlier tasks' inputs; a step then draws as many of these as its batch has examples.
      inputs: name of the inputs in the data, for generated ones.
      record_batch: examples in one forward pass while recording.
      objective: what is learned.

    Returns:
      A transform whose ``apply`` needs ``batch["index"]`` (with ``generated``, instead of
      it, ``key`` and ``forward`` in the context) and reports the mean distillation loss as
      ``{"kd": ...}`` (nats, before the weight).  If ``outputs`` is a dict, the names
      that were recorded are compared.

    Raises:
      ValueError: a negative strength, a temperature that is not positive, or an unknown
        weighting; from ``apply`` with one output, ``begin_task`` was never called.
      KeyError: from ``apply``, no ``batch["index"]``.
      TypeError: from ``begin_task``, where ``forward`` returns more than logits.

    References:
      Li & Hoiem, Learning without Forgetting, 2016 (arXiv 1606.09282); the weighting by
      tasks: van de Ven, Tuytelaars & Tolias, Three types of incremental learning, 2022.

    >>> import jax, jax.numpy as jnp
    >>> forward = lambda w, batch: batch["x"] @ w
    >>> data, w, key = {"x": jnp.eye(3)}, jnp.zeros((3, 2)), jax.random.key(0)
    >>> transform, task = distill(strength=1.0), TaskData(data, forward)
    >>> state, w = transform.end_task(transform.init(w), w, task, key)  # one task is over
    >>> state = transform.begin_task(state, w, task, key)  # the next begins
    >>> batch = {**data, "index": jnp.arange(3)}
    >>> loss, _ = transform.apply(jnp.float32(0), state, Context(w, forward(w, batch), batch))
    >>> print(f"{loss:.4f}")  # the entropy of even odds, log 2
    0.6931
    """
    check_not_negative("strength", strength)
    check_choice("weighting", weighting, ("one", "tasks"))
    if not temperature > 0:
        raise ValueError(f"temperature: {temperature} is not positive; pass 2, say")
    chosen = _Distill(
        strength, temperature, t_squared and objective.logits, weighting, padded,
        inputs if generated else None, record_batch, objective,
    )  # fmt: skip
    return LossTransform(
        partial(_init, chosen), partial(_apply, chosen), partial(_begin, chosen), end_task=_end
    )


class _Distill(NamedTuple):
    """The arguments of :func:`distill`; ``generated`` names the inputs that are, if any."""

    strength: float
    temperature: float
    t_squared: bool
    weighting: Literal["one", "tasks"]
    padded: bool
    generated: str | None
    record_batch: int
    objective: Objective


def _init(chosen: _Distill, params: Params) -> DistillState:
    del params
    return DistillState(
        jnp.asarray(chosen.strength, jnp.float32),
        jnp.asarray(chosen.temperature, jnp.float32),
        jnp.zeros((), jnp.int32),
        {},
        {},
        {},
    )


def _begin(
    chosen: _Distill, state: DistillState, params: Params, task: TaskData, key: PRNGKey
) -> DistillState:
    del key
    if chosen.generated and task.augmented:
        raise ValueError(
            "generated: what is recorded does not hold for inputs that are augmented; leave the"
            " augmentation out"
        )
    if task.augmented:
        asked = teacher(params, task) if int(state.tasks) else {NOBODY: jnp.zeros(())}
        return state._replace(teacher=asked)
    if not chosen.generated:
        return state._replace(responses=recorded(params, task, task.data, chosen.record_batch))
    if int(state.tasks) == 0:
        return state
    inputs = {chosen.generated: drawn_images(task)}
    responses = recorded(params, task, inputs, chosen.record_batch)
    return state._replace(responses=responses, inputs=inputs)


def _apply(
    chosen: _Distill, loss: Scalar, state: DistillState, context: Context
) -> tuple[Scalar, Metrics]:
    outputs, responses = context.outputs, state.responses
    if NOBODY in state.teacher or (chosen.generated and not state.inputs):  # the first task
        return loss, {"kd": jnp.zeros((), jnp.float32)}
    if state.teacher:
        responses, rows = answers(state.teacher, context), slice(None)
    elif chosen.generated:
        rows, outputs = of_a_draw(state.inputs, context)
    else:
        rows = rows_of(context)
    check_recorded(outputs, responses)
    selected = _select(outputs, responses)
    check_outputs(selected)
    pairs = list(zip(jax.tree.leaves(selected), jax.tree.leaves(responses), strict=True))
    kd = jnp.zeros((), jnp.float32)
    for new, old in pairs:
        response = old[rows]
        if not chosen.padded:
            new = new[..., : old.shape[-1]]
            if chosen.objective.logits:  # a class that was still to come is not compared either
                new = jnp.where(response < NO_OUTPUT, response, new)
        kd += chosen.objective.distance(new, response, state.temperature).mean()
    if chosen.weighting == "tasks" and pairs:
        kd *= state.tasks.astype(jnp.float32) / len(pairs)
    if chosen.t_squared:
        kd *= state.temperature**2
    weight = jnp.where(state.tasks > 0, state.strength, 0.0)
    return loss + weight * kd, {"kd": kd}


def _select(outputs: Outputs, like: Outputs) -> Outputs:
    """The outputs that were recorded; heads made since then have no response."""
    if isinstance(like, Mapping):
        return {name: outputs[name] for name in like}
    return outputs


def _end(
    state: DistillState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[DistillState, Params]:
    del task, key
    return state._replace(tasks=state.tasks + 1), params
