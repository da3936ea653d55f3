import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import add_head, first_params, logits

from jaxcl.growth.heads import (
    ALL,
    SETTINGS,
    View,
    first_label,
    forward,
    gathered_forward,
    head_classes,
    own_logits,
    setting,
)
from jaxcl.networks import Pathway, mlp
from jaxcl.networks.base import Variables
from jaxcl.scenarios.images import to_float
from jaxcl.transforms.penalties.per_example import KEPT

NET = mlp(4, (5,))
CLASSES = [2, 3]


def network(key, chosen):
    params, routes = first_params(NET, key), ()
    for i, task in enumerate(("t00", "t01")):
        if (classes := head_classes(chosen, CLASSES, i)) is not None:
            params = add_head(NET, params, task, classes, jax.random.fold_in(key, i))
        routes = (*routes, Pathway(task, (), "t00" if chosen.shared_head else task))
    return params, View(NET, routes, chosen)


BATCH = {
    "input": jnp.arange(8, dtype=jnp.uint8).reshape(2, 2, 2, 1),
    "task": jnp.array([0, 1], jnp.int32),
}


def test_one_head_a_task_and_each_example_is_judged_by_its_own(key):
    params, view = network(key, SETTINGS["task"])
    outputs = forward(view)(params, BATCH)
    assert {name: x.shape for name, x in outputs.items()} == {"t00": (2, 2), "t01": (2, 3)}
    logits = own_logits(view, (0, 1))(outputs, BATCH)
    np.testing.assert_array_equal(logits[0, :2], outputs["t00"][0])
    np.testing.assert_array_equal(logits[1], outputs["t01"][1])
    # A class that the first task does not have is never predicted and has no probability.
    assert float(jax.nn.softmax(logits[0])[2]) == 0
    np.testing.assert_array_equal(own_logits(view, (1,))(outputs, BATCH), outputs["t01"])


def test_in_the_domain_setting_all_tasks_share_one_head(key):
    params, view = network(key, SETTINGS["domain"])
    assert list(params["heads"]) == ["t00"]
    outputs = forward(view)(params, BATCH)
    np.testing.assert_array_equal(outputs["t00"], outputs["t01"])
    np.testing.assert_array_equal(own_logits(view, (0, 1))(outputs, BATCH), outputs["t00"])
    assert [first_label(view.setting, CLASSES, i) for i in (0, 1)] == [0, 0]


def test_in_the_class_setting_all_classes_compete(key):
    params, view = network(key, SETTINGS["class"])
    apart = logits(NET, params, to_float(BATCH["input"]), view.routes)
    outputs = forward(view)(params, BATCH)
    assert list(outputs) == [ALL]
    np.testing.assert_array_equal(outputs[ALL], jnp.hstack([apart["t00"], apart["t01"]]))
    np.testing.assert_array_equal(own_logits(view, (1,))(outputs, BATCH), outputs[ALL])
    assert [first_label(view.setting, CLASSES, i) for i in (0, 1)] == [0, 2]


def test_a_full_head_has_all_classes_from_the_first_task_on(key):
    chosen = setting("class", "full")
    params, view = network(key, chosen)
    assert params["heads"]["t00"]["b"].shape == (5,)
    assert list(params["heads"]) == ["t00"]
    first = forward(view._replace(routes=view.routes[:1]))(params, BATCH)[ALL]
    np.testing.assert_array_equal(first, forward(view)(params, BATCH)[ALL])
    assert first.shape == (2, 5)


@pytest.mark.parametrize("name", SETTINGS)
def test_before_the_first_task_there_is_no_output(name, key):
    view = View(NET, (), SETTINGS[name])
    assert forward(view)(first_params(NET, key), BATCH) == {}


@pytest.mark.parametrize(
    "of",
    [forward, gathered_forward, lambda view: own_logits(view, (0,))],
    ids=["forward", "gathered_forward", "own_logits"],
)
def test_a_network_is_not_kept_for_long_once_others_have_come(of):
    routes = (Pathway("t00", (), "t00"),)

    def view():
        return View(NET._replace(init=lambda key: Variables({}, {})), routes, SETTINGS["task"])

    first = view()
    assert of(first) is of(first._replace())
    gone = weakref.ref(first.net.init)
    del first
    for _ in range(KEPT):
        of(view())
    gc.collect()
    assert gone() is None
