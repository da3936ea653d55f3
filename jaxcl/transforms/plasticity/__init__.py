"""What keeps a network able to learn: remedies for the loss of plasticity, and its measures."""

from jaxcl.transforms.plasticity.l2_init import l2_init
from jaxcl.transforms.plasticity.redo import Units, redo

__all__ = ["Units", "l2_init", "redo"]
