"""DER++ whose two draws pass the network as one batch, beside DER++."""

import runpy
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.methods import METHODS
from jaxcl.methods.base import StreamInfo
from jaxcl.methods.der_pp import DERPP
from jaxcl.transforms import Context, Step, TaskData

FILE = Path(__file__).parents[2] / "experiments/online/one_pass.py"
RNG = np.random.default_rng(0)
W = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)
DATA = {"x": jnp.asarray(RNG.normal(size=(6, 3)), jnp.float32), "label": jnp.arange(6) % 4}


@pytest.fixture
def one_pass():
    made = runpy.run_path(str(FILE))["DerppOnePass"]
    yield made
    del METHODS["derpp_one_pass"]


def plain(w, batch):
    return batch["x"] @ w


def about_the_mean(w, batch):
    """As batch normalisation does, a pass looks at all its examples."""
    return (batch["x"] - batch["x"].mean(0)) @ w


def loss_of(method, net, key):
    """The loss of a step after all examples were offered to the buffer, and what passed."""
    (transform,) = method.losses(StreamInfo(4, "class")).values()
    state = transform.begin_task(transform.init(W), W, TaskData(DATA, net), key)
    here = Context(W, net(W, DATA), DATA, key, net)
    state = transform.update(state, Step(W, W, W, context=here))
    passed = []

    def forward(w, batch):
        passed.append(batch["x"])
        return net(w, batch)

    batch = {name: x[:2] for name, x in DATA.items()}
    step = Context(W + 1, net(W + 1, batch), batch, jax.random.fold_in(key, 1), forward)
    return transform.apply(jnp.float32(0.5), state, step), passed


def test_the_draws_are_the_same_and_pass_together(one_pass, key):
    apart, two = loss_of(DERPP(per_class=None, buffer=6), plain, key)
    together, one = loss_of(one_pass(per_class=None, buffer=6), plain, key)
    chex.assert_trees_all_close(together, apart, rtol=1e-5)
    assert [len(x) for x in two] == [2, 2]
    np.testing.assert_array_equal(one[0], jnp.concatenate(two))
    assert len(one) == 1
    different, _ = loss_of(one_pass(per_class=None, buffer=6), about_the_mean, key)
    normal, _ = loss_of(DERPP(per_class=None, buffer=6), about_the_mean, key)
    assert abs(float(different[0] - normal[0])) > 1e-3
