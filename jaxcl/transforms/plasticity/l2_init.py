"""L2 Init: every weight is pulled to its own initial value."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.pytree import copy, regrow
from jaxcl.core.types import Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, TaskData
from jaxcl.transforms.checks import check_grown, check_not_negative, check_params
from jaxcl.transforms.objectives.base import wide


class L2InitState(NamedTuple):
    """State of :func:`l2_init`.

    Attributes:
      strength: lambda, float32 scalar.
      initial: a copy of each weight's first value, a tree like the parameters.
    """

    strength: Scalar
    initial: Params


def l2_init(strength: float) -> LossTransform:
    """Adds ``strength * sum((theta - theta_0)^2)`` over all parameters to the loss.

    ``theta_0`` are the parameters as ``init`` finds them.  What is new as a later task begins,
    such as its head, is pulled to the value that it has at that moment.  There is no factor 1/2,
    as in the paper.  A frozen parameter adds to the loss and does not move.  The sum is float32,
    whatever the parameters.  With ``strength=0`` all gradients are those of the loss alone.

    Args:
      strength: lambda, at least 0.

    Returns:
      A transform that reports ``{"distance": sum((theta - theta_0)^2)}``.

    Raises:
      ValueError: a negative strength; from ``init``, parameters that an optimiser cannot train;
        from ``apply``, parameters that have grown since ``begin_task``.

    References:
      Kumar, Marklund & Van Roy, Maintaining plasticity in continual learning via regenerative
      regularization, 2024 (arXiv 2308.11958), section 3.

    >>> penalty = l2_init(0.5)
    >>> state = penalty.init({"w": jnp.array([1.0, 1.0])})
    >>> context = Context(params={"w": jnp.array([4.0, 5.0])}, outputs={}, batch={})
    >>> loss, metrics = penalty.apply(jnp.float32(1), state, context)
    >>> float(loss)  # 1 + 0.5 * (9 + 16)
    13.5
    """
    check_not_negative("strength", strength)

    def init(params: Params) -> L2InitState:
        check_params(params)
        return L2InitState(jnp.asarray(strength, jnp.float32), copy(params))

    return LossTransform(init, _apply, _begin)


def _apply(loss: Scalar, state: L2InitState, context: Context) -> tuple[Scalar, Metrics]:
    check_grown(state.initial, context.params)
    off = jax.tree.map(lambda x, x0: wide(x) - wide(x0), context.params, state.initial)
    far = jnp.asarray(sum(jnp.vdot(x, x) for x in jax.tree.leaves(off)), jnp.float32)
    return loss + state.strength * far, {"distance": far}


def _begin(state: L2InitState, params: Params, task: TaskData, key: PRNGKey) -> L2InitState:
    del key
    return state._replace(initial=regrow(state.initial, copy(params), task.before))
