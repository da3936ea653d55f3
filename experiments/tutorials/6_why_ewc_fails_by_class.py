# %% [markdown]
# # 6. Why EWC fails by class
#
# Elastic weight consolidation (EWC, Kirkpatrick et al. 2017) is a penalty: it holds the weights
# that mattered for earlier tasks. Two digits come at a time. The method is the same in two runs:
#
# - `task`: the test says which pair a digit is of, and each pair has a head of its own;
# - `class`: the test says nothing, and all ten digits compete.

# %%
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

import jaxcl
from jaxcl.scenarios.datasets.builtin import digits

given = {"iterations": 200, "console": Console(quiet=True)}
by_task = jaxcl.fit("split-digits", "ewc", setting="task", **given)
by_class = jaxcl.fit("split-digits", "ewc", setting="class", **given)
replay = jaxcl.fit("split-digits", "er", setting="class", **given)
runs = {"EWC, by task": by_task, "EWC, by class": by_class, "replay, by class": replay}
for name, result in runs.items():
    print(f"{name:17} average accuracy {result.accuracy[0, -1].mean():.1f} %")

# %%
figure, panels = plt.subplots(1, 3, figsize=(9.6, 3.4), layout="constrained", sharey=True)
pairs = [name.removeprefix("digits-") for name in by_task.tasks]
for axes, (name, result) in zip(panels, runs.items(), strict=True):
    drawn = axes.imshow(result.accuracy[0], vmin=0, vmax=100, cmap="viridis")
    for (after, task), value in np.ndenumerate(result.accuracy[0]):
        if not np.isnan(value):
            ink = "black" if value > 50 else "white"
            axes.text(task, after, f"{value:.0f}", ha="center", va="center", color=ink)
    axes.set(title=name, xlabel="digits that are tested")
    axes.set_xticks(range(5), pairs)
    axes.set_yticks(range(5), pairs)
panels[0].set_ylabel("after learning digits")
figure.colorbar(drawn, ax=panels, label="test accuracy (%)", shrink=0.8)
plt.show()

# %% [markdown]
# ## The newest digits take all
#
# By class, the newest pair is at nearly 100 % and all others at 0. Where do the old digits go?

# %%
test = digits()
labels, old = test.test_labels, test.test_labels < 8
said = by_class.predict(test.test_inputs)
print(f"{(said[old] >= 8).sum()} of {old.sum()} test images of 0 to 7 are called 8 or 9")

# %% [markdown]
# ## The old knowledge is still there
#
# Look at the logits, but only at those of a digit's own pair: a mask hides the other eight. Now
# the same network, with the same weights, tells the digits apart.

# %%
logits = by_class.logits(test.test_inputs)
own = np.arange(10) // 2 == labels[:, None] // 2
masked = np.where(own, logits, -np.inf).argmax(1)
print(f"no mask: {(said == labels).mean():.1%}; with the mask: {(masked == labels).mean():.1%}")

# %% [markdown]
# ## Why they win
#
# So EWC kept what it promises to keep: what tells 0 from 1. But nothing ever told 0 from 8. While
# the network learns 8 and 9, every label is 8 or 9, so the loss falls when the logits of 8 and 9
# rise for *any* image. The weights to these logits are new: no penalty holds them, and no image
# of a 0 says that they rise too far. The picture has the mean logits: for EWC a staircase, in
# which every pair lies above the pairs before it. A larger strength does not help, as the second
# cell shows: it holds old logits where they are, and new ones still rise above them.

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
for axes, name in zip(panels, ("EWC, by class", "replay, by class"), strict=True):
    found = runs[name].logits(test.test_inputs)
    mean = np.array([found[labels == digit].mean(0) for digit in range(10)])
    mean -= mean.max(1, keepdims=True)  # softmax sees differences alone
    drawn = axes.imshow(mean, cmap="cividis", vmin=-60, vmax=0)
    axes.set(title=name, xlabel="logit of digit", xticks=range(10), yticks=range(10))
panels[0].set_ylabel("test images of digit")
figure.colorbar(drawn, ax=panels, label="mean logit, below the row's largest")
plt.show()

# %%
for strength in (1e3, 1e12):
    method = jaxcl.methods.EWC(strength)
    result = jaxcl.fit("split-digits", method, setting="class", **given)
    print(f"strength {strength:.0e}: average accuracy {result.accuracy[0, -1].mean():.1f} %")

# %% [markdown]
# A method for the class setting has to show the network old and new classes together. Replay
# does: twenty kept images of each class are enough to bring the bright cells back to the diagonal.
