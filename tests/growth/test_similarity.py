import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from jaxcl.growth.similarity import (
    Moments,
    bures_similarity,
    cosine_similarity,
    frechet_distance,
    frechet_similarity,
    moments,
)


def relu_rows(seed, n=40, c=5, shift=0.0):
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(size=(n, c)) @ rng.normal(size=(c, c)) + shift, 0)


def test_moments_by_hand():
    found = moments(np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 3.0]]))
    np.testing.assert_allclose(found.mean, [2, 1])
    np.testing.assert_allclose(found.covariance, [[2 / 3, 0], [0, 2]], atol=1e-12)


def test_one_channel_by_hand():
    a, b = Moments(np.array([1.0]), np.array([[4.0]])), Moments(np.array([3.0]), np.array([[1.0]]))
    assert frechet_distance(a, b) == pytest.approx((1 - 3) ** 2 + (2 - 1) ** 2)
    assert frechet_similarity(a, b) == pytest.approx(1 - 5 / (1 + 4 + 9 + 1))


def test_distance_against_the_formula_with_a_general_matrix_root():
    a, b = moments(relu_rows(0)), moments(relu_rows(1, shift=1.0))
    root = sqrtm(sqrtm(a.covariance) @ b.covariance @ sqrtm(a.covariance)).real
    expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 10**6), st.floats(-1, 2))
def test_between_zero_and_one_and_symmetric(seed, shift):
    a, b = moments(relu_rows(seed)), moments(relu_rows(seed + 1, shift=shift))
    value = frechet_similarity(a, b)
    assert -1e-9 <= value <= 1
    assert frechet_similarity(b, a) == pytest.approx(value, abs=1e-9)
    assert value < 1 - 1e-6


@given(st.integers(0, 10**6))
def test_one_for_equal_moments(seed):
    a = moments(relu_rows(seed))
    assert frechet_similarity(a, a) == pytest.approx(1, abs=1e-6)


@given(st.integers(0, 10**6), st.floats(0.1, 10))
def test_the_same_scale_or_rotation_of_both_changes_nothing(seed, scale):
    x, y = relu_rows(seed), relu_rows(seed + 1, shift=0.5)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    value = frechet_similarity(moments(x), moments(y))
    scaled = frechet_similarity(moments(scale * x), moments(scale * y))
    rotated = frechet_similarity(moments(x @ rotation), moments(y @ rotation))
    assert scaled == pytest.approx(value, abs=1e-9)
    assert rotated == pytest.approx(value, abs=1e-9)


def test_silent_layers_are_alike():
    silent = moments(np.zeros((3, 2)))
    assert frechet_similarity(silent, silent) == 1
    assert frechet_similarity(silent, moments(relu_rows(0, c=2))) == pytest.approx(0)


FIDELITIES = [bures_similarity, cosine_similarity]


def second_moment(rows):
    return rows.T @ rows / len(rows)


def test_fidelities_against_their_formulas():
    x, y = relu_rows(0), relu_rows(1, shift=1.0)
    a, b = second_moment(x), second_moment(y)
    root = np.trace(sqrtm(sqrtm(a) @ b @ sqrtm(a)).real)
    expected = root**2 / (np.trace(a) * np.trace(b))
    assert bures_similarity(moments(x), moments(y)) == pytest.approx(expected, rel=1e-6)
    expected = (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())
    assert cosine_similarity(moments(x), moments(y)) == pytest.approx(expected, rel=1e-9)


def test_fidelities_by_hand():
    """Along one axis each: with 60 degrees between them, cos^2 = 1/4 for both."""
    a = Moments(np.array([1.0, 0.0]), np.zeros((2, 2)))
    b = Moments(np.array([1.0, np.sqrt(3)]), np.zeros((2, 2)))
    for similarity in FIDELITIES:
        assert similarity(a, b) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("similarity", FIDELITIES)
@given(st.integers(0, 10**6), st.floats(0.1, 10))
def test_fidelities_do_not_see_scale_or_a_common_rotation(similarity, seed, scale):
    x, y = relu_rows(seed), relu_rows(seed + 1, shift=0.5)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    value = similarity(moments(x), moments(y))
    assert 0 < value < 1
    assert similarity(moments(y), moments(x)) == pytest.approx(value, abs=1e-9)
    assert similarity(moments(scale * x), moments(y)) == pytest.approx(value, abs=1e-9)
    assert similarity(moments(x @ rotation), moments(y @ rotation)) == pytest.approx(
        value, abs=1e-9
    )
    assert similarity(moments(x), moments(scale * x)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("similarity", FIDELITIES)
def test_fidelities_of_silent_layers(similarity):
    silent = moments(np.zeros((3, 5)))
    assert similarity(silent, silent) == 1
    assert similarity(silent, moments(relu_rows(0))) == 0
