"""An objective: what is right, how right an answer is, and how far two answers are apart."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp

from jaxcl.core.types import Array, Batch, PRNGKey, Scalar

NO_OUTPUT = -1e8
"""A logit below it stands for a class that is not there: another head's, or one still to come."""

Labels = Literal["exact", "sampled", "empirical"]
"""The labels of a Fisher information: all of them by their probabilities, one draw, the true."""

Directions = Callable[[Array, Batch, PRNGKey], Array]
"""(outputs [b, ...], batch, key) -> [m, b, ...]: m directions in which outputs are pulled back."""


class Objective(NamedTuple):
    """Pure functions that say what is learned.

    Outputs are those that an example is judged by, of any floating-point dtype, with the
    examples on their first axis.  Results are float32, one for each example.

    Attributes:
      name: a word for it.
      loss: ``(outputs [b, ...], labels [b, ...]) -> [b]``; its mean over a batch is minimised.
      score: ``(outputs, labels) -> [b]``: how right the answers are, more being better.
      distance: ``(outputs, old_outputs, temperature) -> [b]``: what distillation minimises.
      directions: ``(labels, name of the labels) -> Directions``: pulled back to the weights,
        squared and summed, they give the diagonal of the Fisher information of the predicted
        distribution.  The same function for the same arguments, since programs are kept by it.
      logits: whether outputs are logits: these are softened by a temperature, and an output
        that came since had probability 0 before.
      classes: whether a label names one class, the output that ought to be the largest.

    >>> from jaxcl.transforms import categorical
    >>> print(categorical.loss(jnp.zeros((1, 4)), jnp.array([1])))  # log 4, in nats
    [1.3862944]
    """

    name: str
    loss: Callable[[Array, Array], Array]
    score: Callable[[Array, Array], Array]
    distance: Callable[[Array, Array, Scalar], Array]
    directions: Callable[[Labels, str], Directions]
    logits: bool = True
    classes: bool = False

    def __repr__(self) -> str:
        """Returns the name: its functions say nothing to a person."""
        return self.name


def float32(x: Array) -> Array:
    """Returns an array in float32; one that is so already as it is."""
    return jnp.asarray(x, jnp.float32)


def wide(x: Array) -> Array:
    """Returns an array in float32, or as it is where it is wider: what is summed up needs it."""
    kind = jnp.result_type(x)
    return jnp.asarray(x, kind if jnp.finfo(kind).bits > 32 else jnp.float32)


def check_shapes(name: str, outputs: Array, labels: Array) -> None:
    """Raises a ValueError where labels have not the shape of the outputs, ``[b, k]``.

    >>> check_shapes("squared", jnp.zeros((4, 1)), jnp.zeros(4))
    Traceback (most recent call last):
    ValueError: squared: labels (4,) for outputs (4, 1); give labels of the outputs' shape, [b, k]
    """
    if outputs.shape != labels.shape or outputs.ndim < 2:
        raise ValueError(
            f"{name}: labels {labels.shape} for outputs {outputs.shape}; give labels of the"
            " outputs' shape, [b, k]"
        )


def widened(name: str, old: Array, width: int, grows: bool, value: float) -> Array:
    """Returns old outputs filled up to as many as there are now.

    Args:
      name: of the objective.
      old: outputs ``[b, ..., fewer]``.
      width: how many there are now.
      grows: whether there may be more than there were.
      value: for those that were not there.

    Raises:
      ValueError: there are fewer than there were, or more where they cannot grow.
    """
    more = width - old.shape[-1]
    if more < 0 or (more and not grows):
        raise ValueError(f"{name}: {width} outputs, {old.shape[-1]} before; compare equally many")
    return jnp.pad(old, (*((0, 0),) * (old.ndim - 1), (0, more)), constant_values=value)


def one_each(sizes: Array) -> Array:
    """Returns a direction for each output: ``[b, ...] -> [m, b, ...]``, m outputs an example."""
    m = math.prod(sizes.shape[1:])
    return jnp.eye(m, dtype=sizes.dtype).reshape(m, 1, *sizes.shape[1:]) * sizes


def mean_of_each(x: Array) -> Array:
    """Returns the mean over all axes but the first; what has no other stays as it is."""
    return x.mean(tuple(range(1, x.ndim))) if x.ndim > 1 else x
