"""Old values in a tree that has grown."""

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, PyTree


def regrow(old: PyTree, like: PyTree) -> PyTree:
    """Returns the tree ``like`` with the values of ``old`` wherever there are any.

    Leaves are matched by the path of their keys.  A leaf that has become larger
    keeps its old values in the first rows and columns.  Leaves that ``old`` has
    and ``like`` has not are left out.

    Args:
      old: a tree of arrays.
      like: the larger tree; supplies the values that are new.

    Raises:
      ValueError: a leaf has become smaller or has another rank; names its path.

    >>> import jax.numpy as jnp
    >>> regrow({"a": jnp.ones(1)}, {"a": jnp.zeros(2), "b": jnp.zeros(1)})
    {'a': Array([1., 0.], dtype=float32), 'b': Array([0.], dtype=float32)}
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

    return jax.tree.map_with_path(value, like)


def zeros_like(params: PyTree) -> PyTree:
    """Makes a tree of zeros, in memory of its own."""
    return jax.tree.map(jnp.zeros_like, params)


def copy(params: PyTree) -> PyTree:
    """Returns a copy in memory of its own: the original may be donated to a train step.

    >>> import jax.numpy as jnp
    >>> params = {"w": jnp.ones(2)}
    >>> kept = copy(params)
    >>> kept["w"] is params["w"], bool((kept["w"] == params["w"]).all())
    (False, True)
    """
    return jax.tree.map(jnp.copy, params)
