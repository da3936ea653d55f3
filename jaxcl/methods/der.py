"""Dark experience replay."""

import dataclasses
from typing import TYPE_CHECKING

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import NonNegative, Traced
from jaxcl.methods.base import Method, StreamInfo
from jaxcl.methods.replay import Room

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class DER(Room, Method):
    """Replays kept images with the logits they had."""

    alpha: Traced[NonNegative[float]] = 0.5
    """Weight of the remembered logits."""

    one_head = True
    summary = "dark experience replay: kept images with the logits they had"
    paper = "Buzzega et al. 2020"

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the loss of remembered images.

        It is :func:`jaxcl.transforms.der`.

        Raises:
          UsageError: so many for each class, where numbers are learned.
        """
        from jaxcl.transforms import categorical, der

        learned = stream.objective or categorical
        room = self.room(stream.classes)
        if self.buffer is None and not learned.logits:
            raise UsageError("per_class: numbers have no classes; give --buffer")
        return {"der": der(room, stream.classes, alpha=self.alpha, objective=learned)}
