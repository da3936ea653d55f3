"""A linear correction of logits, ``alpha z + beta``, and the one that fits an example set best."""

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, Bool, Float, Int, Scalar
from jaxcl.transforms.objectives import categorical
from jaxcl.transforms.objectives.base import float32

STEPS = 50
HALVINGS = 30
ENOUGH = 1e-4  # part of the decrease that the slope promises
ROUNDING = 1e-6  # of a loss in float32, relative

Correction = Float[Array, "2 classes"]
"""alpha in the first row and beta in the second, of every class."""


def corrected(logits: Float[Array, "b outputs"], correction: Correction | None) -> Array:
    """Returns ``alpha z + beta`` in float32; a class without a correction keeps its logit.

    Args:
      logits: z.
      correction: of the first classes; None: of none.

    >>> print(corrected(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([[1.0, 0.5], [0.0, -2.0]])))
    [[ 1. -1.  3.]]
    """
    if correction is None:
        return float32(logits)
    alpha, beta = widened(correction, logits.shape[-1])
    return alpha * float32(logits) + beta


def widened(correction: Correction | None, classes: int) -> Float[Array, "2 wider"]:
    """Returns a correction of so many classes, which leaves those that are new as they are."""
    given = jnp.zeros((2, 0), jnp.float32) if correction is None else correction[:, :classes]
    missing = classes - given.shape[-1]
    same = jnp.broadcast_to(jnp.array([[1.0], [0.0]], jnp.float32), (2, missing))
    return jnp.concatenate([given, same], -1)


def refitted(
    correction: Correction | None,
    logits: Float[Array, "n outputs"],
    labels: Int[Array, "n"],
    own: Bool[Array, "outputs"],
    ridge: Scalar,
) -> Float[Array, "2 outputs"]:
    """Returns a correction whose alpha and beta for some classes are :func:`fitted`."""
    pair = fitted(logits, labels, own, ridge)
    return jnp.where(own, pair[:, None], widened(correction, len(own)))


@jax.jit
def fitted(
    logits: Float[Array, "n outputs"],
    labels: Int[Array, "n"],
    own: Bool[Array, "outputs"],
    ridge: Scalar,
) -> Float[Array, "2"]:
    """Returns the alpha and beta for some classes with the smallest loss on an example set.

    The loss is strictly convex in both, and its minimum is found by Newton's method from
    (1, 0), where each step is halved until the loss falls by a part of what the slope promises:

        mean of -log softmax(q)_y + ridge/2 ((alpha - 1)^2 + beta^2),
        q_c = alpha z_c + beta for the classes c that are corrected, else z_c

    Args:
      logits: z.
      labels: y.
      own: whether a class is corrected.
      ridge: > 0; without it there is no minimum where the examples can be told apart.
    """

    def loss(pair: Float[Array, "2"]) -> Scalar:
        q = jnp.where(own, pair[0] * logits + pair[1], logits)
        off = pair - start
        return categorical.loss(q, labels).mean() + ridge / 2 * (off * off).sum()

    def step(_, pair: Float[Array, "2"]) -> Float[Array, "2"]:
        value, slope = jax.value_and_grad(loss)(pair)
        change = jnp.linalg.solve(jax.hessian(loss)(pair), slope)
        lengths = jnp.float32(0.5) ** jnp.arange(HALVINGS, dtype=jnp.float32)
        found = jax.vmap(lambda length: loss(pair - length * change))(lengths)
        falls = found <= value - ENOUGH * lengths * (slope @ change) + ROUNDING * value
        return pair - jnp.where(falls.any(), lengths[jnp.argmax(falls)], 0.0) * change

    start = jnp.array([1.0, 0.0], jnp.float32)
    return jax.lax.fori_loop(0, STEPS, step, start)
