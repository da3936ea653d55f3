"""The fit against SciPy's, closed forms, and slopes by differences in float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from jaxcl.transforms.recency_bias.linear_correction import corrected, fitted, widened

CLASSES = 5
OWN = np.array([False, False, True, False, True])


def case(seed, n=60, scale=2.0):
    rng = np.random.default_rng(seed)
    labels = np.resize(np.arange(CLASSES), n)
    return (scale * rng.normal(size=(n, CLASSES)) + np.eye(CLASSES)[labels]), labels


def loss(pair, z, labels, ridge):
    q = np.where(OWN, pair[0] * z + pair[1], z)
    right = logsumexp(q, axis=1) - q[np.arange(len(q)), labels]
    return right.mean() + ridge / 2 * ((pair[0] - 1) ** 2 + pair[1] ** 2)


def fit(z, labels, ridge, own=OWN):
    given = jnp.asarray(z, jnp.float32), jnp.asarray(labels, jnp.int32)
    return np.asarray(fitted(*given, jnp.asarray(own), jnp.float32(ridge)), float)


@pytest.mark.parametrize("bias", [0.0, 4.0, -30.0])
def test_it_is_the_minimum_that_another_program_finds(bias):
    """Also where new classes are far above or below the old ones, and steps are halved."""
    for seed, ridge in ((0, 1e-3), (1, 1e-1)):
        z, labels = case(seed)
        z = z + bias * OWN
        found = fit(z, labels, ridge)
        best = minimize(loss, [1.0, 0.0], (z, labels, ridge), "Nelder-Mead", tol=1e-10)
        np.testing.assert_allclose(found, best.x, rtol=1e-3, atol=2e-4)
        step = 1e-5 * np.eye(2)
        slope = [
            loss(found + h, z, labels, ridge) - loss(found - h, z, labels, ridge) for h in step
        ]
        np.testing.assert_allclose(np.divide(slope, 2e-5), 0, atol=1e-4)


def test_logits_that_say_nothing_are_shifted_to_the_log_odds():
    labels = np.repeat([0, 1], [3, 9])
    found = fit(np.zeros((12, 2)), labels, 1e-7, np.array([False, True]))
    np.testing.assert_allclose(found, [1, np.log(9 / 3)], rtol=1e-4)


def test_a_bias_is_taken_away_again():
    """Labels have the probabilities that the logits say: every example once for each label."""
    z, _ = case(2, n=8)
    p = np.exp(z - logsumexp(z, axis=1, keepdims=True))
    copies = np.round(500 * p).astype(int)
    rows, labels = np.nonzero(copies)
    rows, labels = (np.repeat(x, copies[rows, labels]) for x in (rows, labels))
    found = fit(np.where(OWN, 2 * z - 3, z)[rows], labels, 1e-7)
    np.testing.assert_allclose(found, [1 / 2, 3 / 2], atol=1e-2)


def test_examples_that_are_told_apart_have_a_finite_fit():
    z, labels = 30 * np.eye(CLASSES), np.arange(CLASSES)
    assert np.all(np.isfinite(fit(z, labels, 1e-3)))
    np.testing.assert_allclose(fit(z, labels, 1e-3), [1, 0], atol=1e-3)
    far = fit(0.1 * z, labels, 1e-6)
    assert 1 < far[0] < 100


def test_only_classes_with_a_correction_have_other_logits():
    z = jnp.asarray(case(3)[0], jnp.float32)
    np.testing.assert_array_equal(corrected(z, None), z)
    same = widened(None, CLASSES)
    np.testing.assert_array_equal(same, [[1.0] * CLASSES, [0.0] * CLASSES])
    np.testing.assert_array_equal(corrected(z, same), z)
    other = corrected(z, same.at[:, 2].set(jnp.array([0.5, 3.0])))
    np.testing.assert_array_equal(np.delete(other, 2, 1), np.delete(z, 2, 1))
    np.testing.assert_allclose(other[:, 2], 0.5 * np.asarray(z[:, 2]) + 3, rtol=1e-6)
    narrow = corrected(z[:, :1], same.at[:, 0].set(jnp.array([2.0, 1.0])))
    np.testing.assert_allclose(narrow, 2 * np.asarray(z[:, :1]) + 1, rtol=1e-6)
