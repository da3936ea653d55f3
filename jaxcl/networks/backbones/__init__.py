"""Backbones in Flax Linen: networks from images to features, to which heads are added.

Each is a module that is called with float32 images ``[n, height, width, channels]`` and
``train``, and returns features ``[n, values]``.  Its variables are the collections ``params`` and,
for batch normalisation, ``batch_stats``.
"""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.networks.backbones.efficientnet import EfficientNetLite0, preprocess
    from jaxcl.networks.backbones.pretrained import efficientnet_lite0_variables
    from jaxcl.networks.backbones.resnet import ResNet, resnet18, resnet32

__all__ = [
    "EfficientNetLite0", "ResNet", "efficientnet_lite0_variables", "preprocess", "resnet18",
    "resnet32",
]  # fmt: skip

__getattr__ = public(
    __name__,
    {
        **dict.fromkeys(("EfficientNetLite0", "preprocess"), "efficientnet"),
        **dict.fromkeys(("ResNet", "resnet18", "resnet32"), "resnet"),
        "efficientnet_lite0_variables": "pretrained",
    },
)
