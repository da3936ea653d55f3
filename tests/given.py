"""Settings of tests: what one method of several has no use for is left out."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxcl.growth import parameters
from jaxcl.learner.settings.config import Config, known_settings
from jaxcl.learner.settings.configuration import CHOICES, configure
from jaxcl.networks.base import Net, Routes, Variables, run
from jaxcl.transforms.objectives.losses import cross_entropy, distillation


def configured(**settings: Any) -> Config:
    """The configuration, without settings that its method, network or scenario does not have."""
    chosen = {name: settings.pop(name) for name in CHOICES if name in settings}
    own = configure(**chosen).flat()
    unused = {name for name in settings if name in known_settings() and name not in own}
    return configure(**chosen, **{n: v for n, v in settings.items() if n not in unused})


def logits(net: Net, params: Any, inputs: Any, routes: Routes) -> dict[str, Any]:
    """Task -> logits of a network without statistics, as it is tested."""
    return run(net, Variables(params, {}), inputs, routes).outputs


def first_params(net: Net, key: Any) -> Any:
    """Parameters of a network without statistics, with no branch and no head yet."""
    return net.init(key).params


def add_head(net: Net, params: Any, *given: Any) -> Any:
    """Parameters of a network without statistics, with one more head."""
    return parameters.add_head(net, Variables(params, {}), *given).params


def add_branch(net: Net, params: Any, *given: Any, **options: Any) -> Any:
    """Parameters of a network without statistics, with one more branch."""
    return parameters.add_branch(net, Variables(params, {}), *given, **options).params


def mean_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean cross-entropy over a batch."""
    return jax.vmap(cross_entropy)(logits, labels).mean()


def mean_distillation(logits: jax.Array, old: jax.Array, temperature: jax.Array) -> jax.Array:
    """The mean distillation over a batch; classes that came since had probability 0."""
    missing = ((0, 0), (0, logits.shape[-1] - old.shape[-1]))
    padded = jnp.pad(old, missing, constant_values=-jnp.inf)
    return jax.vmap(distillation, (0, 0, None))(logits, padded, temperature).mean()
