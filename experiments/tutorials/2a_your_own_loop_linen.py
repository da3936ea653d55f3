# %% [markdown]
# # 2a. Your own loop: Flax Linen
#
# One transform goes into a training loop that you already have, as an optax transformation does.
# Here it is elastic weight consolidation (EWC, Kirkpatrick et al. 2017): a penalty that holds the
# weights that mattered for an earlier task.

# %%
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import linen
from sklearn.datasets import load_digits

from jaxcl.transforms import Context, TaskData, ewc

# %% [markdown]
# Two tasks, dictionaries of arrays: digits of 8 x 8 pixels, and the pixels in another order.

# %%
x, y = load_digits(return_X_y=True)
x, y = (x / 16).astype(np.float32), y.astype(np.int32)
order = np.random.default_rng(0).permutation(64)
tasks = [{"x": x[:1200], "label": y[:1200]}, {"x": x[:1200, order], "label": y[:1200]}]
tests = [x[1200:], x[1200:, order]]


class Net(linen.Module):
    """Two dense layers."""

    @linen.compact
    def __call__(self, x):
        """Maps pixels ``[b, 64]`` to logits ``[b, 10]``."""
        return linen.Dense(10)(linen.relu(linen.Dense(100)(x)))


net, optimizer = Net(), optax.adam(1e-3)


def forward(params, batch) -> Any:
    """Returns the logits of a batch."""
    return net.apply({"params": params}, batch["x"])


# %% [markdown]
# ## The loop
#
# A transform is told when a task begins and ends, and changes the loss in between. Its state is
# an argument of the compiled step, like the optimiser's.


# %%
def train(transform):
    """Learns both tasks; returns the test accuracies (%), ``[step, task]``."""

    @jax.jit
    def step(params, opt, state, batch):
        def loss_of(params):
            logits = forward(params, batch)
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()
            return transform.apply(loss, state, Context(params, logits, batch))

        gradient, metrics = jax.grad(loss_of, has_aux=True)(params)
        change, opt = optimizer.update(gradient, opt, params)
        return optax.apply_updates(params, change), opt, metrics

    params, rng = net.init(jax.random.key(0), x[:1])["params"], np.random.default_rng(0)
    state, keys, history = transform.init(params), iter(jax.random.split(jax.random.key(1), 4)), []
    for task in tasks:
        state = transform.begin_task(state, params, TaskData(task, forward), next(keys))
        opt = optimizer.init(params)
        for i in range(400):
            rows = rng.integers(1200, size=50)
            batch = {"x": task["x"][rows], "label": task["label"][rows], "index": rows}
            params, opt, _ = step(params, opt, state, batch)
            if i % 20 == 19:
                said = [forward(params, {"x": x}).argmax(-1) for x in tests]
                history.append([100 * float((each == y[1200:]).mean()) for each in said])
        state, params = transform.end_task(state, params, TaskData(task, forward), next(keys))
    return np.array(history)


# %%
results = {"without": train(ewc(0.0)), "with EWC": train(ewc(100.0))}
figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (name, history), style in zip(results.items(), ("--", "-"), strict=True):
    print(f"{name:8}: first task {history[-1, 0]:.1f} %, second task {history[-1, 1]:.1f} %")
    for task, colour in enumerate(("C0", "C1")):
        known = slice(20 * task, None)  # from when it is learned
        steps = 20 * np.arange(1, len(history) + 1)[known]
        label = f"task {task + 1}, {name}"
        axes.plot(steps, history[known, task], style, color=colour, label=label)
axes.axvline(400, color="0.6", linewidth=0.8)
axes.set(xlabel="step (the second task begins at 400)", ylabel="test accuracy (%)", ylim=(0, 103))
axes.legend(frameon=False)
plt.show()
