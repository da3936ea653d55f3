# %% [markdown]
# # 4. Your own network
#
# A network maps inputs to features. jaxcl adds the heads, and one for each task where the task
# is known. Networks of Flax Linen, Flax NNX and Equinox serve as they are; this one is of NNX
# and has batch normalisation.
#
# This file is also a plug-in, and then its network has a name in every command:
#
#     jaxcl scenario --plugin experiments/tutorials/4_your_own_network.py --net small_net \
#         --method select

# %%
from flax import nnx

import jaxcl


class SmallNet(nnx.Module):
    """Two convolutions with batch normalisation; returns features, no logits."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        """Makes the layers."""
        self.conv1 = nnx.Conv(3, width, (3, 3), strides=2, rngs=rngs)
        self.bn1 = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        self.conv2 = nnx.Conv(width, 2 * width, (3, 3), strides=2, rngs=rngs)
        self.bn2 = nnx.BatchNorm(2 * width, momentum=0.9, rngs=rngs)

    def __call__(self, x):
        """Maps images ``[b, 32, 32, 3]`` to features ``[b, 32 width]``."""
        x = nnx.relu(self.bn1(self.conv1(x)))
        x = nnx.relu(self.bn2(self.conv2(x)))
        return nnx.max_pool(x, (2, 2), (2, 2)).reshape(len(x), -1)


# %% [markdown]
# ## Branches
#
# `branches` names the layers that may branch. As a task comes, `select` compares it with the
# earlier ones, layer by layer: it looks at what the layer's channels do on the images of both. If
# the tasks are alike, the new one shares the old layer. If not, the layer gets a new branch.


# %%
@jaxcl.register_network
def small_net(width: int = 16):
    """A small network with batch normalisation."""
    return jaxcl.from_nnx(lambda rngs: SmallNet(width, rngs), branches=("conv1", "conv2"))


# %% [markdown]
# The built-in tasks are handwritten digits, rendered letters and patches of photographs. A
# plug-in is only imported, so what follows is not for it.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt
    import numpy as np

    from jaxcl.scenarios.datasets.builtin import digits

    given = {"epochs": 5, "batch_size": 32, "resize": "bilinear", "out": "runs/branches"}
    result = jaxcl.fit("builtin", "select", small_net(), **given)

# %% [markdown]
# ## Who shares what
#
# `result.routes` says which branch each task runs through; a branch has the name of the task
# that it was made for. `result.summary["similarity"]` has the numbers behind it.

# %%
if __name__ == "__main__":
    tasks, layers = result.tasks, ("conv1", "conv2")
    print(result.routes[0], result.summary["similarity"][0], sep="\n")

    figure, axes = plt.subplots(figsize=(6.4, 3), layout="constrained")
    branch = np.array([[tasks.index(result.routes[0][t][name]) for t in tasks] for name in layers])
    colours = plt.get_cmap("viridis", len(tasks))
    axes.imshow(branch, cmap=colours, vmin=-0.5, vmax=len(tasks) - 0.5, aspect="auto")
    for (layer, task), made in np.ndenumerate(branch):
        text = f"made for\n{tasks[made]}" if made == task else f"shared with\n{tasks[made]}"
        ink = "white" if made < 2 else "black"
        axes.text(task, layer, text, ha="center", va="center", color=ink)
    axes.set_xticks(range(len(tasks)), tasks)
    axes.set_yticks(range(len(layers)), layers)
    axes.set(xlabel="task", ylabel="layer")
    plt.show()

# %% [markdown]
# ## What it keeps
#
# A run keeps no code, so `load` is given the network again. Where each task has a head of its
# own, `predict` is told the task.

# %%
if __name__ == "__main__":
    again, test = jaxcl.load("runs/branches", network=small_net()), digits()
    right = again.predict(test.test_inputs, task="digits") == test.test_labels
    print(f"digits after all three tasks: {right.mean():.1%}")
