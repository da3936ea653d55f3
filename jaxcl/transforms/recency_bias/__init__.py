"""Against the bias towards the newest classes, of which there are more examples than are kept."""

from jaxcl.transforms.recency_bias.bic import bic

__all__ = ["bic"]
