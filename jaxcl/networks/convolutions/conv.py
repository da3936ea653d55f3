"""Convolution and pooling in the formulation that suits the platform.

On a CPU, the gradients of XLA's own convolution are many times slower inside a
compiled loop than outside of it, so there a convolution is a matrix product over image
patches, a few images at a time so that the patches stay in the cache (the last one, with
its pooling, is in :mod:`jaxcl.networks.convolutions.winograd`).  On GPU and TPU the native
convolution is used.  Values and gradients of the two agree to rounding.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from jaxcl.core.sharding import DATA, along
from jaxcl.core.sharding import size as axis_size
from jaxcl.core.types import Array, Float, PyTree

Formulation = Literal["native", "patches"]
ImageBatch = Float[Array, "n height width channels"]

CHUNK = 10  # images; fastest of 4, 10, 20, 25 on two CPU cores
SAVED = "before_nonlinearity"


def default_formulation() -> Formulation:
    """Returns ``"patches"`` where JAX's default backend is the CPU, else ``"native"``."""
    return "patches" if jax.default_backend() == "cpu" else "native"


def conv2d(
    x: ImageBatch,
    weights: Float[Array, "rows columns channels features"],
    formulation: Formulation,
) -> Float[Array, "n rest_height rest_width features"]:
    """Returns a convolution (cross-correlation) with stride 1 and no padding.

    Args:
      x: images or activations, channels last.
      weights: the filters.
      formulation: ``"native"`` (XLA's convolution) or ``"patches"`` (a matrix
        product over patches).
    """
    if formulation == "native":
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, weights, (1, 1), "VALID", dimension_numbers=numbers)
    rows, columns, channels, features = weights.shape
    height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    patches = image_patches(x, rows, columns).reshape(-1, rows * columns * channels)
    return (patches @ weights.reshape(-1, features)).reshape(len(x), height, width, features)


def image_patches(x: ImageBatch, rows: int, columns: int) -> Float[Array, "n positions values"]:
    """Returns what each position of a filter sees: ``rows * columns * channels`` values."""
    height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    shifts = [x[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
    return jnp.concatenate(shifts, axis=-1).reshape(len(x), height * width, -1)


def max_pool(x: ImageBatch) -> Float[Array, "n half_height half_width channels"]:
    """Returns 2x2 maximum, stride 2; an odd last row or column is left out.

    Written as the maximum of four strided slices, whose gradient is much faster
    on a CPU than that of a window reduction.
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    corners = [x[:, i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)]
    return jnp.maximum(jnp.maximum(corners[0], corners[1]), jnp.maximum(corners[2], corners[3]))


def save_for_backward(x: Array) -> Array:
    """Marks what :func:`in_chunks` keeps for the backward pass."""
    return checkpoint_name(x, SAVED)


def in_chunks(f: Callable[[Array], PyTree], x: Array, size: int = CHUNK) -> PyTree:
    """Returns ``f(x)`` a few examples at a time; differentiable in what ``f`` closes over.

    Only values marked with :func:`save_for_backward` are kept for the backward
    pass; patches are made again, which is cheaper than to fetch them from memory.

    Args:
      f: maps ``[m, ...]`` to a tree of arrays ``[m, ...]``, example by example.
      x: the examples, ``[n, ...]``; filled up with zeros to whole chunks.
      size: examples in a chunk, at most; for each of the devices that share the batch.
    """
    n, parts = len(x), axis_size(DATA)
    chunks = -(-n // (size * parts))
    size = -(-n // (chunks * parts))
    padded = jnp.pad(x, [(0, chunks * size * parts - n)] + [(0, 0)] * (x.ndim - 1))
    policy = jax.checkpoint_policies.save_only_these_names(SAVED)

    def some(chunk: Array) -> PyTree:
        return f(along(DATA, chunk))

    # A chunk has examples of each device's part of the batch, which thus stay where they are.
    dealt = padded.reshape(parts, chunks, size, *x.shape[1:]).swapaxes(0, 1)
    dealt = dealt.reshape(chunks, parts * size, *x.shape[1:])
    out = jax.lax.map(jax.checkpoint(some, policy=policy), dealt)

    def gathered(y: Array) -> Array:
        back = y.reshape(chunks, parts, size, *y.shape[2:]).swapaxes(0, 1)
        return back.reshape(-1, *y.shape[2:])[:n]

    return jax.tree.map(gathered, out)
