"""Numbers: regression."""

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


def _loss(outputs: Array, labels: Array) -> Array:
    check_shapes("squared", outputs, labels)
    return mean_of_each((float32(outputs) - float32(labels)) ** 2)


def _score(outputs: Array, labels: Array) -> Array:
    return -_loss(outputs, labels)


def _distance(outputs: Array, old: Array, temperature: Scalar) -> Array:
    del temperature
    before = widened("squared", float32(old), outputs.shape[-1], False, 0.0)
    return mean_of_each((float32(outputs) - before) ** 2)


@lru_cache
def _directions(labels: Labels, label: str) -> Directions:
    def directions(outputs: Array, batch: Batch, key: PRNGKey) -> Array:
        found = float32(outputs)
        if labels == "exact":
            return one_each(jnp.ones_like(found))
        if labels == "sampled":
            return jax.random.normal(key, found.shape)[None]
        return (float32(batch[label]) - found)[None]

    return directions


squared = Objective("squared", _loss, _score, _distance, _directions, logits=False)
"""Numbers: outputs ``[b, k]``, labels ``[b, k]``, floating-point.

- Loss: the mean over k of the squared error.  It is ``2 / k`` times the negative
  log-likelihood of a normal distribution of variance 1 around the outputs, but for a constant.
- Score: minus the loss, so that ``R^2 = 1 + mean(score) / mean over k of the labels' variance``.
- Distance: the mean over k of the squared difference; there is no temperature, and outputs
  cannot come later.
- Fisher: of that normal distribution, without the factor: ``sum_k (d output_k / d theta)^2``,
  exact in k backward passes; sampled ``(sum_k e_k d output_k / d theta)^2`` with e normal, and
  empirical with the error in place of e, in one.
"""
