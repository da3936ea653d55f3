"""The networks that can be chosen by name, with their settings.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import MOST

if TYPE_CHECKING:
    from jaxcl.networks.base import Net

Shape = tuple[int, ...]
SMALLEST = 6  # images that two convolutions and a pooling leave something of


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that can be made for images of some shape.

    Attributes:
      summary: one line for a person.
      has_branches: whether it has layers that can branch.
      takes_rgb: whether images become 32x32x3 for it, unless they are kept as they come.
    """

    summary: ClassVar[str] = ""
    has_branches: ClassVar[bool] = False
    takes_rgb: ClassVar[bool] = False
    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()

    @classmethod
    def kinds(cls) -> Mapping[str, type["Network"]]:
        """Returns every network by its name."""
        return NETWORKS

    @property
    def name(self) -> str:
        """Returns the name of the network."""
        return next(name for name, kind in NETWORKS.items() if kind is type(self))

    def check(self) -> None:
        """Raises a UsageError for a setting that the network cannot have."""

    def make(self, shape: Shape, *, columns: bool = False) -> "Net":
        """Builds the network for images of a shape ``(height, width, channels)``.

        Args:
          shape: of an image.
          columns: whether it has a column for each task.

        Raises:
          UsageError: images that the network cannot take.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class CNN(Network):
    """The convolutional network of the LwF path-selection paper."""

    summary = "two convolution layers, a dense layer"
    has_branches = True
    takes_rgb = True

    def make(self, shape: Shape, *, columns: bool = False) -> "Net":
        """Builds the network for square images."""
        from jaxcl import networks

        height, width, channels = shape
        if height != width or height < SMALLEST:
            raise UsageError(f"resize: keep, but images are {height}x{width}; give bilinear")
        make: Any = networks.columns if columns else networks.cnn
        return make(size=height, channels=channels)


Initial = Literal["he", "uniform"]


def _dense(shape: Shape, hidden: tuple[int, ...], initial: Initial, columns: bool) -> "Net":
    from jaxcl import networks

    size = math.prod(shape)
    if columns:
        return networks.columns(size=1, channels=size, filters=(), hidden=hidden)
    return networks.mlp(size, hidden, initial=initial)


@dataclasses.dataclass(frozen=True)
class MLP(Network):
    """Dense layers."""

    hidden: tuple[int, ...] = (400, 400)
    """Units of each hidden layer."""
    initial: Initial = "he"
    """First weights: He's, or uniform in 1/sqrt(inputs)."""

    summary = "dense layers"

    def check(self) -> None:
        """Raises a UsageError for layers without units."""
        if not all(0 < units <= MOST for units in self.hidden):
            raise UsageError(f"hidden: {list(self.hidden)}; give numbers above 0")

    def make(self, shape: Shape, *, columns: bool = False) -> "Net":
        """Builds the network for images of any size."""
        return _dense(shape, self.hidden, self.initial, columns)


@dataclasses.dataclass(frozen=True)
class Linear(Network):
    """One linear layer."""

    initial: Initial = "he"
    """First weights: He's, or uniform in 1/sqrt(inputs)."""

    summary = "one linear layer"

    def make(self, shape: Shape, *, columns: bool = False) -> "Net":
        """Builds the network for images of any size."""
        return _dense(shape, (), self.initial, columns)


NETWORKS: Mapping[str, type[Network]] = {"cnn": CNN, "mlp": MLP, "linear": Linear}
"""Every network by its name."""
