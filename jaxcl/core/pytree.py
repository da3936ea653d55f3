"""Old values in a tree that has grown, and new ones in a part of a tree."""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, PyTree


def regrow(old: PyTree, like: PyTree, before: PyTree | None = None) -> PyTree:
    """Returns the tree ``like`` with the values of ``old`` wherever there are any.

    Leaves are matched by the path of their keys.  A leaf that has become larger
    keeps its old values in the first rows and columns.  Leaves that ``old`` has
    and ``like`` has not are left out.

    Args:
      old: a tree of arrays.
      like: the larger tree; supplies the values that are new.
      before: ``like`` without what is new, where this has had its place from the start
        (``TaskData.before``): entries that differ from it are new.

    Raises:
      ValueError: a leaf has become smaller or has another rank; names its path.

    >>> import jax.numpy as jnp
    >>> regrow({"a": jnp.ones(1)}, {"a": jnp.zeros(2), "b": jnp.zeros(1)})
    {'a': Array([1., 0.], dtype=float32), 'b': Array([0.], dtype=float32)}
    >>> regrow(jnp.zeros(2), jnp.array([1.0, 2.0]), before=jnp.array([1.0, -1e9]))
    Array([0., 2.], dtype=float32)
    """
    leaves = jax.tree_util.tree_leaves_with_path(old)
    found = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}

    def value(path, new: Array) -> Array:
        name = jax.tree_util.keystr(path)
        if name not in found:
            return new
        leaf = found[name]
        if leaf.shape == new.shape:
            return leaf
        if leaf.ndim != new.ndim or any(a > b for a, b in zip(leaf.shape, new.shape, strict=True)):
            raise ValueError(f"{name}: {leaf.shape} does not fit into {new.shape}")
        return new.at[tuple(slice(0, n) for n in leaf.shape)].set(leaf)

    kept = jax.tree.map_with_path(value, like)
    if before is None:
        return kept
    return jax.tree.map(lambda k, x, b: jnp.where(x == b, k, x), kept, like, before)


def where_trained(
    function: Callable[..., Array], held: PyTree, trained: PyTree, *more: PyTree
) -> PyTree:
    """Returns ``function(held, trained, *more)`` of each weight that trains, and what is held else.

    Args:
      function: of arrays.
      held: a tree like the parameters.
      trained: the same, or the upper part of one: None where weights do not train.
      more: trees like ``trained``.

    >>> held = {"a": 1, "b": {"c": 2, "d": 3}}
    >>> where_trained(lambda x, y: x + y, held, {"a": 10, "b": None})
    {'a': 11, 'b': {'c': 2, 'd': 3}}
    """
    return jax.tree.map(
        lambda t, h, *rest: h if t is None else function(h, t, *rest),
        trained, held, *more, is_leaf=lambda x: x is None,
    )  # fmt: skip


def zeros_like(params: PyTree) -> PyTree:
    """Makes a tree of zeros, in memory of its own."""
    return jax.tree.map(jnp.zeros_like, params)


def copy(params: PyTree) -> PyTree:
    """Returns a copy in memory of its own: the original may be donated to a train step.

    Args:
      params: a tree of arrays.

    >>> import jax.numpy as jnp
    >>> params = {"w": jnp.ones(2)}
    >>> kept = copy(params)
    >>> kept["w"] is params["w"], bool((kept["w"] == params["w"]).all())
    (False, True)
    """
    return jax.tree.map(jnp.copy, params)


def all_finite(tree: PyTree) -> bool:
    """Returns whether no number of a tree of arrays is infinite or NaN.

    >>> import jax.numpy as jnp
    >>> all_finite({"w": jnp.ones(2)}), all_finite({"w": jnp.array([1.0, jnp.nan])})
    (True, False)
    """
    # Leaf by leaf: leaves that a task brings are of shapes that were compiled before.
    return all(jax.device_get([_finite(leaf) for leaf in jax.tree.leaves(tree)]))


def kinds(tree: PyTree) -> dict[str, str]:
    """Returns under its path the dtype and shape of each array, but for its examples' axis."""
    found = {}
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        found[name] = f"{jnp.result_type(x)} [{', '.join(['...', *map(str, x.shape[1:])])}]"
    return found


@jax.jit
def _finite(leaf: Array) -> Array:
    return jnp.isfinite(leaf).all()


class Reset(NamedTuple):
    """Entries of the parameters that get other values, and lose what an optimiser knows of them.

    Attributes:
      where: booleans, which entries; a tree like the parameters, of arrays that broadcast to them.
      to: their values; a tree like the parameters.
    """

    where: PyTree
    to: PyTree


class WithReset(NamedTuple):
    """What a transform's ``update`` returns where it resets weights.

    Attributes:
      state: of the transform.
      reset: after the step; of all parameters, frozen ones too.
    """

    state: PyTree
    reset: Reset


def state_and_reset(found: PyTree | WithReset) -> tuple[PyTree, Reset | None]:
    """Returns what ``update`` gave, with None for what is reset where it gave a state alone.

    Args:
      found: a state, or a :class:`WithReset`.

    >>> state_and_reset({"steps": 3})
    ({'steps': 3}, None)
    """
    return (found.state, found.reset) if isinstance(found, WithReset) else (found, None)


def joined(found: dict[str, PyTree | WithReset]) -> PyTree | WithReset:
    """Returns what the ``update`` of several transforms gave as that of one, in their order."""
    parts = {name: state_and_reset(each) for name, each in found.items()}
    states = {name: state for name, (state, _) in parts.items()}
    resets = [reset for _, reset in parts.values() if reset is not None]
    return WithReset(states, reduce(_both, resets)) if resets else states


def _both(first: Reset, second: Reset) -> Reset:
    """One reset for two; where they are of the same entry, the second one's value."""
    return Reset(
        jax.tree.map(jnp.logical_or, first.where, second.where),
        jax.tree.map(jnp.where, second.where, second.to, first.to),
    )


def reset_values(params: PyTree, reset: Reset) -> PyTree:
    """Returns the parameters with the values of a reset; entries that are not reset keep theirs.

    Args:
      params: all, or some with None for the others.
      reset: of all.

    >>> import jax.numpy as jnp
    >>> whole = Reset({"a": jnp.array([True, False]), "b": jnp.array(True)},
    ...               {"a": jnp.zeros(2), "b": jnp.zeros(2)})
    >>> reset_values({"a": jnp.ones(2), "b": None}, whole)
    {'a': Array([0., 1.], dtype=float32), 'b': None}
    """
    return jax.tree.map(
        lambda x, where, to: x if _empty(x) else jnp.where(where, to, x),
        params,
        *reset,
        is_leaf=_empty,
    )


def _empty(node: PyTree) -> bool:
    """Whether there is no array: None, or what optax has in place of a leaf that it masks."""
    return not jax.tree.leaves(node)


def reset_moments(opt: PyTree, params: PyTree, reset: Reset) -> PyTree:
    """Returns an optimiser's state with 0 for reset entries, wherever it is like the parameters.

    Adam has two such trees, gradient descent none.  Counts of steps go on, since there is one
    for all entries.  A tree may lack some parameters, as where optax masks them.

    Args:
      opt: any tree, such as the state of an optax transformation.
      params: those that train, None for the others: what the state was made for.
      reset: of all parameters.

    Raises:
      ValueError: floats that are not like the parameters, so that nobody can tell whose they are.

    >>> whole = Reset({"w": jnp.array([True, False])}, {"w": jnp.zeros(2)})
    >>> reset_moments((3, {"w": jnp.ones(2)}), {"w": jnp.ones(2)}, whole)  # a count, a moment
    (3, {'w': Array([0., 1.], dtype=float32)})
    """
    zero = reset._replace(to=jax.tree.map(jnp.zeros_like, reset.to))

    def alike(node: PyTree) -> bool:
        leaves, structure = jax.tree.flatten(node, is_leaf=_empty)
        try:
            both = zip(leaves, structure.flatten_up_to(params), strict=True)
        except ValueError:  # another structure
            return False
        return all(
            _empty(x) or (jax.tree_util.all_leaves([y]) and jnp.shape(x) == jnp.shape(y))
            for x, y in both
        )

    for leaf in jax.tree.leaves(opt, is_leaf=alike):
        if not alike(leaf):
            _check_no_moments(leaf)
    return jax.tree.map(
        lambda node: reset_values(node, zero) if alike(node) else node, opt, is_leaf=alike
    )


def _check_no_moments(leaf: PyTree) -> None:
    """Raises a ValueError for floats that may be moments, of which nobody can tell whose."""
    if jnp.ndim(leaf) > 0 and jnp.issubdtype(leaf.dtype, jnp.floating):
        raise ValueError(
            f"optimizer: its state has {leaf.dtype} {jnp.shape(leaf)} that is not like the"
            " parameters, so moments of reset weights cannot be found in it; give one that keeps"
            " trees like the parameters, such as optax.adam without optax.flatten"
        )
