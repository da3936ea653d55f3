"""The blocks that backbones are made of, with the convolution and normalisation inside them.

All convolutions are made by :func:`convolution`, so that one function given to a network
replaces the arithmetic of them all.
"""

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxcl.core.types import Array, Float

Activations = Float[Array, "n height width channels"]

Convolve = Callable[..., Any]
"""A function that is called as :func:`jax.lax.conv_general_dilated` is."""

Shortcut = Literal["projection", "zeros"]
"""How a block's input reaches the sum where its shape changes: a learned 1x1 convolution with
batch normalisation (type B), or every second pixel with channels of zeros added (type A)."""

Initial = Literal["he", "uniform"]
"""How filters start: by :data:`he_normal`, or by :data:`uniform`."""

he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
"""Normal with mean 0 and variance ``2 / (kernel area * output channels)``."""

uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""Even on ``+-1 / sqrt(kernel area * input channels)``, as PyTorch's layers start.

Before batch normalisation the scale of a filter changes no output, but the smaller it is the
further a step of gradient descent turns it."""

INITIAL = {"he": he_normal, "uniform": uniform}


def convolution(
    features: int,
    kernel: int,
    stride: int = 1,
    *,
    name: str,
    padding: Literal["even", "SAME"] = "even",
    groups: int = 1,
    conv: Convolve | None = None,
    initial: Initial = "he",
) -> nn.Conv:
    """Makes a square convolution without bias, whose only parameter is ``kernel``.

    Args:
      features: output channels.
      kernel: rows and columns of the filter, an odd number.
      stride: step between positions of the filter, the same down and across.
      name: of the layer among the parameters.
      padding: ``"even"`` puts ``kernel // 2`` zeros on every side, as PyTorch's networks do;
        ``"SAME"`` is TensorFlow's, which with a stride of 2 puts more below and to the right.
      groups: parts that the channels are divided into; as many as channels for a
        depthwise convolution.
      conv: computes the convolution instead of :func:`jax.lax.conv_general_dilated`.
      initial: how its filters start.
    """
    pad = padding if padding == "SAME" else ((kernel // 2, kernel // 2),) * 2
    return nn.Conv(
        features,
        (kernel, kernel),
        (stride, stride),
        pad,
        feature_group_count=groups,
        use_bias=False,
        kernel_init=INITIAL[initial],
        conv_general_dilated=conv,
        name=name,
    )


def batch_norm(
    train: bool, *, name: str, momentum: float = 0.9, epsilon: float = 1e-5
) -> nn.BatchNorm:
    """Makes batch normalisation over examples and pixels (Ioffe & Szegedy 2015).

    In training the batch's mean and variance are used, and the moving ones in the collection
    ``batch_stats`` become ``momentum * old + (1 - momentum) * batch``; in evaluation the
    moving ones are used and nothing changes.  The moving variance is of the biased estimate;
    PyTorch's is of the unbiased one.

    Args:
      train: whether the batch's own statistics are used.
      name: of the layer among the parameters and the statistics.
      momentum: part of the old statistics that is kept; 1 minus PyTorch's momentum.
      epsilon: added to the variance.
    """
    return nn.BatchNorm(
        use_running_average=not train, momentum=momentum, epsilon=epsilon, name=name
    )


class BasicBlock(nn.Module):
    """Adds its input to two 3x3 convolutions of it (He et al. 2016, figure 2 and section 4.2).

    ``relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))``; the shortcut is the input itself
    where the shape does not change.

    Attributes:
      features: output channels.
      stride: of the first convolution.
      shortcut: see :data:`Shortcut`.
      conv: see :func:`convolution`.
      initial: see :func:`convolution`.
    """

    features: int
    stride: int = 1
    shortcut: Shortcut = "projection"
    conv: Convolve | None = None
    initial: Initial = "he"

    @nn.compact
    def __call__(
        self, x: Activations, train: bool
    ) -> Float[Array, "n rest_height rest_width features"]:
        """Returns activations of ``features`` channels, height and width divided by the stride."""
        how: Any = {"conv": self.conv, "initial": self.initial}
        y = convolution(self.features, 3, self.stride, name="conv1", **how)(x)
        y = nn.relu(batch_norm(train, name="bn1")(y))
        y = convolution(self.features, 3, name="conv2", **how)(y)
        y = batch_norm(train, name="bn2")(y)
        if self.stride == 1 and x.shape[-1] == self.features:
            return nn.relu(y + x)
        if self.shortcut == "zeros":
            return nn.relu(y + zeros_shortcut(x, self.features, self.stride))
        x = convolution(self.features, 1, self.stride, name="shortcut_conv", **how)(x)
        return nn.relu(y + batch_norm(train, name="shortcut_bn")(x))


def zeros_shortcut(
    x: Activations, features: int, stride: int
) -> Float[Array, "n rest_height rest_width features"]:
    """Returns every ``stride``-th pixel, with zeros as the channels that are missing at the end."""
    x = x[:, ::stride, ::stride]
    return jnp.pad(x, [(0, 0)] * 3 + [(0, features - x.shape[-1])])
