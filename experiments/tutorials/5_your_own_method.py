# %% [markdown]
# # 5. Your own method
#
# A method is a class of settings that returns loss transforms. It can stand in a file of your
# own, such as this one. The method here pulls every weight back to where the task before left
# it: it adds `strength * sum |theta - theta_before|` to the loss.
#
# This file is also a plug-in, and then the method has a name in every command:
#
#     jaxcl sweep --plugin experiments/tutorials/5_your_own_method.py --method pull_back \
#         --grid strength=0.01,0.1,1

# %%
import dataclasses

import jax
import jax.numpy as jnp

import jaxcl
from jaxcl.core.fields import NonNegative, Traced
from jaxcl.transforms import LossTransform, copy, regrow

# %% [markdown]
# ## The method
#
# `Traced` says that the strength is a number inside the compiled program, so a sweep trains all
# its values as one. The transform is four functions of a state, which is a tree of arrays:
#
# - `init` makes it from the first parameters;
# - `apply` changes the loss in every step;
# - `begin_task` gives new weights, those of a new head, a place of their own;
# - `end_task` notes where the weights are now.


# %%
@jaxcl.register_method
@dataclasses.dataclass(frozen=True)
class PullBack(jaxcl.methods.Method):
    """Adds ``strength * sum |theta - theta of the task before|``; new weights are free."""

    strength: Traced[NonNegative[float]] = 1.0
    """Weight of the distance."""

    summary = "pull every weight back to where the task before left it"

    def losses(self, stream):
        """Returns what is done to the loss."""

        def init(params):
            place, tasks = copy(params), jnp.int32(0)
            return {"strength": jnp.float32(self.strength), "place": place, "tasks": tasks}

        def apply(loss, state, context):
            far = jax.tree.map(lambda x, a: jnp.abs(x - a).sum(), context.params, state["place"])
            distance = sum(jax.tree.leaves(far))
            weight = jnp.where(state["tasks"] > 0, state["strength"], 0.0)
            return loss + weight * distance, {"distance": distance}

        def begin_task(state, params, task, key):
            return {**state, "place": regrow(state["place"], copy(params))}

        def end_task(state, params, task, key):
            return {**state, "place": copy(params), "tasks": state["tasks"] + 1}, params

        return {"pull": LossTransform(init, apply, begin_task, end_task=end_task)}


# %% [markdown]
# ## Does it help?
#
# The three tasks are the ten digits, with the pixels in another order each time. A plug-in is only
# imported, so what follows is not for it.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt
    from rich.console import Console

    results = {}
    for strength in (0.0, 0.001, 0.03):
        given = {"tasks": 3, "iterations": 200, "console": Console(quiet=True)}
        results[strength] = jaxcl.fit("permuted-digits", PullBack(strength), **given)
        print(results[strength])

# %% [markdown]
# Without the pull, the first task is forgotten. A pull that is too strong leaves no room for
# the later tasks.

# %%
if __name__ == "__main__":
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for (strength, result), marker in zip(results.items(), "o^s", strict=True):
        axes.plot(result.accuracy[0, -1], marker=marker, label=f"strength {strength:g}")
    axes.set_xticks(range(3), ["first", "second", "third"])
    axes.set(xlabel="task", ylabel="test accuracy at the end (%)", ylim=(0, 103))
    axes.legend(frameon=False)
    plt.show()
