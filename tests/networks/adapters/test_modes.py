"""A module is told whether it trains, or refused where it cannot be."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from foreign_nets import grown, passed

from jaxcl.core.errors import UsageError
from jaxcl.networks import from_equinox, from_linen, from_nnx

FLAT = jax.ShapeDtypeStruct((4,), jnp.float32)


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


class Net(linen.Module):
    """In training, its features are 1 more."""

    @linen.compact
    def __call__(self, x, train: bool = False):
        return linen.Dense(3)(x) + float(train)


class InCall(eqx.Module):
    """Without being told, it is in evaluation mode."""

    layer: eqx.nn.Linear

    def __init__(self, *, key):
        self.layer = eqx.nn.Linear(4, 3, key=key)

    def __call__(self, x, inference=True):
        return self.layer(x) + float(not inference)


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(from_linen(linen.remat(Net, static_argnums=(2,))()), id="by its place"),
        pytest.param(from_linen(linen.Sequential([Net(), jnp.tanh, jnp.arctanh])), id="sequence"),
        pytest.param(from_equinox(InCall), id="equinox"),
    ],
)
def test_the_mode_arrives(network):
    net, variables, route = grown(network, FLAT)
    x = jnp.full((2, 4), 0.01)
    testing = passed(net, variables, route, x)[0]
    training = passed(net, variables, route, x, train=True, key=jax.random.key(0))[0]
    np.testing.assert_allclose(training - testing, 1, rtol=1e-4)


class Wrapper(linen.Module):
    inner: linen.Module

    def __call__(self, x, *args, **kwargs):
        return self.inner(x, *args, **kwargs)


def wrapped(call):
    return lambda self, *args: call(self, *args)


class Wrapped(linen.Module):
    @wrapped
    @linen.compact
    def __call__(self, x, train=False):
        return linen.Dense(3)(x)


@pytest.mark.parametrize("module", [Wrapper(Net()), Wrapped(), linen.Sequential([Wrapped()])])
def test_a_module_that_would_not_be_told(module):
    with pytest.raises(UsageError, match=r"^network: Wrap.* takes .*; name train among") as found:
        from_linen(module)
    assert "\n" not in str(found.value)


def test_a_sequence_of_layers_without_a_mode():
    net, variables, route = grown(from_linen(linen.Sequential([linen.Dense(3), linen.relu])), FLAT)
    assert (passed(net, variables, route, jnp.ones((2, 4)))[0] >= 0).all()
