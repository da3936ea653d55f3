"""Ridge regression of one-hot labels from sums over examples, and the choice of its lambda."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.types import Array, Float, Int
from jaxcl.transforms.between_tasks.class_statistics import as_large

RIDGES = tuple(10.0**power for power in range(-8, 9))
"""What lambda is chosen from."""


class Products(NamedTuple):
    """What ridge regression needs to know of the inputs h of all examples.

    Attributes:
      gram: sum of ``h h^T``.
      sums: of h over each class.
      counts: examples of each class.
    """

    gram: Float[Array, "units units"]
    sums: Float[Array, "tasks classes units"]
    counts: Int[Array, "tasks classes"]


def plus(old: Products, new: Products) -> Products:
    """Returns the sums of two, as large as both of them."""
    sums, counts = (sum(as_large(a, b)) for a, b in zip(old[1:], new[1:], strict=True))
    return Products(old.gram + new.gram, jnp.asarray(sums), jnp.asarray(counts))


def solved(ridge: float, products: Products) -> Array:
    """Returns ``w_k = (gram + lambda I)^-1 sums_k``, solved in float64 on the host.

    Raises:
      ValueError: a lambda so small that rounding of the sums leaves no solution.
    """
    import scipy.linalg  # here, so that importing the transforms imports no SciPy

    gram, sums = (np.asarray(x, np.float64) for x in products[:2])
    try:
        factor = scipy.linalg.cho_factor(gram + ridge * np.eye(len(gram)), lower=True)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"ridge: {ridge:g} is too small for these features; give more") from error
    weights = scipy.linalg.cho_solve(factor, sums.reshape(-1, len(gram)).T).T
    return jnp.asarray(weights.reshape(sums.shape), jnp.float32)


def chosen(whole: Products, held: Products) -> float:
    """Returns the lambda, of :data:`RIDGES`, with the least squared error on what is held out.

    Weights are those of the rest.  The error follows from sums alone: but for a constant it is
    ``sum_k w_k^T G w_k - 2 w_k^T c_k``, with gram G and sums c of what is held out.

    Args:
      whole: of all examples.
      held: of those among them that are held out.

    Raises:
      ValueError: none are held out.
    """
    if not int(held.counts.sum()):
        raise ValueError(
            "ridge: no class has two examples, so none can be held out to choose it; give 1e4, say"
        )
    rest = plus(whole, jax.tree.map(jnp.negative, held))
    gram, sums = (np.asarray(x, np.float64).reshape(-1, len(held.gram)) for x in held[:2])
    own, wanted = (np.asarray(x, np.float64).reshape(-1, len(gram)) for x in rest[:2])
    values, axes = np.linalg.eigh(own)  # once, for all lambdas
    gram, sums, wanted = axes.T @ gram @ axes, sums @ axes, wanted @ axes

    def error(ridge: float) -> float:
        if values[0] + ridge <= 0:  # there is no solution
            return np.inf
        weights = wanted / (values + ridge)
        return float(((weights @ gram - 2 * sums) * weights).sum())

    return min(RIDGES, key=error)
