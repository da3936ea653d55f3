"""How the inputs of a task become what a network sees: numbers, augmented, normalised."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.random import stream
from jaxcl.core.types import Array, PRNGKey, PyTree

Augment = Callable[[PRNGKey, PyTree], PyTree]
"""(key, inputs as numbers) -> other inputs of the same shapes."""


class Inputs(NamedTuple):
    """How inputs are made ready; static, hashable under jit.

    Attributes:
      augment: is done in training alone, anew in each step; None: nothing.
      mean: of each channel, which is taken away; none: nothing is.
      deviation: of each channel, by which is divided.
    """

    augment: Augment | None = None
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()


AS_THEY_COME = Inputs()


def as_numbers(x: Array) -> Array:
    """Returns bytes divided by 255, so float32 in [0, 1]; numbers of other kinds as they are.

    Floating-point numbers become float32, unless they are bfloat16; integers (tokens) stay.

    Raises:
      TypeError: another type.

    >>> import jax.numpy as jnp
    >>> float(as_numbers(jnp.uint8(255))), int(as_numbers(jnp.int32(7)))
    (1.0, 7)
    """
    if x.dtype == jnp.uint8:
        return x.astype(jnp.float32) / 255
    if x.dtype == jnp.bfloat16 or jnp.issubdtype(x.dtype, jnp.integer):
        return x
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(jnp.float32)
    raise TypeError(f"inputs: {x.dtype}; give bytes (uint8), floating-point numbers or integers")


def prepared(how: Inputs, inputs: PyTree, key: PRNGKey | None = None) -> PyTree:
    """Returns what the network sees of inputs.

    Args:
      how: they are made ready.
      inputs: as they are kept, leading axis b.
      key: for what differs from step to step; None, as in a test: nothing does.
    """
    numbers = jax.tree.map(as_numbers, inputs)
    if how.augment is not None and key is not None:
        numbers = how.augment(stream(key, "augment"), numbers)
    if not how.mean:
        return numbers
    mean, deviation = (jnp.asarray(x, jnp.float32) for x in (how.mean, how.deviation))
    return jax.tree.map(lambda x: (x - mean) / deviation, numbers)
