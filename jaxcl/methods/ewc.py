"""Elastic weight consolidation."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Literal

from jaxcl.core.fields import NonNegative, OneOf, Positive, Traced, shown
from jaxcl.methods.base import Penalty, StreamInfo

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class EWC(Penalty):
    """A quadratic penalty for each task before, weighted by its Fisher information."""

    strength: Traced[NonNegative[float]] = 1e4
    """lambda, weight of the penalty."""
    fisher: Traced[OneOf[Literal["exact", "sampled", "empirical"]]] = "exact"
    """Its labels: exact, sampled, empirical."""
    fisher_examples: Annotated[Traced[Positive[int] | None], shown("all", "INT")] = None
    """Examples the Fisher is taken from."""

    one_head = True
    summary = "elastic weight consolidation: a Fisher penalty for each task before"
    paper = "Kirkpatrick et al. 2017"

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the penalty.

        It is :func:`jaxcl.transforms.ewc`.

        The Fisher is computed as a task ends, by :func:`jaxcl.transforms.diagonal_fisher`.
        """
        from jaxcl.transforms import categorical, ewc

        learned, n = stream.objective or categorical, self.fisher_examples
        return {"ewc": ewc(self.strength, fisher=self.fisher, n=n, objective=learned)}
