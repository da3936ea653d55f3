"""GDumb: a balanced buffer, and a fresh network trained on it alone."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxcl.core.errors import UsageError
from jaxcl.methods.base import Method, StreamInfo
from jaxcl.methods.replay import Room

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class GDumb(Room, Method):
    """Trains fresh weights for each task, on kept images of all tasks so far alone."""

    summary = "GDumb: fresh weights, trained on a balanced buffer of all tasks so far alone"
    paper = "Prabhu et al. 2020"
    own_images = True
    on_memory = "gdumb"
    from_scratch = True

    def trained_examples(self, seen: Sequence[int], classes: int) -> int:
        """Returns how many images there are: all, or as many as there is room for."""
        return min(sum(seen), self.room(classes))

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns what fills the buffer; where tasks share labels, it is balanced by task too.

        It is :func:`jaxcl.transforms.gdumb`.

        Raises:
          UsageError: marks or numbers are learned, which have no classes.
        """
        from jaxcl.transforms import gdumb

        learned, by_task = stream.objective, stream.setting != "class"
        if learned is not None and not learned.classes:
            raise UsageError(f"loss: {learned.name} has no classes to balance by; leave it out")
        return {"gdumb": gdumb(self.room(stream.classes), stream.classes, by_task=by_task)}
