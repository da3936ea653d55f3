import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import add_branch, add_head, first_params, logits

from jaxcl.growth.parameters import count
from jaxcl.networks import Pathway, mlp
from jaxcl.networks.base import Variables

X = np.random.default_rng(0).normal(size=(5, 2, 3, 1))
IMAGES = jnp.asarray(X, jnp.float32)
FIRST, KEY = Pathway("t00", (), "t00"), jax.random.key(0)


def grown(net, heads=(3,)):
    params = first_params(net, KEY)
    for i, classes in enumerate(heads):
        params = add_head(net, params, f"t0{i}", classes, jax.random.key(i + 1))
    # Biases begin at 0, where a test could not see them.
    return jax.tree.map(lambda w: w + 0.1, params)


def test_the_network_by_hand():
    net = mlp(6, (4, 5))
    params = grown(net)
    p = jax.tree.map(lambda w: np.asarray(w, np.float64), params)
    units = X.reshape(5, 6)
    for name in ("fc1", "fc2"):
        units = np.maximum(units @ p[name]["w"] + p[name]["b"], 0)
    expected = units @ p["heads"]["t00"]["w"] + p["heads"]["t00"]["b"]
    found = logits(net, params, IMAGES, (FIRST,))
    assert list(found) == ["t00"]
    np.testing.assert_allclose(found["t00"], expected, rtol=1e-5)
    hidden = net.activations(Variables(params, {}), IMAGES, ())
    assert list(hidden) == ["fc1", "fc2"]
    np.testing.assert_allclose(hidden["fc2"], units, rtol=1e-5)


def test_first_weights_spread_as_they_say():
    def layer(initial):
        net = mlp(400, (300,), initial=initial)
        params = add_head(net, first_params(net, KEY), "t00", 3, KEY)
        assert params["heads"]["t00"]["w"].shape == (300, 3)
        return params["fc1"]["w"], params["fc1"]["b"]

    w, b = layer("he")
    assert float(jnp.std(w)) == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert not b.any()
    for leaf in layer("uniform"):  # of all values within 1 / 20
        assert 0.98 / 20 < float(jnp.abs(leaf).max()) <= 1 / 20
        assert float(jnp.std(leaf)) == pytest.approx(1 / 20 / 3**0.5, rel=0.1)


def test_without_hidden_layers_it_is_linear():
    net = mlp(6, ())
    params = grown(net)
    assert list(params) == ["heads"]
    head = params["heads"]["t00"]
    found = logits(net, params, IMAGES, (FIRST,))["t00"]
    np.testing.assert_allclose(found, X.reshape(5, 6) @ head["w"] + head["b"], rtol=1e-5)


def test_tasks_share_all_but_the_heads():
    net = mlp(6, (4,))
    params = grown(net, (3, 2))
    routes = (FIRST, Pathway("t01", (), "t01"))
    both = logits(net, params, IMAGES, routes)
    assert {task: logits.shape for task, logits in both.items()} == {"t00": (5, 3), "t01": (5, 2)}
    other = {**params, "heads": {**params["heads"], "t01": params["heads"]["t00"]}}
    moved = logits(net, other, IMAGES, routes)
    np.testing.assert_array_equal(moved["t00"], both["t00"])
    np.testing.assert_array_equal(moved["t01"], both["t00"])


def test_several_tasks_may_share_a_head():
    net = mlp(6, (4,))
    params = grown(net)
    found = logits(net, params, IMAGES, (FIRST, Pathway("t01", (), "t00")))
    np.testing.assert_array_equal(found["t01"], found["t00"])


def test_weight_counts():
    net = mlp(784)
    params = jax.eval_shape(lambda key: add_head(net, first_params(net, key), "t00", 10, key), KEY)
    assert count(params["fc1"]) == 784 * 400 + 400 == 314_000
    assert count(params["fc2"]) == 400 * 400 + 400 == 160_400
    assert count(params["heads"]) == 400 * 10 + 10 == 4_010
    assert count(params) == 478_410


def test_weights_are_he_normal_and_differ_from_layer_to_layer():
    params = first_params(mlp(200, (200, 200)), KEY)
    assert np.var(params["fc1"]["w"]) == pytest.approx(2 / 200, rel=0.05)
    np.testing.assert_array_equal(params["fc1"]["b"], 0)
    correlation = np.corrcoef(params["fc1"]["w"].ravel(), params["fc2"]["w"].ravel())[0, 1]
    assert abs(correlation) < 4 / 200


def test_no_layer_branches():
    net = mlp(6, (4,))
    assert net.layers == ()
    with pytest.raises(ValueError, match="'fc1' cannot branch"):
        net.new_branch(KEY, "fc1", ())
    with pytest.raises(ValueError, match="'fc1' cannot branch"):
        add_branch(net, first_params(net, KEY), "fc1", "t00", key=KEY)
