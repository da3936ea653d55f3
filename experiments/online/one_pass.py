"""DER++ as the authors of ER-ACE have it: its two draws pass the network as one batch.

A plug-in, for ``--plugin experiments/online/one_pass.py --method derpp_one_pass``.  By itself each
draw is normalised by its own mean, and kept images count twice in the moving statistics.
"""

import dataclasses

import jax
import jax.numpy as jnp

import jaxcl
from jaxcl.core.batching import examples
from jaxcl.core.random import stream
from jaxcl.methods.der_pp import DERPP
from jaxcl.transforms import LossTransform
from jaxcl.transforms.rehearsal.buffers import sample


@jaxcl.register_method
@dataclasses.dataclass(frozen=True)
class DerppOnePass(DERPP):
    """DER++ whose two draws pass the network as one batch."""

    summary = "DER++ whose two draws pass the network as one batch"

    def losses(self, stream):
        """Returns the two losses of remembered images."""
        return {name: _in_one_pass(each) for name, each in super().losses(stream).items()}


def _in_one_pass(transform: LossTransform) -> LossTransform:
    def apply(loss, state, context):
        if not state.buffer.data:
            return transform.apply(loss, state, context)
        n = examples(context.batch)
        draws = [sample(state.buffer, stream(context.key, "der", turn), n) for turn in (0, 1)]
        both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *draws)
        outputs = context.forward(context.params, both)
        parts = iter(
            [jax.tree.map(lambda x: x[:n], outputs), jax.tree.map(lambda x: x[n:], outputs)]
        )
        return transform.apply(loss, state, context._replace(forward=lambda *_: next(parts)))

    return transform._replace(apply=apply)
