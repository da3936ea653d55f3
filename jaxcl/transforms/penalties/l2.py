"""The quadratic penalty on the weights: the term R of the LwF loss."""

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, TaskData, keep_both
from jaxcl.transforms.checks import check_not_negative, check_params
from jaxcl.transforms.objectives.base import NO_OUTPUT, wide


def l2(strength: float, later: float | None = None) -> LossTransform:
    """Adds ``strength / 2 * sum(theta^2)`` over all parameters to the loss.

    Unlike decoupled weight decay it is part of the loss, so a frozen parameter,
    for which no gradient is taken, does not move under it.  An optimiser that
    divides by the gradient's size, such as Adam, moves a parameter that has no
    other gradient by full steps, however small the strength.  The sum is float32, whatever
    the parameters.  A bias below -1e8 hides a class that is still to come, and does not count.

    Args:
      strength: the coefficient, at least 0.
      later: the coefficient after the first task, at least 0; by default the same.
        What a later task does not use has no other gradient, and older tasks need it.

    Returns:
      A transform that reports ``{"l2": sum(theta^2) / 2}``.

    Raises:
      ValueError: a negative coefficient.

    >>> import jax.numpy as jnp
    >>> penalty = l2(0.5)
    >>> params = {"w": jnp.array([3.0, 4.0])}
    >>> context = Context(params=params, outputs={}, batch={})
    >>> loss, metrics = penalty.apply(jnp.float32(1), penalty.init(params), context)
    >>> float(loss)  # 1 + 0.5 * 25 / 2
    7.25
    """
    check_not_negative("strength", strength)
    if later is not None:
        check_not_negative("later", later)

    def init(params: Params) -> Scalar:
        check_params(params)
        return jnp.asarray(strength, jnp.float32)

    def apply(loss: Scalar, state: Scalar, context: Context) -> tuple[Scalar, Metrics]:
        leaves = [wide(_without_hidden(x)) for x in jax.tree.leaves(context.params)]
        half = jnp.asarray(sum(jnp.vdot(x, x) for x in leaves) / 2, jnp.float32)
        return loss + state * half, {"l2": half}

    def end_task(
        state: Scalar, params: Params, task: TaskData, key: PRNGKey
    ) -> tuple[Scalar, Params]:
        del state, task, key
        return jnp.asarray(later, jnp.float32), params

    return LossTransform(init, apply, end_task=keep_both if later is None else end_task)


def _without_hidden(x: Array) -> Array:
    """Returns a leaf with 0 for the biases that hide classes that are still to come."""
    return jnp.where(x < NO_OUTPUT, 0, x) if x.ndim == 1 else x
