"""What is learned: classes, marks that may all be set at once, or numbers."""

from collections.abc import Mapping

from jaxcl.transforms.objectives.base import Objective
from jaxcl.transforms.objectives.binary import binary
from jaxcl.transforms.objectives.categorical import categorical
from jaxcl.transforms.objectives.squared import squared

OBJECTIVES: Mapping[str, Objective] = {each.name: each for each in (categorical, binary, squared)}
"""Every objective by its name."""

__docformat__ = "google"
__all__ = ["OBJECTIVES", "Objective", "binary", "categorical", "squared"]
