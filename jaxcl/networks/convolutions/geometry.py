"""Where the weights of a kernel meet the pixels of images, on any number of axes."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcl.core.types import Array, Float

Pairs = tuple[tuple[int, int], ...]
Images = Float[Array, "n *space channels"]
Maps = Float[Array, "n *positions features"]
Views = Float[Array, "n *positions channels"]
Kernel = Float[Array, "*kernel group_channels features"]


class Geometry(NamedTuple):
    """Where a kernel meets the images, a number for each axis in space.

    Attributes:
      strides: steps of the kernel.
      padding: rows of zeros before and after; negative ones cut rows off.
      lhs_dilation: distance of neighbouring pixels (above 1 in a transposed convolution).
      rhs_dilation: distance of neighbouring weights.
      groups: of channels, each of which has features of its own.
      precision: of the products, as :func:`jax.lax.conv_general_dilated` takes it.
    """

    strides: tuple[int, ...]
    padding: Pairs
    lhs_dilation: tuple[int, ...]
    rhs_dilation: tuple[int, ...]
    groups: int = 1
    precision: lax.PrecisionLike = None


def positions(
    pixels: int, size: int, stride: int, pad: tuple[int, int], apart: int, dilation: int
) -> int:
    """Returns at how many positions along an axis a kernel fits."""
    rest = (pixels - 1) * apart + 1 + sum(pad) - (size - 1) * dilation - 1
    return rest // stride + 1


def with_padding(x: Images, at: Geometry) -> Float[Array, "n *padded channels"]:
    """Returns the images with the zeros around and between their pixels."""
    space = [(*pair, apart - 1) for pair, apart in zip(at.padding, at.lhs_dilation, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *space, (0, 0, 0)])


def views(
    padded: Images, w: Kernel, at: Geometry, shape: tuple[int, ...], dtype: jnp.dtype
) -> list[Views]:
    """Returns what each weight of a kernel meets: arrays ``[n, *positions, channels]``.

    Args:
      padded: the images, with their padding.
      w: the weights, of which the shape matters.
      at: strides and dilations.
      shape: of the convolution's result.
      dtype: of what is returned.
    """
    found = []
    for place in np.ndindex(*w.shape[:-2]):
        first = [i * apart for i, apart in zip(place, at.rhs_dilation, strict=True)]
        reach = [(n - 1) * step + 1 for n, step in zip(shape[1:-1], at.strides, strict=True)]
        last = [i + n for i, n in zip(first, reach, strict=True)]
        start, stop = (0, *first, 0), (len(padded), *last, padded.shape[-1])
        found.append(lax.slice(padded, start, stop, (1, *at.strides, 1)).astype(dtype))
    return found


def wide(x: Array) -> jnp.dtype:
    """Returns the dtype of sums: at least float32, whatever promotion is allowed."""
    return jnp.dtype(x.dtype if x.dtype == jnp.float64 else jnp.float32)
