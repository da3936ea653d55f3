"""The backbones that can be chosen by name, as networks that can grow."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from jaxcl.core.types import Array, Params, PRNGKey, PyTree
from jaxcl.networks.adapters.functions import from_functions
from jaxcl.networks.adapters.linen import from_linen
from jaxcl.networks.backbones import (
    EfficientNetLite0,
    efficientnet_lite0_variables,
    preprocess,
    resnet18,
    resnet32,
)
from jaxcl.networks.backbones.blocks import Initial
from jaxcl.networks.base import Net
from jaxcl.networks.convolutions.depthwise import suited_convolution
from jaxcl.networks.layers import uniform_weights

MADE = {"resnet18": resnet18, "resnet32": resnet32}


def residual(name: str, width: int, initial: Initial, inputs: PyTree) -> Net:
    """Makes a ResNet whose every layer and block can branch.

    Args:
      name: ``resnet18`` or ``resnet32``.
      width: channels of the first stage.
      initial: how filters and heads start.
      inputs: ``ShapeDtypeStruct`` of an image.
    """
    module = MADE[name](width, initial=initial)
    made = from_linen(module, branches=module.layers).make(inputs)
    if initial == "he":
        return made
    return made._replace(new_head=partial(_uniform_head, module.features))


def _uniform_head(width: int, key: PRNGKey, classes: int, earlier: Sequence[str]) -> Params:
    del earlier
    return uniform_weights(key, (width, classes))


def pretrained(size: int, inputs: PyTree) -> Net:
    """Makes EfficientNet-Lite0 as it was trained on ImageNet, of which nothing is trained.

    Its weights are statistics, and it has no parameters: so nothing of it has a gradient, a
    penalty or a state of the optimiser, whatever the method, and a run keeps it with the rest.

    Args:
      size: rows and columns that images are enlarged to.
      inputs: ``ShapeDtypeStruct`` of an image with 1 or 3 channels, float32 in [0, 1].

    Raises:
      DataError: the weights are not installed.
    """
    weights = efficientnet_lite0_variables()  # here, and not while a program is traced

    def init(key: PRNGKey, inputs: PyTree) -> tuple[PyTree, PyTree]:
        del key, inputs
        return (), weights

    return from_functions(init, partial(_features, size)).make(inputs)


def _features(
    size: int, params: PyTree, stats: PyTree, inputs: Array, train: bool, key: PRNGKey | None
) -> tuple[Array, PyTree]:
    del params, train, key
    found: Any = EfficientNetLite0(suited_convolution()).apply(stats, preprocess(inputs, size))
    return found, stats
