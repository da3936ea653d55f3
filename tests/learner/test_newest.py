"""Long streams: the newest task is tested alone, and plasticity is measured as each task ends."""

import chex
import numpy as np
import pytest
from given import configured

from jaxcl.learner import seed_loop, testing
from jaxcl.learner.seed_loop import run
from jaxcl.training import evaluation
from jaxcl.training.evaluation import judged
from jaxcl.training.events import EpochEnded
from jaxcl.training.train_step import Trained, run_steps

PLAIN = {"batch_size": 20, "epochs": 1, "lr": 2e-3, "l2": 0.0, "net": "mlp", "hidden": (8,)}
PLAIN |= {"setting": "domain"}
pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture
def tasks(make_task):
    return [make_task(f"bars{i}", n=40, seed=i, upright=i % 2 == 0) for i in range(4)]


def finish(tasks, method="finetune", **settings) -> list:
    return list(run(configured(method=method, **PLAIN | settings), tasks))


@pytest.mark.parametrize(
    "method", ["finetune", pytest.param("shrink_perturb", marks=pytest.mark.slow)]
)
def test_the_newest_task_alone_and_all_of_them_at_the_end(method, tasks):
    whole = finish(tasks, method)[-1]
    events = finish(tasks, method, test_on="newest")
    short = events[-1]
    chex.assert_trees_all_equal(short.params, whole.params)
    assert short.matrix[-1] == whole.matrix[-1]
    for i in range(3):
        others = [None] * 4
        others[i] = whole.matrix[i][i]
        assert short.matrix[i] == others
    tested = [list(e.accuracy) for e in events if isinstance(e, EpochEnded)]
    assert tested == [[task.name] for task in tasks]


@pytest.mark.parametrize(
    ("epochs", "settings", "tested"),
    [(5, {}, [1, 2, 3, 4, 5]), (5, {"test_every": 2}, [2, 4, 5]), (41, {}, [*range(3, 41, 3), 41])],
)
def test_tasks_are_tested_so_often_and_at_the_end(tasks, epochs, settings, tested):
    events = finish(tasks[:2], epochs=epochs, **settings)
    for task_index, names in enumerate((["bars0"], ["bars0", "bars1"])):
        ended = [e for e in events if isinstance(e, EpochEnded) and e.task_index == task_index]
        assert [e.epoch for e in ended] == list(range(epochs))
        assert [e.epoch + 1 for e in ended if e.accuracy] == tested
        assert list(ended[-1].accuracy) == names
        assert all(("test_loss" in e.metrics) == bool(e.accuracy) for e in ended)
    assert events[-1].matrix[1] == list(ended[-1].accuracy.values())
    always = finish(tasks[:2], epochs=epochs, test_every=1)[-1]
    chex.assert_trees_all_equal(events[-1].params, always.params)


def test_the_work_grows_with_the_tasks_and_not_with_their_square(tasks, monkeypatch):
    tested, real = [], testing.evaluate

    def count(view, task_index, *given):
        tested.append(task_index)
        return real(view, task_index, *given)

    monkeypatch.setattr(testing, "evaluate", count)
    finish(tasks[:1], test_on="newest")
    programs, tested[:] = run_steps._cache_size(), []
    finish(tasks, test_on="newest")
    # Before its first step, after its epoch; and all of them after the last one.
    assert tested == [0, 0, 1, 1, 2, 2, 3, 3, *range(4)]
    assert run_steps._cache_size() == programs


def test_plasticity_is_that_of_the_network_that_training_left(tasks):
    given = {"plasticity": True, "shrink": 0.1, "noise": 0.5}
    events = finish(tasks[:2], "shrink_perturb", **given)
    after = [e.accuracy[e_name] for e, e_name in _trained(events, tasks)]
    found = events[-1].plasticity
    assert list(found) == ["bars0", "bars1"]
    assert [each["accuracy"] for each in found.values()] == after
    assert [events[-1].matrix[i][i] for i in range(2)] != after
    alone = finish(tasks[:1], plasticity=True)[-1]
    assert found["bars0"] == alone.plasticity["bars0"]
    weights = np.concatenate([np.ravel(x) for x in _leaves(alone.params)])
    size = np.sqrt(np.mean(weights.astype(float) ** 2))
    assert alone.plasticity["bars0"]["weight_rms"] == pytest.approx(size)
    assert finish(tasks[:1])[-1].plasticity is None


def _trained(events, tasks):
    ended = [event for event in events if isinstance(event, EpochEnded)]
    return [(event, tasks[event.task_index].name) for event in ended]


def _leaves(params):
    return [params["fc1"][n] for n in "wb"] + [params["heads"]["t00"][n] for n in "wb"]


def test_tasks_of_different_sizes_share_their_programs(make_task, monkeypatch):
    """Steps and tests are compiled once; what fills a task up is neither learned nor counted."""
    sizes = (40, 29, 36)
    some = [make_task(f"bars{i}", n=n, seed=i) for i, n in enumerate(sizes)]
    assert len({len(task.test_labels) for task in some}) == 3
    run_steps.clear_cache()
    judged.clear_cache()
    found = finish(some, batch_size=7)[-1]
    assert run_steps._cache_size() == judged._cache_size() == 1
    monkeypatch.setattr(seed_loop, "of_common_length", lambda data, longest: Trained(data, data))
    monkeypatch.setattr(evaluation, "_common_length", lambda n, longest: n)
    apart = finish(some, batch_size=7)[-1]
    assert (run_steps._cache_size(), judged._cache_size()) == (1 + 2, 1 + 3)  # 64 tests before
    chex.assert_trees_all_equal(found.params, apart.params)
    assert found.matrix == apart.matrix
