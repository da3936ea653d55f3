"""Against the bias towards the newest classes, of which there are more examples than are kept."""

from jaxcl.transforms.recency_bias.bic import bic
from jaxcl.transforms.recency_bias.lucir import lucir

__all__ = ["bic", "lucir"]
