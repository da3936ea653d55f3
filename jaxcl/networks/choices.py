"""The networks that can be chosen by name, with their settings.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Literal

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import MOST, OneOf, Positive, check_ranges
from jaxcl.networks.network import (
    NETWORKS,
    OWN,
    Foreign,
    Network,
    Spec,
    image_shape,
    one_shape,
)

if TYPE_CHECKING:
    from jaxcl.networks.base import Net

__all__ = [
    "CNN", "MLP", "NETWORKS", "OWN", "EfficientNetLite0", "Foreign", "Linear", "Network",
    "ResNet18", "ResNet32", "Spec",
]  # fmt: skip

SMALLEST = 6  # images that two convolutions and a pooling leave something of


@dataclasses.dataclass(frozen=True)
class CNN(Network):
    """The convolutional network of the LwF path-selection paper: :func:`cnn`, or columns of it.

    It takes square images of at least 6 pixels a side.

    >>> CNN().name, CNN().has_branches
    ('cnn', True)
    """

    summary = "two convolution layers, a dense layer"
    takes_rgb = True

    @property
    def has_branches(self) -> bool:
        """Returns whether it has layers that can branch."""
        return True

    def make(self, inputs: Spec, *, columns: bool = False) -> "Net":
        """Builds the network for square images."""
        from jaxcl import networks

        height, width, channels = image_shape(inputs, self.name)
        if height != width or height < SMALLEST:
            raise UsageError(f"resize: keep, but images are {height}x{width}; give bilinear")
        make: Any = networks.columns if columns else networks.cnn
        return make(size=height, channels=channels)


Initial = OneOf[Literal["he", "uniform"]]


def _dense(inputs: Spec, hidden: tuple[int, ...], initial: Initial, columns: bool) -> "Net":
    from jaxcl import networks

    size = math.prod(one_shape(inputs))
    if columns:
        return networks.columns(size=1, channels=size, filters=(), hidden=hidden)
    return networks.mlp(size, hidden, initial=initial)


@dataclasses.dataclass(frozen=True)
class MLP(Network):
    """Dense layers with ReLU for inputs of any shape: :func:`mlp`, or :func:`columns` of it.

    >>> MLP((100,)).name, MLP((100,)).has_branches
    ('mlp', False)
    """

    hidden: tuple[int, ...] = (400, 400)
    """Units of each hidden layer."""
    initial: Initial = "he"
    """First weights: he, or uniform in 1/sqrt(inputs)."""

    summary = "dense layers"

    def check(self) -> None:
        """Raises a UsageError for layers without units."""
        if not all(0 < units <= MOST for units in self.hidden):
            raise UsageError(f"hidden: {list(self.hidden)}; give numbers above 0")

    def make(self, inputs: Spec, *, columns: bool = False) -> "Net":
        """Builds the network for inputs of any shape."""
        return _dense(inputs, self.hidden, self.initial, columns)


@dataclasses.dataclass(frozen=True)
class Linear(Network):
    """One linear layer, which is a head on the inputs themselves.

    >>> Linear().name
    'linear'
    """

    initial: Initial = "he"
    """First weights: he, or uniform in 1/sqrt(inputs)."""

    summary = "one linear layer"

    def make(self, inputs: Spec, *, columns: bool = False) -> "Net":
        """Builds the network for inputs of any shape."""
        return _dense(inputs, (), self.initial, columns)


@dataclasses.dataclass(frozen=True)
class _ResNet(Network):
    """A residual network for small images (He et al. 2016); every block can branch."""

    width: Positive[int] = 64
    """Channels of the first stage."""
    initial: Initial = "he"
    """First weights: he, or uniform in 1/sqrt(inputs)."""

    @property
    def has_branches(self) -> bool:
        """Returns whether it has layers that can branch."""
        return True

    def check(self) -> None:
        """Raises a UsageError for a network without channels."""
        check_ranges(self)

    def make(self, inputs: Spec, *, columns: bool = False) -> "Net":
        """Builds the network for images of any shape."""
        from jaxcl import networks

        image_shape(inputs, self.name)
        _check_no_columns(self, columns)
        return networks.residual(self.name, self.width, self.initial, inputs)


@dataclasses.dataclass(frozen=True)
class ResNet18(_ResNet):
    """The ResNet-18 for images of 32x32 pixels; reduced with ``width=20``.

    Every block can branch.

    References:
      He, Zhang, Ren & Sun, Deep residual learning for image recognition, 2016 (arXiv 1512.03385).
    """

    summary = "residual, 18 layers"


@dataclasses.dataclass(frozen=True)
class ResNet32(_ResNet):
    """The ResNet-32 for CIFAR; every block can branch.

    References:
      He, Zhang, Ren & Sun, Deep residual learning for image recognition, 2016 (arXiv 1512.03385),
      section 4.2.
    """

    width: Positive[int] = 16
    """Channels of the first stage."""

    summary = "residual, 32 layers"


@dataclasses.dataclass(frozen=True)
class EfficientNetLite0(Network):
    """EfficientNet-Lite0 as it was trained on ImageNet: heads alone are trained."""

    size: Positive[int] = 224
    """Rows of the enlarged images."""

    summary = "trained on ImageNet and frozen"

    def check(self) -> None:
        """Raises a UsageError for images that nothing would be left of."""
        if self.size < 32:
            raise UsageError(f"size: {self.size} pixels; give 32 or more, at best 224")

    def make(self, inputs: Spec, *, columns: bool = False) -> "Net":
        """Builds the network for images of any size."""
        from jaxcl import networks

        *_, channels = image_shape(inputs, self.name)
        if channels not in (1, 3):
            raise UsageError(
                f"net: {self.name} takes images of 1 or 3 channels, and these have {channels};"
                " give --net cnn, or a network of your own"
            )
        _check_no_columns(self, columns)
        return networks.pretrained(self.size, inputs)


def _check_no_columns(network: Network, columns: bool) -> None:
    if columns:
        raise UsageError(f"net: {network.name} has no columns; give --net cnn or --net mlp")


NETWORKS |= {
    "cnn": CNN, "mlp": MLP, "linear": Linear, "resnet18": ResNet18, "resnet32": ResNet32,
    "efficientnet_lite0": EfficientNetLite0,
}  # fmt: skip
