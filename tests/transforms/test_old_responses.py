"""What the network before the task says of new examples and of exemplars beside them."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.transforms import Context
from jaxcl.transforms.base import Beside
from jaxcl.transforms.old_responses import NO_OLD, Old, of_both

BATCH = {"x": jnp.array([1.0, 2.0]), "task": jnp.array([1, 1]), "index": jnp.array([2, 0])}
KEPT = {"x": jnp.array([3.0]), "task": jnp.array([0]), "said": jnp.array([[7.0]])}


def heads(params, stats, batch):
    """The old network: it has the head of the first task alone."""
    return {"first": params * batch["x"][:, None] + stats}


def own(outputs, batch):
    """The head of the task that an example belongs to."""
    return jnp.where(batch["task"][:, None] == 0, outputs["first"], outputs["second"])


def context(beside):
    new = {name: jnp.ones((2, 1)) for name in ("first", "second")}
    return Context(None, new, BATCH, logits=own, teacher=heads, beside=beside)


def test_what_was_recorded_is_looked_up():
    old = Old(jnp.array([[4.0], [5.0], [6.0]]), {})
    new, kept = of_both(old, context(Beside(KEPT, {})), "said")
    assert new.tolist() == [[6], [4]]
    assert kept.tolist() == [[7]]
    assert of_both(NO_OLD, context(None), "said") == (None, None)


def test_a_network_is_asked_about_both_and_heads_that_came_later_are_not_looked_at():
    old = Old(None, {"params": jnp.float32(10), "stats": jnp.float32(1)})
    new, kept = of_both(old, context(Beside(KEPT, {})), "said")
    assert kept.tolist() == [[31]]
    assert new.shape == (2, 1)
    new, kept = of_both(
        old, context(Beside(KEPT, {})), "said", lambda passed, batch: passed.outputs["first"]
    )
    np.testing.assert_array_equal(jnp.concatenate([new, kept]), [[11], [21], [31]])
    with pytest.raises(ValueError, match="examples pass beside the batch; take gradients"):
        of_both(old, context(None), "said")
