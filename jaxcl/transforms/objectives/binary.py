"""Marks of which any number may be set: several yes-or-no questions about an example."""

from functools import lru_cache

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, Batch, PRNGKey, Scalar
from jaxcl.transforms.objectives.base import (
    Directions,
    Labels,
    Objective,
    check_shapes,
    float32,
    mean_of_each,
    one_each,
    widened,
)


def _cross_entropy(logits: Array, probability: Array) -> Array:
    """Of Bernoulli distributions, summed over all axes but the first."""
    yes, no = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    each = -(probability * yes + (1 - probability) * no)
    return each.sum(tuple(range(1, each.ndim)))


def _loss(outputs: Array, labels: Array) -> Array:
    check_shapes("binary", outputs, labels)
    return _cross_entropy(float32(outputs), float32(labels))


def _score(outputs: Array, labels: Array) -> Array:
    check_shapes("binary", outputs, labels)
    return mean_of_each(((outputs > 0) == (float32(labels) > 0.5)).astype(jnp.float32))


def _distance(outputs: Array, old: Array, temperature: Scalar) -> Array:
    new, softness = float32(outputs), float32(temperature)
    before = widened("binary", float32(old), new.shape[-1], True, -jnp.inf)
    return _cross_entropy(new / softness, jax.nn.sigmoid(before / softness))


@lru_cache
def _directions(labels: Labels, label: str) -> Directions:
    def directions(outputs: Array, batch: Batch, key: PRNGKey) -> Array:
        logits = float32(outputs)
        p = jax.nn.sigmoid(logits)
        if labels == "exact":
            return one_each(jnp.sqrt(p * jax.nn.sigmoid(-logits)))
        chosen = jax.random.bernoulli(key, p) if labels == "sampled" else batch[label]
        return (float32(chosen) - p)[None]

    return directions


binary = Objective("binary", _loss, _score, _distance, _directions)
"""Marks: outputs are logits ``[b, k]``, labels 0 or 1 ``[b, k]``, whole or floating-point.

- Loss: binary cross-entropy with ``p = sigmoid(logits)``, summed over the k marks, in nats:
  the negative log-likelihood of independent Bernoulli variables.
- Score: the part of the k marks that is right, where one is set if its logit is above 0.
- Distance: the cross-entropy of the softened responses ``sigmoid(old / T)`` and
  ``sigmoid(new / T)``, summed over the marks; a mark that came since has probability 0 in the
  old response.
- Fisher: ``sum_k p_k (1 - p_k) (d logit_k / d theta)^2``, exact in k backward passes; sampled
  or empirical, ``(sum_k (y_k - p_k) d logit_k / d theta)^2``, in one.
"""
