"""Parameters in bfloat16: what float32 gives at the same values, up to rounding."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.methods.base import StreamInfo
from jaxcl.methods.l2_sp import L2SP
from jaxcl.transforms import (
    OBJECTIVES,
    Context,
    Step,
    TaskData,
    chain,
    der,
    der_pp,
    diagonal_fisher,
    distill,
    ewc,
    fraction,
    generated,
    gradient_penalty,
    l2,
    mas,
    online_ewc,
    replay,
    rwalk,
    si,
)
from jaxcl.transforms.rehearsal.buffers import reservoir
from jaxcl.transforms.rehearsal.memory import stored
from jaxcl.transforms.wgan_gp import critic_loss, generator_loss

N, INPUTS, K = 40, 6, 3
HALF = jnp.bfloat16
RNG = np.random.default_rng(0)
SHAPES = {"w": (INPUTS, 8), "v": (8, K)}


def places():
    """Values that bfloat16 has."""
    drawn = {n: jnp.asarray(RNG.normal(size=s) / 2, HALF) for n, s in SHAPES.items()}
    return jax.tree.map(lambda x: x.astype(jnp.float32), drawn)


PATH = [places() for _ in range(4)]
LABELS = {
    "categorical": jnp.asarray(RNG.integers(0, K, N), jnp.int32),
    "binary": jnp.asarray(RNG.integers(0, 2, (N, K)), jnp.int32),
    "squared": jnp.asarray(RNG.normal(size=(N, K)), jnp.float32),
}
X = jnp.asarray(RNG.normal(size=(N, INPUTS)), HALF).astype(jnp.float32)


def forward(params, batch):
    kind = params["w"].dtype
    return jnp.tanh(batch["x"].astype(kind) @ params["w"]) @ params["v"]


MAKE = {
    "ewc": lambda o: ewc(2.0, objective=o),
    "ewc empirical": lambda o: ewc(2.0, fisher="empirical", objective=o),
    "online ewc": lambda o: online_ewc(2.0, objective=o),
    "mas": lambda o: mas(2.0),
    "si": lambda o: si(2.0),
    "rwalk": lambda o: rwalk(2.0),
    "l2": lambda o: l2(0.1),
    "l2_sp": lambda o: L2SP().losses(StreamInfo(K, "task"))["l2_sp"],
    "distill": lambda o: distill(2.0, objective=o),
    "distill generated": lambda o: distill(2.0, generated=True, inputs="x", objective=o),
    "der": lambda o: der(9, K, objective=o),
    "der_pp": lambda o: der_pp(9, K, objective=o),
    "replay": lambda o: replay(fraction(0.5), objective=o),
    "replay reservoir": lambda o: replay(stored(reservoir(9)), objective=o),
    "replay generated": lambda o: replay(generated(inputs="x"), objective=o),
}

# These do not use the objective, so one is enough for them.
WITHOUT = ("mas", "si", "rwalk", "l2", "l2_sp")
CASES = [(n, o) for n in MAKE for o in OBJECTIVES if o == "categorical" or n not in WITHOUT]


def through(transform, kind, name, key):
    """Loss and gradient after two tasks whose ends are given, and the state."""
    path = [jax.tree.map(lambda x: x.astype(kind), place) for place in PATH]
    state = transform.init(path[0])
    task = TaskData({"x": X, "label": LABELS[name]}, forward, generated=X[:5])
    batch = {**task.data, "index": jnp.arange(N)}
    for before, after in ((path[0], path[1]), (path[1], path[2])):
        state = transform.begin_task(state, before, task, key)
        slope = jax.tree.map(lambda x: -x, after)
        here = Context(before, forward(before, batch), batch, key, forward)
        state = transform.update(state, Step(before, after, slope, slope, here))
        state, _ = transform.end_task(state, after, task, key)
    state = transform.begin_task(state, path[2], task, key)

    @jax.jit
    def loss(params):
        here = Context(params, forward(params, batch), batch, key, forward)
        return transform.apply(jnp.float32(0), state, here)[0]

    return *jax.value_and_grad(loss)(path[3]), state


@pytest.mark.parametrize(("name", "learned"), CASES)
def test_each_transform_gives_what_it_gives_in_float32(name, learned, key):
    transform = MAKE[name](OBJECTIVES[learned])
    loss, slope, _ = through(transform, HALF, learned, key)
    whole, exact, _ = through(transform, jnp.float32, learned, key)
    assert loss.dtype == jnp.float32
    assert float(whole) > 0
    np.testing.assert_allclose(loss, whole, rtol=0.02)
    for name, leaf in slope.items():
        assert leaf.dtype == HALF
        size = float(jnp.abs(exact[name]).max())
        np.testing.assert_allclose(leaf.astype(jnp.float32), exact[name], atol=0.03 * size)


@pytest.mark.parametrize("name", ["ewc", "online ewc", "mas", "si", "rwalk"])
def test_what_a_penalty_keeps_is_float32(name, key):
    _, _, state = through(MAKE[name](OBJECTIVES["categorical"]), HALF, "categorical", key)
    assert {leaf.dtype for leaf in jax.tree.leaves((state.importance, state.anchor))} == {
        jnp.dtype("float32")
    }
    if name != "ewc":  # whose anchor is a mean
        chex.assert_trees_all_equal(state.anchor, PATH[2])


def test_a_fisher_that_adds_up_is_not_lost_to_rounding(key):
    """In bfloat16 a sum of 300 equal terms stops at 256 of them."""
    w, data = jnp.ones((1, 1), HALF), {"x": jnp.ones((300, 1))}
    task = TaskData(data, lambda w, batch: batch["x"].astype(HALF) @ w)
    found = diagonal_fisher(w, task, key, objective=OBJECTIVES["squared"])
    np.testing.assert_array_equal(found, 1.0)
    assert found.dtype == jnp.float32
    # An anchor that is a mean: of 1 with weight 300, and of 2 with weight 1.
    transform = ewc(1.0, objective=OBJECTIVES["squared"])
    state, _ = transform.end_task(transform.init(w), w, task, key)
    state = state._replace(importance=300 * state.importance)
    state, _ = transform.end_task(state, 2 * w, task, key)
    np.testing.assert_allclose(state.anchor, 1 + 1 / 301, rtol=1e-6)


def test_a_sum_of_many_weights_is_float32():
    w = jnp.full((1000, 7), 1.0, HALF)
    _, metrics = l2(1.0).apply(jnp.float32(0), jnp.float32(1), Context(w, {}, {}))
    assert float(metrics["l2"]) == 3500  # bfloat16 has 3504


def test_a_weight_that_grew_keeps_its_importance(key):
    both = chain(ewc=ewc(1.0), si=si(1.0))
    _, _, state = through(both, HALF, "categorical", key)
    wider = {"w": jnp.ones((INPUTS, 9), HALF), "v": jnp.ones((9, K), HALF)}
    task = TaskData({"x": X, "label": LABELS["categorical"]}, forward)
    grown = both.begin_task(state, wider, task, key)
    for name in ("ewc", "si"):
        old, new = state[name].importance, grown[name].importance
        np.testing.assert_array_equal(new["v"][:8], old["v"])
        np.testing.assert_array_equal(new["v"][8:], 0)


def test_a_critic_in_bfloat16(key):
    w = jnp.array([3.0, 4.0], HALF)
    batch = {"image": jnp.ones((2, 2), HALF), "fake": jnp.zeros((2, 2), HALF)}
    linear = lambda w, batch: batch["image"] @ w  # noqa: E731
    transform = gradient_penalty(1.0)
    here = Context(w, {}, batch, key, linear)
    loss, _ = transform.apply(jnp.float32(0.5), transform.init(w), here)
    assert float(loss) == 16.5
    scores = linear(w, batch)
    assert critic_loss(scores, scores).dtype == generator_loss(scores).dtype == jnp.float32
