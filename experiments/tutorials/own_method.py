r"""Learn with a method of your own: a file outside the package.

    python experiments/tutorials/own_method.py

As a plug-in it is a method like any other, for every command:

    jaxcl sweep --plugin experiments/tutorials/own_method.py --method pull_back \
        --grid strength=0.01,0.1,1
"""

import dataclasses

import jax
import jax.numpy as jnp

import jaxcl
from jaxcl.core.fields import NonNegative, Traced
from jaxcl.transforms import LossTransform, copy, regrow


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
            return {
                "strength": jnp.float32(self.strength),
                "place": copy(params),
                "tasks": jnp.int32(0),
            }

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


if __name__ == "__main__":
    result = jaxcl.fit("split-digits", method=PullBack(0.01), setting="domain", iterations=200)
    print(result)
