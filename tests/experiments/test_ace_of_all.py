"""ER-ACE as its authors' code has it: its rivals and its classifier, by hand."""

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.core.random import stream
from jaxcl.methods.base import StreamInfo
from jaxcl.transforms import Context, TaskData, drawn, gradients

ONLINE = Path(__file__).parents[2] / "experiments/online"
RNG = np.random.default_rng(0)
W = jnp.asarray(RNG.normal(size=(3, 6)), jnp.float32)
ONE, TWO = (
    {"x": jnp.asarray(RNG.normal(size=(6, 3)), jnp.float32), "label": jnp.arange(6) % 2 + first}
    for first in (0, 2)
)


@pytest.fixture
def registered(own_registry):
    return lambda file: runpy.run_path(str(ONLINE / file))


def forward(w, batch):
    return batch["x"] @ w


def entropy(batch, rivals):
    """The mean cross-entropy over some of the six classes."""
    z = np.asarray(forward(W, batch), np.float64)
    own = z[np.arange(len(z)), batch["label"]]
    return (np.log(np.exp(z[:, rivals]).sum(-1)) - own).mean()


def plain(logits, batch):
    every = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(every, batch["label"][:, None], 1).mean()


@pytest.mark.parametrize(
    ("method", "of_new", "of_kept"),
    [("ERACE", [2, 3], [0, 1, 2, 3]), ("AceOfAll", [2, 3, 4, 5], [0, 1, 2, 3, 4, 5])],
)
def test_rivals_of_new_and_of_kept_images(registered, key, method, of_new, of_kept):
    settings = registered("ace_of_all.py")[method](buffer=4, fill="end")
    transform = settings.losses(StreamInfo(6, "class"))["er_ace"]
    first, second = (TaskData(data, forward) for data in (ONE, TWO))
    state = transform.begin_task(transform.init(W), W, first, key)
    state, _ = transform.end_task(state, W, first, key)
    state = transform.begin_task(state, W, second, key)
    here = Context(W, None, {**TWO, "index": jnp.arange(6)}, key, forward)
    found = gradients(transform, state, plain, here)
    kept = drawn(state.memory, stream(key, "er_ace"), 6)
    expected = {"incoming": entropy(TWO, of_new), "replayed": entropy(kept, of_kept)}
    for name, value in expected.items():
        np.testing.assert_allclose(found.metrics[name], value, rtol=1e-5)
    np.testing.assert_allclose(found.loss, sum(expected.values()), rtol=1e-5)


def test_logits_are_ten_times_cosines(registered):
    network = registered("cosine_head.py")["CosineResnet18"](width=2)
    net = network.make(jax.ShapeDtypeStruct((8, 8, 3), jnp.float32))
    head = net.new_head(jax.random.key(0), 3, ())
    features = jnp.array([[3.0, 4.0, *[0.0] * 14], [0.0] * 16])
    rows = np.asarray(head["w"]).T
    cosines = [(0.6 * w[0] + 0.8 * w[1]) / np.linalg.norm(w) for w in rows]
    logits = net.head(head, features, None)
    np.testing.assert_allclose(logits[0], 10 * np.array(cosines), rtol=1e-3)
    np.testing.assert_array_equal(logits[1], 0)
    scaled = net.head({**head, "w": 3 * head["w"]}, 5 * features, None)
    np.testing.assert_allclose(scaled, logits, rtol=1e-3)
