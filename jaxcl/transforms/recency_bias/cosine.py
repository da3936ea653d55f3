"""A cosine classifier made of the weights of a linear one."""

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, Float, PyTree
from jaxcl.transforms.objectives.base import float32

TINY = 1e-12  # added to squared lengths, whose root has no slope at 0


def unit(x: Array, axis: int = -1) -> Array:
    """Returns vectors of length 1 along an axis, with a finite slope; zeros stay zeros."""
    return x * jax.lax.rsqrt((x * x).sum(axis, keepdims=True) + TINY)


def directions(features: PyTree, n: int) -> Float[Array, "n width"]:
    """Returns features of n examples as vectors of length 1, all axes but the first in one.

    Raises:
      ValueError: there are none.
    """
    if features is None:
        raise ValueError(
            "features: missing; give Context(..., features=...), and a forward that returns"
            " ForwardPass(outputs, features)"
        )
    return unit(float32(features).reshape(n, -1))


def cosine_logits(
    rows: Float[Array, "n width"], weights: Float[Array, "width classes"]
) -> Float[Array, "n classes"]:
    """Returns the cosines with the weights of each class, times the mean length of these.

    >>> cosine_logits(jnp.array([[0.0, 1.0]]), jnp.array([[3.0, 0.0], [4.0, 1.0]]))  # 3 * 4/5, 3
    Array([[2.4, 3. ]], dtype=float32)
    """
    w = float32(weights)
    return jnp.sqrt((w * w).sum(0) + TINY).mean() * (rows @ unit(w, 0))
