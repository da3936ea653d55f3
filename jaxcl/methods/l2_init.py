"""L2 Init: regenerative regularisation."""

import dataclasses

from jaxcl.core.fields import NonNegative, Traced
from jaxcl.methods.base import StreamInfo
from jaxcl.methods.finetune import Finetune


@dataclasses.dataclass(frozen=True)
class L2Init(Finetune):
    """Fine-tuning with ``strength * sum (theta - theta_0)^2``: a pull to the first weights.

    It keeps the network able to learn new tasks; old ones are forgotten as in fine-tuning. A head
    that comes with a later task is pulled to the weights that it came with.
    """

    strength: Traced[NonNegative[float]] = 1e-3
    """lambda, weight of the squared distance."""

    one_head = True
    follows_weights = True
    summary = "L2 Init: pull every weight to its own initial value"
    paper = "Kumar, Marklund & Van Roy 2024"

    def losses(self, stream: StreamInfo) -> dict:
        """Returns the pull to the initial weights.

        It is :func:`jaxcl.transforms.l2_init`.
        """
        from jaxcl.transforms import l2_init

        del stream
        return {"l2_init": l2_init(self.strength)}
