"""Memory aware synapses: a quadratic penalty weighted by the sensitivity of the outputs."""

import jax
import jax.numpy as jnp

from jaxcl.core.types import Params, PRNGKey
from jaxcl.transforms.base import LossTransform, TaskData
from jaxcl.transforms.checks import check_not_negative
from jaxcl.transforms.penalties.ewc import QuadraticState, quadratic_penalty, wide_copy
from jaxcl.transforms.penalties.importance import output_sensitivity


def mas(strength: float, *, n: int | None = None) -> LossTransform:
    """Makes memory aware synapses: what the outputs are sensitive to is held.

    Adds ``lambda * sum_i Omega_i (theta_i - theta*_i)^2``; as a task ends, the mean
    over its examples of ``|d (|outputs|^2) / d theta|`` is added to Omega, and
    ``theta*`` are the present weights.  What is learned makes no difference: outputs of any
    shape have a norm, and no labels are asked for, so that masked positions count too.

    Args:
      strength: lambda, at least 0.
      n: examples the importance is taken over; all of the task by default.

    Raises:
      ValueError: a negative strength.

    References:
      Aljundi et al., Memory aware synapses, 2018 (arXiv 1711.09601).
    """
    check_not_negative("strength", strength)

    def end_task(
        state: QuadraticState, params: Params, task: TaskData, key: PRNGKey
    ) -> tuple[QuadraticState, Params]:
        new = output_sensitivity(params, task, key, examples=n)
        total = jax.tree.map(jnp.add, state.importance, new)
        return state._replace(importance=total, anchor=wide_copy(params)), params

    return quadratic_penalty(strength, 1.0, end_task)
