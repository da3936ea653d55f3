# %% [markdown]
# # 3. Your own data
#
# A task is a name and four arrays: inputs and labels to train on, inputs and labels to test on.
# The arrays may have any shape. Bytes are divided by 255; floats are taken as they are.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from sklearn.datasets import load_digits, load_wine

import jaxcl

# %% [markdown]
# ## The same question in another place
#
# A laboratory measures 13 properties of 178 wines from 3 growers. A second laboratory measures
# the same wines, and lists the properties backwards. A network is to name the grower for both:
# the classes stay, the inputs change. This is the `domain` setting.

# %%
x, y = load_wine(return_X_y=True)
x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
test = np.arange(len(x)) % 4 == 0
turned = x[:, ::-1].copy()
tasks = [
    jaxcl.Task("here", x[~test], y[~test], x[test], y[test]),
    jaxcl.Task("there", turned[~test], y[~test], turned[test], y[test]),
]

# %% [markdown]
# The first run only fine-tunes; the second one adds elastic weight consolidation (EWC). A quiet
# console leaves out the lines of progress.

# %%
quiet = Console(quiet=True)
settings = {"setting": "domain", "epochs": 20, "batch_size": 20, "console": quiet}
plain = jaxcl.fit(tasks, "finetune", **settings)
held = jaxcl.fit(tasks, jaxcl.methods.EWC(1e4), **settings)
print("fine-tuning", plain.accuracy[0, -1].round(1))
print("EWC        ", held.accuracy[0, -1].round(1))

# %%
figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
for place, (name, result) in enumerate({"fine-tuning": plain, "EWC": held}.items()):
    bars = axes.bar(np.arange(2) + 0.4 * place - 0.2, result.accuracy[0, -1], 0.38, label=name)
    axes.bar_label(bars, fmt="%.0f")
axes.set_xticks(range(2), ["here (learned first)", "there (learned last)"])
axes.set(ylabel="test accuracy (%)", ylim=(0, 110))
axes.legend(loc="lower center", ncols=2, bbox_to_anchor=(0.5, 1), frameon=False)
plt.show()

# %% [markdown]
# ## One data set, class by class
#
# `split_classes` makes tasks of a data set: here five tasks of two digits each. Handwritten
# digits of 8 x 8 pixels are 64 numbers, and dense layers learn them.

# %%
x, y = load_digits(return_X_y=True)
x = (x / 16).astype(np.float32)
test = np.arange(len(x)) % 4 == 0
whole = jaxcl.Task("digits", x[~test], y[~test], x[test], y[test])
tasks = jaxcl.split_classes(whole, 2)
print([task.name for task in tasks])

# %% [markdown]
# `augment` takes a function of a key and a batch. It runs inside the compiled step, in training
# alone. Noise on the pixels is enough to show how.


# %%
def noisy(key, inputs):
    """Adds noise of a standard deviation of 0.05."""
    return inputs + 0.05 * jax.random.normal(key, inputs.shape)


result = jaxcl.fit(tasks, "er", setting="class", augment=noisy, epochs=15, console=quiet)
print("average accuracy", result.accuracy[0, -1].mean().round(1))
print("predicted", result.predict(x[test][:8]), "true", y[test][:8])
result.plot()

# %% [markdown]
# Data that is in files needs no program. `--data` takes an `.npz`, a `.csv` or a folder with a
# folder of images for each class, and `jaxcl.read_data` reads the same from a program:
#
#     jaxcl scenario --data mine.npz --split-classes 2 --setting class --method er
