"""Riemannian walk."""

import dataclasses
from typing import TYPE_CHECKING

from jaxcl.core.fields import NonNegative, Positive, Traced, Unit
from jaxcl.methods.base import Penalty, StreamInfo

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class RWalk(Penalty):
    """A quadratic penalty, weighted by a running Fisher and by the loss's fall on the way."""

    strength: Traced[NonNegative[float]] = 1.0
    """lambda, weight of the penalty."""
    alpha: Traced[Unit[float]] = 0.9
    """Share of new steps in the Fisher."""
    epsilon: Traced[Positive[float]] = 1e-3
    """Damping of the score."""
    segment: Positive[int] = 10
    """Steps between two scores."""

    one_head = True
    follows_weights = True
    summary = "Riemannian walk: a running Fisher, and the loss's fall for each KL divergence"
    paper = "Chaudhry et al. 2018"

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the penalty; Fisher and score are found in every step.

        It is :func:`jaxcl.transforms.rwalk`.
        """
        from jaxcl.transforms import rwalk

        del stream
        made = rwalk(self.strength, alpha=self.alpha, epsilon=self.epsilon, segment=self.segment)
        return {"rwalk": made}
