"""Feature extraction."""

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING

from jaxcl.methods.base import Method

if TYPE_CHECKING:
    from jaxcl.growth.trainable import Trains


@dataclasses.dataclass(frozen=True)
class FeatureExtraction(Method):
    """A new head for each task, on features that the first task left."""

    summary = "after the first task, train only a new head on frozen features"
    fails = MappingProxyType(
        {
            "domain": "the shared head is overwritten",
            "class": "the outputs of the new task win",
        }
    )

    def trains(self) -> "Trains":
        """Returns the rule that the new head alone trains."""
        from jaxcl.growth.trainable import new_parts

        return new_parts
