"""Kept examples that pass the network in one batch with the new ones."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcl.core.random import stream
from jaxcl.transforms import (
    Context,
    ForwardPass,
    TaskData,
    chain,
    drawn,
    ewc,
    gradients,
    per_class,
    replay,
    stored,
)
from jaxcl.transforms.rehearsal.buffers import reservoir

RNG = np.random.default_rng(0)
X, Y = jnp.asarray(RNG.normal(size=(6, 3)), jnp.float32), jnp.array([0, 1, 2, 0, 1, 2])
W = jnp.asarray(RNG.normal(size=(3, 3)), jnp.float32)
NEW = {"x": X[:2] + 1, "label": Y[1:3]}


def plain(w, batch):
    return batch["x"] @ w


def normalised(w, batch):
    """Its outputs are about the mean of the batch, which is handed on as aux."""
    mean = batch["x"].mean(0)
    return ForwardPass((batch["x"] - mean) @ w, aux=mean)


def loss_of(logits, batch):
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()


def after_a_task(transform, key, net=plain):
    task = TaskData({"x": X, "label": Y}, net)
    state = transform.begin_task(transform.init(W), W, task, key)
    return transform.end_task(state, W, task, key)[0]


def found(transform, state, key, net):
    return gradients(transform, state, loss_of, Context(W, None, NEW, key, net), net)


def test_the_mean_is_over_new_and_kept_examples(key):
    transform = replay(per_class(1), weight=0.25, n=4, joined=True)
    state = after_a_task(transform, key, lambda w, batch: normalised(w, batch).outputs)
    kept = drawn(state.memory, stream(key, "replay"), 4)
    whole = jnp.concatenate([NEW["x"], kept["x"]])

    def by_hand(w):
        logits = (whole - whole.mean(0)) @ w
        new, old = loss_of(logits[:2], NEW), loss_of(logits[2:], kept)
        return 0.25 * new + 0.75 * old, new

    (total, new), slope = jax.value_and_grad(by_hand, has_aux=True)(W)
    got = found(transform, state, key, normalised)
    np.testing.assert_allclose(got.aux, whole.mean(0), rtol=1e-6)
    np.testing.assert_allclose([got.loss, got.plain_loss], [total, new], rtol=1e-6)
    np.testing.assert_allclose(got.gradient, slope, rtol=1e-5, atol=1e-6)
    assert got.outputs.shape == (2, 3)


def test_without_a_mean_over_the_batch_it_makes_no_difference(key):
    both = [replay(per_class(1), weight=0.5, n=3, joined=joined) for joined in (False, True)]
    apart, joined = (found(t, after_a_task(t, key), key, plain) for t in both)
    for name in ("loss", "gradient", "loss_gradient", "outputs", "metrics"):
        chex.assert_trees_all_close(getattr(joined, name), getattr(apart, name), atol=1e-6)


def test_before_there_is_anything_to_keep_the_batch_is_alone(key):
    transform = replay(per_class(1), joined=True)
    got = found(transform, transform.init(W), key, normalised)
    np.testing.assert_allclose(got.aux, NEW["x"].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(got.loss, got.plain_loss)


def test_an_empty_buffer_changes_neither_mean_nor_loss(key):
    transform = replay(stored(reservoir(5), online=True), weight=0.5, n=4, joined=True)
    task = TaskData(NEW, plain)
    state = transform.begin_task(transform.init(W), W, task, key)
    got = found(transform, state, key, normalised)
    np.testing.assert_allclose(got.aux, NEW["x"].mean(0), rtol=1e-6)
    np.testing.assert_allclose(got.loss, got.plain_loss, rtol=1e-6)


def test_in_a_chain_one_transform_alone_may_draw(key):
    one = chain(replay=replay(per_class(1), weight=0.5, joined=True), ewc=ewc(1.0))
    alone = replay(per_class(1), weight=0.5, joined=True)
    state = after_a_task(one, key)
    got = found(one, state, key, plain)
    by_itself = found(alone, state["replay"], key, plain)
    np.testing.assert_allclose(got.loss, by_itself.loss, rtol=1e-6)  # the penalty is 0 here
    with pytest.raises(ValueError, match="a and b both have examples beside the batch"):
        chain(a=alone, b=replay(per_class(1), joined=True, name="other"))


def test_a_loop_that_has_nothing_pass_beside_is_told(key):
    transform = replay(per_class(1), joined=True)
    state = after_a_task(transform, key)
    with pytest.raises(
        ValueError, match="replay has examples pass beside the batch; take gradients"
    ):
        transform.apply(jnp.float32(1), state, Context(W, plain(W, NEW), NEW, key, plain))
    with pytest.raises(ValueError, match="give key to Context"):
        gradients(transform, state, loss_of, Context(W, None, NEW, None, plain), plain)
