import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from jaxcl.transforms import Context, Step, TaskData, der, der_pp
from jaxcl.transforms.rehearsal.der import LOGITS

RNG = np.random.default_rng(0)
W, MOVED = (jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32) for _ in range(2))
X = jnp.asarray(RNG.normal(size=(5, 3)), jnp.float32)
DATA = {"x": X, "label": jnp.array([2, 0, 1, 1, 3], jnp.int32)}
ONE = {name: jnp.repeat(leaf[:1], 3, axis=0) for name, leaf in DATA.items()}


def forward(w, batch):
    return batch["x"] @ w


def narrow(w, batch):
    """The network as long as it had two outputs."""
    return forward(w, batch)[:, :2]


def begun(transform, key):
    return transform.begin_task(transform.init(W), W, TaskData(DATA, forward), key)


def context(w, key, batch=DATA, net=forward):
    return Context(w, net(w, batch), batch, key, net)


def trained(transform, state, w, key, batch=DATA, net=forward):
    return transform.update(state, Step(w, w, w, w, context(w, key, batch, net)))


def cross_entropy(w):
    """Of the first example."""
    logits = np.asarray(X[0], np.float64) @ np.asarray(w, np.float64)
    return -log_softmax(logits)[int(DATA["label"][0])]


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.0), (0.0, 2.0), (0.3, 2.0)])
def test_both_terms_by_hand_with_copies_of_one_example(alpha, beta, key):
    transform = der_pp(3, 4, alpha=alpha, beta=beta)
    state = trained(transform, begun(transform, key), W, key, ONE)
    loss, metrics = transform.apply(jnp.float32(1.5), state, context(MOVED, key))
    dark = np.mean((np.asarray(X[0], np.float64) @ np.asarray(MOVED - W, np.float64)) ** 2)
    replayed = cross_entropy(MOVED)
    np.testing.assert_allclose(metrics["dark"], dark, rtol=1e-4)
    np.testing.assert_allclose(metrics["replayed"], replayed, rtol=1e-5)
    np.testing.assert_allclose(loss, 1.5 + alpha * dark + beta * replayed, rtol=1e-4)


def test_logits_alone_are_one_draw_and_one_forward_pass(key):
    """And the numbers are those of both terms where that of the labels weighs nothing."""
    passes = 0

    def counted(w, batch):
        nonlocal passes
        passes += 1
        return forward(w, batch)

    alone, both = der(4, 4, alpha=0.3), der_pp(4, 4, alpha=0.3, beta=0.0)
    results, context_of = [], Context(MOVED, forward(MOVED, DATA), DATA, key, counted)
    for transform, count in ((alone, 1), (both, 2)):
        state, passes = trained(transform, begun(transform, key), W, key), 0

        def loss(w, transform=transform, state=state):
            here = context_of._replace(params=w, outputs=forward(w, DATA))
            return transform.apply(jnp.float32(1.5), state, here)

        results.append(jax.value_and_grad(loss, has_aux=True)(MOVED))
        assert passes == count
    (value, metrics), gradient = results[0]
    chex.assert_trees_all_equal((value, gradient), (results[1][0][0], results[1][1]))
    assert list(metrics) == ["dark"]
    assert metrics["dark"] == results[1][0][1]["dark"] > 0
    assert alone.init(W).beta is None


def test_the_pull_is_towards_the_logits_of_then(key):
    transform = der_pp(3, 4, alpha=0.3, beta=0.0)
    state = trained(transform, begun(transform, key), W, key, ONE)

    def loss(w):
        return transform.apply(jnp.float32(0), state, context(w, key))[0]

    np.testing.assert_array_equal(jax.grad(loss)(W), 0)
    x = np.asarray(X[0], np.float64)
    expected = 0.3 * 2 / 4 * np.outer(x, x @ np.asarray(MOVED - W, np.float64))
    np.testing.assert_allclose(jax.grad(loss)(MOVED), expected, rtol=1e-4, atol=1e-6)


def test_logits_are_remembered_as_they_were(key):
    transform = der(10, 4)
    state = trained(transform, begun(transform, key), W, key)
    state = trained(transform, state, MOVED, jax.random.key(1))
    data = state.buffer.data
    np.testing.assert_allclose(data[LOGITS][:5], X @ W, rtol=1e-6)
    np.testing.assert_allclose(data[LOGITS][5:], X @ MOVED, rtol=1e-6)
    np.testing.assert_array_equal(data["label"], np.tile(DATA["label"], 2))


def test_outputs_that_were_added_since_are_left_out(key):
    transform = der_pp(3, 4, alpha=1.0, beta=0.0)
    one = ONE | {"label": jnp.zeros(3, jnp.int32)}  # a class that was there
    state = trained(transform, begun(transform, key), W, key, one, narrow)
    for classes in (2, 4):
        net = narrow if classes == 2 else forward
        loss, metrics = transform.apply(jnp.float32(0), state, context(MOVED, key, net=net))
        difference = (np.asarray(X[0], np.float64) @ np.asarray(MOVED - W, np.float64))[:2]
        np.testing.assert_allclose(metrics["dark"], np.mean(difference**2), rtol=1e-4)
        assert float(loss) == float(metrics["dark"])
    gradient = jax.grad(lambda w: transform.apply(jnp.float32(0), state, context(w, key))[0])(MOVED)
    assert np.all(gradient[:, :2] != 0)
    np.testing.assert_array_equal(gradient[:, 2:], 0)


def test_nothing_is_added_before_anything_is_stored(key):
    transform = der_pp(3, 4, alpha=2.0, beta=3.0)

    def loss(w, state):
        plain = jnp.sum(jnp.sin(w))
        return plain if state is None else transform.apply(plain, state, context(w, key))[0]

    for state in (transform.init(W), begun(transform, key)):
        chex.assert_trees_all_equal(
            jax.value_and_grad(loss)(W, state), jax.value_and_grad(loss)(W, None)
        )


def test_weights_of_zero_leave_loss_and_gradient_as_they_are(key):
    transform = der_pp(3, 4, alpha=0.0, beta=0.0)
    state = trained(transform, begun(transform, key), W, key)

    def loss(w, transformed):
        plain = jnp.sum(jnp.sin(w))
        return transform.apply(plain, state, context(w, key))[0] if transformed else plain

    for f in (jax.value_and_grad(loss), jax.jit(jax.value_and_grad(loss), static_argnums=1)):
        chex.assert_trees_all_equal(f(MOVED, True), f(MOVED, False))


def test_every_step_offers_its_batch_to_the_reservoir(key):
    """In a compiled loop, so the state keeps its structure and shapes."""
    transform, room = der(8, 4), 8
    state = begun(transform, key)

    def step(state, key):
        state = trained(transform, state, W, key)
        return state, (state.buffer.filled, state.buffer.seen[0])

    run = jax.jit(lambda state, keys: jax.lax.scan(step, state, keys))
    state, (filled, seen) = run(state, jax.random.split(key, 4))
    np.testing.assert_array_equal(seen, [5, 10, 15, 20])
    np.testing.assert_array_equal(filled, np.minimum(seen, room))
    np.testing.assert_allclose(state.buffer.data[LOGITS], state.buffer.data["x"] @ W, rtol=1e-5)
    own = {tuple(row) for row in X.tolist()}
    assert {tuple(row) for row in state.buffer.data["x"].tolist()} <= own


def test_the_next_task_finds_what_was_stored(key):
    transform = der(5, 4)
    state = trained(transform, begun(transform, key), W, key)
    again = transform.begin_task(state, MOVED, TaskData(DATA, forward), key)
    chex.assert_trees_all_equal(again, state)


def test_the_two_terms_are_taken_over_two_draws(key):
    """A batch of one: with one draw for both, two values would always come in pairs."""
    transform = der_pp(2, 4)
    two = {name: leaf[:2] for name, leaf in DATA.items()}
    state = trained(transform, begun(transform, key), W, key, two)
    one = {name: leaf[:1] for name, leaf in DATA.items()}

    def terms(key):
        return transform.apply(jnp.float32(0), state, context(MOVED, key, one))[1]

    found = jax.vmap(terms)(jax.random.split(key, 400))
    dark, replayed = (np.asarray(found[name]) for name in ("dark", "replayed"))
    pairs = 2 * (dark > dark.mean()) + (replayed > replayed.mean())
    counts = np.bincount(pairs, minlength=4)
    # Each of the four pairs is Binomial(400, 1/4): 100 give or take 8.7.
    assert np.all(np.abs(counts - 100) < 4 * 8.7)


def test_the_jitted_loss_follows_buffer_and_weights(key):
    transform, traces = der_pp(3, 4, alpha=1.0, beta=0.0), 0

    @jax.jit
    def loss(w, state):
        nonlocal traces
        traces += 1
        return transform.apply(jnp.float32(0), state, context(w, key))[0]

    state = begun(transform, key)
    assert float(loss(MOVED, state)) == 0
    then = trained(transform, state, W, key, ONE)
    now = trained(transform, state, MOVED, key, ONE)
    dark = np.mean((np.asarray(X[0], np.float64) @ np.asarray(MOVED - W, np.float64)) ** 2)
    np.testing.assert_allclose(loss(MOVED, then), dark, rtol=1e-4)
    np.testing.assert_allclose(loss(MOVED, now), 0, atol=1e-6)
    stronger = then._replace(alpha=jnp.float32(3))
    np.testing.assert_allclose(loss(MOVED, stronger), 3 * dark, rtol=1e-4)
    assert traces == 1


def test_a_step_without_its_context_is_refused(key):
    transform = der(3, 4)
    state = begun(transform, key)
    with pytest.raises(ValueError, match="context: missing"):
        transform.update(state, Step(W, W, W, W))
    with pytest.raises(ValueError, match="key and forward"):
        transform.apply(jnp.float32(0), state, Context(W, X @ W, DATA))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": -0.1}, "alpha: -0.1"),
        ({"beta": float("nan")}, "beta: nan"),
        ({"capacity": 0}, "capacity: 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        der_pp(**{"capacity": 3, "classes": 4, **settings})
    if "beta" not in settings:
        with pytest.raises(ValueError, match=message):
            der(**{"capacity": 3, "classes": 4, **settings})


def test_more_logits_than_classes_are_named(key):
    w, batch = jnp.zeros((2, 2)), {"x": jnp.eye(2), "label": jnp.arange(2)}
    transform, forward = der(4, classes=1), lambda w, batch: batch["x"] @ w
    state = transform.begin_task(transform.init(w), w, TaskData(batch, forward), key)
    with pytest.raises(ValueError, match="classes: 1, 1 less than there are logits; give all"):
        transform.update(state, Step(w, w, w, context=Context(w, batch["x"] @ w, batch, key)))
