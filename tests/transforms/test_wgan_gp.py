from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.transforms import (
    Context,
    LossTransform,
    chain,
    critic_loss,
    generator_loss,
    gradient_penalty,
    l2,
)
from jaxcl.transforms.wgan_gp import mixed

RNG = np.random.default_rng(0)
N, SHAPE = 5, (2, 3, 1)
REAL, FAKE = (RNG.uniform(size=(N, *SHAPE)) for _ in range(2))
BATCH = {"image": jnp.asarray(REAL, jnp.float32), "fake": jnp.asarray(FAKE, jnp.float32)}
W = jnp.asarray(RNG.normal(size=SHAPE), jnp.float32)
TANH = {"in": RNG.normal(size=(6, 4)), "b": RNG.normal(size=4), "out": RNG.normal(size=4)}


def linear(w, batch):
    return (batch["image"] * w).sum((1, 2, 3))


def tanh(p, batch):
    """A critic of one hidden layer, for NumPy and for JAX."""
    x = batch["image"]
    np_ = np if isinstance(x, np.ndarray) else jnp
    return np_.tanh(x.reshape(len(x), -1) @ p["in"] + p["b"]) @ p["out"]


def single(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


def context(params, key, forward=tanh, batch=BATCH):
    return Context(params, {}, batch, key, forward)


@partial(jax.jit, static_argnums=2)
def penalty(params, key, forward=tanh, batch=BATCH):
    """The penalty alone, of strength 1."""
    here = context(params, key, forward, batch)
    return gradient_penalty(1.0).apply(jnp.float32(0), jnp.float32(1), here)[0]


pull = jax.jit(jax.grad(penalty), static_argnums=2)


def test_losses_by_hand():
    real, fake = jnp.array([2.0, 4.0, 9.0]), jnp.array([-1.0, 3.0])
    assert float(critic_loss(real, fake)) == 1 - 5
    assert float(generator_loss(fake)) == -1
    np.testing.assert_allclose(jax.grad(critic_loss)(real, fake), [-1 / 3] * 3, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(critic_loss, argnums=1)(real, fake), [0.5, 0.5])
    np.testing.assert_allclose(jax.grad(generator_loss)(fake), [-0.5, -0.5])


def test_points_lie_on_the_segments_with_an_epsilon_for_each_example(key):
    x = np.asarray(mixed(key, BATCH["image"], BATCH["fake"]), np.float64)
    e = ((x - FAKE) / (REAL - FAKE)).reshape(N, -1)
    # All values of an example are at the same place between real and generated.
    np.testing.assert_allclose(e, np.repeat(e[:, :1], e.shape[1], 1), atol=1e-4)
    assert e.min() >= -1e-4
    assert e.max() <= 1 + 1e-4
    assert len(set(e[:, 0].round(3))) == N
    again, other = (mixed(k, BATCH["image"], BATCH["fake"]) for k in (key, jax.random.key(1)))
    np.testing.assert_array_equal(again, x.astype(np.float32))
    assert np.all(np.asarray(other) != again)


def test_points_are_even_on_the_segments(key):
    n = 20_000
    e = np.asarray(mixed(key, jnp.ones((n, 1, 1, 1)), jnp.zeros((n, 1, 1, 1))))[:, 0, 0, 0]
    assert e.dtype == np.float32
    counts = np.histogram(e, 10, (0, 1))[0]
    assert counts.sum() == n
    # Chi-square with 9 degrees of freedom: above 33.7 in one of ten thousand.
    assert ((counts - n / 10) ** 2 / (n / 10)).sum() < 33.7


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
def test_a_linear_critic_in_closed_form(scale, key):
    """Its gradient is w everywhere, so the data have no say."""
    w = scale * W
    norm = np.linalg.norm(np.asarray(w, np.float64))
    transform = gradient_penalty(7.0)
    for data in (BATCH, {"image": 5 * BATCH["fake"], "fake": BATCH["image"] - 3}):
        here = context(w, key, linear, data)
        loss, metrics = transform.apply(jnp.float32(1.5), transform.init(w), here)
        np.testing.assert_allclose(metrics["penalty"], (norm - 1) ** 2, rtol=1e-5)
        np.testing.assert_allclose(loss, 1.5 + 7 * (norm - 1) ** 2, rtol=1e-5)
        gradient = pull(w, key, linear, data)
        expected = 2 * (norm - 1) / norm * np.asarray(w, np.float64)
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_a_linear_critic_of_slope_one_is_free(key):
    w = W / jnp.linalg.norm(W)
    np.testing.assert_allclose(penalty(w, key, linear), 0, atol=1e-12)
    np.testing.assert_allclose(pull(w, key, linear), 0, atol=1e-5)


def test_a_quadratic_critic_in_expectation(key):
    """D(x) = x^2 on the way from 0 to 1 has slope 2e, and (2e - 1)^2 the mean 1/3."""
    n = 20_000
    data = {"image": jnp.ones((n, 1)), "fake": jnp.zeros((n, 1))}
    found = penalty(jnp.float32(1), key, lambda c, b: c * b["image"][:, 0] ** 2, data)
    spread = np.sqrt((1 / 5 - 1 / 9) / n)
    assert abs(float(found) - 1 / 3) < 4 * spread


def differences(f, x, step=1e-5):
    """The gradient of a scalar function of an array by central differences."""
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        moved = np.zeros_like(x)
        moved[i] = step
        out[i] = (f(x + moved) - f(x - moved)) / (2 * step)
    return out


def test_a_nonlinear_critic_against_finite_differences(key):
    """Slopes with respect to the inputs, and then the whole with respect to the weights."""
    with jax.enable_x64(True):
        data = {"image": jnp.asarray(REAL), "fake": jnp.asarray(FAKE)}
        points = np.asarray(mixed(key, data["image"], data["fake"]))
        assert points.dtype == np.float64

        def found(params):
            here = context(jax.tree.map(jnp.asarray, params), key, tanh, data)
            return gradient_penalty(1.0).apply(jnp.float64(0.3), jnp.float64(2), here)[0]

        slopes = [differences(lambda x: tanh(TANH, {"image": x})[0], p[None]) for p in points]
        norms = np.array([np.linalg.norm(s) for s in slopes])
        assert norms.min() < 1 < norms.max()
        np.testing.assert_allclose(found(TANH), 0.3 + 2 * np.mean((norms - 1) ** 2), rtol=1e-8)
        # The slopes were right, so the penalty may stand for itself here.
        value = jax.jit(found)
        gradient = jax.grad(found)(TANH)
        for name, w in TANH.items():
            expected = differences(lambda w, name=name: float(value({**TANH, name: w})), w)
            np.testing.assert_allclose(gradient[name], expected, rtol=1e-6, atol=1e-9)


def test_examples_are_not_coupled(key):
    """Between an example and itself there is one point, whatever epsilon is."""
    params, points = single(TANH), mixed(key, BATCH["image"], BATCH["fake"])
    whole = {"image": points, "fake": points}
    each = [{name: leaf[i : i + 1] for name, leaf in whole.items()} for i in range(N)]
    values = [float(penalty(params, key, tanh, one)) for one in each]
    assert np.std(values) > 0.1 * np.mean(values)
    np.testing.assert_allclose(penalty(params, key, tanh, whole), np.mean(values), rtol=1e-4)
    gradients = [pull(params, key, tanh, one) for one in each]
    chex.assert_trees_all_close(
        pull(params, key, tanh, whole),
        jax.tree.map(lambda *g: sum(g) / N, *gradients),
        rtol=1e-3,
        atol=1e-5,
    )
    np.testing.assert_allclose(penalty(params, key), np.mean(values), rtol=1e-4)


def gated(p, batch):
    """A ReLU critic."""
    x = batch["image"]
    return jax.nn.relu(x.reshape(len(x), -1) @ p["in"] + p["b"]) @ p["out"]


def test_a_dead_critic_costs_one_and_its_gradients_are_finite(key):
    params = {**single(TANH), "b": jnp.full(4, -100.0)}
    transform = gradient_penalty(1.0)

    def plain(params):
        return transform.apply(jnp.float32(0), jnp.float32(1), context(params, key, gated))[0]

    for run in (jax.value_and_grad(plain), jax.jit(jax.value_and_grad(plain))):
        value, gradient = run(params)
        assert float(value) == 1
        for leaf in jax.tree.leaves(gradient):
            np.testing.assert_array_equal(leaf, 0)


def test_a_dead_example_leaves_the_others_as_they_are(key):
    params = {**single(TANH), "b": jnp.full(4, 0.5)}
    alive = jnp.ones((2, *SHAPE)).at[1].set(0.5)
    # Far away along minus the sum of the hidden weights no unit is on.
    far = -100.0 * jnp.linalg.pinv(params["in"]).sum(0).reshape(1, *SHAPE)
    points = jnp.concatenate([alive, far])
    assert float(gated(params, {"image": far})[0]) == 0
    some, all_ = ({"image": x, "fake": x} for x in (alive, points))
    value, gradient = penalty(params, key, gated, some), pull(params, key, gated, some)
    np.testing.assert_allclose(penalty(params, key, gated, all_), (2 * value + 1) / 3, rtol=1e-5)
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))
    chex.assert_trees_all_close(
        pull(params, key, gated, all_),
        jax.tree.map(lambda g: 2 / 3 * g, gradient),
        rtol=1e-5,
        atol=1e-6,
    )


def test_strength_zero_leaves_loss_and_gradient_as_they_are(key):
    transform, params = gradient_penalty(0.0), single(TANH)

    def loss(p, transformed):
        plain = jnp.sum(jnp.sin(p["in"]))
        state = transform.init(p)
        return transform.apply(plain, state, context(p, key))[0] if transformed else plain

    assert float(penalty(params, key)) > 0
    for f in (jax.value_and_grad(loss), jax.jit(jax.value_and_grad(loss), static_argnums=1)):
        chex.assert_trees_all_equal(f(params, True), f(params, False))


def test_strength_is_state_that_the_jitted_loss_follows(key):
    transform, params = gradient_penalty(2.0), single(TANH)
    assert float(transform.init(params)) == 2

    @jax.jit
    @chex.assert_max_traces(n=1)
    def loss(state, key):
        return transform.apply(jnp.float32(0.5), state, context(params, key))[0]

    once = float(penalty(params, key))
    for strength in (2.0, 0.0, 5.0):
        found = loss(jnp.float32(strength), key)
        np.testing.assert_allclose(found, 0.5 + strength * once, rtol=1e-5)
    assert float(loss(jnp.float32(2), jax.random.key(1))) != float(loss(jnp.float32(2), key))
    swept = jax.vmap(lambda s: transform.apply(jnp.float32(0.5), s, context(params, key))[0])
    strengths = jnp.array([0.0, 1.0, 3.0])
    np.testing.assert_allclose(swept(strengths), 0.5 + strengths * once, rtol=1e-5)


SCALE = LossTransform(lambda params: (), lambda loss, state, context: (3 * loss, {}))


def test_in_a_chain_by_hand(key):
    norm = np.linalg.norm(np.asarray(W, np.float64))
    slope, weight = 10 * (norm - 1) ** 2, 0.5 * norm**2 / 2
    for both, expected in (
        (chain(gp=gradient_penalty(), l2=l2(0.5), scale=SCALE), 3 * (1.5 + slope + weight)),
        (chain(scale=SCALE, l2=l2(0.5), gp=gradient_penalty()), 3 * 1.5 + slope + weight),
    ):
        loss, metrics = both.apply(jnp.float32(1.5), both.init(W), context(W, key, linear))
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        np.testing.assert_allclose(metrics["gp"]["penalty"], slope / 10, rtol=1e-5)
        np.testing.assert_allclose(metrics["l2"]["l2"], norm**2 / 2, rtol=1e-5)


@pytest.mark.parametrize("missing", ["key", "forward"])
def test_a_context_without_key_or_forward_is_refused(missing, key):
    transform = gradient_penalty()
    here = context(W, key, linear)._replace(**{missing: None})
    with pytest.raises(ValueError, match="key and forward"):
        transform.apply(jnp.float32(0), transform.init(W), here)


@pytest.mark.parametrize("strength", [-1.0, float("nan")])
def test_a_negative_strength_is_refused(strength):
    with pytest.raises(ValueError, match=f"strength: {strength}"):
        gradient_penalty(strength)
