"""Progressive networks."""

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING

from jaxcl.methods.base import Method

if TYPE_CHECKING:
    from jaxcl.growth.routing import Rule
    from jaxcl.growth.trainable import Trains


@dataclasses.dataclass(frozen=True)
class PNN(Method):
    """A new column for each task, with lateral connections from the older ones."""

    summary = "progressive networks: a new column for each task, older ones frozen"
    paper = "Rusu et al. 2016"
    columns = True
    fails = MappingProxyType(
        {"class": "outputs of separate columns were never trained against each other"}
    )

    def rule(self) -> "Rule":
        """Returns the rule that every task has a new column."""
        from jaxcl.growth import routing

        return routing.split

    def trains(self) -> "Trains":
        """Returns the rule that older columns stay as they are."""
        from jaxcl.growth.trainable import new_parts

        return new_parts
