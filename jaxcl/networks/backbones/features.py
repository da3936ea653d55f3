"""Features of many images, from a trained backbone that stays as it is."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from jaxcl.core.types import Array, Params
from jaxcl.networks.backbones.efficientnet import EfficientNetLite0, preprocess
from jaxcl.networks.backbones.pretrained import SHA256, efficientnet_lite0_variables
from jaxcl.networks.convolutions.depthwise import suited_convolution

LITE0_SIZE = 96  # pixels that images are enlarged to; a larger size takes longer
BATCH = 100  # images in a forward pass


def lite0_tag(size: int = LITE0_SIZE) -> str:
    """Returns what tells features of :func:`lite0_features` from others: weights and size."""
    return f"efficientnet-lite0 {SHA256} {size} linear"


def lite0_features(size: int = LITE0_SIZE) -> Callable[[ndarray], ndarray]:
    """Returns ``images -> features`` of EfficientNet-Lite0 with its published weights.

    The network is in evaluation mode, all in float32 whatever the device, so that features do
    not hang on where they were made but for rounding.

    Args:
      size: rows and columns that images are resized to (:func:`.preprocess`).

    Returns:
      A function of bytes ``[n, height, width, channels]`` to float32 ``[n, 1280]``.

    Raises:
      DataError: the weights are missing or damaged.
    """
    net, variables = EfficientNetLite0(suited_convolution()), efficientnet_lite0_variables()

    @jax.jit
    def of(variables: Params, images: Array) -> Array:
        numbers = images.astype(jnp.float32) / 255
        with jax.default_matmul_precision("highest"):
            return jnp.asarray(net.apply(variables, preprocess(numbers, size)))

    def features(images: ndarray) -> ndarray:
        firsts = range(0, len(images), BATCH)
        parts = [of(variables, jnp.asarray(images[i : i + BATCH])) for i in firsts]
        return np.concatenate([np.asarray(part) for part in parts])

    return features
