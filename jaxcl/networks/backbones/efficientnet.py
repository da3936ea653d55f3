"""EfficientNet-Lite0, a backbone that is not trained further, and the images it expects.

Tan & Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks"; the
Lite form (R. Liu 2020, "Higher accuracy on vision models with EfficientNet-Lite") has no
squeeze-and-excitation and the nonlinearity ReLU6.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcl.core.errors import UsageError
from jaxcl.core.types import Array, Float
from jaxcl.networks.backbones.blocks import Activations, Convolve, batch_norm, convolution

SIZE = 224  # rows and columns of the images that the published weights were trained on
MEAN, DEVIATION = 127.0, 128.0  # of pixels from 0 to 255; the same for all three channels
STEM, FEATURES = 32, 1280


class Stage(NamedTuple):
    """Blocks of the same shape, of which the first may have a stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    features: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
BLOCKS = tuple(
    f"stage{i + 1}_block{j + 1}" for i, stage in enumerate(STAGES) for j in range(stage.blocks)
)


def _normalised(x: Activations, name: str) -> Activations:
    # As it was trained: TensorFlow's momentum and epsilon. Only the latter is of use here.
    return batch_norm(False, name=name, momentum=0.99, epsilon=1e-3)(x)


class InvertedBottleneck(nn.Module):
    """Widens the channels, filters each by itself, and narrows them again (Sandler et al. 2018).

    1x1 convolution, depthwise convolution, 1x1 convolution, each with batch normalisation; ReLU6
    after the first two.  The input is added where the shape does not change.

    Attributes:
      features: output channels.
      kernel: rows and columns of the depthwise filter.
      stride: of the depthwise convolution.
      expansion: how many times as many channels are in between; with 1 there is no
        first convolution.
      conv: see :func:`jaxcl.networks.backbones.blocks.convolution`.
    """

    features: int
    kernel: int
    stride: int
    expansion: int
    conv: Convolve | None = None

    @nn.compact
    def __call__(self, x: Activations) -> Float[Array, "n rest_height rest_width features"]:
        """Returns activations of ``features`` channels, normalised by the moving statistics."""
        inner, y = x.shape[-1] * self.expansion, x
        if self.expansion != 1:
            y = convolution(inner, 1, name="expand_conv", conv=self.conv)(y)
            y = nn.relu6(_normalised(y, "expand_bn"))
        y = convolution(
            inner,
            self.kernel,
            self.stride,
            name="depthwise_conv",
            padding="SAME",
            groups=inner,
            conv=self.conv,
        )(y)
        y = nn.relu6(_normalised(y, "depthwise_bn"))
        y = convolution(self.features, 1, name="project_conv", conv=self.conv)(y)
        y = _normalised(y, "project_bn")
        return x + y if self.stride == 1 and x.shape[-1] == self.features else y


class EfficientNetLite0(nn.Module):
    """Makes 1,280 features of images, in evaluation alone.

    The parameters are ``conv1``, ``bn1``, in ``stage<i>_block<j>/``, counted from 1,
    ``expand_conv``, ``expand_bn`` (not in the first block), ``depthwise_conv``,
    ``depthwise_bn``, ``project_conv``, ``project_bn``, and at the end ``head_conv`` and
    ``head_bn``: ``kernel`` of a convolution, ``scale`` and ``bias`` of a normalisation, whose
    ``mean`` and ``var`` are at the same place in ``batch_stats``.  Trained ones come from
    :func:`jaxcl.networks.backbones.pretrained.efficientnet_lite0_variables`.

    Attributes:
      conv: computes all convolutions, called as :func:`jax.lax.conv_general_dilated` is,
        which is used if it is None.
    """

    conv: Convolve | None = None

    @property
    def features(self) -> int:
        """Values of an image's features."""
        return FEATURES

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers and blocks, in the order in which an image passes them."""
        return ("conv1", "bn1", *BLOCKS, "head_conv", "head_bn")

    @nn.compact
    def __call__(
        self, x: Float[Array, "n height width 3"], train: bool = False
    ) -> Float[Array, "n features"]:
        """Returns features ``[n, 1280]``, float32: the mean over all pixels.

        Args:
          x: images, float32, as :func:`preprocess` makes them; of any height and width,
            with the best features at the 224 of the training.
          train: False; it is an argument because other backbones have it.

        Raises:
          UsageError: if ``train`` is True.
        """
        if train:
            raise UsageError(
                "train: True, but EfficientNet-Lite0 is not trained further; give train=False"
            )
        x = convolution(STEM, 3, 2, name="conv1", padding="SAME", conv=self.conv)(x)
        x = nn.relu6(_normalised(x, "bn1"))
        for i, stage in enumerate(STAGES):
            for j in range(stage.blocks):
                x = InvertedBottleneck(
                    stage.features,
                    stage.kernel,
                    stage.stride if j == 0 else 1,
                    stage.expansion,
                    self.conv,
                    name=f"stage{i + 1}_block{j + 1}",
                )(x)
        x = convolution(FEATURES, 1, name="head_conv", conv=self.conv)(x)
        return nn.relu6(_normalised(x, "head_bn")).mean(axis=(1, 2))


def preprocess(
    images: Float[Array, "n height width channels"], size: int = SIZE
) -> Float[Array, "n size size 3"]:
    """Returns images as EfficientNet-Lite0 expects them: ``(255 x - 127) / 128``, enlarged.

    Images of another size are resized by linear interpolation, with smoothing where they
    get smaller; one channel is repeated to three.

    Args:
      images: values from 0 to 1, float32, with 1 channel or 3 (red, green, blue).
      size: rows and columns of the result.  Half the size takes a quarter of the time, and the
        features get worse.

    Raises:
      UsageError: if there are 2 or more than 3 channels, or the size is less than 32, which
        is what the network makes one pixel of.
    """
    n, _, _, channels = images.shape
    if channels not in (1, 3):
        raise UsageError(f"images: {channels} channels; give 1 (grey) or 3 (red, green, blue)")
    if size < 32:
        raise UsageError(f"size: {size} pixels; give 32 or more, at best {SIZE}")
    if images.shape[1:3] != (size, size):
        images = jax.image.resize(images, (n, size, size, channels), "linear")
    return jnp.broadcast_to((255 * images - MEAN) / DEVIATION, (n, size, size, 3))
