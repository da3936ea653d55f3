"""The transform in other people's loops: nothing of jaxcl but ``jaxcl.transforms``.

Each loop learns task A (sign of x0), then task B (sign of x1) with two heads,
with and without distillation; the old head's answers must change less with it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from jaxcl.transforms import Context, TaskData, distill

N, BATCH, STEPS = 128, 32, 60
X = jnp.asarray(np.random.default_rng(0).normal(size=(N, 4)), jnp.float32)
LABELS = {"a": jnp.asarray(X[:, 0] > 0, jnp.int32), "b": jnp.asarray(X[:, 1] > 0, jnp.int32)}


def plain_dict():
    k = jax.random.split(jax.random.key(0), 3)
    shapes = {"hidden": (4, 16), "a": (16, 2), "b": (16, 2)}
    params = {n: jax.random.normal(k, s) * 0.4 for k, (n, s) in zip(k, shapes.items(), strict=True)}

    def forward(params, batch):
        hidden = jnp.tanh(batch["x"] @ params["hidden"])
        return {"a": hidden @ params["a"], "b": hidden @ params["b"]}

    return params, forward


def flax_linen():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            hidden = linen.tanh(linen.Dense(16)(x))
            return {"a": linen.Dense(2)(hidden), "b": linen.Dense(2)(hidden)}

    net = Net()
    return net.init(jax.random.key(0), X), lambda params, batch: net.apply(params, batch["x"])


def flax_nnx():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.hidden = nnx.Linear(4, 16, rngs=rngs)
            self.a = nnx.Linear(16, 2, rngs=rngs)
            self.b = nnx.Linear(16, 2, rngs=rngs)

        def __call__(self, x):
            hidden = nnx.tanh(self.hidden(x))
            return {"a": self.a(hidden), "b": self.b(hidden)}

    graph, params = nnx.split(Net(nnx.Rngs(0)), nnx.Param)
    return params, lambda params, batch: nnx.merge(graph, params)(batch["x"])


def equinox():
    class Net(eqx.Module):
        hidden: eqx.nn.Linear
        a: eqx.nn.Linear
        b: eqx.nn.Linear

        def __call__(self, x):
            hidden = jnp.tanh(self.hidden(x))
            return {"a": self.a(hidden), "b": self.b(hidden)}

    k = jax.random.split(jax.random.key(0), 3)
    net = Net(
        *(eqx.nn.Linear(*s, key=k) for k, s in zip(k, [(4, 16), (16, 2), (16, 2)], strict=True))
    )
    params, static = eqx.partition(net, eqx.is_array)
    return params, lambda params, batch: jax.vmap(eqx.combine(params, static))(batch["x"])


def train(params, forward, transform):
    """Two tasks with one compiled step; the old head's logits before and after the second."""
    optimizer = optax.adam(1e-2)

    @jax.jit
    def step(params, opt, state, batch, head):
        def loss_of(params):
            outputs = forward(params, batch)
            logits = jnp.where(head == 0, outputs["a"], outputs["b"])
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"])
            return transform.apply(losses.mean(), state, Context(params, outputs, batch))

        gradient, metrics = jax.grad(loss_of, has_aux=True)(params)
        change, opt = optimizer.update(gradient, opt, params)
        return optax.apply_updates(params, change), opt, metrics

    state, key, kept = transform.init(params), jax.random.key(1), []
    for head, name in enumerate("ab"):
        kept.append(forward(params, {"x": X})["a"])
        data = {"x": X, "y": LABELS[name]}
        task = TaskData(data, lambda p, b: {"a": forward(p, b)["a"]})
        state = transform.begin_task(state, params, task, key)
        opt = optimizer.init(params)
        for i in range(STEPS):
            rows = (jnp.arange(BATCH) + i * BATCH) % N
            batch = {"x": data["x"][rows], "y": data["y"][rows], "index": rows}
            params, opt, _ = step(params, opt, state, batch, head)
        state, _ = transform.end_task(state, params, task, key)
    outputs = forward(params, {"x": X})
    learned = {n: float((outputs[n].argmax(-1) == LABELS[n]).mean()) for n in "ab"}
    return float(jnp.abs(outputs["a"] - kept[1]).mean()), learned


@pytest.mark.parametrize("library", [plain_dict, flax_linen, flax_nnx, equinox])
def test_distillation_keeps_the_old_answers(library):
    params, forward = library()
    drift, learned = train(params, forward, distill(10.0, 2.0))
    plain_drift, plain_learned = train(params, forward, distill(0.0))
    assert drift < 0.5 * plain_drift
    assert learned["a"] >= 0.9
    assert learned["b"] >= 0.9
    assert plain_learned["b"] >= 0.9
