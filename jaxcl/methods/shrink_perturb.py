"""Shrink and perturb."""

import dataclasses

from jaxcl.core.fields import NonNegative, Traced, Unit
from jaxcl.methods.base import StreamInfo
from jaxcl.methods.finetune import Finetune


@dataclasses.dataclass(frozen=True)
class ShrinkPerturb(Finetune):
    """Fine-tuning from smaller, noisier weights: ``shrink * theta + N(0, noise^2)``.

    Where each task has a head of its own, those stay as they are: no later task trains them
    again. A shared head and one that grows are changed with all else, as in the paper.
    """

    shrink: Traced[Unit[float]] = 0.6
    """lambda: what is left of each weight as a task ends."""
    noise: Traced[NonNegative[float]] = 0.01
    """Standard deviation of what is added to it."""

    summary = "shrink and perturb: start each task from smaller, noisier weights"
    paper = "Ash & Adams 2020"

    def losses(self, stream: StreamInfo) -> dict:
        """Returns what is done to the weights as a task ends.

        It is :func:`jaxcl.transforms.shrink_perturb`.
        """
        from jaxcl.transforms import shrink_perturb
        from jaxcl.transforms.between_tasks.shrink_perturb import all_but_heads, everything

        chosen = all_but_heads if stream.setting == "task" else everything
        return {"shrink_perturb": shrink_perturb(self.shrink, self.noise, chosen=chosen)}
