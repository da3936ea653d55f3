"""Losses: plain functions of one example's logits.

Batch them with :func:`jax.vmap`.  Natural logarithms, so values are in nats.
"""

import chex
import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, Float, Int, Logits, Scalar


def cross_entropy(logits: Logits, label: Int[Array, ""]) -> Scalar:
    """Minus the log-probability of the label: ``-log softmax(logits)[label]``.

    Args:
      logits: unnormalised log-probabilities of one example, floating point.
      label: the true class, in ``[0, classes)``; of another the loss is NaN.

    >>> import jax.numpy as jnp
    >>> float(cross_entropy(jnp.zeros(4), jnp.int32(1)))  # log 4
    1.3862943649291992
    """
    chex.assert_rank([logits, label], [1, 0])
    known = (label >= 0) & (label < len(logits))  # an index would wrap round, or be clamped
    return -jnp.where(known, jax.nn.log_softmax(logits)[label], jnp.nan)


def soft_cross_entropy(logits: Logits, target: Float[Array, "classes"]) -> Scalar:
    """Returns cross-entropy against a distribution: ``-sum(target * log softmax(logits))``.

    Args:
      logits: unnormalised log-probabilities of one example, floating point.
      target: probabilities, non-negative, summing to one.
    """
    chex.assert_rank([logits, target], 1)
    chex.assert_equal_shape([logits, target])
    return -jnp.sum(target * jax.nn.log_softmax(logits))


def distillation(logits: Logits, teacher_logits: Logits, temperature: Scalar) -> Scalar:
    """Returns knowledge distillation as in Learning without Forgetting.

    Both responses are softened, ``p_i^(1/T) / sum_j p_j^(1/T)``, which is
    ``softmax(logits / T)``; the loss is the cross-entropy of the softened
    responses, ``-sum_i p'_i log q'_i``.  No factor ``T^2`` is applied.

    Args:
      logits: the student's logits for one example, floating point.
      teacher_logits: the teacher's logits for the same example.
      temperature: T > 0; larger is softer.

    References:
      Li & Hoiem, Learning without Forgetting, 2016 (arXiv 1606.09282), eq. 2-3;
      Hinton, Vinyals & Dean, 2015 (arXiv 1503.02531).
    """
    chex.assert_rank([logits, teacher_logits, temperature], [1, 1, 0])
    target = jax.nn.softmax(teacher_logits / temperature)
    return soft_cross_entropy(logits / temperature, target)
