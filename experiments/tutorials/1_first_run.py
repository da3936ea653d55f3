# %% [markdown]
# # 1. A first run
#
# A network learns five tasks, one after another: it tells 0 from 1, then 2 from 3, and so on up
# to 8 and 9. It never sees the images of an earlier task again, but for a few that *experience
# replay* (`er`) keeps. In the end it has to tell all ten digits apart: this is the `class`
# setting. The digits come with scikit-learn, so nothing is downloaded.

# %%
import matplotlib.pyplot as plt
import numpy as np

import jaxcl
from jaxcl.experiments import show
from jaxcl.scenarios.datasets.builtin import digits

result = jaxcl.fit("split-digits", "er", setting="class", out="runs/first")
print(result)

# %% [markdown]
# ## The accuracy matrix
#
# `result.accuracy` has an axis for seeds, one for the tasks learned so far and one for the task
# that is tested, in percent. A row of the picture is a moment: the accuracies after that task.
# A column is the life of one task: it starts on the diagonal, and what it loses below is
# forgotten.

# %%
matrix = result.accuracy[0]
figure, axes = plt.subplots(figsize=(6, 4.2), layout="constrained")
drawn = axes.imshow(matrix, vmin=0, vmax=100, cmap="viridis")
for (after, task), value in np.ndenumerate(matrix):
    if not np.isnan(value):  # a task has no accuracy before it is learned
        ink = "black" if value > 50 else "white"
        axes.text(task, after, f"{value:.0f}", ha="center", va="center", color=ink)
names = [name.removeprefix("digits-") for name in result.tasks]
axes.set_xticks(range(5), names)
axes.set_yticks(range(5), names)
axes.set(xlabel="digits that are tested", ylabel="after learning digits")
figure.colorbar(drawn, label="test accuracy (%)")
plt.show()

# %% [markdown]
# ## Two numbers
#
# *Average accuracy* is the mean of the last row. *Forgetting* is how far each earlier task has
# fallen from its best, averaged over these tasks, in points. `result.summary` has both, and the
# lines below compute them again.

# %%
best = np.nanmax(matrix[:-1, :-1], axis=0)
again = {"average_accuracy": matrix[-1].mean(), "forgetting": (best - matrix[-1, :-1]).mean()}
for name, value in again.items():
    print(f"{name}: {value:.1f}; in the summary {result.summary[name]['mean']:.1f}")

# %% [markdown]
# ## The course of training
#
# The run's folder has this picture as `accuracy.png`. A line is a task; it starts when the task
# comes. Replay keeps the lines up. Try `"finetune"` in place of `"er"`, and watch them fall.

# %%
result.plot()

# %% [markdown]
# ## Another day
#
# The folder holds all that was found. `jaxcl.load` reads it, and the network predicts. In the
# class setting classes count over all tasks, so here a class is the digit itself.

# %%
again, test = jaxcl.load("runs/first"), digits()
predicted = again.predict(test.test_inputs)
print(f"{(predicted == test.test_labels).mean():.1%} of {len(predicted)} test images are right")

figure, panels = plt.subplots(2, 6, figsize=(7, 2.8), layout="constrained")
for axes, image, said, true in zip(
    panels.flat, test.test_inputs, predicted, test.test_labels, strict=False
):
    axes.imshow(image, cmap="gray")
    axes.set_title(f"{said}" if said == true else f"{said}, is {true}", fontsize="medium")
    axes.axis("off")
plt.show()

# %% [markdown]
# In a shell, `jaxcl show runs/first` prints the tables of the run again, and with `--html` it
# writes a page. From a program it is:

# %%
show.main(show.read(["runs/first"]))
