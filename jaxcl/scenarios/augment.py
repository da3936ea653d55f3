"""Augmentation of images on the device, inside the compiled step.

An augmentation is a pure function ``(key, inputs) -> inputs``.  Two that are made with the
same settings are equal and have the same hash, so ``jit`` compiles a step with them once.

Zeros are black: the crop and the cutout fill with 0, which is the value of a black pixel where
images are in [0, 1].
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jax import lax

from jaxcl.core.errors import UsageError
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Int, PRNGKey

Augment = Callable[[PRNGKey, Array], Array]
"""Changes images at random: ``(key, inputs) -> inputs``.

The key is a typed one, from which each example draws numbers of its own; the same key and images
give the same result.  Inputs are float32 ``[b, h, w, c]`` in [0, 1], and keep shape and type.
Other shapes raise a :class:`UsageError`.
"""


def random_crop(padding: int = 4) -> Augment:
    """Makes a crop of the same size, at a random place of the image with zeros around.

    The offset of each example is uniform over the ``(2 padding + 1)^2`` places, as in the usual
    training on CIFAR (He et al., 2016, https://arxiv.org/abs/1512.03385, section 4.2).

    Args:
      padding: pixels of zeros on each side; 0 changes nothing.

    Raises:
      UsageError: a negative padding.
    """
    if padding < 0:
        raise UsageError(f"padding: {padding} is negative; give 0 or more pixels")
    return _Crop(padding)


def random_flip() -> Augment:
    """Makes a flip of left and right, of each example with probability 1/2."""
    return _Flip()


def cutout(size: int = 8) -> Augment:
    """Makes a square of zeros at a random place (DeVries & Taylor, 2017).

    The centre is uniform over the pixels.  The square covers the rows (and columns) from
    ``centre - size // 2`` to ``centre - size // 2 + size - 1``, less what lies outside of the
    image (https://arxiv.org/abs/1708.04552).

    Args:
      size: the side of the square in pixels; 0 changes nothing.

    Raises:
      UsageError: a negative size.
    """
    if size < 0:
        raise UsageError(f"size: {size} is negative; give 0 or more pixels")
    return _Cutout(size)


def compose(*augmentations: Augment) -> Augment:
    """Makes one augmentation of several, which follow one another.

    Args:
      *augmentations: each draws from the stream ``"augment"`` at its position; none at all
        change nothing.
    """
    return _Compose(augmentations)


NAMES: Mapping[str, Callable[[], Augment]] = MappingProxyType(
    {"crop": random_crop, "flip": random_flip, "cutout": cutout}
)
"""The augmentations that a setting can name, with their usual sizes."""


@dataclass(frozen=True)
class _Crop:
    padding: int

    def __call__(self, key: PRNGKey, inputs: Array) -> Array:
        _check(inputs)
        offsets = jax.random.randint(key, (len(inputs), 2), 0, 2 * self.padding + 1, jnp.int32)
        return crop_at(inputs, offsets, self.padding)


@dataclass(frozen=True)
class _Flip:
    def __call__(self, key: PRNGKey, inputs: Array) -> Array:
        _check(inputs)
        flipped = jax.random.bernoulli(key, 0.5, (len(inputs), 1, 1, 1))
        return jnp.where(flipped, inputs[:, :, ::-1], inputs)


@dataclass(frozen=True)
class _Cutout:
    size: int

    def __call__(self, key: PRNGKey, inputs: Array) -> Array:
        _check(inputs)
        sides = jnp.array(inputs.shape[1:3], jnp.int32)
        centres = jax.random.randint(key, (len(inputs), 2), 0, sides, jnp.int32)
        return cut_at(inputs, centres, self.size)


@dataclass(frozen=True)
class _Compose:
    augmentations: tuple[Augment, ...]

    def __call__(self, key: PRNGKey, inputs: Array) -> Array:
        _check(inputs)
        for position, augment in enumerate(self.augmentations):
            inputs = augment(stream(key, "augment", position), inputs)
        return inputs


def crop_at(inputs: Array, offsets: Int[Array, "b 2"], padding: int) -> Array:
    """Returns the images, cropped at given places of themselves with zeros around.

    Args:
      inputs: ``[b, h, w, c]``.
      offsets: the first row and column of each crop, 0 to ``2 * padding``; ``padding`` itself
        gives the image as it is.
      padding: pixels of zeros on each side.
    """
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(inputs, around)

    # Whole slices: on a CPU quicker than gathered rows and columns, one-hot products or selects.
    def crop(image: Array, offset: Array) -> Array:
        return lax.dynamic_slice(image, (offset[0], offset[1], 0), inputs.shape[1:])

    return jax.vmap(crop)(padded, offsets)


def cut_at(inputs: Array, centres: Int[Array, "b 2"], size: int) -> Array:
    """Returns the images with a square of zeros around given pixels.

    Args:
      inputs: ``[b, h, w, c]``.
      centres: the row and column of each square's centre; see :func:`cutout`.
      size: the side of the square in pixels.
    """
    height, width = inputs.shape[1:3]
    rows = _within(centres[:, 0], size, height)[:, :, None, None]
    columns = _within(centres[:, 1], size, width)[:, None, :, None]
    return jnp.where(rows & columns, jnp.zeros_like(inputs), inputs)


def _within(centres: Array, size: int, side: int) -> Array:
    first = (centres - size // 2)[:, None]
    at = jnp.arange(side, dtype=centres.dtype)
    return (at >= first) & (at < first + size)


def _check(inputs: Array) -> None:
    if inputs.ndim != 4:
        raise UsageError(
            f"augment: inputs have the shape {list(inputs.shape)}; give images [b, h, w, c], or no"
            " augmentation"
        )
