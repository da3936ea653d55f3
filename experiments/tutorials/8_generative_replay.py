# %% [markdown]
# # 8. Generative replay
#
# Replay keeps images. What if none may be kept? *Deep generative replay* (`dgr`, Shin et al. 2017)
# trains a generator beside the network. As a task comes, the generator of the tasks before draws
# images, the old network labels them, and both are mixed with the new images. Then a new generator
# learns from the mixture, too.

# %%
import matplotlib.pyplot as plt
from PIL import Image
from rich.console import Console

import jaxcl
from jaxcl.scenarios.datasets.builtin import digits

# %% [markdown]
# Three tasks of two digits each, and all six compete. The generator is small (dense layers,
# WGAN-GP) and learns for 500 steps a task.

# %%
tasks = jaxcl.split_classes(digits(), 2)[:3]
given = {"setting": "class", "iterations": 300, "console": Console(quiet=True)}
plain = jaxcl.fit(tasks, "finetune", **given)
replay = jaxcl.fit(
    tasks, "dgr", out="runs/dreams", generator_steps=500, generated=2000, resize="keep", **given
)
runs = {"fine-tuning": plain, "generative replay": replay}
for name, result in runs.items():
    print(f"{name:17} average accuracy {result.accuracy[0, -1].mean():.1f} %")

# %%
figure, panels = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained", sharey=True)
for axes, (name, result) in zip(panels, runs.items(), strict=True):
    for task, marker in enumerate("o^s"):
        label = result.tasks[task].replace("digits-", "digits ")
        axes.plot(result.accuracy[0, :, task], marker=marker, label=label)
    axes.set_xticks(range(3), ["first", "second", "third"])
    axes.set(title=name, xlabel="after task", xlim=(-0.3, 2.3), ylim=(-3, 103))
panels[0].set_ylabel("test accuracy (%)")
panels[1].legend(frameon=False, loc="lower left")
plt.show()

# %% [markdown]
# ## What the generator draws
#
# The run's folder has a sheet for each task. On the first, the generator knows 0 and 1. On the
# last it draws all six digits, though it learned 0 to 3 from images that a generator before it
# had drawn. No image of an earlier task was kept.

# %%
figure, panels = plt.subplots(1, 3, figsize=(9.6, 3.6), layout="constrained")
for axes, name in zip(panels, replay.tasks, strict=True):
    axes.imshow(
        Image.open(f"runs/dreams/samples/seed0-{name}-000500.png"),
        cmap="gray",
        interpolation="nearest",
    )
    axes.set_title(f"after {name.replace('digits-', 'digits ')}")
    axes.axis("off")
plt.show()

# %% [markdown]
# ## Does it draw every class?
#
# `quality.kl` says how unevenly the images cover the classes so far (a Kullback-Leibler
# divergence in nats): 0 is even, and log 6 = 1.8 would be one class of six alone.

# %%
for event in replay.history:
    if event.phase == "generator" and "quality.kl" in event.metrics:
        print(f"{replay.tasks[event.task_index]}: {event.metrics['quality.kl']:.4f}")
