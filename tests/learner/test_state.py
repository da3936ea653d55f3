"""What follows from the moment of a run: keys, orders, weights, and which leaves train."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import configured, mean_distillation

from jaxcl.growth.heads import View, forward
from jaxcl.growth.parameters import leaf_mask
from jaxcl.growth.trainable import all_on_route, new_parts, shared_and_own_heads
from jaxcl.learner import task_loop
from jaxcl.learner.build import check_config, set_up
from jaxcl.learner.seed_loop import run
from jaxcl.learner.state import new_learner, new_task_weight, schedule, task_data, task_key
from jaxcl.learner.task_loop import begin
from jaxcl.methods import METHODS
from jaxcl.methods.base import StreamInfo
from jaxcl.methods.lwf import LwF
from jaxcl.networks import Pathway, cnn, columns
from jaxcl.training.events import EpochEnded
from jaxcl.transforms import Context, TaskData

SETTINGS = {"epochs": 2, "batch_size": 20, "net": "mlp", "hidden": (4,), "setting": "task"}


@pytest.fixture
def tasks(make_task):
    return [make_task("bars", n=60), make_task("sides", classes=4, seed=1, upright=False)]


def made(tasks, **settings):
    return set_up(check_config(configured(**{"method": "finetune", **SETTINGS, **settings})), tasks)


def chosen(trains, net, pathway, heads, tree):
    """The names of what trains, two levels deep at most."""
    mask = leaf_mask(tree, lambda path: trains(net, pathway, heads, path))
    found = jax.tree_util.tree_leaves_with_path(mask)
    return {jax.tree_util.keystr(p, simple=True, separator="/") for p, trains in found if trains}


BRANCHED = {
    "conv1": {"t00": 0, "t01": 0},
    "conv2": {"t00": 0, "t01": 0, "t02": 0},
    "fc1": 0,
    "heads": {"t00": 0, "t01": 0, "t02": 0},
}


@pytest.mark.parametrize(
    ("trains", "heads", "expected"),
    [
        (all_on_route, ["t02"], {"conv1/t01", "fc1", "heads/t00", "heads/t01"}),
        (shared_and_own_heads, ["t02"], {"conv1/t01", "fc1"}),
        (shared_and_own_heads, ["t00", "t02"], {"conv1/t01", "fc1", "heads/t00"}),
        (new_parts, ["t00", "t02"], set()),
    ],
)
def test_what_trains_of_a_network_with_branches(trains, heads, expected):
    """A task that shares a branch of the first layer and has its own in the second."""
    pathway = Pathway("t02", ("t01", "t02"), "t02")
    found = chosen(trains, cnn(size=12), pathway, heads, BRANCHED)
    assert found == expected | {"conv2/t02", "heads/t02"}


def test_of_columns_the_new_one_alone_trains():
    tree = {"column": {"t00": 0, "t01": 0}, "heads": {"t00": 0, "t01": 0}}
    pathway = Pathway("t01", ("t01",), "t01")
    found = chosen(METHODS["pnn"]().trains(), columns(size=12), pathway, ["t01"], tree)
    assert found == {"column/t01", "heads/t01"}


def test_shared_layers_rest_while_new_ones_warm_up(tasks):
    setup = made(tasks, method="lwf", warmup_epochs=1)
    pathway = Pathway("t01", (), "t01")

    def phases(position):
        return [
            (epoch.phase, epoch.trains(setup.net, pathway, ["t01"], ("fc1", "w")))
            for epoch in schedule(setup, position)
        ]

    assert phases(0) == [("train", True)] * 2
    assert phases(1) == [("warmup", False), *[("train", True)] * 2]
    assert schedule(setup, 1)[0].trains(setup.net, pathway, ["t01"], ("heads", "t01", "w"))


def test_the_new_task_has_an_equal_share_or_that_which_is_given(tasks):
    assert [new_task_weight(made(tasks), k) for k in range(4)] == [1, 1 / 2, 1 / 3, 1 / 4]
    given = made(tasks, method="er", replay_weight=0.3)
    assert [new_task_weight(given, k) for k in range(3)] == [1, 0.3, 0.3]


def test_a_seed_decides_the_first_weights_and_the_keys_of_every_task(tasks):
    setup = made(tasks)
    one, again, other = (new_learner(setup, seed) for seed in (0, 0, 1))
    chex.assert_trees_all_equal(one.model.params, again.model.params)
    assert np.all(one.model.params["fc1"]["w"] != other.model.params["fc1"]["w"])
    keys = [task_key(x.changed(task_index=k)) for x in (one, other) for k in range(3)]
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == 6


def test_rows_come_in_another_order_in_every_epoch_of_every_task(tasks, monkeypatch):
    orders, epoch_order = [], task_loop.epoch_order

    def noted(key, n, batch_size):
        orders.append(tuple(np.asarray(epoch_order(key, n, batch_size)).ravel().tolist()))
        return epoch_order(key, n, batch_size)

    monkeypatch.setattr(task_loop, "epoch_order", noted)
    list(run(configured(method="finetune", **SETTINGS), tasks))
    assert len(orders) == len(set(orders)) == 2 * 2


@pytest.mark.parametrize(
    ("keep", "scratch", "counts"),
    [
        (False, False, [3, 6, 3, 6]),
        (True, False, [3, 6, 9, 12]),
        (True, True, [3, 6, 3, 6]),  # moments of weights that are gone
    ],
)
def test_steps_of_adam_are_counted_on_where_its_state_is_kept(keep, scratch, counts, tasks):
    config = configured(method="finetune", keep_optimizer=keep, scratch=scratch, **SETTINGS)
    ended = (event for event in run(config, tasks) if isinstance(event, EpochEnded))
    found = [int(event.learner.phase.train.opt.inner_state[0].count) for event in ended]
    assert found == counts


def test_what_rests_in_a_warm_up_goes_on_with_its_moments(tasks):
    """``nu`` becomes ``0.999 nu + 0.001 g^2``, so a step takes no more than a thousandth of it."""
    given = {"keep_optimizer": True, "warmup_epochs": 2, **SETTINGS, "l2": 0.0}
    found = {}
    for event in run(configured(method="finetune", **given), tasks):
        if isinstance(event, EpochEnded):
            adam = event.learner.phase.train.opt.inner_state[0]
            found[event.task_index, event.epoch] = int(adam.count), jax.tree.map(np.array, adam.nu)
    assert [count for count, _ in found.values()] == [3, 6, 9, 12, 15, 18]
    (_, last), (_, warm), (_, nu) = (found[at] for at in ((0, 1), (1, 1), (1, 2)))
    assert warm["fc1"]["w"] is None
    assert (last["fc1"]["w"] > 0).any()
    assert (nu["fc1"]["w"] >= 0.999**3 * last["fc1"]["w"] * (1 - 1e-5)).all()
    assert (nu["heads"]["t01"]["w"] >= 0.999**3 * warm["heads"]["t01"]["w"] * (1 - 1e-5)).all()


def test_responses_are_those_of_the_network_before_the_task(tasks):
    setup = made(tasks, method="lwf")
    first = begin(setup, new_learner(setup, 0), task_data(setup, 0))
    assert first.transform_state["distill"].responses == {}
    data = task_data(setup, 1)
    second = begin(setup, first.changed(task_index=1), data)
    assert list(second.model.params["heads"]) == ["t00", "t01"]
    expected = forward(View(setup.net, first.model.routes, setup.setting))(first.model.params, data)
    chex.assert_trees_all_close(
        second.transform_state["distill"].responses, expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(("given", "factor"), [(False, 1), (True, 9)])
def test_the_squared_temperature_is_a_setting(given, factor, key):
    method = LwF(strength=2.0, temperature=3.0, t_squared=given)
    transform = method.losses(StreamInfo(5, "task"))["distill"]
    w = jax.random.normal(key, (3, 5))
    task = TaskData({"x": jnp.eye(3)}, lambda w, batch: batch["x"] @ w)
    state, _ = transform.end_task(transform.init(w), w, task, key)
    state = transform.begin_task(state, w, task, key)
    here = Context(w + 1, w[::-1], {"index": jnp.arange(3)})
    loss, _ = transform.apply(jnp.float32(0.5), state, here)
    plain = mean_distillation(w[::-1], w, jnp.float32(3))
    np.testing.assert_allclose(loss, 0.5 + 2 * factor * plain, rtol=1e-5)
