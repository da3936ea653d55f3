import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxcl.growth.representations import cka, rsa, svcca

ALL = [cka, rsa, svcca]


def responses(seed, n=30, units=6):
    return np.random.default_rng(seed).normal(size=(n, units))


def rotation(seed, n=6):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


def test_cka_against_sums_over_distinct_examples():
    """The unbiased HSIC is a mean over four (three, two) examples that are all different."""
    x, y = responses(0, n=7), responses(1, n=7, units=3)
    k, m = x @ x.T, y @ y.T

    def hsic(k, m):
        places = range(7)
        pairs = np.mean([k[i, j] * m[i, j] for i, j in itertools.permutations(places, 2)])
        triples = np.mean([k[i, j] * m[i, q] for i, j, q in itertools.permutations(places, 3)])
        fours = np.mean([k[i, j] * m[q, r] for i, j, q, r in itertools.permutations(places, 4)])
        return pairs + fours - 2 * triples

    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    assert cka(x, y) == pytest.approx(expected, rel=1e-9)


def test_cka_of_independent_responses_is_zero_on_average():
    values = [cka(responses(i, n=12), responses(1000 + i, n=12)) for i in range(400)]
    assert abs(np.mean(values)) < 4 * stats.sem(values)
    assert np.mean(values) < 0.03  # the biased estimate would be about 0.5


def test_rsa_by_hand():
    """Three examples: dissimilarities of the pairs in the same order, or in the opposite one."""
    x = np.array([[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 0.0, 1.0]])
    assert rsa(x, x[:, ::-1]) == pytest.approx(1)
    pairs = 1 - np.corrcoef(x)[np.triu_indices(3, 1)]
    y = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 1.0], [0.8, 0.1, 0.0]])
    others = 1 - np.corrcoef(y)[np.triu_indices(3, 1)]
    assert rsa(x, y) == pytest.approx(stats.spearmanr(pairs, others)[0])
    assert rsa(x, y) < 1


def test_svcca_by_hand():
    """One common direction of two, the others uncorrelated: (1 + 0) / 2."""
    t = np.arange(64) * 2 * np.pi / 64
    x = np.stack([np.sin(t), np.sin(2 * t)], 1)
    y = np.stack([5 * np.sin(t), np.sin(3 * t) * 4], 1)
    assert svcca(x, y) == pytest.approx(0.5)
    faint = np.stack([5 * np.sin(t), np.sin(3 * t) * 0.1], 1)  # less than 1 % of the variance
    assert svcca(x, faint) == pytest.approx(1.0)


@given(st.integers(0, 10**6), st.floats(0.1, 10))
def test_what_rotating_scaling_and_shifting_all_units_changes(seed, scale):
    x, y = responses(seed), responses(seed) @ rotation(seed + 1) + 0.8 * responses(seed + 2)
    moved = scale * (y @ rotation(seed + 3)) + 2.0
    for similarity in (cka, svcca):
        assert similarity(x, moved) == pytest.approx(similarity(x, y), abs=1e-9)
    assert rsa(x, scale * y + 2.0) == pytest.approx(rsa(x, y), abs=1e-9)


@pytest.mark.parametrize("similarity", ALL)
@given(st.integers(0, 10**6))
def test_symmetric_and_one_for_equal_responses(similarity, seed):
    x, y = responses(seed), responses(seed + 1, units=4)
    assert similarity(x, x) == pytest.approx(1)
    assert similarity(x, y) == pytest.approx(similarity(y, x))
    assert similarity(x, y) < 0.99


@pytest.mark.parametrize("similarity", ALL)
def test_a_side_that_says_nothing_is_like_none(similarity):
    assert similarity(responses(0), np.ones((30, 2))) == 0


@pytest.mark.parametrize(("similarity", "n"), [(cka, 3), (rsa, 2)])
def test_too_few_examples(similarity, n):
    with pytest.raises(ValueError, match=f"x: {n} examples; at least {n + 1} are needed"):
        similarity(responses(0, n=n), responses(1, n=n))
