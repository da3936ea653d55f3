"""What keeps a network able to learn: remedies for the loss of plasticity, and its measures."""

from jaxcl.transforms.plasticity.l2_init import l2_init

__all__ = ["l2_init"]
