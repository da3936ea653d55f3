"""Shrink and perturb: as a task ends, weights become smaller and noisier."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.random import stream
from jaxcl.core.types import Array, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, TaskData
from jaxcl.transforms.checks import check_not_negative, check_params
from jaxcl.transforms.objectives.base import wide

Chosen = Callable[[tuple[str, ...]], bool]
"""Names that lead to a leaf, such as ``("heads", "t00", "w")`` -> whether it is changed."""


class ShrinkPerturbState(NamedTuple):
    """State of :func:`shrink_perturb`.

    Attributes:
      shrink: lambda, float32 scalar.
      noise: sigma, float32 scalar.
    """

    shrink: Scalar
    noise: Scalar


def everything(path: tuple[str, ...]) -> bool:
    """Returns True for every leaf."""
    del path
    return True


def all_but_heads(path: tuple[str, ...]) -> bool:
    """Returns False for the leaves under ``heads``, those of jaxcl's networks.

    >>> all_but_heads(("fc1", "w")), all_but_heads(("heads", "t00", "w"))
    (True, False)
    """
    return path[:1] != ("heads",)


def shrink_perturb(
    shrink: float = 0.6,
    noise: float = 0.01,
    *,
    chosen: Chosen = everything,
    name: str = "shrink_perturb",
) -> LossTransform:
    """Makes shrink and perturb: the next task starts from smaller, noisier weights.

    As a task ends, every weight of the chosen leaves becomes

        theta <- shrink * theta + p,    p ~ N(0, noise^2),

    with an independent draw for each weight, biases and scales of normalisation included.
    It is computed in float32 (wider where the parameters are) and rounded to the dtype of the
    leaf.  With ``shrink=1, noise=0`` weights stay as they are, to the bit.  The loss is never
    changed.

    It is meant for what comes next: the network as it stands between two tasks, and after the
    last one, is worse than the one that was trained.  A leaf that no later task trains keeps the
    damage, which is what ``chosen`` is for: heads of finished tasks, where each task has one of
    its own.  In a chain, transforms after it see the changed weights as the task ends, and those
    before it the trained ones: a penalty's anchor ought to come after it.

    Args:
      shrink: lambda in [0, 1].
      noise: sigma, at least 0: standard deviation of what is added.
      chosen: says of the path of a leaf whether it is changed; all are by default.
      name: of the stream of random numbers.

    Returns:
      A transform that reports nothing; both numbers are leaves of its state.

    Raises:
      ValueError: a number out of its range; from ``init``, parameters that an optimiser cannot
        train.

    References:
      Ash & Adams, On warm-starting neural network training, 2020 (arXiv 1910.08475), section 4.
      Their network has one output, and all of it is changed.

    >>> transform, task = shrink_perturb(0.5, noise=0.0), TaskData({}, lambda w, batch: {})
    >>> w = jnp.array([2.0, -4.0])
    >>> print(transform.end_task(transform.init(w), w, task, jax.random.key(0))[1])
    [ 1. -2.]
    """
    if not 0 <= shrink <= 1:
        raise ValueError(f"shrink: {shrink} is outside [0, 1]; give 0.6, say")
    check_not_negative("noise", noise)
    return LossTransform(
        partial(_init, shrink, noise), _apply, end_task=partial(_end, chosen, name)
    )


def _init(shrink: float, noise: float, params: Params) -> ShrinkPerturbState:
    check_params(params)
    return ShrinkPerturbState(jnp.asarray(shrink, jnp.float32), jnp.asarray(noise, jnp.float32))


def _apply(loss: Scalar, state: ShrinkPerturbState, context: Context) -> tuple[Scalar, Metrics]:
    del state, context
    return loss, {}


def _end(
    chosen: Chosen,
    name: str,
    state: ShrinkPerturbState,
    params: Params,
    task: TaskData,
    key: PRNGKey,
) -> tuple[ShrinkPerturbState, Params]:
    del task

    def change(path, x: Array) -> Array:
        if not chosen(tuple(str(getattr(k, "key", getattr(k, "name", k))) for k in path)):
            return x
        # By its path: what a leaf is given does not hang on which others there are.
        own = stream(stream(key, name), jax.tree_util.keystr(path))
        kind = wide(x).dtype
        shrink, noise = (jnp.asarray(value, kind) for value in state)
        changed = shrink * wide(x) + noise * jax.random.normal(own, jnp.shape(x), kind)
        same = (state.shrink == 1) & (state.noise == 0)
        return jnp.where(same, x, changed.astype(jnp.result_type(x)))

    return state, jax.tree.map_with_path(change, params)
