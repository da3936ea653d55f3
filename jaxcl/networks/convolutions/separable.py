"""A convolution and its gradients as one matrix product each: half the kernel moves each side.

The weight in row ``i`` and column ``j`` of a kernel meets, at position ``(p, q)``, the pixel
``(p + i, q + j)``.  Here the images are moved across only and put side by side, ``X[p, q] =
[x[p, q], x[p, q + 1], ...]``; one product ``Z = X W`` has the features of all rows of the kernel
side by side; and these are moved down as they are added, ``y[p] = sum_i Z_i[p + i]``.  Going
back, the gradient is moved up into ``G``, and both gradients are products with it: ``X^T G`` and
``G W^T``.  For 3x3 weights that is six copies where patches take nine, with products of three
times as many rows and columns, which a CPU makes faster than nine small ones.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcl.core.types import Array, Float
from jaxcl.networks.convolutions.geometry import Geometry, Images, Kernel, Maps, positions, wide

Wide = Float[Array, "n *positions values"]


def is_separable(w: Kernel, at: Geometry) -> bool:
    """Whether this formulation is possible and copies less than patches do.

    Args:
      w: the weights, of which the shape matters.
      at: strides, padding, dilations and groups.
    """
    down, *across, channels, features = w.shape
    moves = math.prod(across)
    fewer = down * features + moves * channels < down * moves * channels
    dense = at.groups == 1 and at.strides[0] == 1 and max(at.lhs_dilation) == 1
    return dense and fewer and len(w.shape) > 3


def convolution(x: Images, w: Kernel, at: Geometry) -> Maps:
    """Returns the convolution.

    Args:
      x: images, ``[n, *space, channels]``.
      w: weights, ``[*kernel, channels, features]``.
      at: of which :func:`is_separable` holds.

    Returns:
      ``[n, *positions, features]``, summed in float32 at least and then of the images' dtype.
    """
    features = w.shape[-1]
    z = _product(moved_across(x, w, at), _rows_by_features(w), at)
    end = positions(x.shape[1], w.shape[0], 1, at.padding[0], 1, at.rhs_dilation[0])
    parts = []
    for i in range(w.shape[0]):
        start = i * at.rhs_dilation[0] - at.padding[0][0]
        part = z[..., i * features : (i + 1) * features]
        parts.append(window(part, 1, start, end))
    return sum(parts[1:], parts[0]).astype(x.dtype)


def gradients(x: Images, w: Kernel, at: Geometry, g: Maps) -> tuple[Images, Kernel]:
    """Returns the gradients with respect to images and weights.

    Args:
      x: images, ``[n, *space, channels]``.
      w: weights, ``[*kernel, channels, features]``.
      at: of which :func:`is_separable` holds.
      g: gradient with respect to the convolution, ``[n, *positions, features]``.
    """
    moved = []
    for i in range(w.shape[0]):
        start = at.padding[0][0] - i * at.rhs_dilation[0]
        moved.append(window(g, 1, start, x.shape[1]))
    up = jnp.concatenate(moved, -1)
    return _input_gradient(x, w, at, up), _weight_gradient(x, w, at, up)


def _weight_gradient(x: Images, w: Kernel, at: Geometry, up: Wide) -> Kernel:
    down, *across, channels, features = w.shape
    left, right = (y.reshape(-1, y.shape[-1]) for y in (moved_across(x, w, at), up))
    found = jnp.matmul(left.T, right, precision=at.precision)
    return jnp.moveaxis(found.reshape(*across, channels, down, features), -2, 0).astype(w.dtype)


def _input_gradient(x: Images, w: Kernel, at: Geometry, up: Wide) -> Images:
    return moved_back(_product(up, _rows_by_features(w).T, at), x.shape[2:-1], w, at).astype(
        x.dtype
    )


def moved_back(moved: Wide, across: tuple[int, ...], w: Kernel, at: Geometry) -> Images:
    """Returns the gradient of images of which :func:`moved_across` has the gradient ``moved``.

    Args:
      moved: ``[n, height, *positions, columns of the kernel * channels]``.
      across: pixels of the images along each axis but the first.
      w: weights, of which the shape matters.
      at: strides, padding and dilations.
    """
    channels = w.shape[-2]
    total = jnp.zeros((), moved.dtype)
    for k, place in enumerate(_places(w)):
        part = moved[..., k * channels : (k + 1) * channels]
        edges = [(0, 0, 0)] * moved.ndim
        for axis, j in enumerate(place, 1):
            step = at.strides[axis]
            low = j * at.rhs_dilation[axis] - at.padding[axis][0]
            reach = (part.shape[axis + 1] - 1) * step + 1
            edges[axis + 1] = (low, across[axis - 1] - reach - low, step - 1)
        total = total + lax.pad(part, jnp.zeros((), part.dtype), edges)
    return total


def moved_across(x: Images, w: Kernel, at: Geometry) -> Wide:
    """Returns what each column of a kernel meets, side by side, in every row of the images."""
    found = []
    for place in _places(w):
        part = x
        for axis, j in enumerate(place, 1):
            pad, apart = at.padding[axis], at.rhs_dilation[axis]
            n = positions(x.shape[axis + 1], w.shape[axis], at.strides[axis], pad, 1, apart)
            reach = (n - 1) * at.strides[axis] + 1
            part = window(part, axis + 1, j * apart - pad[0], reach)
            part = lax.slice_in_dim(part, 0, reach, at.strides[axis], axis + 1)
        found.append(part)
    return jnp.concatenate(found, -1)


def _places(w: Kernel) -> list[tuple[int, ...]]:
    """Returns the positions in a row of the kernel."""
    return list(np.ndindex(*w.shape[1:-2]))


def _rows_by_features(w: Kernel) -> Float[Array, "moved_channels moved_features"]:
    """Returns the weights as a matrix, from columns of the kernel to its rows."""
    down, *across, channels, features = w.shape
    return jnp.moveaxis(w, 0, -2).reshape(math.prod(across) * channels, down * features)


def _product(
    x: Wide, w: Float[Array, "values outer"], at: Geometry
) -> Float[Array, "n *positions outer"]:
    rows = x.reshape(-1, x.shape[-1])
    y = jnp.matmul(rows, w, precision=at.precision, preferred_element_type=wide(x))
    return y.reshape(*x.shape[:-1], w.shape[-1])


def window(x: Array, axis: int, start: int, length: int) -> Array:
    """Returns ``length`` places along an axis from ``start`` on, zeros beyond the edges.

    A pad of its own for each place, as XLA computes a pad that is used once where it is used.
    """
    edges = [(0, 0, 0)] * x.ndim
    edges[axis] = (-start, start + length - x.shape[axis], 0)
    return lax.pad(x, jnp.zeros((), x.dtype), edges)
