"""L2-SP: every weight is pulled to where the task before left it."""

import dataclasses

from jaxcl.core.fields import NonNegative, Traced
from jaxcl.methods.base import Penalty, StreamInfo


@dataclasses.dataclass(frozen=True)
class L2SP(Penalty):
    """Adds ``strength/2 * sum (theta - theta of the task before)^2``; new weights are free."""

    strength: Traced[NonNegative[float]] = 0.1
    """Weight of half the squared distance."""

    summary = "L2-SP: pull every weight to where the task before left it"
    paper = "Li, Grandvalet & Davoine 2018"

    def losses(self, stream: StreamInfo) -> dict:
        """Returns the pull; a weight that no task has left yet has NaN for its place."""
        import jax
        import jax.numpy as jnp

        from jaxcl.transforms import LossTransform, copy, regrow
        from jaxcl.transforms.objectives.base import wide

        def nowhere(params):
            return jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), params)

        def apply(loss, state, context):
            own = jax.lax.stop_gradient(context.params)
            place = jax.tree.map(lambda a, x: jnp.where(jnp.isnan(a), x, a), state[1], own)
            far = jax.tree.map(
                lambda x, a: jnp.sum((wide(x) - wide(a)) ** 2), context.params, place
            )
            half = jnp.asarray(sum(jax.tree.leaves(far)) / 2, jnp.float32)
            return loss + state[0] * half, {"half": half}

        init = lambda params: (jnp.float32(self.strength), nowhere(params))  # noqa: E731
        begin = lambda s, params, task, key: (s[0], regrow(s[1], nowhere(params)))  # noqa: E731
        end = lambda s, params, task, key: ((s[0], copy(params)), params)  # noqa: E731
        return {"l2_sp": LossTransform(init, apply, begin, end_task=end)}
