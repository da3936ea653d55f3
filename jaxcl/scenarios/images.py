"""Images: to 32x32x3 once, bytes to floating point inside the step."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from jaxcl.core.types import Array, Float

AnyImages = UInt8[ndarray, "n height width channels"] | Float[ndarray, "n height width channels"]
SIDE = 32
BATCH = 5000  # images resized at a time, so that the floats stay small


def to_float(
    images: UInt8[Array, "*shape"] | Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """Bytes divided by 255, so float32 in [0, 1]; floating-point images as they are.

    Raises:
      TypeError: another type of numbers.

    >>> import jax.numpy as jnp
    >>> float(to_float(jnp.uint8(255))), float(to_float(jnp.float32(0.5)))
    (1.0, 0.5)
    """
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / 255
    if jnp.issubdtype(images.dtype, jnp.floating):
        return images.astype(jnp.float32)
    raise TypeError(f"images: {images.dtype}; give bytes (uint8) or floating-point numbers")


def to_rgb32(
    images: AnyImages, how: Literal["bilinear", "pad"]
) -> UInt8[ndarray, "n 32 32 3"] | Float[ndarray, "n 32 32 3"]:
    """Returns grey or colour images of at most 32x32 as 32x32x3.

    Args:
      images: bytes or floats, which they stay; one channel is repeated three times.
      how: ``"bilinear"`` stretches to 32x32, ``"pad"`` adds zeros around.

    Raises:
      ValueError: images larger than 32x32, or with other than 1 or 3 channels.
    """
    n, height, width, channels = images.shape
    if height > SIDE or width > SIDE or channels not in (1, 3):
        raise ValueError(f"images: {height}x{width}x{channels}; at most 32x32 with 1 or 3 channels")
    if (height, width) == (SIDE, SIDE):
        resized = images
    elif how == "pad":
        resized = pad32(images)
    else:
        parts = [_bilinear(images[i : i + BATCH]) for i in range(0, n, BATCH)]
        resized = np.concatenate(parts)
    return np.repeat(resized, 3 // channels, axis=-1)


def pad32(
    images: AnyImages,
) -> UInt8[ndarray, "n 32 32 channels"] | Float[ndarray, "n 32 32 channels"]:
    """Returns images of at most 32x32 in the middle of 32x32, zeros around."""
    around = [((SIDE - side) // 2, (SIDE - side + 1) // 2) for side in images.shape[1:3]]
    return np.pad(images, ((0, 0), *around, (0, 0)))


@jax.jit
def _stretch(images: Array) -> Array:
    shape = (len(images), SIDE, SIDE, images.shape[-1])
    resized = jax.image.resize(images.astype(jnp.float32), shape, "bilinear")
    if images.dtype != jnp.uint8:
        return resized
    return jnp.clip(jnp.round(resized), 0, 255).astype(jnp.uint8)


def _bilinear(images: ndarray) -> ndarray:
    return np.asarray(_stretch(jnp.asarray(images)))
