# %% [markdown]
# # 7. Many seeds and strengths
#
# One run says little: another seed gives another number. jaxcl trains many networks as one
# compiled program (`jax.vmap`), whether they differ in the seed or in a number such as a strength.
# A GPU does this by itself; on a CPU `together` says how many.

# %%
import time

import matplotlib.pyplot as plt
from rich.console import Console

import jaxcl
from jaxcl.experiments import sweep

# %% [markdown]
# ## Sixteen seeds
#
# Three tasks: digits, with the pixels in another order each time. EWC learns them sixteen times.
# The first call trains one network after the other, the second one all at once. The results are
# the same up to rounding; the seconds are not.

# %%
given = {"tasks": 3, "iterations": 100, "seeds": range(16), "console": Console(quiet=True)}
ewc, small = jaxcl.methods.EWC(100.0), jaxcl.networks.MLP((100,))
for together in (1, 16):
    began = time.perf_counter()
    result = jaxcl.fit("permuted-digits", ewc, small, together=together, **given)
    mean, error = (result.summary["average_accuracy"][name] for name in ("mean", "sem"))
    seconds = time.perf_counter() - began
    print(f"{together:2} together: {mean:.2f} ± {error:.2f} % (standard error) in {seconds:.0f} s")

# %%
averages = result.accuracy[:, -1].mean(1)  # [seed]
figure, axes = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
axes.hist(averages, bins=10, color="C0", edgecolor="white")
axes.axvline(averages.mean(), color="black", linestyle="--", label="mean")
axes.set(xlabel="average accuracy of a seed (%)", ylabel="seeds")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Sixteen seeds of five strengths
#
# Which strength is best? `jaxcl sweep` tries a grid. Five strengths and sixteen seeds are eighty
# networks, and they are one program too. In a shell this is
#
#     jaxcl sweep --scenario permuted-digits --method ewc --seeds 0..15 --together 80 \
#         --grid strength=1:10000:5 ...
#
# A sweep judges by images held out from training, so that the test set stays untouched.

# %%
words = "--scenario permuted-digits --method ewc --net mlp --hidden 100 --tasks 3 --iterations 100"
words += " --together 80 --grid strength=1:10000:5 --out runs/strengths --seeds"
sweep.main(sweep.read([*words.split(), *map(str, range(16))]))

# %% [markdown]
# ## All eighty
#
# Each point is a run in its folder. A dot is a network; the line goes through the means. Too weak a
# penalty forgets the first task, too strong a one does not learn the last, and the spread of the
# seeds says which differences are real.

# %%
strengths = [1, 10, 100, 1000, 10000]
runs = [jaxcl.load(f"runs/strengths/strength={strength}") for strength in strengths]
figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for task, what, marker in ((0, "first task", "o"), (2, "last task", "^")):
    found = [run.accuracy[:, -1, task] for run in runs]  # for each strength [seed]
    colour = f"C{task // 2}"
    for strength, values in zip(strengths, found, strict=True):
        axes.plot([strength] * 16, values, marker, color=colour, alpha=0.35, markersize=4)
    axes.plot(strengths, [values.mean() for values in found], color=colour, label=what)
means = [run.accuracy[:, -1].mean() for run in runs]
axes.plot(strengths, means, "k--", label="average of all three")
axes.set(xscale="log", xlabel="strength", ylabel="accuracy at the end (%)")
axes.legend(frameon=False)
plt.show()
print("best strength", strengths[means.index(max(means))])
