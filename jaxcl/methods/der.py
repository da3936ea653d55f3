"""Dark experience replay ++."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import NonNegative, Positive, Traced, shown
from jaxcl.methods.base import Method, StreamInfo

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class DER(Method):
    """Replays kept images with the logits they had, and with their labels."""

    alpha: Traced[NonNegative[float]] = 0.5
    """Weight of the remembered logits."""
    beta: Traced[NonNegative[float]] = 0.5
    """Weight of the remembered labels."""
    per_class: Annotated[Positive[int] | None, shown("by --buffer", "INT")] = 100
    """Images kept in all, for each class."""
    buffer: Annotated[Positive[int] | None, shown("by --per-class", "INT")] = None
    """Images kept in all."""

    summary = "dark experience replay ++: kept images with the logits they had"
    paper = "Buzzega et al. 2020"
    exclusive = (("per_class", "buffer"),)

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the two losses of remembered images.

        Raises:
          UsageError: so many for each class, where numbers are learned.
        """
        from jaxcl.transforms import categorical, der

        learned, room = stream.objective or categorical, self.buffer
        if room is None:
            if not learned.logits:
                raise UsageError("per_class: numbers have no classes; give --buffer")
            assert self.per_class is not None
            room = self.per_class * stream.classes
        a, b = self.alpha, self.beta
        return {"der": der(room, stream.classes, alpha=a, beta=b, objective=learned)}
