"""The gradients of a loop: those of ``jax.grad``, from one backward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.transforms import Context, ForwardPass, LossTransform, gradients, l2, si

X = jax.random.normal(jax.random.key(0), (8, 5))
BATCH = {"x": X, "y": jnp.arange(8) % 3}
PARAMS = {
    "first": jax.random.normal(jax.random.key(1), (5, 7)),
    "second": jax.random.normal(jax.random.key(2), (7, 3)),
}
identity = LossTransform(lambda params: (), lambda loss, state, context: (loss, {}))


def network(params, batch):
    features = jnp.tanh(batch["x"] @ params["first"])
    return ForwardPass(features @ params["second"], features, {"mean": batch["x"].mean(0)})


def forward(params, batch):
    return network(params, batch).outputs


def loss_of(outputs, batch):
    return -jnp.take_along_axis(jax.nn.log_softmax(outputs), batch["y"][:, None], 1).mean()


def everything(loss, state, context):
    """Depends on all that a transform may differentiate through."""
    weights = sum(jnp.vdot(w, w) for w in jax.tree.leaves(context.params))
    answers = jnp.sin(context.outputs).mean() + (context.features**2).mean()
    replayed = context.forward(context.params, {"x": context.batch["x"] + 1}).mean()
    return loss**2 + state * answers * weights + replayed, {"weights": weights}


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-5, atol=1e-6), a, b)


def test_both_gradients_are_those_of_jax_grad():
    def whole(params):
        outputs, features, _ = network(params, BATCH)
        context = Context(params, outputs, BATCH, forward=forward, features=features)
        return everything(loss_of(outputs, BATCH), jnp.float32(0.3), context)[0]

    transform = identity._replace(apply=everything)
    context = Context(PARAMS, None, BATCH, forward=forward)
    found = gradients(transform, jnp.float32(0.3), loss_of, context, network)
    close(found.gradient, jax.grad(whole)(PARAMS))
    close(found.loss_gradient, jax.grad(lambda p: loss_of(forward(p, BATCH), BATCH))(PARAMS))
    close((found.loss, found.plain_loss), (whole(PARAMS), loss_of(found.outputs, BATCH)))
    close(found.outputs, forward(PARAMS, BATCH))
    close(found.aux["mean"], X.mean(0))
    close(found.context.features, network(PARAMS, BATCH).features)
    assert set(found.metrics) == {"weights"}


def test_the_network_is_passed_through_once():
    passes = []

    def counted(params, batch):
        passes.append(1)
        return forward(params, batch)

    gradients(l2(0.1), l2(0.1).init(PARAMS), loss_of, Context(PARAMS, None, BATCH), counted)
    assert len(passes) == 1


def flops(f):
    analysis = jax.jit(f).lower(PARAMS).compile().cost_analysis()
    return (analysis[0] if isinstance(analysis, list) else analysis)["flops"]


def found_for(apply):
    transform = identity._replace(apply=apply)
    context = Context(PARAMS, None, BATCH, forward=forward)
    return lambda p: gradients(transform, (), loss_of, context._replace(params=p), network)


def softened(loss, state, context):
    return loss + jnp.sin(context.outputs).mean(), {}


def test_a_plain_gradient_that_nobody_uses_costs_nothing():
    def whole(params):
        outputs = forward(params, BATCH)
        return softened(loss_of(outputs, BATCH), (), Context(params, outputs, BATCH))[0]

    find = found_for(softened)
    alone, both = flops(lambda p: find(p).gradient), flops(lambda p: find(p)[:2])
    assert alone <= 1.02 * flops(jax.grad(whole))
    pull = 2 * 8 * (5 * 7 + 2 * 7 * 3)  # products of the second backward pass
    assert both >= alone + pull


def test_under_a_penalty_of_the_weights_alone_both_pulls_are_one():
    def penalised(loss, state, context):
        return loss + sum(jnp.vdot(w, w) for w in jax.tree.leaves(context.params)), {}

    find = found_for(penalised)
    alone, both = flops(lambda p: find(p).gradient), flops(lambda p: find(p)[:2])
    assert both <= 1.02 * alone


def test_frozen_leaves_have_no_gradient():
    context = Context(PARAMS, None, BATCH)
    state = l2(0.1).init(PARAMS)
    every = gradients(l2(0.1), state, loss_of, context, forward)
    found = gradients(
        l2(0.1), state, loss_of, context, forward, mask={"first": False, "second": True}
    )
    assert found.gradient["first"] is None
    assert found.loss_gradient["first"] is None
    close(found.gradient["second"], every.gradient["second"])
    close(found.loss, every.loss)  # the penalty is that of all weights
    close(found.context.params, PARAMS)


def test_a_transform_may_change_the_gradient_but_not_that_of_the_plain_loss():
    def scaled(gradient, state, context):
        assert context.outputs.shape == (8, 3)
        assert context.features.shape == (8, 7)
        return jax.tree.map(lambda g: state * g, gradient)

    context, state = Context(PARAMS, None, BATCH), jnp.float32(3)
    found = gradients(identity._replace(gradient=scaled), state, loss_of, context, network)
    close(found.gradient, jax.tree.map(lambda g: 3 * g, found.loss_gradient))


def test_outputs_of_integers_pass_and_half_precision_stays():
    def answering(params, batch):
        logits = forward(params, batch).astype(jnp.bfloat16)
        return {"logits": logits, "answer": logits.argmax(-1)}

    def loss(outputs, batch):
        return loss_of(outputs["logits"].astype(jnp.float32), batch)

    def judged(loss, state, context):
        return 2 * loss + context.outputs["logits"].astype(jnp.float32).mean(), {}

    transform = identity._replace(apply=judged)
    found = gradients(transform, (), loss, Context(PARAMS, None, BATCH), answering)
    assert found.outputs["answer"].dtype == jnp.int32

    def whole(params):
        outputs = answering(params, BATCH)
        return 2 * loss(outputs, BATCH) + outputs["logits"].astype(jnp.float32).mean()

    expected = jax.grad(whole)(PARAMS)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0.1, atol=0.01), found.gradient, expected
    )


def test_a_step_has_what_si_asks_for():
    transform = si(1.0)
    state = transform.init(PARAMS)
    found = gradients(transform, state, loss_of, Context(PARAMS, None, BATCH), forward)
    after = jax.tree.map(lambda w: w - 0.1, PARAMS)
    path = transform.update(state, found.step(after)).path
    close(path, jax.tree.map(lambda g: 0.1 * g, found.loss_gradient))


@pytest.mark.parametrize(
    ("params", "returned", "message"),
    [
        ({"w": X, "n": jnp.int32(0)}, lambda p: p["w"], r"\['n'\] is int32; pass floating-point"),
        ({"w": X}, lambda p: (p["w"], {}), r"a tuple; return ForwardPass\(outputs, aux="),
        ({"w": X}, None, "forward: missing; give it to gradients, or to Context"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(params, returned, message):
    run = None if returned is None else lambda params, batch: returned(params)
    with pytest.raises((TypeError, ValueError), match=message):
        gradients(identity, (), lambda y, b: y.sum(), Context(params, None, BATCH), run)
