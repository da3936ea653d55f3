"""Memory aware synapses."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

from jaxcl.core.fields import NonNegative, Positive, Traced, shown
from jaxcl.methods.base import Penalty, StreamInfo

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class MAS(Penalty):
    """A quadratic penalty, weighted by the sensitivity of the outputs."""

    strength: Traced[NonNegative[float]] = 1.0
    """lambda, weight of the penalty."""
    fisher_examples: Annotated[Traced[Positive[int] | None], shown("all", "INT")] = None
    """Examples importance is taken from."""

    one_head = True
    summary = "memory aware synapses: importance from the sensitivity of the outputs"
    paper = "Aljundi et al. 2018"

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the penalty; the sensitivity is computed as a task ends.

        It is :func:`jaxcl.transforms.mas`.
        """
        from jaxcl.transforms import mas

        del stream
        return {"mas": mas(self.strength, n=self.fisher_examples)}
