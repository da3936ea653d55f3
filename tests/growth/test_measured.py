"""What is measured of jaxcl's networks, against the same by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import add_branch, add_head, first_params

from jaxcl.growth.plasticity import looked_at, measured
from jaxcl.growth.routing import layer_moments, sums_of_activations
from jaxcl.networks import columns, mlp
from jaxcl.networks.base import Variables
from jaxcl.scenarios.inputs import AS_THEY_COME
from jaxcl.training.train_step import forget_programs
from jaxcl.transforms.plasticity.measures import effective_rank

X = np.random.default_rng(0).integers(0, 256, (9, 2, 3, 1), dtype=np.uint8)


def test_dense_layers_tell_of_all_hidden_units(key):
    net = mlp(6, (8, 4))
    params = add_head(net, first_params(net, key), "t00", 3, key)
    params["fc1"]["b"] = params["fc1"]["b"].at[:3].set(-1e3)  # three of twelve are never active
    params["fc2"]["b"] = params["fc2"]["b"] + 1
    found = measured(net, Variables(params, {}), (), jnp.asarray(X), AS_THEY_COME)
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    h = X.reshape(9, 6) / 255
    layers = []
    for name in ("fc1", "fc2"):
        h = np.maximum(h @ p[name]["w"] + p[name]["b"], 0)
        layers.append(h)
    scores = [np.abs(h).mean(0) / np.abs(h).mean() for h in layers]
    assert found["dormant"] == np.mean(np.concatenate(scores) <= 0.025) >= 3 / 12
    assert found["effective_rank"] == pytest.approx(effective_rank(layers[-1]), rel=1e-4)
    flat = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(p)])
    assert found["weight_rms"] == pytest.approx(np.sqrt(np.mean(flat**2)))


def test_a_head_that_comes_compiles_nothing_anew(key):
    net = mlp(6, (3,))
    params, images = first_params(net, key), jnp.asarray(X)
    forget_programs()
    for task in ("t00", "t01"):
        params = add_head(net, params, task, 3, key)
        measured(net, Variables(params, {}), (), images, AS_THEY_COME)
        layer_moments(net, Variables(params, {}), (), X)
        assert looked_at._cache_size() == sums_of_activations._cache_size() == 1
    forget_programs()
    assert looked_at._cache_size() == sums_of_activations._cache_size() == 0


def test_what_a_network_does_not_tell_is_not_known(key):
    linear = mlp(6, ())
    params = add_head(linear, first_params(linear, key), "t00", 3, key)
    found = measured(linear, Variables(params, {}), (), jnp.asarray(X), AS_THEY_COME)
    assert found["dormant"] is None
    assert found["effective_rank"] == pytest.approx(effective_rank(X.reshape(9, 6)), rel=1e-4)
    net = columns(size=4, filters=(), hidden=(4,), channels=1)
    params = add_branch(net, first_params(net, key), "column", "t00", key=key)
    images = jnp.zeros((3, 4, 4, 1), jnp.uint8)
    found = measured(net, Variables(params, {}), ("t00",), images, AS_THEY_COME)
    assert found["effective_rank"] is None  # its features are those of several layers
