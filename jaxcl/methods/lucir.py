"""Learning a unified classifier incrementally via rebalancing."""

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import NonNegative, Positive, Traced, shown
from jaxcl.methods.base import Method, StreamInfo, check_classes
from jaxcl.methods.replay import Room

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform

WHY = "lucir rebalances new classes and old ones, which compete in the class setting alone"


@dataclasses.dataclass(frozen=True)
class LUCIR(Room, Method):
    """Classifies by cosines, holds features in their direction, and sets exemplars apart."""

    strength: Traced[NonNegative[float]] = 5.0
    """lambda_base, weight of the old features."""
    margin: NonNegative[float] = 0.5
    """Of exemplars to the nearest new classes."""
    rivals: Positive[int] = 2
    """How many new classes are the nearest."""
    drawn: Annotated[Positive[int] | None, shown("as many as a batch", "INT")] = None
    """Exemplars in a step."""

    summary = "LUCIR: a cosine classifier, old features, and a margin around exemplars"
    paper = "Hou et al. 2019"
    own_images = True
    refuses = MappingProxyType(dict.fromkeys(("task", "domain"), WHY))

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the losses of a cosine classifier, in place of the plain loss; it predicts.

        It is :func:`jaxcl.transforms.lucir`.

        Raises:
          UsageError: marks or numbers are learned, or there are fewer images than classes.
        """
        from jaxcl.growth.parameters import class_weights
        from jaxcl.transforms import lucir

        check_classes(stream, "lucir")
        room = self.room(stream.classes)
        if room < stream.classes:
            raise UsageError(f"buffer: {room} images for {stream.classes} classes; give more")
        given = {"strength": self.strength, "margin": self.margin, "rivals": self.rivals}
        return {"lucir": lucir(room, class_weights, **given, n=self.drawn)}
