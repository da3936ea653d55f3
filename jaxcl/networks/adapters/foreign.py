"""A network of another library as one of the library's own: its settings, and how it grows."""

import dataclasses
from typing import TYPE_CHECKING

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import NO_SETTING, Unseen
from jaxcl.networks.choices import Network, Spec

if TYPE_CHECKING:
    from jaxcl.networks.base import Net

OWN = "own"


@dataclasses.dataclass(frozen=True)
class Foreign(Network):
    """A network that was given, and not chosen by name.

    A run keeps its description, not its code: who goes on with the run gives it again.
    """

    backbone: Unseen = dataclasses.field(default=None, metadata=NO_SETTING)
    """Its functions, a :class:`~jaxcl.networks.adapters.backbone.Backbone`."""
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
        from jaxcl.networks.adapters.grown import grow_on_tree

        if self.backbone is None:
            raise UsageError(f"network: {self.description} was given by a program; give it again")
        if columns:
            raise UsageError(f"network: {self.description} has no columns; give net cnn or mlp")
        return grow_on_tree(self.backbone, self.branches, inputs)
