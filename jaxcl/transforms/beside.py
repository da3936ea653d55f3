"""One batch of new examples and of others that pass the network beside them."""

from typing import TypeVar

import jax
import jax.numpy as jnp

from jaxcl.core.batching import examples
from jaxcl.core.types import Batch, Outputs, PRNGKey, PyTree
from jaxcl.transforms.base import Beside, Context, LossTransform

T = TypeVar("T")


def beside_of(
    transform: LossTransform, state: PyTree, batch: Batch, key: PRNGKey | None
) -> Batch | None:
    """Returns the examples that a transform has pass beside a batch; None if there are none.

    Raises:
      ValueError: there is no key for the draw.
    """
    if transform.needs.beside is None:
        return None
    if key is None:
        raise ValueError("context: this transform draws examples; give key to Context")
    return transform.needs.beside(state, batch, key)


def passed_beside(name: str, context: Context) -> Beside:
    """Returns what passed the network together with the batch.

    Args:
      name: of the transform that had it pass.
      context: of the step.

    Raises:
      ValueError: a loop that has nothing pass beside the batch.
    """
    if context.beside is None:
        raise ValueError(
            f"context: {name} has examples pass beside the batch; take gradients(...), which has"
            " them pass"
        )
    return context.beside


def together(batch: Batch, extra: Batch | None) -> Batch:
    """Returns the examples of both as one batch, with the arrays that both have."""
    if extra is None:
        return batch
    both = {name: (batch[name], extra[name]) for name in batch if name in extra}
    return {
        name: jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *pair)
        for name, pair in both.items()
    }


def new_part(found: T, batch: Batch, extra: Batch | None) -> T:
    """Returns what came of the batch itself: the first rows, where there are others."""
    if extra is None:
        return found
    n = examples(batch)
    return jax.tree.map(lambda x: x[:n], found)


def other_part(
    outputs: Outputs, features: PyTree, batch: Batch, extra: Batch | None
) -> Beside | None:
    """Returns the examples beside the batch, with what came of them."""
    if extra is None:
        return None
    n = examples(batch)
    return Beside(extra, *jax.tree.map(lambda x: x[n:], (outputs, features)))
