"""What is kept of earlier tasks, and the transforms that train on it again."""

from jaxcl.transforms.rehearsal.agem import agem
from jaxcl.transforms.rehearsal.buffers import class_balanced, greedy, reservoir, ring
from jaxcl.transforms.rehearsal.der import der, der_pp
from jaxcl.transforms.rehearsal.er_ace import er_ace
from jaxcl.transforms.rehearsal.gdumb import gdumb
from jaxcl.transforms.rehearsal.icarl import icarl
from jaxcl.transforms.rehearsal.made_examples import generated, noise
from jaxcl.transforms.rehearsal.memory import fraction, per_class, stored
from jaxcl.transforms.rehearsal.replay import replay

__all__ = [
    "agem", "class_balanced", "der", "der_pp", "er_ace", "fraction", "gdumb", "generated",
    "greedy", "icarl", "noise", "per_class", "replay", "reservoir", "ring", "stored",
]  # fmt: skip
