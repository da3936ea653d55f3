"""Composable loss transforms: one loss in, another out.

Imports jax, optax, chex and jaxtyping at most, so a transform can be used in any
training loop, whatever the network library.
"""

from jaxcl.core.pytree import copy, regrow
from jaxcl.transforms.base import Context, LossTransform, Step, TaskData, chain
from jaxcl.transforms.distill import DistillState, distill
from jaxcl.transforms.ewc import ewc, online_ewc
from jaxcl.transforms.importance import diagonal_fisher, output_sensitivity
from jaxcl.transforms.l2 import l2
from jaxcl.transforms.mas import mas
from jaxcl.transforms.objectives import OBJECTIVES, Objective, binary, categorical, squared
from jaxcl.transforms.rehearsal.der import der
from jaxcl.transforms.rehearsal.memory import fraction, generated, noise, per_class, stored
from jaxcl.transforms.rehearsal.replay import replay
from jaxcl.transforms.si import si
from jaxcl.transforms.wgan_gp import critic_loss, generator_loss, gradient_penalty

__all__ = [
    "OBJECTIVES", "Context", "DistillState", "LossTransform", "Objective", "Step", "TaskData",
    "binary", "categorical", "chain", "copy", "critic_loss", "der", "diagonal_fisher", "distill",
    "ewc", "fraction", "generated", "generator_loss", "gradient_penalty", "l2", "mas", "noise",
    "online_ewc", "output_sensitivity", "per_class", "regrow", "replay", "si", "squared",
    "stored",
]  # fmt: skip
