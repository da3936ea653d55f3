import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.growth import routing
from jaxcl.growth.routing import grow, layer_moments
from jaxcl.growth.similarity import moments
from jaxcl.growth.task_similarity import SIMILARITIES, Compared
from jaxcl.networks import Pathway, cnn
from jaxcl.networks.base import Variables
from jaxcl.scenarios.images import to_float

NET = cnn(size=12, filters=(4, 5), hidden=6)
IMAGES = np.random.default_rng(0).integers(0, 256, (23, 12, 12, 3), dtype=np.uint8)
LIKE = {"t00": 0.5, "t01": 0.9, "t02": 0.7}


def test_rules():
    branches = sorted(LIKE)
    assert routing.share(branches, LIKE.__getitem__) == "t00"
    assert routing.split(branches, LIKE.__getitem__) is None
    assert routing.select(0.9)(branches, LIKE.__getitem__) == "t01"  # at the threshold: shared
    assert routing.select(0.91)(branches, LIKE.__getitem__) is None
    assert routing.select(0.0)(["t00"], LIKE.__getitem__) == "t00"
    assert routing.select(0.6, "latest")(branches, LIKE.__getitem__) == "t02"
    assert routing.select(0.5, "first")(branches, LIKE.__getitem__) == "t00"
    assert routing.select(0.6, "first")(branches, LIKE.__getitem__) is None


def test_moments_of_a_layer_do_not_depend_on_the_batch_size(key):
    first = grow_task(key, 0, routing.share).variables
    route = ("t00", "t00")
    x = NET.activations(first, to_float(jnp.asarray(IMAGES)), route)
    for size in (5, 100):
        found = layer_moments(NET, first, route, IMAGES, batch=size)
        for layer in NET.layers:
            rows = np.asarray(x[layer]).reshape(-1, x[layer].shape[-1])
            chex.assert_trees_all_close(found[layer], moments(rows), rtol=1e-4, atol=1e-6)


def grow_task(key, position, rule, params=None, routes=(), seen=None, images=IMAGES, **options):
    variables = Variables(params, {}) if params else NET.init(key)
    reference = lambda route: (variables, route)  # noqa: E731
    look = Compared(NET, variables, routes, seen or {}, lambda: images, reference)
    arguments = {
        "task": f"t{position:02d}",
        "classes": 3,
        "similarity": SIMILARITIES["frechet"](look),
        "start": "copy",
        "key": jax.random.fold_in(key, position),
    }
    return grow(NET, rule, variables, **arguments | options)


@pytest.fixture
def first(key):
    growth = grow_task(key, 0, routing.select(0.9))
    seen = {
        layer: {"t00": m}
        for layer, m in layer_moments(NET, growth.variables, growth.route, IMAGES).items()
    }
    return growth, (Pathway("t00", growth.route, "t00"),), seen


def test_the_first_task_gets_a_branch_of_each_layer(first):
    growth, _, _ = first
    assert growth.route == ("t00", "t00")
    assert growth.similarity == {"conv1": {}, "conv2": {}}
    assert list(growth.variables.params["heads"]) == ["t00"]


def test_the_same_images_are_fully_alike_and_share(first, key):
    growth, routes, seen = first
    second = grow_task(key, 1, routing.select(0.999), growth.variables.params, routes, seen)
    assert second.route == ("t00", "t00")
    for layer in NET.layers:
        assert second.similarity[layer]["t00"] == pytest.approx(1, abs=1e-5)
        assert list(second.variables.params[layer]) == ["t00"]


def test_unlike_images_split(first, key):
    growth, routes, seen = first
    dark = (IMAGES // 16).astype(np.uint8)
    second = grow_task(
        key, 1, routing.select(0.9), growth.variables.params, routes, seen, images=dark
    )
    assert second.route == ("t01", "t01")
    assert all(value["t00"] < 0.9 for value in second.similarity.values())
    chex.assert_trees_all_equal(
        second.variables.params["conv1"]["t01"], growth.variables.params["conv1"]["t00"]
    )


def test_fresh_start(first, key):
    growth, routes, seen = first
    second = grow_task(key, 1, routing.split, growth.variables.params, routes, seen, start="fresh")
    old, new = (second.variables.params["conv1"][task]["w"] for task in ("t00", "t01"))
    assert np.all(old != new)


def test_layers_decide_on_their_own_and_the_nearest_branch_is_copied(first, key):
    growth, routes, seen = first
    scores = {("conv1", "t00"): 0.95, ("conv2", "t00"): 0.2, ("conv2", "t01"): 0.6}
    second = grow_task(key, 1, routing.split, growth.variables.params, routes, seen, start="fresh")
    routes = (*routes, Pathway("t01", second.route, "t01"))
    third = grow_task(
        key, 2, routing.select(0.9), second.variables.params, routes, seen,
        similarity=lambda layer, branch: scores.get((layer, branch), 0.1),
    )  # fmt: skip
    assert third.route == ("t00", "t02")
    assert third.similarity["conv2"] == {"t00": 0.2, "t01": 0.6}
    chex.assert_trees_all_equal(
        third.variables.params["conv2"]["t02"], second.variables.params["conv2"]["t01"]
    )
