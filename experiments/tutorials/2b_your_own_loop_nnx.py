# %% [markdown]
# # 2b. Your own loop: Flax NNX with batch normalisation
#
# Batch normalisation has running statistics, which travel beside the parameters. The transform is
# *experience replay*: it keeps ten images of each class, and trains on them, too. The two tasks
# are those of 2a.

# %%
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits

from jaxcl.transforms import Context, ForwardPass, TaskData, chain, gradients, per_class, replay

x, y = load_digits(return_X_y=True)
x, y = (x / 16).astype(np.float32), y.astype(np.int32)
inputs = [x, x[:, np.random.default_rng(0).permutation(64)]]  # as they are; in another order


class Net(nnx.Module):
    """Two dense layers with batch normalisation."""

    def __init__(self, rngs):
        """Makes the layers."""
        self.hidden, self.norm = nnx.Linear(64, 100, rngs=rngs), nnx.BatchNorm(100, rngs=rngs)
        self.out = nnx.Linear(100, 10, rngs=rngs)

    def __call__(self, x):
        """Maps pixels ``[b, 64]`` to logits ``[b, 10]``."""
        return self.out(nnx.relu(self.norm(self.hidden(x))))


# %% [markdown]
# `nnx.split` takes the module apart, and each call puts it together again, with `copy=True`: its
# variables are its own. In training it returns new statistics as `aux`; a test uses the old ones.

# %%
graph, first, rest = nnx.split(Net(nnx.Rngs(0)), nnx.Param, ...)


def forward_with(rest, train=False) -> Any:
    """Returns ``(params, batch) -> logits [b, 10]``; in training a pass with new statistics."""

    def forward(params, batch):
        net = nnx.merge(graph, params, rest, copy=True)
        net.train() if train else net.eval()
        logits = net(batch["x"])
        return ForwardPass(logits, aux=nnx.state(net, nnx.Not(nnx.Param))) if train else logits

    return forward


# %%
def train(transform):
    """Learns both tasks; returns the test accuracies (%) after each, ``[after, task]``."""
    optimizer = optax.adam(1e-3)

    def loss_of(logits, batch):
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()

    @jax.jit
    def step(params, stats, opt, state, batch, key):
        # Replay draws images with the key; `gradients` hands the new statistics on as `aux`.
        context = Context(params, None, batch, key, forward_with(stats))
        found = gradients(transform, state, loss_of, context, forward_with(stats, train=True))
        change, opt = optimizer.update(found.gradient, opt, params)
        return optax.apply_updates(params, change), found.aux, opt

    params, stats, state, table = first, rest, transform.init(first), []
    rng, keys = np.random.default_rng(0), iter(jax.random.split(jax.random.key(1), 900))
    for task in ({"x": x[:1200], "label": y[:1200]} for x in inputs):
        told = TaskData(task, forward_with(stats))
        state, opt = transform.begin_task(state, params, told, next(keys)), optimizer.init(params)
        for _ in range(400):
            rows = rng.integers(1200, size=50)
            batch = {"x": task["x"][rows], "label": task["label"][rows], "index": rows}
            params, stats, opt = step(params, stats, opt, state, batch, next(keys))
        forward = forward_with(stats)
        state, params = transform.end_task(state, params, TaskData(task, forward), next(keys))
        said = [forward(params, {"x": x[1200:]}).argmax(-1) for x in inputs]
        table.append([100 * float((each == y[1200:]).mean()) for each in said])
    return np.array(table)


# %%
for name, made in {"without": chain(), "with replay": replay(per_class(10))}.items():
    table = train(made)
    plt.plot(["after task 1", "after task 2"], table[:, 0], marker="o", label=name)
    print(f"{name:11}: first task {table[1, 0]:.1f} %, second task {table[1, 1]:.1f} %")
plt.gca().set(ylabel="test accuracy of task 1 (%)", ylim=(0, 103))
plt.legend(frameon=False)
plt.show()
