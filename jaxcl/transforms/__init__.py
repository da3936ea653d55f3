"""Composable loss transforms: one loss in, another out.

Imports jax, optax, chex and jaxtyping at most, so a transform can be used in any
training loop, whatever the network library.
"""

from jaxcl.transforms.base import Context, LossTransform, Step, TaskData, chain
from jaxcl.transforms.distill import DistillState, distill
from jaxcl.transforms.l2 import l2

__all__ = ["Context", "DistillState", "LossTransform", "Step", "TaskData", "chain", "distill", "l2"]
