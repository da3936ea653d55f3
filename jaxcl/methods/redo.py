"""ReDo: dormant units are reset."""

import dataclasses

from jaxcl.core.fields import NonNegative, Positive, Traced
from jaxcl.methods.base import StreamInfo
from jaxcl.methods.finetune import Finetune


@dataclasses.dataclass(frozen=True)
class Redo(Finetune):
    """Fine-tuning in which units that are hardly active get fresh weights every so many steps.

    It keeps the network able to learn new tasks; old ones are forgotten as in fine-tuning. The
    network is one of dense layers.
    """

    period: Positive[int] = 1000
    """Steps between two looks at the units."""
    tau: Traced[NonNegative[float]] = 0.025
    """Score up to which a unit is dormant."""

    one_head = True
    summary = "ReDo: give units that are hardly active fresh weights"
    paper = "Sokar, Agarwal, Castro & Evci 2023"
    resets_units = True

    def losses(self, stream: StreamInfo) -> dict:
        """Returns what resets the units; without a network there are none, and nothing does.

        It is :func:`jaxcl.transforms.redo`.
        """
        from jaxcl.transforms import redo

        if stream.units is None:
            return {}
        return {"redo": redo(stream.units, period=self.period, tau=self.tau)}
