"""Composable loss transforms: one loss in, another out.

Imports jax, optax, chex, jaxtyping, numpy and scipy at most, so a transform can be used in any
training loop, whatever the network library: :func:`gradients` makes the two gradients of
such a loop, and :func:`chain` makes one transform out of several.  There are

- penalties on how far weights move: `ewc`, `online_ewc`, `si`, `rwalk`, `mas`, `l2`, `l2_init`,
  and the importance of weights that they go by: `diagonal_fisher`, `output_sensitivity`;
- old responses that are held on to: `distill`;
- rehearsal of earlier examples: `replay`, `er_ace`, `der`, `der_pp`, `agem`, `gdumb`, `icarl`, from
  memories that are made by `per_class`, `fraction`, `stored`, `noise` and `generated`;
- corrections where classes compete: `bic`, `lucir`;
- what is done between tasks, and what predicts: `shrink_perturb`, `ncm`, `slda`, `ranpac`;
- fresh weights for dormant units: `redo`;
- the losses of a generator: `critic_loss`, `generator_loss`, `gradient_penalty`;
- what is learned: `categorical`, `binary`, `squared`.

A transform of one's own is a value of :class:`LossTransform`.  This one pulls every weight
back to where it was as the task began.  Its state is a copy of the parameters, and it grows
with them, so a weight that is new as a task begins starts at its own place:

>>> import jax, jax.numpy as jnp
>>> def pull(strength):
...     def apply(loss, anchor, context):
...         off = jax.tree.map(lambda w, a: ((w - a) ** 2).sum(), context.params, anchor)
...         far = sum(jax.tree.leaves(off))
...         return loss + strength * far, {"far": far}
...
...     def end_task(anchor, params, task, key):
...         return copy(params), params  # the parameters' own arrays may be donated to a step
...
...     def begin_task(anchor, params, task, key):
...         return regrow(anchor, copy(params))  # old values where there are any
...
...     return LossTransform(copy, apply, begin_task, end_task=end_task)
>>> transform, task, key = chain(pull=pull(2.0)), TaskData({}, lambda w, b: {}), jax.random.key(0)
>>> state, params = transform.end_task(transform.init(jnp.ones(1)), jnp.ones(1), task, key)
>>> grown = jnp.array([1.5, 7.0])  # the one weight has moved, another is new
>>> state = transform.begin_task(state, grown, task, key)
>>> found = gradients(transform, state, lambda y, batch: y.sum(), Context(grown, None, {}),
...                   lambda w, batch: w)
>>> print(found.loss, found.gradient)  # 8.5 + 2 * 0.5^2; 1 + 4 * 0.5, 1
9.0 [3. 1.]
"""

from collections.abc import Mapping

from jaxcl.core.pytree import (
    Reset,
    WithReset,
    copy,
    regrow,
    reset_moments,
    reset_values,
    state_and_reset,
)
from jaxcl.core.types import ForwardPass
from jaxcl.transforms import objectives
from jaxcl.transforms.base import (
    Beside,
    Context,
    LossTransform,
    Needs,
    PredictedLogits,
    Step,
    TaskData,
    required,
)
from jaxcl.transforms.between_tasks.nearest_mean import ncm
from jaxcl.transforms.between_tasks.random_projection import ranpac
from jaxcl.transforms.between_tasks.shrink_perturb import shrink_perturb
from jaxcl.transforms.between_tasks.streaming_lda import slda
from jaxcl.transforms.chaining import chain
from jaxcl.transforms.differentiation import Gradients, gradients
from jaxcl.transforms.distillation import DistillState, distill
from jaxcl.transforms.objectives import OBJECTIVES, Objective, binary, categorical, squared
from jaxcl.transforms.penalties.ewc import ewc, online_ewc
from jaxcl.transforms.penalties.importance import diagonal_fisher, output_sensitivity
from jaxcl.transforms.penalties.l2 import l2
from jaxcl.transforms.penalties.mas import mas
from jaxcl.transforms.penalties.rwalk import rwalk
from jaxcl.transforms.penalties.si import si
from jaxcl.transforms.plasticity.l2_init import l2_init
from jaxcl.transforms.plasticity.redo import Units, redo
from jaxcl.transforms.recency_bias.bic import bic
from jaxcl.transforms.recency_bias.lucir import lucir
from jaxcl.transforms.rehearsal.agem import agem
from jaxcl.transforms.rehearsal.buffers import (
    Buffer,
    Storage,
    class_balanced,
    greedy,
    reservoir,
    ring,
)
from jaxcl.transforms.rehearsal.der import der, der_pp
from jaxcl.transforms.rehearsal.er_ace import er_ace
from jaxcl.transforms.rehearsal.gdumb import content, gdumb
from jaxcl.transforms.rehearsal.icarl import icarl
from jaxcl.transforms.rehearsal.made_examples import generated, noise
from jaxcl.transforms.rehearsal.memory import Memory, drawn, fraction, per_class, stored
from jaxcl.transforms.rehearsal.replay import replay
from jaxcl.transforms.wgan_gp import critic_loss, generator_loss, gradient_penalty

OBJECTIVES: Mapping[str, Objective]
"""Every objective by its name: ``categorical``, ``binary`` and ``squared``."""
categorical: Objective
"""One class of several: logits ``[b, classes]``, labels ``[b]``; or one for each position.

The loss is cross-entropy in nats, the score 1 where the largest logit is that of the label, and the
distance the cross-entropy of softened responses.  All of it stands in
`jaxcl.transforms.objectives.categorical`.
"""
binary: Objective
"""Marks, of which any number may be set: logits ``[b, k]``, labels 0 or 1 ``[b, k]``.

The loss is binary cross-entropy in nats, summed over the marks, the score the fraction of the marks
that is right.  All of it stands in `jaxcl.transforms.objectives.binary`.
"""
squared: Objective
"""Numbers: outputs ``[b, k]``, labels ``[b, k]``, floating-point.

The loss is the mean over k of the squared error, and the score minus the loss.  All of it stands in
`jaxcl.transforms.objectives.squared`.
"""

__docformat__ = "google"
__all__ = [
    "OBJECTIVES", "Beside", "Buffer", "Context", "DistillState", "ForwardPass", "Gradients",
    "LossTransform", "Memory", "Needs", "Objective", "PredictedLogits", "Reset", "Step", "Storage",
    "TaskData", "Units", "WithReset", "agem", "bic", "binary", "categorical", "chain",
    "class_balanced", "content", "copy", "critic_loss", "der", "der_pp", "diagonal_fisher",
    "distill", "drawn", "er_ace", "ewc", "fraction", "gdumb", "generated", "generator_loss",
    "gradient_penalty", "gradients", "greedy", "icarl", "l2", "l2_init", "lucir", "mas", "ncm",
    "noise", "objectives", "online_ewc", "output_sensitivity", "per_class", "ranpac", "redo",
    "regrow", "replay", "required", "reservoir", "reset_moments", "reset_values", "ring", "rwalk",
    "shrink_perturb", "si", "slda", "squared", "state_and_reset", "stored",
]  # fmt: skip
