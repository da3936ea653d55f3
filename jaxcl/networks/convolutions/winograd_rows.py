"""A convolution whose kernel has three rows, and its gradients, with half the multiplications.

Minimal filtering along rows (:mod:`jaxcl.networks.convolutions.minimal_filtering`); along the
other axes the images are moved and put side by side, as in
:mod:`jaxcl.networks.convolutions.separable`.  So six products of matrices make four rows of the
result where the plain formulation needs twelve, and both gradients are six products likewise:
what is linear in images or in weights is transposed.

The combinations are additions, and copies of the images in memory: with few channels they cost as
much as is saved.  They are made a few images at a time, which thus stay in the cache.
"""

import math

import jax.numpy as jnp
from jax import lax

from jaxcl.core.sharding import DATA
from jaxcl.core.sharding import size as axis_size
from jaxcl.core.types import Array, Float
from jaxcl.networks.convolutions.geometry import Geometry, Images, Kernel, Maps, positions
from jaxcl.networks.convolutions.minimal_filtering import (
    FILTERS,
    INPUTS,
    OUTPUTS,
    ROWS,
    TILE,
    combined,
)
from jaxcl.networks.convolutions.separable import is_separable, moved_across, moved_back, window

# Below these the combinations cost more than is saved, on two cores.
CHANNELS = 64
MULTIPLICATIONS = 2**23  # of one of the six products
LARGEST = 0.7  # part of the plain formulation's multiplications
# A chunk has as many images, and so many rows of a matrix, or more.
IMAGES, MATRIX_ROWS = 4, 256

Tiles = Float[Array, "6 n tiles *rest values"]


def is_quicker(x: Images, w: Kernel, at: Geometry) -> bool:
    """Whether this formulation is possible, and exact and quick enough.

    Args:
      x: images, of which shape and dtype matter.
      w: weights, of which the shape matters.
      at: strides, padding, dilations and groups.
    """
    if not is_separable(w, at) or w.shape[0] != TILE - ROWS + 1 or at.rhs_dilation[0] != 1:
        return False
    rows = _rows(x, w, at)
    tiles = -(-rows // ROWS)
    _, *kernel, channels, features = w.shape
    few = TILE * tiles <= LARGEST * w.shape[0] * rows
    size = len(x) * tiles * math.prod(x.shape[2:]) * math.prod(kernel) * features
    large = channels >= CHANNELS and size >= MULTIPLICATIONS
    return few and large and rows >= ROWS and x.dtype in (jnp.float32, jnp.float64)


def convolution(x: Images, w: Kernel, at: Geometry) -> Maps:
    """Returns the convolution.

    Args:
      x: images, ``[n, *space, channels]``.
      w: weights, ``[3, *kernel, channels, features]``.
      at: of which :func:`is_quicker` holds.

    Returns:
      ``[n, *positions, features]``, of the same dtype.
    """
    made = lax.map(lambda part: _of_chunk(part, w, at), _dealt(x, _chunk(x, w, at)))
    return made.reshape(len(x), *made.shape[2:])


def gradients(x: Images, w: Kernel, at: Geometry, g: Maps) -> tuple[Images, Kernel]:
    """Returns the gradients with respect to images and weights.

    Args:
      x: images, ``[n, *space, channels]``.
      w: weights, ``[3, *kernel, channels, features]``.
      at: of which :func:`is_quicker` holds.
      g: gradient with respect to the convolution, ``[n, *positions, features]``.
    """
    size = _chunk(x, w, at)

    def add(total: Kernel, part: tuple[Images, Maps]) -> tuple[Kernel, Images]:
        of_images, of_weights = _gradients_of_chunk(part[0], w, at, part[1])
        return total + of_weights, of_images

    parts = _dealt(x, size), _dealt(g, size)
    of_weights, of_images = lax.scan(add, jnp.zeros_like(w), parts)
    return of_images.reshape(x.shape), of_weights


def _dealt(x: Images, size: int) -> Float[Array, "chunks chunk *space channels"]:
    return x.reshape(-1, size, *x.shape[1:])


def _chunk(x: Images, w: Kernel, at: Geometry) -> int:
    """Returns how many images are taken at a time; all where several devices share them."""
    tiles, n = -(-_rows(x, w, at) // ROWS), len(x)
    enough = max(IMAGES, -(-MATRIX_ROWS // (tiles * math.prod(x.shape[2:-1]))))
    if axis_size(DATA) > 1:
        return n
    return next(size for size in range(min(enough, n), n + 1) if n % size == 0)


def _of_chunk(x: Images, w: Kernel, at: Geometry) -> Maps:
    seen = _tiles(x, w, at)
    made = jnp.einsum("t...i,tio->t...o", seen, _filters(w), precision=at.precision)
    parts = jnp.stack(combined(OUTPUTS, list(made)), 2)
    return parts.reshape(len(x), -1, *parts.shape[3:])[:, : _rows(x, w, at)]


def _gradients_of_chunk(x: Images, w: Kernel, at: Geometry, g: Maps) -> tuple[Images, Kernel]:
    tiles = -(-g.shape[1] // ROWS)
    filled = window(g, 1, 0, tiles * ROWS).reshape(len(g), tiles, ROWS, *g.shape[2:])
    spread = jnp.stack(combined(OUTPUTS.T, [filled[:, :, i] for i in range(ROWS)]))
    return _input_gradient(x, w, at, spread), _weight_gradient(x, w, at, spread)


def _rows(x: Images, w: Kernel, at: Geometry) -> int:
    return positions(x.shape[1], w.shape[0], 1, at.padding[0], 1, 1)


def _tiles(x: Images, w: Kernel, at: Geometry) -> Tiles:
    """Returns combinations of the rows of each tile, moved across."""
    tiles = -(-_rows(x, w, at) // ROWS)
    reach = ROWS * (tiles - 1) + 1
    rows = [
        lax.slice_in_dim(window(x, 1, i - at.padding[0][0], reach), 0, reach, ROWS, 1)
        for i in range(TILE)
    ]
    made = jnp.concatenate(combined(INPUTS, rows))
    moved = moved_across(made, w, at)
    return moved.reshape(TILE, len(x), *moved.shape[1:])


def _filters(w: Kernel) -> Float[Array, "6 moved_channels features"]:
    made = jnp.stack(combined(FILTERS, list(w)))
    return made.reshape(TILE, -1, w.shape[-1])


def _weight_gradient(x: Images, w: Kernel, at: Geometry, spread: Tiles) -> Kernel:
    seen = _tiles(x, w, at)
    left, right = (y.reshape(TILE, -1, y.shape[-1]) for y in (seen, spread))
    found = jnp.einsum("tpi,tpo->tio", left, right, precision=at.precision)
    parts = found.reshape(TILE, *w.shape[1:])
    return jnp.stack(combined(FILTERS.T, list(parts)))


def _input_gradient(x: Images, w: Kernel, at: Geometry, spread: Tiles) -> Images:
    back = jnp.einsum("t...o,tio->t...i", spread, _filters(w), precision=at.precision)
    whole = back.reshape(-1, *back.shape[2:])
    moved = moved_back(whole, x.shape[2:-1], w, at)
    rows = combined(INPUTS.T, list(moved.reshape(TILE, len(x), *moved.shape[1:])))
    # Row i of tile t is pixel ROWS * t + i - before: two rows of each tile are the next one's too.
    before, length = at.padding[0][0], -(-x.shape[1] // ROWS)
    made = []
    for pixel in range(ROWS):
        first = (pixel + before) % ROWS
        meets = range(first, TILE, ROWS)
        made.append(sum(window(rows[i], 1, (pixel + before - i) // ROWS, length) for i in meets))
    pixels = jnp.stack(made, 2).reshape(len(x), -1, *x.shape[2:])
    return pixels[:, : x.shape[1]]
