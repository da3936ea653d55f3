"""iCaRL: incremental classifier and representation learning."""

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import Positive, shown
from jaxcl.methods.base import Method, StreamInfo, class_room
from jaxcl.methods.replay import Room

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class ICaRL(Room, Method):
    """Classifies by the nearest mean of exemplars, whose old responses are held on to."""

    drawn: Annotated[Positive[int] | None, shown("as many as a batch", "INT")] = None
    """Exemplars in a step."""

    fails = MappingProxyType(
        {
            "domain": "a class keeps as many exemplars however many tasks it comes in, and the"
            " newest task, of which all images are there, provides nearly all of them"
        }
    )
    one_head = True
    summary = "iCaRL: exemplars by herding, old responses; the nearest mean of exemplars"
    paper = "Rebuffi et al. 2017"
    own_images = True

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the binary cross-entropies, in place of the plain loss, and what predicts.

        It is :func:`jaxcl.transforms.icarl`.

        Raises:
          UsageError: marks or numbers are learned, or there are fewer images than classes.
        """
        from jaxcl.transforms import icarl

        learned, by_task = stream.objective, stream.setting == "task"
        if learned is not None and not learned.classes:
            raise UsageError(f"loss: {learned.name} has no classes, and icarl means of them")
        room = self.room(stream.classes)
        if room < stream.classes:
            raise UsageError(f"buffer: {room} images for {stream.classes} classes; give more")
        classes = class_room(stream)
        return {"icarl": icarl(room, n=self.drawn, by_task=by_task, classes=classes)}
