"""A module is told whether it trains."""

import jax
import numpy as np
import pytest
from flax import linen, nnx
from foreign_nets import grown, passed

from jaxcl.networks import from_linen, from_nnx


def told(name):
    """Modules that take the mode under a name and return it beside their features."""
    text = f"lambda self, x, {name}: self.out(x.reshape(len(x), -1)) + float({name})"

    class InLinen(linen.Module):
        def setup(self):
            self.out = linen.Dense(2)

        __call__ = eval(text)

    class InNNX(nnx.Module):
        def __init__(self, rngs):
            self.out = nnx.Linear(64, 2, rngs=rngs)

        __call__ = eval(text)

    return from_linen(InLinen()), from_nnx(InNNX)


@pytest.mark.parametrize(
    ("name", "in_training"),
    [("train", 1), ("training", 1), ("deterministic", 0), ("use_running_average", 0)],
)
def test_a_module_is_told_whether_it_trains(name, in_training):
    for network in told(name):
        net, variables, route = grown(network)
        testing = passed(net, variables, route)[0]
        training = passed(net, variables, route, train=True, key=jax.random.key(0))[0]
        np.testing.assert_allclose(training - testing, 2 * in_training - 1, rtol=1e-5)
