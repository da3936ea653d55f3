"""Marks, numbers and sequences through fit(): what is reported, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import jaxcl
from jaxcl.core.errors import UsageError
from jaxcl.scenarios.task import Task

QUIET = Console(quiet=True)
SMALL = {"epochs": 20, "batch_size": 20, "lr": 5e-2, "l2": 0.0}


def linear_tasks(of_outputs, n=60):
    """Labels are functions of a linear map of the inputs, another one in each task."""
    made = []
    for place, name in enumerate(("first", "second")):
        rng = np.random.default_rng(place)
        w = rng.normal(size=(4, 2))

        def split(n, rng=rng, w=w):
            x = rng.normal(size=(n, 4)).astype(np.float32)
            return x, of_outputs(x @ w)

        made.append(Task(name, *split(n), *split(n // 2)))
    return made


def fitted(tasks, out, loss, method="lwf", network="linear", **given):
    return jaxcl.fit(
        tasks, method, network, out=out / "run", console=QUIET, loss=loss, **SMALL, **given
    )


@pytest.mark.slow
def test_numbers_are_judged_by_the_variance_that_they_explain(tmp_path):
    tasks = linear_tasks(lambda y: 3 * y + 1)
    result = fitted(tasks, tmp_path, "squared")
    for place, task in enumerate(tasks):
        found = result.predict(task.test_inputs, task.name)
        assert found.shape == task.test_labels.shape
        error = ((found - task.test_labels) ** 2).mean()
        explained = 1 - error / task.test_labels.var(0).mean()
        assert result.accuracy[0, 1, place] == pytest.approx(100 * explained, rel=1e-3, abs=1e-2)
    assert result.accuracy[0, 0, 0] > 50


@pytest.mark.slow
def test_marks_are_judged_one_by_one(tmp_path):
    tasks = linear_tasks(lambda y: (y > 0).astype(np.int64))
    result = fitted(tasks, tmp_path, "binary", method="er", buffer=20, storage="reservoir")
    for place, task in enumerate(tasks):
        found = result.predict(task.test_inputs, task.name)
        assert set(np.unique(found)) <= {0, 1}
        right = 100 * (found == task.test_labels).mean()
        assert result.accuracy[0, 1, place] == pytest.approx(right, abs=1e-3)
    assert result.accuracy[0, 0, 0] > 70


def embedded(key, inputs):
    return {"table": jax.random.normal(key, (7, 6))}, ()


def looked_up(params, stats, inputs, train, key):
    return params["table"][inputs], stats


@pytest.mark.slow
def test_classes_along_a_sequence_with_masked_positions(tmp_path):
    """The label of a token is its own remainder; a third of the positions say nothing."""
    made = []
    for place, name in enumerate(("first", "second")):
        rng = np.random.default_rng(place)

        def split(n, rng=rng, place=place):
            tokens = rng.integers(0, 7, (n, 5))
            labels = (tokens + place) % 3
            return tokens, np.where(rng.random((n, 5)) < 1 / 3, -1, labels)

        made.append(Task(name, *split(60), *split(30), 3))
    network = jaxcl.from_functions(embedded, looked_up)
    result = fitted(made, tmp_path, "categorical", "der", network, buffer=20)
    for place, task in enumerate(made):
        found = result.predict(task.test_inputs, task.name)
        assert found.shape == task.test_labels.shape
        known = task.test_labels >= 0
        # The mean over examples of the part of their known positions that is right.
        right = ((found == task.test_labels) & known).sum(1) / np.maximum(known.sum(1), 1)
        assert result.accuracy[0, 1, place] == pytest.approx(100 * right.mean(), abs=0.01)
    assert result.accuracy[0, 0, 0] > 80
    assert jnp.isfinite(result.params[0]["shared"]["table"]).all()


@pytest.mark.parametrize("loss", ["binary", "squared"])
def test_what_has_no_classes_is_refused_in_the_class_setting(loss, tmp_path):
    tasks = linear_tasks(lambda y: y)
    with pytest.raises(
        UsageError, match=f"^loss: {loss} tells no classes apart; give setting task"
    ):
        fitted(tasks, tmp_path, loss, setting="class")
