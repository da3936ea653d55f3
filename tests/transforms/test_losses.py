import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxcl.transforms.objectives.losses import cross_entropy, distillation, soft_cross_entropy

LOGITS = jnp.array([0.5, -1.0, 2.0, 0.0])
TEACHER = jnp.array([2.0, 0.0, -1.0, 0.3])


def test_cross_entropy_by_hand():
    loss = cross_entropy(jnp.log(jnp.array([0.2, 0.3, 0.5])), jnp.int32(1))
    np.testing.assert_allclose(loss, -np.log(0.3), rtol=1e-6)


def test_soft_cross_entropy_of_a_one_hot_target_is_cross_entropy():
    target = jax.nn.one_hot(2, 4)
    chex.assert_trees_all_close(
        soft_cross_entropy(LOGITS, target), cross_entropy(LOGITS, jnp.int32(2)), rtol=1e-6
    )


@given(st.floats(0.5, 8.0), st.lists(st.floats(-4, 4), min_size=4, max_size=4))
def test_distillation_softens_probabilities_to_the_power_one_over_t(temperature, logits):
    def soften(x):
        powers = np.asarray(jax.nn.softmax(x), np.float64) ** (1 / temperature)
        return powers / powers.sum()

    new = jnp.array(logits, jnp.float32)
    expected = -np.sum(soften(TEACHER) * np.log(soften(new)))
    loss = distillation(new, TEACHER, jnp.float32(temperature))
    np.testing.assert_allclose(loss, expected, rtol=2e-4)


def test_distillation_is_least_at_the_teacher():
    gradient = jax.grad(distillation)(TEACHER, TEACHER, jnp.float32(2.0))
    np.testing.assert_allclose(gradient, 0, atol=1e-7)
    assert distillation(LOGITS, TEACHER, jnp.float32(2.0)) > distillation(
        TEACHER, TEACHER, jnp.float32(2.0)
    )


def test_distillation_gradient_against_finite_differences():
    with jax.enable_x64(True):
        x, y = jnp.array([0.5, -1.0, 2.0]), jnp.array([1.0, 0.2, -0.3])

        def loss(x):
            return distillation(jnp.asarray(x), y, jnp.float64(2.0))

        check_grads(loss, (x,), order=2, modes=["rev"])


@pytest.mark.parametrize("shape", [(2, 4), ()])
def test_a_batch_is_refused(shape):
    with pytest.raises(Exception, match=r"rank|shape|violat|type"):
        cross_entropy(jnp.zeros(shape), jnp.int32(0))


def test_a_label_of_no_class_has_no_loss():
    """An index would wrap round, or be clamped, and the last class be learned."""
    logits = jnp.array([1.0, 2.0, 5.0])
    found = jnp.array([cross_entropy(logits, jnp.int32(label)) for label in (-1, 0, 2, 3)])
    np.testing.assert_array_equal(jnp.isnan(found), [True, False, False, True])
