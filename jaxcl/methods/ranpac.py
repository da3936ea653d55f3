"""Ridge regression on random projections of features."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

from jaxcl.core.fields import Positive, Range, Traced, shown
from jaxcl.methods.base import Method, StreamInfo, check_classes, class_room
from jaxcl.methods.feature_extraction import FeatureExtraction

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class RanPAC(FeatureExtraction):
    """Ridge regression over all tasks, on random features; the logits serve until a task ends."""

    units: Annotated[int, Range(0, open=True, most=50_000)] = 2000
    """Random features M; memory grows with M^2."""
    ridge: Annotated[Traced[Positive[float] | None], shown("chosen", "NUM")] = None
    """lambda: what is added to G's diagonal."""

    one_head = True
    summary = "RanPAC: ridge regression on random features of what the first task left"
    paper = "McDonnell et al. 2023"
    fails = Method.fails

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns what predicts; where each task has a head, its classes are its own.

        It is :func:`jaxcl.transforms.ranpac`.
        """
        from jaxcl.transforms import ranpac

        check_classes(stream, "ranpac")
        own, room = stream.setting == "task", class_room(stream)
        return {"ranpac": ranpac(self.units, self.ridge, by_task=own, classes=room)}
