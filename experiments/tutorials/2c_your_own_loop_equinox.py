# %% [markdown]
# # 2c. Your own loop: Equinox with a head that grows
#
# The third loop learns by class: digits 0 to 4, then 5 to 9, and in the end all ten compete. The
# head has five outputs at first and ten later. Two transforms work together: replay keeps twenty
# images of each class, and distillation holds on to the old network's answers to the new images
# (Learning without Forgetting, Li & Hoiem 2016).

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits

from jaxcl.transforms import Context, TaskData, chain, distill, gradients, per_class, regrow, replay

x, y = load_digits(return_X_y=True)
x, y = jnp.asarray(x / 16, jnp.float32), jnp.asarray(y, jnp.int32)
rows = [np.flatnonzero(y[:1200] < 5), np.flatnonzero(y[:1200] >= 5)]
tasks = [{"input": x[these], "label": y[these]} for these in rows]


def network(outputs, seed):
    """Two dense layers."""
    return eqx.nn.MLP(64, outputs, width_size=100, depth=1, key=jax.random.key(seed))


# %% [markdown]
# ## Parameters, and the rest
#
# `eqx.partition` takes the module apart: arrays of floating point are the parameters. `regrow`
# puts the old weights into the larger network; rows of the head that are new stay as they are.


# %%
def forward_of(static):
    """Returns ``(params, batch) -> logits [b, outputs]``."""
    return lambda params, batch: jax.vmap(eqx.combine(params, static))(batch["input"])


def loss_of(logits, batch):
    """Returns the mean cross-entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()


def train(transform):
    """Learns both tasks; returns what the network says of the test images, ``[597]``."""
    optimizer = optax.adam(1e-3)

    @eqx.filter_jit
    def step(params, static, opt, state, batch, key):
        context = Context(params, None, batch, key, forward_of(static))
        found = gradients(transform, state, loss_of, context)
        change, opt = optimizer.update(found.gradient, opt, params)
        after = optax.apply_updates(params, change)
        return after, opt, transform.update(state, found.step(after))

    params, static = eqx.partition(network(5, 0), eqx.is_inexact_array)
    state, rng = transform.init(params), np.random.default_rng(0)
    keys = iter(jax.random.split(jax.random.key(1), 900))
    for i, task in enumerate(tasks):
        if i == 1:
            larger, static = eqx.partition(network(10, 2), eqx.is_inexact_array)
            params = regrow(params, larger)
        forward = forward_of(static)
        old = TaskData(task, lambda params, batch, forward=forward: forward(params, batch)[:, :5])
        state = transform.begin_task(state, params, old, next(keys))  # the outputs before it
        opt = optimizer.init(params)
        for _ in range(400):
            rows = rng.integers(len(task["label"]), size=50)
            batch = {name: leaf[rows] for name, leaf in task.items()} | {"index": rows}
            params, opt, state = step(params, static, opt, state, batch, next(keys))
        state, params = transform.end_task(state, params, TaskData(task, forward), next(keys))
    return forward_of(static)(params, {"input": x[1200:]}).argmax(-1)


# %% [markdown]
# ## What is left of the first digits
#
# A row is a digit that is tested, a column what the network calls it. Without the transforms, the
# digits 0 to 4 are called 5 to 9.

# %%
both = chain(distill=distill(1.0), replay=replay(per_class(20)))
figure, panels = plt.subplots(1, 2, figsize=(7.6, 3.6), layout="constrained", sharey=True)
for axes, (name, made) in zip(panels, {"without": chain(), "with both": both}.items(), strict=True):
    said, true = train(made), y[1200:]
    print(f"{name:9}: {100 * float((said == true).mean()):.1f} % of ten digits are right")
    counts = np.histogram2d(true, said, bins=np.arange(11))[0]
    axes.imshow(100 * counts / counts.sum(1, keepdims=True), cmap="viridis", vmin=0, vmax=100)
    axes.set(title=name, xlabel="called", xticks=range(10), yticks=range(10))
panels[0].set_ylabel("digit")
figure.colorbar(panels[1].images[0], ax=panels, label="test images of the digit (%)")
plt.show()
