"""The ResNet-18 with a cosine classifier, which the authors of ER-ACE gave it.

A plug-in, for ``--plugin experiments/online/cosine_head.py --net cosine_resnet18``.
"""

import dataclasses

import jax.numpy as jnp

import jaxcl

SCALE = 10.0  # theirs, fixed
TINY = 1e-5


@jaxcl.register_network
@dataclasses.dataclass(frozen=True)
class CosineResnet18(jaxcl.networks.ResNet18):
    """Its logits are ten times the cosines of features with the weights of each class."""

    summary = "residual, 18 layers, and a cosine classifier"

    def make(self, inputs, *, columns=False):
        """Builds the network for images of any shape."""
        made = jaxcl.networks.residual("resnet18", self.width, self.initial, inputs)
        return made._replace(head=_cosines)


def _cosines(head, features, layers):
    del layers
    w = head["w"]
    return SCALE * _unit(features, 1) @ _unit(w, 0)


def _unit(x, axis):
    return x / (jnp.linalg.norm(x, axis=axis, keepdims=True) + TINY)
