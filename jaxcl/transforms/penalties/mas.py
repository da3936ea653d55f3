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

    Returns:
      A transform that reports ``{"penalty": ...}``, the sum above without lambda.

    Raises:
      ValueError: a negative strength.

    References:
      Aljundi et al., Memory aware synapses: learning what (not) to forget, 2018
      (arXiv 1711.09601), section 4.

    >>> w, task = jnp.array([[3.0]]), TaskData({"x": jnp.array([[2.0]])}, lambda w, b: b["x"] @ w)
    >>> transform = mas(1.0)
    >>> state, _ = transform.end_task(transform.init(w), w, task, jax.random.key(0))
    >>> print(state.importance)  # d (w x)^2 / d w = 2 w x^2
    [[24.]]
    """
    check_not_negative("strength", strength)

    def end_task(
        state: QuadraticState, params: Params, task: TaskData, key: PRNGKey
    ) -> tuple[QuadraticState, Params]:
        new = output_sensitivity(params, task, key, examples=n)
        total = jax.tree.map(jnp.add, state.importance, new)
        return state._replace(importance=total, anchor=wide_copy(params)), params

    return quadratic_penalty(strength, 1.0, end_task)
