"""Losses, scores and distances by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import mean_cross_entropy, mean_distillation
from scipy.special import expit, log_softmax, softmax

from jaxcl.transforms.objectives import OBJECTIVES, binary, categorical, squared

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(6, 4))
OLD = RNG.normal(size=(6, 4))
CLASSES = np.array([0, 3, 1, 1, 2, 0])
MARKS = np.array([[0, 1, 1, 0]] * 3 + [[1, 0, 0, 0]] * 3)
NUMBERS = RNG.normal(size=(6, 4))
TEXT = RNG.normal(size=(3, 5, 4))
WORDS = np.array([[0, 1, 2, 3, 0], [2, -1, 1, -1, -1], [-1] * 5])
CASES = {"categorical": (Z, CLASSES), "binary": (Z, MARKS), "squared": (Z, NUMBERS)}
CASES["sequence"] = (TEXT, WORDS)


def of(name):
    """The objective of a case, its outputs and its labels."""
    outputs, labels = CASES[name]
    whole = jnp.int32 if labels.dtype.kind == "i" else jnp.float32
    objective = OBJECTIVES["categorical" if name == "sequence" else name]
    return objective, jnp.asarray(outputs, jnp.float32), jnp.asarray(labels, whole)


def test_objectives_are_known_by_their_names():
    assert set(OBJECTIVES) == {"categorical", "binary", "squared"}
    for name, objective in OBJECTIVES.items():
        assert objective.name == name
        hash(objective)
    assert [each.classes for each in (categorical, binary, squared)] == [True, False, False]
    assert [each.logits for each in (categorical, binary, squared)] == [True, True, False]


def test_the_loss_of_classes_is_what_it_was_to_the_bit():
    objective, z, labels = of("categorical")
    assert objective.loss(z, labels).mean() == mean_cross_entropy(z, labels)
    for old in (OLD, OLD[:, :2]):
        old, t = jnp.asarray(old, jnp.float32), jnp.float32(2)
        assert objective.distance(z, old, t).mean() == mean_distillation(z, old, t)


def test_losses_by_hand():
    by_hand = {
        "categorical": -log_softmax(Z, axis=1)[np.arange(6), CLASSES],
        "binary": -np.log(np.where(MARKS == 1, expit(Z), 1 - expit(Z))).sum(1),
        "squared": ((Z - NUMBERS) ** 2).mean(1),
        "sequence": [
            -np.mean([log_softmax(TEXT[0, t])[WORDS[0, t]] for t in range(5)]),
            -(log_softmax(TEXT[1, 0])[2] + log_softmax(TEXT[1, 2])[1]) / 2,
            0,
        ],
    }
    for name, expected in by_hand.items():
        objective, z, labels = of(name)
        np.testing.assert_allclose(objective.loss(z, labels), expected, rtol=1e-5)


def test_scores_by_hand():
    found = {name: np.asarray(o.score(z, y)) for name in CASES for o, z, y in [of(name)]}
    np.testing.assert_array_equal(found["categorical"], Z.argmax(1) == CLASSES)
    np.testing.assert_allclose(found["binary"], ((Z > 0) == (MARKS == 1)).mean(1))
    right = TEXT.argmax(2) == WORDS
    expected = [right[0].mean(), (int(right[1, 0]) + int(right[1, 2])) / 2, 0]
    np.testing.assert_allclose(found["sequence"], expected)
    assert len(set(found["binary"])) > 1
    variance = NUMBERS.var(0).mean()
    r2 = 1 - ((Z - NUMBERS) ** 2).sum() / ((NUMBERS - NUMBERS.mean(0)) ** 2).sum()
    np.testing.assert_allclose(1 + found["squared"].mean() / variance, r2, rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distances_by_hand(temperature):
    def kl(new, old):
        return -(softmax(old / temperature, -1) * log_softmax(new / temperature, -1)).sum(-1)

    def of_marks(new, old):
        q, p = expit(old / temperature), expit(new / temperature)
        return -(q * np.log(p) + (1 - q) * np.log(1 - p)).sum(-1)

    by_hand = {
        "categorical": kl(Z, OLD),
        "binary": of_marks(Z, OLD),
        "squared": ((Z - OLD) ** 2).mean(1),
        "sequence": kl(TEXT, TEXT[::-1]).mean(1),
    }
    for name, expected in by_hand.items():
        objective, z, _ = of(name)
        old = jnp.asarray(TEXT[::-1] if name == "sequence" else OLD, jnp.float32)
        found = objective.distance(z, old, jnp.float32(temperature))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_distance_is_least_at_the_old_answers(name):
    objective, z, _ = of(name)
    gradient = jax.grad(lambda x: objective.distance(x, z, jnp.float32(2)).sum())
    np.testing.assert_allclose(gradient(z), 0, atol=1e-6)
    away = np.abs(gradient(z + jnp.arange(4.0)))
    assert np.all(away.max(-1) > 1e-3)


def test_the_pull_of_softened_marks_by_hand():
    gradient = jax.grad(lambda x: binary.distance(x, jnp.asarray(OLD, jnp.float32), T).sum())
    expected = (expit(Z / 3) - expit(OLD / 3)) / 3
    np.testing.assert_allclose(gradient(jnp.asarray(Z, jnp.float32)), expected, atol=1e-6)


T = jnp.float32(3)


def test_outputs_that_came_since_had_probability_0():
    z, few = jnp.asarray(Z, jnp.float32), jnp.asarray(OLD[:, :2], jnp.float32)
    new = np.log1p(np.exp(Z[:, 2:] / 3)).sum(1)  # -log (1 - sigmoid)
    expected = np.asarray(binary.distance(z[:, :2], few, T)) + new
    np.testing.assert_allclose(binary.distance(z, few, T), expected, rtol=1e-5)
    p = np.pad(softmax(OLD[:, :2] / 3, 1), ((0, 0), (0, 2)))
    expected = -(p * log_softmax(Z / 3, 1)).sum(1)
    np.testing.assert_allclose(categorical.distance(z, few, T), expected, rtol=1e-5)
    for objective in (categorical, binary):
        slope = jax.grad(lambda x, f=objective.distance: f(x, few, T).sum())(z)
        assert np.isfinite(slope).all()
        with pytest.raises(ValueError, match="2 outputs, 4 before"):
            objective.distance(few, z, T)
    with pytest.raises(ValueError, match="squared: 4 outputs, 2 before"):
        squared.distance(z, few, T)


def test_a_masked_position_has_no_say_whatever_its_outputs():
    _, z, labels = of("sequence")
    broken = jnp.where((labels < 0)[..., None], jnp.nan, z)
    f = jax.value_and_grad(lambda x: categorical.loss(x, labels).sum())
    (whole, slope), (same, broken_slope) = f(z), f(broken)
    assert whole == same
    np.testing.assert_array_equal(slope, broken_slope)
    assert np.all(slope[labels < 0] == 0)
    assert np.all(np.any(slope[labels >= 0] != 0, -1))
    np.testing.assert_array_equal(categorical.score(z, labels), categorical.score(broken, labels))


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_of_a_loss_against_finite_differences(name):
    objective, z, labels = of(name)
    slope = jax.grad(lambda x: objective.loss(x, labels).sum())(z)
    direction = jnp.asarray(np.random.default_rng(5).normal(size=z.shape), jnp.float32)
    h = 1e-2
    up, down = (objective.loss(z + s * h * direction, labels).sum() for s in (1, -1))
    np.testing.assert_allclose(jnp.vdot(slope, direction), (up - down) / (2 * h), rtol=2e-3)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_results_are_float32_whatever_the_outputs(name):
    objective, z, labels = of(name)
    half = z.astype(jnp.bfloat16)
    for found in (
        objective.loss(half, labels),
        objective.score(half, labels),
        objective.distance(half, half, jnp.float32(2)),
    ):
        assert found.dtype == jnp.float32
        assert found.shape == (len(z),)
    exact = half.astype(jnp.float32)
    np.testing.assert_array_equal(objective.loss(half, labels), objective.loss(exact, labels))
    drawn = objective.directions("exact", "y")(half, {"y": labels}, jax.random.key(0))
    assert drawn.dtype == jnp.float32


def test_labels_of_another_shape_or_dtype_are_refused():
    z = jnp.zeros((4, 1))
    for objective in (binary, squared):
        for f in (objective.loss, objective.score):
            with pytest.raises(ValueError, match=rf"{objective.name}: labels \(4,\) for"):
                f(z, jnp.zeros(4))
    for f in (categorical.loss, categorical.score):
        with pytest.raises(ValueError, match=r"categorical: labels \(4, 1\) for outputs \(4, 1\)"):
            f(z, jnp.zeros((4, 1), jnp.int32))
        with pytest.raises(ValueError, match="categorical: labels are float32; give integers"):
            f(z, jnp.zeros(4))


@pytest.mark.slow
def test_marks_may_be_whole_or_floating_point():
    z = jnp.asarray(Z, jnp.float32)
    for f in (binary.loss, binary.score):
        kinds = [f(z, jnp.asarray(MARKS, kind)) for kind in (jnp.int32, jnp.float32, jnp.bool)]
        for found in kinds[1:]:
            np.testing.assert_array_equal(found, kinds[0])
