"""What the network before the task says of new examples and of exemplars beside them."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.transforms import Context
from jaxcl.transforms.base import Beside
from jaxcl.transforms.old_responses import NO_OLD, Old, answers, of_both

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


def test_statistics_of_the_old_network_are_not_left_out():
    """Without a teacher its weights would run with the statistics of now."""
    here = context(Beside(KEPT, {}))._replace(teacher=None, forward=lambda w, b: heads(w, 0.0, b))
    old = Old(None, {"params": jnp.float32(10), "stats": {"mean": jnp.float32(1)}})
    with pytest.raises(ValueError, match=r"^teacher: missing, .*; give Context\(..., teacher="):
        of_both(old, here, "said")
    with pytest.raises(ValueError, match=r"^teacher: missing"):
        answers(old.teacher, here)


@pytest.mark.parametrize("stats", [{}, {"stats": {}}, {"stats": ()}])
def test_a_network_without_statistics_is_asked_by_forward_and_without_a_key(stats):
    here = context(None)._replace(teacher=None, forward=lambda w, b: heads(w, 0.0, b))
    assert here.key is None
    old = {"params": jnp.float32(10), **stats}
    assert answers(old, here)["first"].tolist() == [[10], [20]]
    with pytest.raises(ValueError, match=r"context: this transform asks .*; give forward"):
        answers(old, here._replace(forward=None))
