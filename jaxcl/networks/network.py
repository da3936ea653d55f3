"""What a network's settings have in common, and the network that a program gave.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import NO_SETTING, Unseen

if TYPE_CHECKING:
    from jaxcl.networks.base import Net

Spec = Any
"""Shapes of an example's inputs: a ``jax.ShapeDtypeStruct``, or a tree of them."""


def image_shape(inputs: Spec, name: str) -> tuple[int, int, int]:
    """Returns the shape of an image; UsageError for other inputs of a network of that name."""
    shape = one_shape(inputs)
    if len(shape) != 3:
        raise UsageError(
            f"net: {name} takes images [height, width, channels], and inputs are {list(shape)};"
            " give --net mlp, or a network of your own"
        )
    return shape


def one_shape(inputs: Spec) -> tuple[int, ...]:
    """Returns the shape of inputs that are one array of numbers; UsageError for others."""
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

    :func:`jaxcl.register_network` gives a subclass of one's own a name.
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
NETWORKS: dict[str, type[Network]] = {}
"""Every network by its name."""
