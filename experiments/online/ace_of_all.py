"""ER-ACE as its authors' code has it: classes that have not come yet are rivals too.

A plug-in, for ``--plugin experiments/online/ace_of_all.py --method ace_of_all``.
"""

import dataclasses

import jax
import jax.numpy as jnp

import jaxcl
from jaxcl.methods.er_ace import ERACE
from jaxcl.transforms import LossTransform, categorical
from jaxcl.transforms.rehearsal.er_ace import among


@jaxcl.register_method
@dataclasses.dataclass(frozen=True)
class AceOfAll(ERACE):
    """ER-ACE whose new and kept images push down the classes that have not come yet."""

    summary = "ER-ACE in which classes that have not come yet are rivals too"

    def losses(self, stream):
        """Returns the two losses, over more classes."""
        return {name: _of_all(each) for name, each in super().losses(stream).items()}


def _of_all(transform: LossTransform) -> LossTransform:
    def apply(loss, state, context):
        labels = context.batch["label"]
        logits = context.logits(context.outputs, context.batch)
        present = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool).any(0)
        rivals = among(logits, present | ~state.seen)
        every = state._replace(seen=jnp.ones_like(state.seen))
        whole, metrics = transform.apply(loss, every, context)
        incoming = categorical.loss(rivals, labels).mean()
        return whole - metrics["incoming"] + incoming, metrics | {"incoming": incoming}

    return transform._replace(apply=apply)
