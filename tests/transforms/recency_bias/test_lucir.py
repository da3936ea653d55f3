"""Cosines, losses and slopes by hand, on a linear network with two layers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from seen_from_behind import augmented, from_behind

from jaxcl.core.random import stream
from jaxcl.transforms import Context, ForwardPass, TaskData, drawn, gradients, lucir, replay, stored
from jaxcl.transforms.recency_bias.cosine import cosine_logits, unit
from jaxcl.transforms.recency_bias.lucir import FEATURES
from jaxcl.transforms.rehearsal.buffers import reservoir
from jaxcl.transforms.rehearsal.herding import herding, in_use, with_room

CLASSES, INPUTS, WIDTH = 6, 4, 3


def params_of(seed):
    rng = np.random.default_rng(seed)
    shapes = {"f": (INPUTS, WIDTH), "w": (WIDTH, CLASSES)}
    return {name: jnp.asarray(rng.normal(size=x), jnp.float32) for name, x in shapes.items()}


OLD, MOVED = params_of(1), params_of(2)


def features(params, batch):
    return batch["x"] @ params["f"]


def outputs(params, batch):
    return features(params, batch) @ params["w"]


def forward(params, batch):
    return ForwardPass(outputs(params, batch), features(params, batch))


def data_of(n, seed, classes):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(n, INPUTS)), jnp.float32)
    return {"x": x, "label": jnp.asarray(rng.permutation(np.resize(classes, n)), jnp.int32)}


ONE, TWO = data_of(20, 3, [0, 1]), data_of(12, 4, [2, 4, 5])


def made(capacity=10, **given):
    return lucir(capacity, lambda params: params["w"], **given)


def task_of(data, **more):
    return TaskData(data, outputs, features=features, **more)


def begun(transform, key, *tasks):
    """As the last of these tasks has begun; the others have ended."""
    state = transform.begin_task(transform.init(OLD), OLD, task_of(tasks[0]), key)
    for data, after in itertools.pairwise(tasks):
        state, same = transform.end_task(state, OLD, task_of(data), key)
        assert same is OLD
        state = transform.begin_task(state, OLD, task_of(after), key)
    return state


def ended(transform, key, *tasks):
    return transform.end_task(begun(transform, key, *tasks), OLD, task_of(tasks[-1]), key)[0]


def context(batch, key, rows=slice(None), params=MOVED):
    rows = jnp.arange(len(batch["x"]))[rows]
    batch = {**{name: x[rows] for name, x in batch.items()}, "index": rows}
    given = {"features": features(params, batch)}
    return Context(params, outputs(params, batch), batch, key, forward, **given)


def plain(logits, batch):
    every = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(every, batch["label"][:, None], 1).mean()


def loss_by_hand(params, data, strength=0.0, new=(), margin=0.0, rivals=0):
    """The two parts of a loss, in float64: what is averaged with the other examples, the margin."""
    x, f, w = (np.asarray(a, float) for a in (data["x"], params["f"], params["w"]))
    rows, labels = x @ f, np.asarray(data["label"])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    lengths = np.linalg.norm(w, axis=0)
    cosines = rows @ (w / lengths)
    z = lengths.mean() * cosines
    right = np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels]
    old = x @ np.asarray(OLD["f"], float)
    turned = 1 - (rows * old / np.linalg.norm(old, axis=1, keepdims=True)).sum(1)
    own = cosines[np.arange(len(z)), labels]
    nearest = -np.sort(-cosines[:, list(new)], 1)[:, :rivals]
    above = np.maximum(0, margin - own[:, None] + nearest).sum(1).mean()
    return (right + strength * turned).mean(), above


def test_the_logits_are_cosines_whatever_the_lengths_of_features_and_single_weights():
    rng = np.random.default_rng(0)
    f, w = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((7, 3), (3, 4)))
    z = cosine_logits(unit(f), w)
    lengths = np.linalg.norm(np.asarray(w), axis=0)
    expected = np.asarray(f) @ np.asarray(w) / lengths * lengths.mean()
    np.testing.assert_allclose(z, expected / np.linalg.norm(f, axis=1)[:, None], rtol=1e-5)
    np.testing.assert_allclose(cosine_logits(unit(5 * f), w), z, rtol=1e-5)
    turned = w * jnp.array([2.0, 1.0, 1.0, 1.0])
    ratio = (lengths.sum() + lengths[0]) / lengths.sum()
    np.testing.assert_allclose(cosine_logits(unit(f), turned), ratio * np.asarray(z), rtol=1e-5)
    slope = jax.grad(lambda f: cosine_logits(unit(f), w).sum())(jnp.zeros((1, 3)))
    assert np.all(np.isfinite(slope))


def test_the_first_task_is_cross_entropy_of_the_cosine_logits(key):
    transform = made()
    here = context(ONE, key)
    state = begun(transform, key, ONE)
    found = gradients(transform, state, plain, here._replace(outputs=None, features=None))
    np.testing.assert_allclose(found.loss, loss_by_hand(MOVED, ONE)[0], rtol=1e-5)
    metrics = {name: float(x) for name, x in found.metrics.items()}
    assert metrics["replayed"] == metrics["margin"] == 0
    scores = transform.predict(state, here)
    np.testing.assert_allclose(scores, cosine_logits(unit(features(MOVED, ONE)), MOVED["w"]))


@pytest.mark.parametrize("rivals", [2, 9])
@pytest.mark.slow
def test_old_features_and_the_margin_of_exemplars_by_hand(rivals, key):
    """And the slope of all of it, by differences in float64."""
    transform = made(strength=3.0, margin=0.4, rivals=rivals)
    state = begun(transform, key, ONE, TWO)
    np.testing.assert_allclose(state.growth, np.sqrt(2 / 3), rtol=1e-6)
    assert state.new.tolist() == [2, 4, 5]
    here = context(TWO, key, slice(3, 9))
    batch = {name: x[3:9] for name, x in TWO.items()}
    old, r = drawn(state.exemplars, stream(key, "lucir"), 6), 12 / (12 + 10)
    strength, given = 3 * np.sqrt(2 / 3), ([2, 4, 5], 0.4, min(rivals, 3))

    def whole(params):
        incoming, _ = loss_by_hand(params, batch, strength)
        replayed, above = loss_by_hand(params, old, strength, *given)
        return r * incoming + (1 - r) * replayed + above, (incoming, replayed, above)

    found = gradients(transform, state, plain, here._replace(outputs=None, features=None))
    total, parts = whole(MOVED)
    np.testing.assert_allclose(found.loss, total, rtol=1e-5)
    names = ("incoming", "replayed", "margin")
    np.testing.assert_allclose([found.metrics[n] for n in names], parts, rtol=1e-5)
    assert parts[2] > 0.1
    direction = params_of(7)
    ahead, back = (
        whole({n: np.asarray(x, float) + h * np.asarray(direction[n]) for n, x in MOVED.items()})[0]
        for h in (1e-5, -1e-5)
    )
    slopes = jax.tree.map(lambda g, d: (g * d).sum(), found.gradient, direction)
    np.testing.assert_allclose(sum(slopes.values()), (ahead - back) / 2e-5, rtol=1e-3)


def test_features_that_have_not_turned_and_exemplars_that_are_far_cost_nothing(key):
    transform = made(margin=0.0)
    state = begun(transform, key, ONE, TWO)
    scaled = {**OLD, "f": 7 * OLD["f"]}
    incoming = gradients(transform, state, plain, context(TWO, key, params=scaled)).metrics
    np.testing.assert_allclose(incoming["incoming"], loss_by_hand(OLD, TWO)[0], rtol=1e-4)
    exemplars = in_use(state.exemplars, "")
    labels = exemplars["label"]
    assert np.bincount(labels).tolist() == [5, 5]
    ahead = state._replace(new=jnp.array([0, 1]))  # the own class among its rivals
    only = {name: x[labels == 0] for name, x in exemplars.items()}
    ahead = ahead._replace(exemplars=with_room(only, 10))
    own = context(TWO, key, params=scaled)
    loss = gradients(transform, ahead, plain, own).metrics["margin"]
    other = cosine_logits(unit(features(OLD, only)), OLD["w"] / jnp.linalg.norm(OLD["w"], axis=0))
    rows = np.asarray(jax.random.randint(stream(key, "lucir"), (12,), 0, 5))
    above = np.maximum(0, np.asarray(other)[rows, 1] - np.asarray(other)[rows, 0])
    np.testing.assert_allclose(loss, above.mean(), rtol=1e-4, atol=1e-6)


def test_every_class_has_as_many_exemplars_chosen_by_herding(key):
    found = ended(made(), key, ONE), ended(made(), key, ONE, TWO)
    one, two = (in_use(state.exemplars, "") for state in found)
    assert one["label"].tolist() == [0] * 5 + [1] * 5
    assert two["label"].tolist() == [0, 0, 1, 1, 2, 2, 4, 4, 5, 5]
    assert FEATURES not in two
    for label in (0, 1):
        rows = np.flatnonzero(np.asarray(ONE["label"]) == label)
        f = np.asarray(features(OLD, ONE), float)[rows]
        best = rows[herding(f / np.linalg.norm(f, axis=1, keepdims=True), 5)]
        own = one["x"][one["label"] == label]
        np.testing.assert_array_equal(own, ONE["x"][best])
        np.testing.assert_array_equal(two["x"][two["label"] == label], own[:2])


def test_without_a_class_that_is_new_there_is_no_margin(key):
    transform, again = made(), data_of(8, 9, [0, 1])
    state = begun(transform, key, ONE, again)
    assert state.new is None
    assert float(gradients(transform, state, plain, context(again, key)).metrics["margin"]) == 0


def test_a_step_has_the_same_shapes_in_every_later_task(key):
    tasks = ONE, data_of(12, 5, [2, 4]), data_of(12, 6, [3, 5])
    second, third = begun(made(), key, *tasks[:2]), begun(made(), key, *tasks)
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), state) for state in (second, third)]
    assert shapes[0] == shapes[1]
    assert [int(state.exemplars.filled) for state in (second, third)] == [10, 8]


def test_where_inputs_are_augmented_the_old_network_sees_what_the_new_one_does(key):
    """Here both see the inputs from behind, exemplars too, which are kept as they are."""
    transform = made(strength=3.0, margin=0.4)
    state = transform.begin_task(ended(transform, key, ONE), OLD, task_of(TWO, augmented=True), key)
    assert set(state.exemplars.data) == {"x", "label"}

    here = augmented(context(TWO, key))
    metrics = gradients(transform, state, plain, here).metrics
    old, strength = drawn(state.exemplars, stream(key, "lucir"), 12), 3 * np.sqrt(2 / 3)
    incoming, _ = loss_by_hand(MOVED, from_behind(TWO), strength)
    replayed = loss_by_hand(MOVED, from_behind(old), strength, [2, 4, 5], 0.4, 2)
    found = [metrics[name] for name in ("incoming", "replayed", "margin")]
    np.testing.assert_allclose(found, [incoming, *replayed], rtol=1e-4)


def test_a_replay_in_the_same_chain_has_outputs_alone(key):
    """The forward function gives features as well, for a transform that asks for them."""
    other = replay(stored(reservoir(5)))
    state, _ = other.end_task(other.init(OLD), OLD, task_of(ONE), key)
    here = context(TWO, key)
    found = [
        other.apply(jnp.float32(0), state, here._replace(forward=f))[0] for f in (forward, outputs)
    ]
    assert float(found[0]) == float(found[1]) > 0


def test_what_cannot_be_is_refused(key):
    for given, message in (
        ({"capacity": 0}, "capacity: 0 is not positive"),
        ({"rivals": 0}, "rivals: 0 is not positive"),
        ({"strength": -1.0}, "strength: -1.0 is negative"),
        ({"margin": -1.0}, "margin: -1.0 is negative"),
        ({"n": 0}, "n: 0 is not positive"),
    ):
        with pytest.raises(ValueError, match=message):
            made(**given)
    state, missing = begun(made(), key, ONE), "features: missing; give "
    with pytest.raises(ValueError, match="capacity: 2 exemplars for 5 classes; give more"):
        ended(made(2), key, ONE, TWO)
    with pytest.raises(ValueError, match=missing + "TaskData"):
        made().end_task(state, OLD, TaskData(ONE, outputs), key)
    with pytest.raises(ValueError, match=missing + "TaskData"):
        made().begin_task(ended(made(), key, ONE), OLD, TaskData(TWO, outputs), key)
    with pytest.raises(ValueError, match=missing + "Context"):
        made().predict(state, context(ONE, key)._replace(features=None))
    later = begun(made(), key, ONE, TWO)
    with pytest.raises(ValueError, match="a forward that returns ForwardPass"):
        gradients(made(), later, plain, context(TWO, key)._replace(forward=outputs))
    bad = {"x": ONE["x"], "label": jnp.zeros((20, 2), jnp.int32)}
    with pytest.raises(ValueError, match="is not a class for each example"):
        made().begin_task(state, OLD, task_of(bad), key)
