"""Convolutions and their gradients in the forms that stay quick in a compiled loop on a CPU.

XLA calls its fast convolution on a CPU for one order of axes alone: images
``[n, *space, channels]``, weights ``[*kernel, channels, features]``.  Outside of a loop it
transposes what comes otherwise, inside it does not, and there a gradient (whose axes JAX
permutes instead of transposing) or an image with its channels first takes 10 to 100 times as
long.  So here every operand is in that order:

- where training needs gradients of a dense kernel that takes every row, value and gradients are
  one matrix product each (:mod:`jaxcl.networks.convolutions.separable`), or six with half the
  multiplications (:mod:`jaxcl.networks.convolutions.winograd_rows`);
- otherwise the gradient with respect to the weights is a matrix product for each position in the
  kernel, and that with respect to the images a convolution with the reversed weights;
- numbers of channels that XLA's convolution reads one by one are filled up with zeros;
- a depthwise convolution and its gradients are sums of shifted products.

The products hold their operands, so a step needs more memory (a ResNet-18 of width 20, batch 10:
74 MB in place of 29); outside of a loop that memory is new each time, and XLA's own is faster.

What did not pay on two cores: the weight gradient as a convolution over transposed operands
(up to five times slower, kept for large kernels); patches of the whole batch, of a few images or
of single rows (no faster over all shapes); the gradient of strided convolutions split into its
phases; 1x1 convolutions as matrix products (a tenth, at best); optimisation barriers to
have the products one after another (XLA drops them).
"""

import math
from functools import partial
from types import ModuleType
from typing import cast

import jax
import jax.numpy as jnp
from jax import lax

from jaxcl.core.types import Array
from jaxcl.networks.convolutions import separable, winograd_rows
from jaxcl.networks.convolutions.geometry import (
    Geometry,
    Images,
    Kernel,
    Maps,
    positions,
    views,
    wide,
    with_padding,
)

MANY = 49  # positions in a kernel; with more of them, the products are too many operations


def convolve(x: Images, w: Kernel, at: Geometry) -> Maps:
    """Returns the convolution (cross-correlation); it has gradients of any order.

    As every ``custom_vjp`` it has no forward mode: ``jax.jvp`` raises a ``TypeError``.

    Args:
      x: images, ``[n, *space, channels]``.
      w: weights, ``[*kernel, channels / groups, features]``, of the same dtype.
      at: strides, padding, dilations and groups.

    Returns:
      ``[n, *positions, features]``, of the same dtype.
    """
    return cast(Array, _convolve(x, w, at))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: Images, w: Kernel, at: Geometry) -> Maps:
    return shifted_products(x, w, at) if is_depthwise(x, w, at) else native(x, w, at)


def _forward(x: Images, w: Kernel, at: Geometry) -> tuple[Maps, tuple[Images, Kernel]]:
    as_products = _as_products(x, w, at)
    return (as_products.convolution if as_products else convolve)(x, w, at), (x, w)


def _backward(at: Geometry, kept: tuple[Images, Kernel], g: Maps) -> tuple[Images, Kernel]:
    x, w = kept
    if as_products := _as_products(x, w, at):
        return as_products.gradients(x, w, at, g)
    return input_gradient(x, w, at, g), weight_gradient(x, w, at, g)


_convolve.defvjp(_forward, _backward)


def _as_products(x: Images, w: Kernel, at: Geometry) -> ModuleType | None:
    """Returns the module that has value and gradients as large products, if one is of use."""
    if math.prod(w.shape[:-2]) > MANY or not separable.is_separable(w, at):
        return None
    return winograd_rows if winograd_rows.is_quicker(x, w, at) else separable


def is_depthwise(x: Images, w: Kernel, at: Geometry) -> bool:
    """Whether each channel has one filter of its own, of few enough weights."""
    few = math.prod(w.shape[:-2]) <= MANY
    return at.groups == x.shape[-1] == w.shape[-1] and at.groups > 1 and few


def native(x: Images, w: Kernel, at: Geometry) -> Maps:
    """Returns XLA's convolution, with three channels (for example) filled up to four."""
    space = tuple(range(1, x.ndim - 1))
    images = (0, x.ndim - 1, *space)
    weights = (x.ndim - 1, x.ndim - 2, *(i - 1 for i in space))
    missing = -x.shape[-1] % 4
    if missing and at.groups == 1 and x.shape[-1] > 1:
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
        w = jnp.pad(w, [(0, 0)] * (w.ndim - 2) + [(0, missing), (0, 0)])
    return lax.conv_general_dilated(
        x, w, at.strides, at.padding, at.lhs_dilation, at.rhs_dilation,
        lax.ConvDimensionNumbers(images, weights, images), at.groups, precision=at.precision,
    )  # fmt: skip


def input_gradient(x: Images, w: Kernel, at: Geometry, g: Maps) -> Images:
    """Returns the gradient with respect to the images: strides and dilation change places."""
    *kernel, channels, features = w.shape
    swapped = w.reshape(*kernel, channels, at.groups, features // at.groups).swapaxes(-1, -3)
    swapped = swapped.reshape(*kernel, features // at.groups, at.groups * channels)
    reversed_ = lax.rev(swapped, range(len(kernel)))
    pairs = []
    for i, size in enumerate(kernel):
        window = (size - 1) * at.rhs_dilation[i] + 1
        pixels = (x.shape[i + 1] - 1) * at.lhs_dilation[i] + 1
        positions = (g.shape[i + 1] - 1) * at.strides[i] + 1
        before = window - 1 - at.padding[i][0]
        pairs.append((before, pixels + window - 1 - positions - before))
    back = at._replace(strides=at.lhs_dilation, lhs_dilation=at.strides, padding=tuple(pairs))
    return convolve(g, reversed_, back)


def weight_gradient(x: Images, w: Kernel, at: Geometry, g: Maps) -> Kernel:
    """Returns the gradient with respect to the weights, of which only the shape matters."""
    *kernel, channels, features = w.shape
    if math.prod(kernel) > MANY and at.groups == 1:
        return transposed_convolution(x, w, at, g)
    depthwise = is_depthwise(x, w, at)
    taken = views(with_padding(x, at), w, at, g.shape, wide(x) if depthwise else x.dtype)
    if depthwise:
        g = g.astype(wide(x))
        parts = [(y * g).sum(range(g.ndim - 1)) for y in taken]
    elif at.groups == 1:
        dot, rows = partial(jnp.matmul, precision=at.precision), g.reshape(-1, features)
        parts = [dot(y.reshape(-1, channels).T, rows) for y in taken]
    else:
        dot = partial(jnp.einsum, "pgc,pgf->cgf", precision=at.precision)
        rows = g.reshape(-1, at.groups, features // at.groups)
        parts = [dot(y.reshape(-1, at.groups, channels), rows) for y in taken]
    return jnp.stack(parts).astype(w.dtype).reshape(w.shape)


def transposed_convolution(x: Images, w: Kernel, at: Geometry, g: Maps) -> Kernel:
    """Returns the weights' gradient as one convolution: the channels are its batch."""
    space = tuple(range(1, x.ndim - 1))
    pairs = []
    for i, size in enumerate(w.shape[:-2]):
        window = (size - 1) * at.rhs_dilation[i] + 1
        pixels = (x.shape[i + 1] - 1) * at.lhs_dilation[i] + 1
        positions = (g.shape[i + 1] - 1) * at.strides[i] + 1
        before = at.padding[i][0]
        pairs.append((before, window + positions - 1 - pixels - before))
    over = at._replace(strides=at.rhs_dilation, rhs_dilation=at.strides, padding=tuple(pairs))
    found = convolve(x.transpose(x.ndim - 1, *space, 0), g.transpose(*space, 0, g.ndim - 1), over)
    return found.transpose(*space, 0, found.ndim - 1)


def shifted_products(x: Images, w: Kernel, at: Geometry) -> Maps:
    """Returns a depthwise convolution, summed in float32 at least."""
    dtype = wide(x)
    space = [positions(*sizes) for sizes in zip(x.shape[1:-1], w.shape[:-2], *at[:4], strict=True)]
    taken = views(with_padding(x, at), w, at, (len(x), *space, x.shape[-1]), dtype)
    filters = w.astype(dtype).reshape(-1, w.shape[-1])
    total = sum(y * weights for y, weights in zip(taken, filters, strict=True))
    return jnp.asarray(total).astype(x.dtype)
