import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import configured

from jaxcl.growth import task_similarity
from jaxcl.growth.task_similarity import SIMILARITIES, images_as_rows, positions_as_rows
from jaxcl.learner.build import set_up
from jaxcl.learner.seed_loop import run
from jaxcl.learner.state import new_learner, task_data
from jaxcl.learner.task_comparison import train_reference
from jaxcl.learner.task_loop import begin
from jaxcl.training.events import SeedEnded, TaskBegan

pytestmark = pytest.mark.usefixtures("small_cnn", "compiled_once")
SETTINGS = {"method": "select", "epochs": 1, "batch_size": 20, "probe": 40, "seeds": (0,)}


@pytest.fixture
def tasks(make_task):
    return [make_task("bars", n=60), make_task("sides", classes=4, seed=1, upright=False)]


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("frechet", "cka") else pytest.param(name, marks=pytest.mark.slow)
        for name in SIMILARITIES
    ],
)
@pytest.mark.slow
def test_each_similarity_decides_what_is_shared(name, tasks):
    began, routes = {}, {}
    for threshold in (0.0, 1.0):
        config = configured(**SETTINGS, similarity=name, threshold=threshold)
        events = list(run(config, tasks))
        began[threshold] = [e for e in events if isinstance(e, TaskBegan)][1]
        routes[threshold] = next(e for e in events if isinstance(e, SeedEnded)).growth.routes[
            "sides"
        ]
    measured = began[0.0].similarity
    assert set(measured) == {"conv1", "conv2"}
    assert measured == began[1.0].similarity
    for layer, found in measured.items():
        assert -0.1 <= found["t00"] < 1
        shared = "bars" if found["t00"] >= 0 else "sides"  # unbiased CKA may be below 0
        assert routes[0.0][layer] == shared
        assert routes[1.0][layer] == "sides"


@pytest.mark.slow
def test_moments_of_the_same_images_are_fully_alike(tasks):
    for name in ("frechet", "bures", "cosine"):
        again = tasks[0]._replace(name="again")
        events = run(configured(**SETTINGS | {"probe": 60}, similarity=name), [tasks[0], again])
        second = [event for event in events if isinstance(event, TaskBegan)][1]
        for found in second.similarity.values():
            assert found["t00"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("how", ["copy", "scratch"])
def test_a_second_network_learns_the_new_task_alone(how, tasks):
    setup = set_up(configured(**SETTINGS), tasks)
    learner = begin(setup, new_learner(setup, 0), task_data(setup, 0))
    later = learner.changed(task_index=1)
    before = jax.tree.map(np.array, learner.model.params)
    begins = learner.model.routes[0].route if how == "copy" else None
    (params, _), route = train_reference(setup, later, begins)
    chex.assert_trees_all_equal(learner.model.params, before)  # the run's own weights stay
    assert list(params["heads"]) == ["t01"]
    assert params["heads"]["t01"]["w"].shape[1] == 4
    assert route == (("t00",) * 2 if how == "copy" else ("t01",) * 2)
    again, _ = train_reference(setup, later, begins)
    chex.assert_trees_all_equal(params, again.params)
    kept = np.asarray(before["conv1"]["t00"]["w"])
    moved = np.abs(np.asarray(params["conv1"][route[0]]["w"]) - kept).max()
    # Three steps of Adam with 1e-3 go no further than about 3e-3; fresh weights are elsewhere.
    assert 0 < moved < 5e-3 if how == "copy" else moved > 0.05


def test_rows_of_responses():
    x = np.arange(2 * 3 * 3 * 2).reshape(2, 3, 3, 2)
    assert images_as_rows(x).shape == (2, 18)
    np.testing.assert_array_equal(positions_as_rows(x)[4], x[0, 1, 1])


def test_positions_are_thinned_out(monkeypatch):
    monkeypatch.setattr(task_similarity, "POSITIONS", 7)
    rows = positions_as_rows(np.asarray(jnp.arange(20.0)).reshape(2, 10, 1))
    np.testing.assert_array_equal(rows[:, 0], np.arange(0, 20, 3))
