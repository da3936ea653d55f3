"""Selection: a convolution layer is split only where the tasks are unlike."""

import dataclasses
from typing import TYPE_CHECKING, Literal

from jaxcl.core.fields import OneOf, Traced, Unit
from jaxcl.methods.split import Split

if TYPE_CHECKING:
    from jaxcl.growth.routing import Rule


@dataclasses.dataclass(frozen=True)
class Select(Split):
    """Learning without Forgetting, and branches where the new task is unlike the old ones."""

    threshold: Traced[Unit[float]] = 0.9
    """Similarity from which a layer is shared."""
    candidates: Traced[OneOf[Literal["all", "latest", "first"]]] = "all"
    """Branches compared: all, latest, first."""

    summary = "lwf, and a convolution layer is split only where the tasks are unlike"

    def rule(self) -> "Rule":
        """Returns the rule that a layer is shared where the tasks are alike."""
        from jaxcl.growth import routing

        return routing.select(self.threshold, self.candidates)
