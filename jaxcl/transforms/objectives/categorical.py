"""One class of several, for an example or for each position of a sequence."""

from functools import lru_cache

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, Batch, PRNGKey, Scalar
from jaxcl.transforms.objectives.base import (
    Directions,
    Labels,
    Objective,
    float32,
    mean_of_each,
    widened,
)
from jaxcl.transforms.objectives.losses import cross_entropy, distillation


def _check(outputs: Array, labels: Array) -> None:
    if outputs.shape[:-1] != labels.shape or outputs.ndim < 2:
        raise ValueError(
            f"categorical: labels {labels.shape} for outputs {outputs.shape}; give a class for"
            " each, [b] for [b, classes] or [b, t] for [b, t, classes]"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"categorical: labels are {labels.dtype}; give integers")


def _part(each: Array, known: Array) -> Array:
    """The mean over positions that are not masked, 0 where all are: [b, ...] -> [b]."""
    positions = tuple(range(1, each.ndim))
    count = jnp.maximum(known.sum(positions), 1).astype(jnp.float32)
    return jnp.where(known, each, 0.0).sum(positions) / count


def _loss(outputs: Array, labels: Array) -> Array:
    _check(outputs, labels)
    logits = float32(outputs)
    if labels.ndim == 1:
        return jax.vmap(cross_entropy)(logits, labels)
    known = labels >= 0
    # Of a masked position nothing is asked, so a value there that is no number does no harm.
    log_p = jax.nn.log_softmax(jnp.where(known[..., None], logits, 0.0))
    own = jnp.where(known, labels, 0)[..., None]
    return _part(-jnp.take_along_axis(log_p, own, -1)[..., 0], known)


def _score(outputs: Array, labels: Array) -> Array:
    _check(outputs, labels)
    right = (jnp.argmax(outputs, -1) == labels).astype(jnp.float32)
    return right if labels.ndim == 1 else _part(right, labels >= 0)


def _distance(outputs: Array, old: Array, temperature: Scalar) -> Array:
    new, softness = float32(outputs), float32(temperature)
    target = widened("categorical", float32(old), new.shape[-1], True, -jnp.inf)
    each = distillation
    for _ in range(new.ndim - 1):
        each = jax.vmap(each, (0, 0, None))
    return mean_of_each(each(new, target, softness))


@lru_cache
def _directions(labels: Labels, label: str) -> Directions:
    def of_sequence(logits: Array, batch: Batch, key: PRNGKey) -> Array:
        p, (n, classes) = jax.nn.softmax(logits), (len(logits), logits.shape[-1])
        known = jnp.ones(logits.shape[:-1], bool) if label not in batch else batch[label] >= 0
        if labels == "exact":
            p = jnp.where(known[..., None], p, 0.0).reshape(n, -1, classes)
            each = jnp.eye(classes)[:, None, None] - p
            scaled = jnp.sqrt(jnp.moveaxis(p, -1, 0))[..., None] * each  # [v, b, t, v]
            alone = jnp.eye(p.shape[1])[:, None, None, :, None] * scaled  # [t, v, b, t, v]
            return alone.reshape(-1, *logits.shape)
        chosen = jax.random.categorical(key, logits) if labels == "sampled" else batch[label]
        found = jax.nn.one_hot(chosen, classes, dtype=logits.dtype) - p
        return jnp.where(known[..., None], found, 0.0)[None]

    def directions(outputs: Array, batch: Batch, key: PRNGKey) -> Array:
        logits = float32(outputs)
        if logits.ndim > 2:
            return of_sequence(logits, batch, key)
        p = jax.nn.softmax(logits)
        classes = logits.shape[-1]
        if labels == "exact":
            each = jnp.eye(classes, dtype=logits.dtype)[:, None] - p
            return jnp.sqrt(p.T)[:, :, None] * each
        chosen = jax.random.categorical(key, logits) if labels == "sampled" else batch[label]
        return (jax.nn.one_hot(chosen, classes, dtype=logits.dtype) - p)[None]

    return directions


categorical = Objective("categorical", _loss, _score, _distance, _directions, classes=True)
"""One class of several: outputs are logits ``[b, c]``, labels integers ``[b]`` in ``[0, c)``.

- Loss: cross-entropy, ``-log softmax(logits)[label]``, in nats.
- Score: 1 where the largest logit is that of the label, else 0.
- Distance: ``-sum_i softmax(old / T)_i log softmax(new / T)_i``; a class that came since has
  probability 0 in the old response.
- Fisher: ``E_{c ~ p} (d log p[c] / d theta)^2``, exact in c backward passes.

Or a class for each position of a sequence: logits ``[b, t, v]``, labels ``[b, t]``; one below 0
masks its position.  Loss and score of an example are means over the positions that are not
masked, 0 where all are.  The distance is the mean over all positions, masked ones too: it knows
no labels.  The Fisher is that of all labels of the sequence together, which are independent
given the inputs: the sum over positions, and not the mean.  Masked positions have none, if
the data has the labels.  Exact, it takes ``t v`` backward passes for each example, and holds
``(t v)^2`` numbers; sampled, it takes one, with a draw at every position.
"""
