"""ER-ACE: experience replay with asymmetric cross-entropy."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Literal

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import OneOf, Positive, Unit, shown
from jaxcl.methods.base import Method, StreamInfo, class_room
from jaxcl.methods.replay import Replayed

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class ERACE(Replayed, Method):
    """New images are told apart from one another alone, kept ones from all classes so far.

    Kept images are all that tells new classes from old ones, so the buffer usually fills in every
    step; where it fills as a task ends, these are told apart in the next task only.
    """

    ratio: Annotated[Unit[float] | None, shown("by --buffer", "FLOAT")] = None
    """Part of each task that is kept."""
    buffer: Annotated[Positive[int] | None, shown("no limit", "INT")] = 500
    """Images that are kept in all."""
    fill: OneOf[Literal["end", "online"]] = "online"
    """Kept at a task's end, or online: in its steps."""

    one_head = True
    summary = "ER-ACE: replay, and new images do not push down the logits of old classes"
    paper = "Caccia et al. 2022"
    own_images = True

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the two losses, in place of the plain one.

        It is :func:`jaxcl.transforms.er_ace`.

        Raises:
          UsageError: marks or numbers are learned, which have no classes.
        """
        from jaxcl.transforms import categorical, er_ace

        learned, room = stream.objective or categorical, class_room(stream)
        try:
            made = er_ace(
                self.memory(stream.classes), n=self.drawn, objective=learned, classes=room
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
        return {"er_ace": made}
