"""L2-SP by hand, and from a command line, as a method that nothing else was told about."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import configured

from jaxcl.learner.seed_loop import run
from jaxcl.methods.base import StreamInfo
from jaxcl.methods.l2_sp import L2SP
from jaxcl.transforms import Context, TaskData


def test_the_pull_by_hand_and_new_weights_are_free(key):
    transform = L2SP(strength=3.0).losses(StreamInfo(4, "task"))["l2_sp"]
    task, params = TaskData({}, lambda w, batch: {}), {"w": jnp.array([1.0, 2.0])}

    def loss(params, state):
        return transform.apply(jnp.float32(0.5), state, Context(params, {}, {}))[0]

    state = transform.begin_task(transform.init(params), params, task, key)
    assert float(loss(params, state)) == 0.5  # nothing before the first task
    state, _ = transform.end_task(state, params, task, key)
    grown = {"w": jnp.array([1.0, 4.0]), "new": jnp.array([7.0])}
    state = transform.begin_task(state, grown, task, key)
    assert float(loss(grown, state)) == 0.5 + 3.0 / 2 * (4 - 2) ** 2
    slope = jax.grad(loss)(grown, state)
    np.testing.assert_allclose(slope["w"], [0.0, 3.0 * 2])
    np.testing.assert_array_equal(slope["new"], [0.0])


@pytest.mark.slow
def test_a_strong_pull_keeps_shared_weights_where_they_were(make_task):
    tasks = [make_task("bars", n=60), make_task("sides", classes=4, seed=1, upright=False)]
    settings = {"method": "l2_sp", "net": "mlp", "hidden": (8,), "epochs": 8, "batch_size": 20}
    settings |= {"l2": 0.0, "optimizer": "sgd", "lr": 1e-2}

    def after(n, strength):
        events = run(configured(**settings, strength=strength), tasks[:n])
        return list(events)[-1].params["fc1"]["w"]

    first = after(1, 0.0)
    free, held = (float(np.abs(after(2, s) - first).mean()) for s in (0.0, 50.0))
    assert held < free / 3
