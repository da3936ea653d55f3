"""The networks that can be chosen by name, with their settings.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import MOST, NO_SETTING, Unseen

if TYPE_CHECKING:
    from jaxcl.networks.base import Net

Spec = Any
"""Shapes of an example's inputs: a ``jax.ShapeDtypeStruct``, or a tree of them."""
SMALLEST = 6  # images that two convolutions and a pooling leave something of


def _image_shape(inputs: Spec) -> tuple[int, int, int]:
    """The shape of an image; UsageError for other inputs."""
    shape = _shape(inputs)
    if len(shape) != 3:
        raise UsageError(
            f"net: cnn takes images [height, width, channels], and inputs are {list(shape)}; give"
            " --net mlp, or a network of your own"
        )
    return shape


def _shape(inputs: Spec) -> tuple[int, ...]:
    """The shape of inputs that are one array of numbers; UsageError for others."""
    shape, dtype = getattr(inputs, "shape", None), str(getattr(inputs, "dtype", ""))
    if shape is None or "int" in dtype:
        raise UsageError(
            f"net: inputs are {dtype or type(inputs).__name__}, and the networks that are built in"
            " take floats or bytes; give a network of your own"
        )
    return shape


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that can be made for images of some shape.

    Attributes:
      summary: one line for a person.
      takes_rgb: whether images become 32x32x3 for it, unless they are kept as they come.
    """

    summary: ClassVar[str] = ""
    takes_rgb: ClassVar[bool] = False
    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()

    @classmethod
    def kinds(cls) -> Mapping[str, type["Network"]]:
        """Returns every network by its name, one that is given by a program included."""
        return {**NETWORKS, OWN: Foreign}

    @property
    def name(self) -> str:
        """Returns the name of the network."""
        return next(name for name, kind in NETWORKS.items() if kind is type(self))

    @property
    def has_branches(self) -> bool:
        """Returns whether it has layers that can branch."""
        return False

    def check(self) -> None:
        """Raises a UsageError for a setting that the network cannot have."""

    def make(self, inputs: Spec, *, columns: bool = False) -> "Net":
        """Builds the network for inputs of some shapes.

        Args:
          inputs: shape and type of an example, as the network sees it.
          columns: whether it has a column for each task.

        Raises:
          UsageError: inputs that the network cannot take.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class CNN(Network):
    """The convolutional network of the LwF path-selection paper."""

    summary = "two convolution layers, a dense layer"
    takes_rgb = True

    @property
    def has_branches(self) -> bool:
        """Returns whether it has layers that can branch."""
        return True

    def make(self, inputs: Spec, *, columns: bool = False) -> "Net":
        """Builds the network for square images."""
        from jaxcl import networks

        height, width, channels = _image_shape(inputs)
        if height != width or height < SMALLEST:
            raise UsageError(f"resize: keep, but images are {height}x{width}; give bilinear")
        make: Any = networks.columns if columns else networks.cnn
        return make(size=height, channels=channels)


Initial = Literal["he", "uniform"]


def _dense(inputs: Spec, hidden: tuple[int, ...], initial: Initial, columns: bool) -> "Net":
    from jaxcl import networks

    size = math.prod(_shape(inputs))
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

    def make(self, inputs: Spec, *, columns: bool = False) -> "Net":
        """Builds the network for inputs of any shape."""
        return _dense(inputs, self.hidden, self.initial, columns)


@dataclasses.dataclass(frozen=True)
class Linear(Network):
    """One linear layer."""

    initial: Initial = "he"
    """First weights: He's, or uniform in 1/sqrt(inputs)."""

    summary = "one linear layer"

    def make(self, inputs: Spec, *, columns: bool = False) -> "Net":
        """Builds the network for inputs of any shape."""
        return _dense(inputs, (), self.initial, columns)


@dataclasses.dataclass(frozen=True)
class Foreign(Network):
    """A network of another library, which was given and not chosen by name.

    A run keeps its description, not its code: who goes on with the run gives it again.
    """

    grow: Unseen = dataclasses.field(default=None, metadata=NO_SETTING)
    """Its code: ``(branches, inputs) -> Net``."""
    branches: tuple[str, ...] = ()
    """Paths of the parts that can branch."""
    description: str = ""
    """What it is made of."""

    summary = "a network that was given"

    @property
    def name(self) -> str:
        """Returns the name that all such networks have."""
        return OWN

    @property
    def has_branches(self) -> bool:
        """Returns whether any part can branch."""
        return bool(self.branches)

    def make(self, inputs: Spec, *, columns: bool = False) -> "Net":
        """Builds the network for inputs of some shapes.

        Raises:
          UsageError: without its code, with columns, with a branch that there is not, or a module
            that does not give features.
        """
        if self.grow is None:
            raise UsageError(f"network: {self.description} was given by a program; give it again")
        if columns:
            raise UsageError(f"network: {self.description} has no columns; give net cnn or mlp")
        return self.grow(self.branches, inputs)


OWN = "own"
NETWORKS: dict[str, type[Network]] = {"cnn": CNN, "mlp": MLP, "linear": Linear}
"""Every network by its name."""
