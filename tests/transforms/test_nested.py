"""Inputs that are trees of arrays give what the same inputs in one array give."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.core.batching import examples, in_portions, map_batches, on_host, resident, take
from jaxcl.transforms import (
    Context,
    Step,
    TaskData,
    der,
    der_pp,
    distill,
    ewc,
    fraction,
    l2,
    mas,
    noise,
    online_ewc,
    per_class,
    replay,
    rwalk,
    si,
    stored,
)
from jaxcl.transforms.rehearsal.buffers import class_balanced, reservoir, ring, sample

N, CLASSES = 12, 3
RNG = np.random.default_rng(0)
W, THETA = (jnp.asarray(RNG.normal(size=(5, CLASSES)), jnp.float32) for _ in range(2))


def flat(seed=0):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(N, 5)), jnp.float32)
    return {"x": x, "label": jnp.asarray(np.arange(N) % CLASSES, jnp.int32)}


def nested(data):
    """The same inputs: a dict with a tuple and an array in it."""
    x = data["x"]
    return {**data, "x": {"a": (x[:, :1], x[:, 1:3]), "b": x[:, 3:]}}


def joined(x):
    return jnp.concatenate([*x["a"], x["b"]], -1) if isinstance(x, dict) else x


def forward(w, batch):
    return joined(batch["x"]) @ w


MAKE = {
    "ewc": lambda: ewc(2.0, n=7),
    "ewc sampled": lambda: ewc(2.0, fisher="sampled"),
    "ewc empirical": lambda: ewc(2.0, fisher="empirical"),
    "online ewc": lambda: online_ewc(2.0),
    "mas": lambda: mas(2.0),
    "si": lambda: si(2.0),
    "rwalk": lambda: rwalk(2.0),
    "l2": lambda: l2(2.0),
    "distill": lambda: distill(2.0, record_batch=5),
    "der": lambda: der(6, CLASSES),
    "der_pp": lambda: der_pp(6, CLASSES),
    "per_class": lambda: replay(per_class(2)),
    "fraction": lambda: replay(fraction(0.5)),
    "reservoir": lambda: replay(stored(reservoir(5))),
    "ring": lambda: replay(stored(ring(5))),
    "class_balanced": lambda: replay(stored(class_balanced(5, CLASSES))),
}


def losses(transform, form, key, host=False):
    """Losses and gradients of two tasks, and the state after them."""
    state, w, found = transform.init(W), W, []
    for k in range(2):
        data = form(flat(k))
        given = jax.tree.map(np.asarray, data) if host else data
        task, own = TaskData(given, forward), jax.random.fold_in(key, k)
        state = transform.begin_task(state, w, task, own)
        batch = {**take(data, jnp.arange(4)), "index": jnp.arange(4)}

        def loss(w, state=state, batch=batch, own=own):
            here = Context(w, forward(w, batch), batch, own, forward)
            return transform.apply((w**2).sum(), state, here)[0]

        value, slope = jax.value_and_grad(loss)(w + 0.1 * THETA)
        found.append((value, slope))
        here = Context(w, forward(w, batch), batch, own, forward)
        state = transform.update(state, Step(w, w - 0.1 * slope, slope, slope, here))
        w = w - 0.1 * slope
        state, w = transform.end_task(state, w, task, own)
    return found, state


@pytest.mark.parametrize("host", [False, True])
@pytest.mark.parametrize("name", MAKE)
def test_a_transform_treats_a_tree_of_inputs_as_it_treats_an_array(name, host, key):
    one, _ = losses(MAKE[name](), lambda data: data, key)
    other, _ = losses(MAKE[name](), nested, key, host=host)
    chex.assert_trees_all_close(other, one, rtol=1e-5, atol=1e-6)
    assert float(one[1][0]) > 0


@pytest.mark.parametrize("name", ["per_class", "fraction", "reservoir", "ring", "class_balanced"])
def test_what_is_remembered_are_the_same_examples(name, key):
    memories = [losses(MAKE[name](), form, key)[1].memory for form in (lambda d: d, nested)]
    plain, tree = (getattr(memory, "data", memory) for memory in memories)
    np.testing.assert_array_equal(joined(tree["x"]), plain["x"])
    np.testing.assert_array_equal(tree["label"], plain["label"])
    assert jax.tree.structure(tree["x"]) == jax.tree.structure(nested(flat())["x"])


def test_a_buffer_of_trees_keeps_its_structure(key):
    storage, data = reservoir(4), nested(flat())
    buffer = jax.jit(storage.add)(storage.init(data), {**data, "other": jnp.zeros(N)}, key)
    drawn = sample(buffer, key, 9)
    assert examples(drawn) == 9
    assert jax.tree.structure(drawn) == jax.tree.structure(data)
    rows = {tuple(row) for row in flat()["x"].tolist()}
    assert {tuple(row) for row in joined(drawn["x"]).tolist()} <= rows


def test_trees_in_batches_and_in_portions(monkeypatch):
    data = nested(flat())
    expected = forward(W, data)
    f = lambda batch: {"y": forward(W, batch)}  # noqa: E731
    np.testing.assert_allclose(map_batches(f, data, 5)["y"], expected, rtol=1e-5)
    host = jax.tree.map(np.asarray, data)
    assert on_host(host)
    assert not on_host(resident(host))
    assert on_host({**data, "x": {**data["x"], "b": host["x"]["b"]}})
    monkeypatch.setattr("jaxcl.core.batching.PORTION_BYTES", 3 * 24)
    sizes = []

    def counted(batch):
        sizes.append(examples(batch))
        return f(batch)

    np.testing.assert_allclose(in_portions(counted, host)["y"], expected, rtol=1e-5)
    assert sizes == [3, 3, 3, 3]  # 24 bytes each: five numbers and a label
    with pytest.raises(ValueError, match="leading axes differ"):
        examples({**data, "x": {"a": jnp.zeros(2)}})


def test_noise_in_place_of_a_tree_is_refused(key):
    transform, data = replay(noise(4, inputs="x")), nested(flat())
    with pytest.raises(ValueError, match="noise: 'x' is a tree"):
        transform.begin_task(transform.init(W), W, TaskData(data, forward), key)
