"""Streaming linear discriminant analysis."""

import dataclasses
from typing import TYPE_CHECKING

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import Traced, Unit
from jaxcl.methods.base import Method, StreamInfo, check_classes, class_room
from jaxcl.methods.feature_extraction import FeatureExtraction

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class SLDA(FeatureExtraction):
    """Class means and one covariance, ``W f + b``; the logits serve until a task ends."""

    shrinkage: Traced[Unit[float]] = 1e-4
    """epsilon: part of the unit matrix in the covariance."""

    one_head = True
    summary = "streaming linear discriminant analysis on features that the first task left"
    paper = "Hayes & Kanan 2020"
    fails = Method.fails

    def check(self) -> None:
        """Raises a UsageError for a shrinkage without which there may be no inverse."""
        super().check()
        if self.shrinkage == 0:
            raise UsageError("shrinkage: 0 is not positive; give a number above 0")

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns what predicts; where each task has a head, its classes are its own.

        It is :func:`jaxcl.transforms.slda`.
        """
        from jaxcl.transforms import slda

        check_classes(stream, "slda")
        own, room = stream.setting == "task", class_room(stream)
        return {"slda": slda(self.shrinkage, by_task=own, classes=room)}
