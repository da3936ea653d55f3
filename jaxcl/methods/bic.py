"""Bias correction."""

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import Positive, Unit, shown
from jaxcl.methods.base import Method, StreamInfo, check_classes, class_room
from jaxcl.methods.replay import Room

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform

WHY = "bic corrects the logits of new classes against those of old ones, which compete in the"


@dataclasses.dataclass(frozen=True)
class BiC(Room, Method):
    """Replays exemplars, distils, and corrects the new classes' logits as a task ends."""

    held_out: Unit[float] = 0.1
    """Part of them to fit corrections on."""
    temperature: Positive[float] = 2.0
    """Temperature of the distillation."""
    drawn: Annotated[Positive[int] | None, shown("as many as a batch", "INT")] = None
    """Exemplars in a step."""

    one_head = True
    summary = "bias correction: exemplars, old responses; new classes' logits are corrected"
    paper = "Wu et al. 2019"
    own_images = True
    refuses = MappingProxyType(dict.fromkeys(("task", "domain"), f"{WHY} class setting alone"))

    def check(self) -> None:
        """Raises a UsageError for a setting that it cannot have."""
        super().check()
        if self.held_out in (0, 1):
            raise UsageError(f"held_out: {self.held_out} leaves nothing; give 0.1, say")

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the replay with distillation, in place of the plain loss, and what predicts.

        It is :func:`jaxcl.transforms.bic`.

        Raises:
          UsageError: marks or numbers are learned, or there is room for fewer than two images
            of a class.
        """
        from jaxcl.transforms import bic

        check_classes(stream, "bic")
        room = self.room(stream.classes)
        if room < 2 * stream.classes:
            raise UsageError(
                f"buffer: {room} images for {stream.classes} classes; give two for each, or more"
            )
        given = {"held_out": self.held_out, "temperature": self.temperature, "n": self.drawn}
        return {"bic": bic(room, **given, classes=class_room(stream))}
