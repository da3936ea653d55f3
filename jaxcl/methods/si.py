"""Synaptic intelligence."""

import dataclasses
from typing import TYPE_CHECKING

from jaxcl.core.fields import NonNegative, Positive, Traced
from jaxcl.methods.base import Penalty, StreamInfo

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class SI(Penalty):
    """A quadratic penalty, weighted by each weight's part in the fall of the loss."""

    strength: Traced[NonNegative[float]] = 1.0
    """c, weight of the penalty."""
    xi: Traced[Positive[float]] = 0.1
    """Damping."""

    one_head = True
    follows_weights = True
    summary = "synaptic intelligence: importance from the path integral of the loss"
    paper = "Zenke, Poole & Ganguli 2017"

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the penalty; the path integral is summed in every step.

        It is :func:`jaxcl.transforms.si`.
        """
        from jaxcl.transforms import si

        del stream
        return {"si": si(self.strength, xi=self.xi)}
