"""Steps in a loop on the device, and what they report."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import tree_util

from jaxcl.core.types import Array, Int, Metrics, PyTree

State = TypeVar("State")
OneStep = Callable[[State, Array], tuple[State, Metrics]]
"""(state, position of the step) -> (state, metrics)."""


class Totals(NamedTuple):
    """What the steps of an epoch report; carried from one run of steps to the next.

    Attributes:
      sums: the metrics of every step so far, added up.
      bad_step: position of the first step with a loss, or a part of it, that is not finite;
        -1 if there is none.
    """

    sums: Metrics
    bad_step: Int[Array, ""]


def zero_totals(step: OneStep[State], state: State) -> Totals:
    """Returns the totals before the first step."""
    _, shapes = jax.eval_shape(step, state, jnp.int32(0))
    sums = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return Totals(sums, jnp.full((), -1, jnp.int32))


def run_loop(
    step: OneStep[State],
    state: State,
    totals: Totals,
    first: Int[Array, ""],
    last: Int[Array, ""],
) -> tuple[State, Totals]:
    """Makes the steps ``first`` to ``last - 1``.

    The bounds are data, so one compilation serves every stretch of an epoch, and
    the result does not depend on where an epoch is cut.
    """

    def body(i: Array, carry: tuple[State, Totals]):
        state, totals = carry
        state, metrics = step(state, i)
        finite = jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(metrics)]).all()
        bad = jnp.where((totals.bad_step < 0) & ~finite, i, totals.bad_step)
        return state, Totals(jax.tree.map(jnp.add, totals.sums, metrics), bad)

    return jax.lax.fori_loop(first, last, body, (state, totals))


def means(sums: PyTree, steps: int) -> dict[str, float]:
    """Sums of nested metrics as means under dotted names."""
    leaves = tree_util.tree_leaves_with_path(sums)
    name = {"simple": True, "separator": "."}
    return {tree_util.keystr(path, **name): float(x) / steps for path, x in leaves}
