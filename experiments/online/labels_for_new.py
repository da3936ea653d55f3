"""iCaRL with the loss that the authors of ER-ACE gave it: new images have labels alone.

A plug-in, for ``--plugin experiments/online/labels_for_new.py --method labels_for_new``.
"""

import dataclasses

import jax.numpy as jnp

import jaxcl
from jaxcl.core.random import stream
from jaxcl.methods.icarl import ICaRL
from jaxcl.transforms import Beside, Context, LossTransform, Needs, drawn, required


@jaxcl.register_method
@dataclasses.dataclass(frozen=True)
class LabelsForNew(ICaRL):
    """iCaRL whose new images have labels alone, also as to old classes, and weigh as exemplars do.

    The published loss holds new images to the old responses for old classes, and weighs both as
    often as there are of them.
    """

    apart: bool = False
    """New images and exemplars pass by themselves, as in that code."""

    unseen: bool = False
    """Classes that have not come yet are pushed down, as in that code."""

    summary = "iCaRL whose new images have labels alone and weigh as much as exemplars"

    def losses(self, stream):
        """Returns the sum of the binary cross-entropies of new images and of exemplars."""
        made = super().losses(stream)
        return {name: _labels_alone(each, self.apart, self.unseen) for name, each in made.items()}


def _labels_alone(transform: LossTransform, apart: bool, unseen: bool) -> LossTransform:
    def apply(loss, state, context):
        if unseen:
            state = state._replace(new=state.new | ~state.seen, seen=jnp.ones_like(state.seen))
        if not state.exemplars.data:
            return transform.apply(loss, state, context)
        if state.old.teacher:
            raise ValueError("labels_for_new: inputs are augmented; give --augment alone")
        state = state._replace(old=state.old._replace(recorded=None), share=jnp.float32(0.5))
        context = _apart(state.exemplars, context) if apart else context
        half, metrics = transform.apply(loss, state, context)
        return half + (metrics["incoming"] + metrics["replayed"]) / 2, metrics

    return transform._replace(apply=apply, needs=Needs() if apart else transform.needs)


def _apart(exemplars, context: Context) -> Context:
    """The context with exemplars that passed the network by themselves."""
    key, forward = required(context)
    batch = drawn(exemplars, stream(key, "icarl"), len(context.batch["label"]))
    return context._replace(beside=Beside(batch, forward(context.params, batch), ()))
