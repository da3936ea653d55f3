"""Measures of plasticity in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.transforms.plasticity.measures import (
    dormant_fraction,
    effective_rank,
    is_dormant,
    mean_activity,
    weight_rms,
)

RNG = np.random.default_rng(0)


def rotation(n):
    return np.linalg.qr(RNG.normal(size=(n, n)))[0]


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_rank_of_the_identity_is_its_size_and_that_of_a_product_is_one(n):
    assert effective_rank(np.eye(n)) == pytest.approx(n)
    assert effective_rank(np.outer(RNG.normal(size=5), RNG.normal(size=n))) == pytest.approx(1)


def test_the_rank_of_given_singular_values_by_hand():
    """3, 1 and 0: exp of the entropy of (3/4, 1/4), whatever the bases and the scale."""
    values = np.zeros((4, 3))
    values[0, 0], values[1, 1] = 3, 1
    expected = (3 / 4) ** (-3 / 4) * (1 / 4) ** (-1 / 4)
    for scale in (1.0, 1e-6, 1e6):
        x = scale * rotation(4) @ values @ rotation(3)
        assert effective_rank(x) == pytest.approx(expected, rel=1e-6)
        assert effective_rank(x.T) == pytest.approx(expected, rel=1e-6)
    assert effective_rank(np.zeros((4, 3))) is None


def test_activity_is_a_mean_over_examples_and_positions():
    h = RNG.normal(size=(2, 3, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(mean_activity(jnp.asarray(h)), np.abs(h).mean((0, 1, 2)), rtol=1e-5)
    assert mean_activity(jnp.ones((3, 2), jnp.bfloat16)).dtype == jnp.float32


def test_dormant_units_by_hand():
    """Scores of (8, 2, 1, 1) are 8/3, 2/3, 1/3, 1/3: the mean unit of the layer has 1."""
    activity = jnp.array([8.0, 2.0, 1.0, 1.0])
    for tau, expected in ((0.0, 0), (0.3, 0), (1 / 3, 2), (0.7, 3), (3.0, 4)):
        assert int(is_dormant(activity, tau).sum()) == expected
        # A unit is measured by its layer, so one of them may be scaled.
        assert int(is_dormant(16 * activity, tau).sum()) == expected
    assert is_dormant(jnp.zeros(3), 0.0).all()


def test_the_fraction_is_one_of_units_and_not_of_layers():
    found = {"a": jnp.array([1.0, 0.0, 1.0, 1.0]), "b": jnp.array([0.0, 1000.0])}
    assert dormant_fraction(found, 0.0) == pytest.approx(2 / 6)
    assert dormant_fraction({"b": 1e6 * found["b"], "a": found["a"]}) == pytest.approx(2 / 6)
    assert dormant_fraction({}) is None


def test_the_size_of_the_weights_is_over_all_of_them():
    params = {"w": jnp.full((2, 3), 2.0), "b": {"c": jnp.array([4.0, 0.0])}}
    assert weight_rms(params) == pytest.approx(((6 * 4 + 16) / 8) ** 0.5)
