"""Online elastic weight consolidation."""

import dataclasses
from typing import TYPE_CHECKING

from jaxcl.core.fields import Traced, Unit
from jaxcl.methods.base import StreamInfo
from jaxcl.methods.ewc import EWC

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class OnlineEWC(EWC):
    """One quadratic penalty, with a Fisher information that decays from task to task."""

    decay: Traced[Unit[float]] = 0.95
    """What is kept of the earlier Fisher."""

    one_head = True
    summary = "elastic weight consolidation with one running Fisher"
    paper = "Schwarz et al. 2018"

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the penalty; the Fisher is computed as a task ends.

        It is :func:`jaxcl.transforms.online_ewc`.
        """
        from jaxcl.transforms import categorical, online_ewc

        learned, n = stream.objective or categorical, self.fisher_examples
        made = online_ewc(self.strength, self.decay, fisher=self.fisher, n=n, objective=learned)
        return {"ewc": made}
