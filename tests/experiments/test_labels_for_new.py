"""iCaRL with new images learned by their labels alone, by hand."""

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.core.random import stream
from jaxcl.methods.base import StreamInfo
from jaxcl.transforms import Context, TaskData, drawn, gradients

FILE = Path(__file__).parents[2] / "experiments/online/labels_for_new.py"
RNG = np.random.default_rng(0)
OLD, MOVED = (jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32) for _ in range(2))
ONE, TWO = (
    {"x": jnp.asarray(RNG.normal(size=(6, 3)), jnp.float32), "label": jnp.arange(6) % 2 + first}
    for first in (0, 2)
)


@pytest.fixture(params=[False, True], ids=["together", "apart"])
def apart(request):
    return request.param


@pytest.fixture
def made(own_registry):
    return lambda **given: runpy.run_path(str(FILE))["LabelsForNew"](
        per_class=None, buffer=4, **given
    ).losses(StreamInfo(4, "class"))["icarl"]


def forward(w, batch):
    return batch["x"] @ w


def plain(logits, batch):
    every = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(every, batch["label"][:, None], 1).mean()


def entropies(batch, target):
    z = forward(MOVED, batch)
    return -(target * jax.nn.log_sigmoid(z) + (1 - target) * jax.nn.log_sigmoid(-z)).sum(-1).mean()


def test_both_losses_are_added_and_new_images_have_labels_alone(made, apart, key):
    transform = made(apart=apart)
    task = TaskData(ONE, forward, features=lambda w, batch: batch["x"])
    state = transform.begin_task(transform.init(OLD), OLD, task, key)
    state, _ = transform.end_task(state, OLD, task, key)
    later = task._replace(data=TWO)
    state = transform.begin_task(state, OLD, later, key)
    sizes = []

    def counted(w, batch):
        sizes.append(len(batch["x"]))
        return forward(w, batch)

    here = Context(MOVED, None, {**TWO, "index": jnp.arange(6)}, key, counted)
    found = gradients(transform, state, plain, here)
    assert sizes == ([6, 6] if apart else [12])
    kept = drawn(state.exemplars, stream(key, "icarl"), 6)
    old = jax.nn.sigmoid(forward(OLD, kept)) * jnp.array([1.0, 1, 0, 0])
    expected = entropies(TWO, jax.nn.one_hot(TWO["label"], 4)) + entropies(kept, old)
    np.testing.assert_allclose(found.loss, expected, rtol=1e-5)
    augmented = transform.begin_task(state, OLD, later._replace(augmented=True), key)
    with pytest.raises(ValueError, match="give --augment alone"):
        gradients(transform, augmented, plain, here)


@pytest.mark.parametrize("unseen", [False, True])
def test_classes_that_have_not_come_yet_are_pushed_down_where_that_is_asked(made, unseen, key):
    transform = made(apart=True, unseen=unseen)
    task = TaskData(ONE, forward, features=lambda w, batch: batch["x"])
    state = transform.begin_task(transform.init(OLD), OLD, task, key)
    here = Context(MOVED, None, {**ONE, "index": jnp.arange(6)}, key, forward)
    found = gradients(transform, state, plain, here)
    pushed = found.gradient[:, 2:]
    assert bool(jnp.any(pushed)) == unseen
    of_all = entropies(ONE, jax.nn.one_hot(ONE["label"], 4))
    of_seen = of_all + jax.nn.log_sigmoid(-forward(MOVED, ONE)[:, 2:]).sum(-1).mean()
    np.testing.assert_allclose(found.loss, of_all if unseen else of_seen, rtol=1e-5)
