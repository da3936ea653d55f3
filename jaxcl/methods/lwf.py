"""Learning without Forgetting."""

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

from jaxcl.core.fields import Bool, NonNegative, OneOf, Positive, Traced
from jaxcl.methods.base import Method, StreamInfo

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class LwF(Method):
    """Distils the old responses to the new images.

    In the class setting an output grows.  What the old responses say of its new classes is a
    setting: that their probability is 0, as van de Ven, Tuytelaars & Tolias (2022) have it, or
    nothing, so that the old classes alone are compared, among themselves.  With all outputs from
    the start (``--heads full``) there are old responses for all of them, which are compared.
    """

    strength: Traced[NonNegative[float]] = 15.0
    """lambda, weight of the old responses."""
    temperature: Traced[Positive[float]] = 2.0
    """Temperature of the distillation."""
    t_squared: Bool = False
    """Times the squared temperature."""
    lwf_weighting: OneOf[Literal["one", "tasks"]] = "one"
    """one, or tasks: times earlier tasks."""
    new_classes: OneOf[Literal["zero", "out"]] = "zero"
    """class, growing head: zero in old responses, or out."""

    one_head = True
    summary = "Learning without Forgetting: distil the old responses to the new images"
    paper = "Li & Hoiem 2016"
    fails = MappingProxyType(
        {
            "class": "the old responses to new images say little about old classes, whose images"
            " are gone"
        }
    )
    on_generated: ClassVar[bool] = False

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the distillation.

        It is :func:`jaxcl.transforms.distill`.
        """
        from jaxcl.transforms import categorical, distill

        return {
            "distill": distill(
                self.strength,
                self.temperature,
                t_squared=self.t_squared,
                weighting=self.lwf_weighting,
                padded=stream.setting == "class" and self.new_classes == "zero",
                generated=self.on_generated,
                objective=stream.objective or categorical,
            )
        }
