import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import add_branch, add_head, first_params, logits

from jaxcl.growth.parameters import count
from jaxcl.networks import Pathway, cnn, columns, mlp

# An odd number of images, so that the last chunk of a convolution is filled up.
X = np.random.default_rng(0).uniform(size=(5, 10, 10, 2))
IMAGES = jnp.asarray(X, jnp.float32)
CONV = {"size": 10, "channels": 2, "filters": (8, 12), "hidden": (16,)}
FLAT = {"size": 10, "channels": 2, "filters": (), "hidden": (12, 16)}
ROUTES = tuple(Pathway(f"t0{i}", (f"t0{i}",), f"t0{i}") for i in range(3))


def grown(net, tasks):
    params = first_params(net, jax.random.key(0))
    for i in range(tasks):
        key = jax.random.key(i + 1)
        params = add_branch(net, params, "column", f"t0{i}", key=key)
        params = add_head(net, params, f"t0{i}", 3, key)
    # Biases begin at 0 and scales at 1, where a test could not see them.
    noise = iter(np.random.default_rng(1).uniform(0.02, 0.1, 200))
    return jax.tree.map(lambda w: w + jnp.float32(next(noise)), params)


def moved(params, task, by=0.1):
    """The tree with the column and the head of one task changed."""
    return {
        group: {**names, task: jax.tree.map(lambda w: w + by, names[task])}
        for group, names in params.items()
    }


SHAPES = pytest.mark.parametrize("shape", [CONV, FLAT])


@SHAPES
def test_old_outputs_stay_as_they_were_to_the_bit(shape):
    net = columns(**shape)
    one, apply = grown(net, 1), jax.jit(logits, static_argnums=(0, 3))
    two = add_branch(net, one, "column", "t01", key=jax.random.key(7))
    two = add_head(net, two, "t01", 4, jax.random.key(8))
    before = apply(net, one, IMAGES, ROUTES[:1])["t00"]
    for params in (two, moved(two, "t01")):
        np.testing.assert_array_equal(apply(net, params, IMAGES, ROUTES[:1])["t00"], before)
    both, changed = (apply(net, params, IMAGES, ROUTES[:2]) for params in (two, moved(two, "t01")))
    np.testing.assert_array_equal(both["t00"], changed["t00"])
    np.testing.assert_allclose(both["t00"], before, rtol=1e-5, atol=1e-6)
    assert np.all(both["t01"] != changed["t01"])


@SHAPES
def test_nothing_flows_from_a_column_to_those_before(shape):
    net = columns(**shape, formulation="native")
    params = grown(net, 3)

    def loss(params):
        return jnp.sum(jnp.sin(logits(net, params, IMAGES, ROUTES)["t01"]))

    gradient = jax.jit(jax.grad(loss))(params)
    for group in ("column", "heads"):
        for leaf in jax.tree.leaves(gradient[group]["t02"]):
            np.testing.assert_array_equal(leaf, 0)
    for leaf in jax.tree.leaves(gradient["column"]["t00"]):
        assert np.any(leaf != 0)  # the adapters look at it


@SHAPES
def test_every_weight_of_a_new_column_learns(shape):
    net = columns(**shape, formulation="native")
    params = grown(net, 3)

    def loss(params):
        return jnp.sum(jnp.sin(logits(net, params, IMAGES, ROUTES[2:])["t02"]))

    gradient = jax.jit(jax.grad(loss))(params)
    for leaf in jax.tree.leaves((gradient["column"]["t02"], gradient["heads"]["t02"])):
        assert np.any(leaf != 0)
    # A scale for each column that is looked at.
    assert np.all(gradient["heads"]["t02"]["side"]["scale"] != 0)
    for head in ("t00", "t01"):
        chex.assert_trees_all_equal(
            gradient["heads"][head], jax.tree.map(jnp.zeros_like, params["heads"][head])
        )


@SHAPES
def test_a_new_column_sees_what_each_earlier_one_made_of_the_image(shape):
    net = columns(**shape)
    params, apply = grown(net, 3), jax.jit(logits, static_argnums=(0, 3))
    before = apply(net, params, IMAGES, ROUTES[2:])["t02"]
    for task in ("t00", "t01"):
        assert np.all(apply(net, moved(params, task), IMAGES, ROUTES[2:])["t02"] != before)
    # Without what comes through its adapters it is a network of its own.
    own, head = silenced({**params["column"]["t02"], "head": params["heads"]["t02"]})
    alone = {
        "column": {**params["column"], "t02": own},
        "heads": {**params["heads"], "t02": head},
    }
    single = {"column": {"t00": plain(own)}, "heads": {"t00": plain({"head": head})["head"]}}
    expected = apply(net, single, IMAGES, ROUTES[:1])["t00"]
    found = apply(net, alone, IMAGES, ROUTES[2:])["t02"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def silenced(layers):
    """The layers of a column, and its head, with 0 for the last weights of adapters."""

    def silent(layer):
        if "side" not in layer:
            return layer
        expand = jnp.zeros_like(layer["side"]["expand"])
        return {**layer, "side": {**layer["side"], "expand": expand}}

    column = {name: silent(layer) for name, layer in layers.items()}
    head = column.pop("head")
    return column, head


def plain(layers):
    return {name: {"w": layer["w"], "b": layer["b"]} for name, layer in layers.items()}


def test_a_flat_network_of_two_columns_by_hand():
    net = columns(**FLAT)
    params = grown(net, 2)
    p = jax.tree.map(lambda w: np.asarray(w, np.float64), params)

    def relu(x):
        return np.maximum(x, 0)

    def lateral(layer, before):
        side = layer["side"]
        seen = (side["scale"][0] * before) @ side["reduce"]["w"] + side["reduce"]["b"]
        return relu(seen) @ side["expand"]

    def dense(layer, x):
        return x @ layer["w"] + layer["b"]

    old, new = p["column"]["t00"], p["column"]["t01"]
    x = X.reshape(5, -1)
    old1, new1 = relu(dense(old["fc1"], x)), relu(dense(new["fc1"], x))
    old2 = relu(dense(old["fc2"], old1))
    new2 = relu(dense(new["fc2"], new1) + lateral(new["fc2"], old1))
    heads = p["heads"]
    expected = {
        "t00": dense(heads["t00"], old2),
        "t01": dense(heads["t01"], new2) + lateral(heads["t01"], old2),
    }
    found = logits(net, params, IMAGES, ROUTES[:2])
    chex.assert_trees_all_close(found, expected, rtol=1e-4)


def test_native_and_patches_agree_in_value_and_gradient():
    nets = [columns(**CONV, formulation=how) for how in ("native", "patches")]
    params = grown(nets[0], 2)

    def loss(params, net):
        return sum(jnp.mean(y**2) for y in logits(net, params, IMAGES, ROUTES[:2]).values())

    a, b = (jax.jit(jax.value_and_grad(loss), static_argnums=1)(params, net) for net in nets)
    size = jax.tree.map(lambda leaf: jnp.abs(leaf).max(), a)
    a, b = (jax.tree.map(jnp.divide, tree, size) for tree in (a, b))
    chex.assert_trees_all_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_first_column_is_the_convolutional_network():
    net, plain = columns(**CONV), cnn(size=10, channels=2, filters=(8, 12), hidden=16)
    params = grown(net, 1)
    column = params["column"]["t00"]
    same = {
        **{name: {"t00": column[name]} for name in ("conv1", "conv2")},
        "fc1": column["fc1"],
        "heads": params["heads"],
    }
    expected = logits(plain, same, IMAGES, (Pathway("t00", ("t00", "t00"), "t00"),))
    chex.assert_trees_all_close(logits(net, params, IMAGES, ROUTES[:1]), expected, rtol=1e-5)


def test_the_first_flat_column_is_the_fully_connected_network():
    net, plain = columns(**FLAT), mlp(200, (12, 16))
    params = grown(net, 1)
    same = {**params["column"]["t00"], "heads": params["heads"]}
    expected = logits(plain, same, IMAGES, (Pathway("t00", (), "t00"),))
    chex.assert_trees_all_close(logits(net, params, IMAGES, ROUTES[:1]), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "looking"),
    [
        (CONV, {"conv2", "fc1", "head"}),
        (FLAT, {"fc2", "head"}),
        ({**CONV, "hidden": ()}, {"conv2", "head"}),
    ],
)
def test_only_later_columns_have_adapters_and_not_in_their_first_layer(shape, looking):
    net = columns(**shape)
    params = jax.eval_shape(lambda: grown(net, 3))
    for i in range(3):
        layers = {**params["column"][f"t0{i}"], "head": params["heads"][f"t0{i}"]}
        found = {name: layer["side"] for name, layer in layers.items() if "side" in layer}
        assert set(found) == (looking if i else set())
        assert {side["scale"].shape for side in found.values()} == ({(i,)} if i else set())


def test_weight_counts_of_adapters():
    net = columns(size=10, channels=2, filters=(8, 12), hidden=(16,))
    params = grown(net, 3)
    own = (9 * 2 * 8 + 8) + (9 * 8 * 12 + 12) + (3 * 3 * 12 * 16 + 16)
    assert count(params["column"]["t00"]) == own
    for earlier in (1, 2):
        conv2 = earlier + (8 * earlier * 2 + 2) + 9 * 2 * 12
        fc1 = earlier + (12 * earlier * 3 + 3) + 3 * 3 * 3 * 16
        head = earlier + (16 * earlier * 4 + 4) + 4 * 3
        assert count(params["column"][f"t0{earlier}"]) == own + conv2 + fc1
        assert count(params["heads"][f"t0{earlier}"]) == 16 * 3 + 3 + head


def test_a_task_may_use_the_head_of_another():
    """One head for all tasks knows no adapter, and reads every column alike."""
    net = columns(**FLAT)
    params = grown(net, 2)
    shared = (ROUTES[0], Pathway("t01", ("t01",), "t00"))
    same = {**params, "column": dict.fromkeys(("t00", "t01"), params["column"]["t00"])}
    found = logits(net, same, IMAGES, shared)
    np.testing.assert_array_equal(found["t01"], found["t00"])
    other = logits(net, params, IMAGES, shared)
    assert np.any(other["t01"] != other["t00"])
