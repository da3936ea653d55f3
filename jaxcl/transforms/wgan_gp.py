"""Wasserstein GAN with gradient penalty: the losses of critic and generator."""

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, Float, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, required
from jaxcl.transforms.checks import check_not_negative
from jaxcl.transforms.objectives.base import wide

REAL, FAKE = "image", "fake"  # names of the inputs in a critic's batch


def critic_loss(real: Float[Array, "n"], fake: Float[Array, "m"]) -> Scalar:
    """Returns ``mean D(fake) - mean D(real)``: minus the critic's estimate of the distance.

    Args:
      real: scores D of real examples.
      fake: scores D of generated ones.

    References:
      Arjovsky, Chintala & Bottou, Wasserstein GAN, 2017 (arXiv 1701.07875).

    >>> import jax.numpy as jnp
    >>> float(critic_loss(jnp.array([3.0, 1.0]), jnp.array([0.5])))
    -1.5
    """
    return wide(fake).mean() - wide(real).mean()


def generator_loss(fake: Float[Array, "m"]) -> Scalar:
    """Returns ``-mean D(fake)``: what the generator makes small.

    Args:
      fake: scores D of generated examples.

    References:
      Arjovsky, Chintala & Bottou, Wasserstein GAN, 2017 (arXiv 1701.07875).

    >>> float(generator_loss(jnp.array([1.0, 2.0])))
    -1.5
    """
    return -wide(fake).mean()


def mixed(key: PRNGKey, real: Array, fake: Array) -> Array:
    """Returns ``e real + (1 - e) fake`` with an e of its own, even on [0, 1], for each example."""
    shape = (len(real), *(1 for _ in real.shape[1:]))
    e = jax.random.uniform(key, shape, real.dtype)
    return e * real + (1 - e) * fake


def gradient_penalty(strength: float = 10.0) -> LossTransform:
    """Adds ``lambda * mean (||dD/dx||_2 - 1)^2`` to a critic's loss.

    The gradient is taken with respect to the critic's inputs, at points x drawn evenly
    on the lines between real and generated examples: an epsilon for each pair, and a
    norm over all of an input's values.  A critic with batch normalisation has no such
    gradient example by example, and must not be used.

    Args:
      strength: lambda >= 0; 10 in the paper.

    Returns:
      A transform that needs, in its context, ``batch["image"]`` and ``batch["fake"]``
      of the same shape, a ``key``, and ``forward(params, batch) -> [b]`` scores of
      ``batch["image"]``.  Reports ``{"penalty": ...}`` before the weight.

    Raises:
      ValueError: a negative strength.

    References:
      Gulrajani, Ahmed, Arjovsky, Dumoulin & Courville, Improved training of
      Wasserstein GANs, 2017 (arXiv 1704.00028).

    >>> import jax, jax.numpy as jnp
    >>> linear = lambda w, batch: batch["image"] @ w  # the gradient is w, everywhere
    >>> w, batch = jnp.array([3.0, 4.0]), {"image": jnp.ones((2, 2)), "fake": jnp.zeros((2, 2))}
    >>> context = Context(w, linear(w, batch), batch, jax.random.key(0), linear)
    >>> transform = gradient_penalty(1.0)
    >>> float(transform.apply(jnp.float32(0), transform.init(w), context)[0])  # (5 - 1)^2
    16.0
    """
    check_not_negative("strength", strength)

    def init(params: Params) -> Scalar:
        del params
        return jnp.asarray(strength, jnp.float32)

    def apply(loss: Scalar, state: Scalar, context: Context) -> tuple[Scalar, Metrics]:
        key, forward = required(context)
        points = mixed(key, context.batch[REAL], context.batch[FAKE])
        slope = jax.grad(lambda x: forward(context.params, {REAL: x}).sum())(points)
        squares = jnp.square(wide(slope)).reshape(len(slope), -1).sum(-1)
        # The root has no derivative at 0, where a dead critic would give nan for good.
        norm = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
        penalty = jnp.square(norm - 1).mean()
        return loss + state * penalty, {"penalty": penalty}

    return LossTransform(init, apply)
