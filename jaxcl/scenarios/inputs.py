"""How the inputs of a task become what a network sees: numbers, augmented, normalised."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.errors import UsageError, check_name
from jaxcl.core.random import stream
from jaxcl.core.types import Array, PRNGKey, PyTree
from jaxcl.scenarios.augment import NAMES, Augment, compose
from jaxcl.scenarios.settings import OWN, DataSettings
from jaxcl.scenarios.task import Task


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


def spec_of(how: Inputs, inputs: PyTree) -> PyTree:
    """Returns shape and type of an example, as the network sees it."""
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype), inputs)
    seen = jax.eval_shape(partial(prepared, how), one)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), seen)


def check_augment(settings: DataSettings) -> None:
    """Raises a UsageError for an augmentation that there is not."""
    for name in settings.augment:
        if name != OWN:  # no name to give: it stands for a program's function
            check_name("augment", name, NAMES)
    if (OWN in settings.augment) != (settings.augmentation is not None):
        raise UsageError("augment: a function was given by a program; give it again")


def ready(settings: DataSettings, first: Task) -> Inputs:
    """Returns how the inputs of all tasks are made ready.

    Args:
      settings: what is augmented, and whether channels are normalised.
      first: the first task; mean and deviation are those of its training inputs, so that
        nothing is known of a later one before it comes.

    Raises:
      UsageError: an augmentation that there is not, or of inputs that are no images.
    """
    check_augment(settings)
    own = [settings.augmentation] if settings.augmentation is not None else []
    made = [NAMES[name]() for name in settings.augment if name != OWN] + own
    if made and not own and len(jax.tree.leaves(first.train_inputs)) != 1:
        raise UsageError("augment: inputs are a tree; give a function of your own, or leave it out")
    augment = compose(*made) if len(made) > 1 else made[0] if made else None
    how = Inputs(augment, *(_moments(first.train_inputs) if settings.normalise else ()))
    if augment is not None:
        numbers = jax.tree.map(lambda x: jnp.asarray(x[:1]), first.train_inputs)
        seen = jax.eval_shape(partial(prepared, how), numbers, jax.random.key(0))
        plain = jax.eval_shape(partial(prepared, how), numbers)
        if jax.tree.map(lambda x: x.shape, seen) != jax.tree.map(lambda x: x.shape, plain):
            raise UsageError("augment: inputs have other shapes after it; keep them")
    return how


def _moments(inputs: PyTree) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel."""
    leaves = jax.tree.leaves(inputs)
    if len(leaves) != 1 or np.issubdtype(leaves[0].dtype, np.signedinteger):
        raise UsageError("normalise: inputs are not one array of numbers; leave it out")
    (array,) = leaves
    axes, scale = tuple(range(max(array.ndim - 1, 1))), 255 if array.dtype == np.uint8 else 1
    mean = array.mean(axes, dtype=np.float64) / scale
    deviation = array.std(axes, dtype=np.float64) / scale
    deviation = np.where(deviation > 0, deviation, 1.0)
    return tuple(map(float, np.atleast_1d(mean))), tuple(map(float, np.atleast_1d(deviation)))
