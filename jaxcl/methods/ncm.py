"""Nearest class mean."""

import dataclasses
from typing import TYPE_CHECKING

from jaxcl.core.fields import Bool
from jaxcl.methods.base import Method, StreamInfo, check_classes, class_room

if TYPE_CHECKING:
    from jaxcl.growth.trainable import Trains
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class NCM(Method):
    """Classifies by the nearest mean feature of a class; the logits serve until a task ends."""

    unit_length: Bool = False
    """Divide features by their length, as iCaRL does."""
    fixed: Bool = True
    """Features stay as the first task leaves them."""

    one_head = True
    summary = "nearest class mean: features of the first task, and a mean for each class"
    paper = "Mensink et al. 2013"

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns what predicts; where each task has a head, its means are its own.

        It is :func:`jaxcl.transforms.ncm`.

        Raises:
          UsageError: marks or numbers are learned, which have no classes.
        """
        from jaxcl.transforms import ncm

        check_classes(stream, "ncm")
        own, room = stream.setting == "task", class_room(stream)
        return {"ncm": ncm(by_task=own, normalise=self.unit_length, classes=room)}

    def trains(self) -> "Trains":
        """Returns the rule that features stay, or that they and the task's own head train."""
        from jaxcl.growth.trainable import new_parts, shared_and_own_heads

        return new_parts if self.fixed else shared_and_own_heads
