"""Penalties on how far weights move, and the importance of each weight that they are weighed by."""

from jaxcl.transforms.penalties.ewc import ewc, online_ewc
from jaxcl.transforms.penalties.importance import diagonal_fisher, output_sensitivity
from jaxcl.transforms.penalties.l2 import l2
from jaxcl.transforms.penalties.mas import mas
from jaxcl.transforms.penalties.rwalk import rwalk
from jaxcl.transforms.penalties.si import si

__all__ = ["diagonal_fisher", "ewc", "l2", "mas", "online_ewc", "output_sensitivity", "rwalk", "si"]
