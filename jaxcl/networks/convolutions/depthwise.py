"""Depthwise convolution as a sum of shifted images.

On a CPU, XLA's own convolution with a filter for each channel is several times slower than the sum
of shifted images, each times one weight of the filters, which becomes one loop.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcl.core.types import Array, Float

CHANNELS_LAST = ("NHWC", "HWIO", "NHWC")


def suited_convolution() -> Callable[..., Any] | None:
    """Returns :func:`by_shifts` where JAX's default backend is the CPU, else None: XLA's own."""
    return by_shifts if jax.default_backend() == "cpu" else None


def by_shifts(
    x: Float[Array, "n height width channels"],
    weights: Float[Array, "rows columns inputs features"],
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    *,
    feature_group_count: int = 1,
    **options: Any,
) -> Float[Array, "n rest_height rest_width features"]:
    """Returns a convolution; a depthwise one with a sum over the places of the filter.

    Values and gradients are those of :func:`jax.lax.conv_general_dilated`, to rounding, which
    computes all that is not depthwise, and whatever has other options than a plain layer has.

    Args:
      x: images or activations, channels last.
      weights: the filters; ``inputs`` is 1 where each channel has its own.
      strides: steps down and across.
      padding: ``"SAME"``, ``"VALID"``, or zeros before and after, down and across.
      feature_group_count: as many as channels for a depthwise convolution.
      options: of :func:`jax.lax.conv_general_dilated`.

    >>> x, ones = jnp.ones((1, 3, 3, 2)), jnp.ones((3, 3, 1, 2))
    >>> print(by_shifts(x, ones, (1, 1), "SAME", feature_group_count=2)[0, :, :, 0])
    [[4. 6. 4.]
     [6. 9. 6.]
     [4. 6. 4.]]
    """
    rows, columns, _, features = weights.shape
    options = {"dimension_numbers": CHANNELS_LAST, **options}
    depthwise = feature_group_count == x.shape[-1] == features
    if not (depthwise and _usual(x, weights, options)):
        return lax.conv_general_dilated(
            x, weights, strides, padding, feature_group_count=feature_group_count, **options
        )
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], (rows, columns), strides, padding)
    x = jnp.pad(x, [(0, 0), *padding, (0, 0)])
    height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1  # before the strides
    terms = [
        x[:, i : i + height : strides[0], j : j + width : strides[1]] * weights[i, j, 0]
        for i in range(rows)
        for j in range(columns)
    ]
    return sum(terms[1:], start=terms[0])


def _usual(x: Array, weights: Array, options: dict[str, Any]) -> bool:
    """Whether options leave a plain convolution, channels last, of the inputs' own type."""
    steps = [*(options.get("lhs_dilation") or ()), *(options.get("rhs_dilation") or ())]
    given, last = (
        lax.conv_dimension_numbers(x.shape, weights.shape, numbers)
        for numbers in (options["dimension_numbers"], CHANNELS_LAST)
    )
    other = options.get("preferred_element_type") not in (None, x.dtype)
    groups = options.get("batch_group_count", 1)
    return given == last and not other and all(step == 1 for step in (*steps, groups))
