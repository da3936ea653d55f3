"""A 3x3 convolution and 2x2 max-pooling in one, with half the multiplications.

Winograd's minimal filtering (Winograd 1980; Lavin & Gray 2016, arXiv 1509.09308) makes
four outputs along an axis with six products in place of twelve.  Here it is applied along
rows; along columns the three values that a filter sees lie side by side in memory, so each
product is a matrix product over ``3 channels`` values.  Pooling looks at pairs of rows of
the same tile, so the output before pooling is never written out.

Float32 throughout; the points are chosen for small coefficients, and results are as close
to those of the plain formulation as these are to exact ones.
"""

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, Float
from jaxcl.networks.convolutions.conv import save_for_backward
from jaxcl.networks.convolutions.minimal_filtering import (
    FILTERS,
    INPUTS,
    OUTPUTS,
    ROWS,
    TILE,
    combined,
)


def conv_pool(
    x: Float[Array, "n height width channels"], weights: Float[Array, "3 3 channels features"]
) -> Float[Array, "n half_height half_width features"]:
    """Returns ``max_pool(conv2d(x, weights))``: stride 1 without padding, then 2x2 with stride 2.

    Of equal outputs, the first of the four receives the gradient.
    """
    _, height, width, _ = x.shape
    rows, columns = (height - 2) // 2, (width - 2) // 2
    tiles = -(-2 * rows // ROWS)
    more = max(0, tiles * ROWS + 2 - height)  # what it yields is cut off
    padded = jnp.pad(x, ((0, 0), (0, more), (0, 0), (0, 0)))
    return _conv_pool(padded[:, : tiles * ROWS + 2, : 2 * columns + 2], weights)[:, :rows]


@jax.custom_vjp
def _conv_pool(x: Array, weights: Array) -> Array:
    return _forward(x, weights)[0]


def _tiles(x: Array) -> Array:
    """``[6, n * tiles * columns, 3 * channels]``."""
    tiles, width = (x.shape[1] - 2) // ROWS, x.shape[2] - 2
    rows = [x[:, i : i + ROWS * (tiles - 1) + 1 : ROWS] for i in range(TILE)]
    made = jnp.stack(combined(INPUTS, rows))
    seen = jnp.concatenate([made[:, :, :, j : j + width] for j in range(3)], -1)
    return seen.reshape(TILE, -1, 3 * x.shape[3])


def _filters(weights: Array) -> Array:
    """``[6, 3 * channels, features]``."""
    rows = jnp.stack(combined(FILTERS, list(weights)))
    return rows.reshape(TILE, -1, weights.shape[-1])


def _forward(x: Array, weights: Array):
    n, height, width, _ = x.shape
    tiles, columns, features = (height - 2) // ROWS, (width - 2) // 2, weights.shape[-1]
    made = jnp.einsum("tpi,tio->tpo", _tiles(x), _filters(weights))
    made = made.reshape(TILE, n, tiles, columns, 2, features)
    rows = combined(OUTPUTS, list(made))
    largest, places = [], []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        window = [row[..., j, :] for row in (upper, lower) for j in (0, 1)]
        top = jnp.maximum(jnp.maximum(*window[:2]), jnp.maximum(*window[2:]))
        place = jnp.where(window[2] == top, 2, 3)
        for j in (1, 0):
            place = jnp.where(window[j] == top, j, place)
        largest.append(top)
        places.append(place.astype(jnp.int8))
    shape = n, -1, columns, features
    place = save_for_backward(jnp.stack(places, 2).reshape(shape))
    return jnp.stack(largest, 2).reshape(shape), (x, weights, place)


def _backward(kept, slope: Array):
    x, weights, place = kept
    n, height, width, channels = x.shape
    tiles, columns, features = (height - 2) // ROWS, width - 2, weights.shape[-1]
    # Each slope goes to the place that its maximum was at.
    shape = n, tiles, ROWS // 2, columns // 2, 1, features
    slope, place = slope.reshape(shape), place.reshape(shape)
    column = jnp.arange(2, dtype=jnp.int8)[:, None]
    rows = [
        jnp.where(place[:, :, i] == 2 * j + column, slope[:, :, i], 0).reshape(
            n, tiles, columns, features
        )
        for i in range(ROWS // 2)
        for j in (0, 1)
    ]
    spread = jnp.stack(combined(OUTPUTS.T, rows)).reshape(TILE, -1, features)
    of_filters = jnp.einsum("tpo,tpi->tio", spread, _tiles(x))
    of_tiles = jnp.einsum("tpo,tio->tpi", spread, _filters(weights))
    shaped = of_filters.reshape(TILE, 3, channels, features)
    of_weights = jnp.stack(combined(FILTERS.T, list(shaped)))
    return _untiled(of_tiles.reshape(TILE, n, tiles, columns, 3, channels)), of_weights


def _untiled(of_tiles: Array) -> Array:
    """Gradients of the tiles, added up where tiles share inputs."""
    _, n, tiles, columns, _, channels = of_tiles.shape

    def padded(x: Array, axis: int, before: int, after: int) -> Array:
        return jnp.pad(x, [(before, after) if a == axis else (0, 0) for a in range(x.ndim)])

    left, middle, right = (padded(of_tiles[..., j, :], 3, j, 2 - j) for j in range(3))
    rows = combined(INPUTS.T, list(left + middle + right))
    shape = n, tiles * ROWS, columns + 2, channels
    own = jnp.stack(rows[:ROWS], 2).reshape(shape)
    shared = [*rows[ROWS:], *(jnp.zeros_like(rows[0]),) * (ROWS - 2)]
    next_ = jnp.stack(shared, 2).reshape(shape)  # the first rows of the tile below
    return padded(own, 1, 0, 2) + padded(next_, 1, ROWS, 0)[:, : tiles * ROWS + 2]


_conv_pool.defvjp(_forward, _backward)
