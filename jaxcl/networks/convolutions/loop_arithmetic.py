"""Convolutions and their gradients in the forms that stay quick in a compiled loop on a CPU.

XLA calls its fast convolution on a CPU for one order of axes alone: images
``[n, *space, channels]``, weights ``[*kernel, channels, features]``.  Outside of a loop it
transposes what comes otherwise, inside it does not, and there a gradient (whose axes JAX
permutes instead of transposing) or an image with its channels first takes 10 to 100 times as
long.  So here every operand is in that order:

- the gradient with respect to the weights is a matrix product for each position in the kernel;
- the gradient with respect to the images is a convolution with the reversed weights;
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
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcl.core.types import Array, Float

MANY = 49  # positions in a kernel; with more of them, the products are too many operations

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
    return convolve(x, w, at), (x, w)


def _backward(at: Geometry, kept: tuple[Images, Kernel], g: Maps) -> tuple[Images, Kernel]:
    x, w = kept
    return input_gradient(x, w, at, g), weight_gradient(x, w, at, g)


_convolve.defvjp(_forward, _backward)


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
    taken = views(with_padding(x, at), w, at, g.shape, _wide(x) if depthwise else x.dtype)
    if depthwise:
        g = g.astype(_wide(x))
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
    wide = _wide(x)
    space = [_positions(*sizes) for sizes in zip(x.shape[1:-1], w.shape[:-2], *at[:4], strict=True)]
    taken = views(with_padding(x, at), w, at, (len(x), *space, x.shape[-1]), wide)
    filters = w.astype(wide).reshape(-1, w.shape[-1])
    total = sum(y * weights for y, weights in zip(taken, filters, strict=True))
    return jnp.asarray(total).astype(x.dtype)


def _wide(x: Array) -> jnp.dtype:
    """Returns the dtype of sums: at least float32, whatever promotion is allowed."""
    return jnp.dtype(x.dtype if x.dtype == jnp.float64 else jnp.float32)


def _positions(
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
