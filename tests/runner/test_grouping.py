import dataclasses

import chex
import jax
import numpy as np
import pytest
from given import configured

from jaxcl.core.errors import NonFiniteLoss
from jaxcl.learner.build import set_up
from jaxcl.learner.seed_loop import rounds, run
from jaxcl.runner import grouping
from jaxcl.training import vectorized
from jaxcl.training.events import Diverged, SeedEnded, StepsDone

SETTINGS = {"epochs": 1, "batch_size": 20, "lr": 2e-2, "optimizer": "sgd", "probe": 40}
SETTINGS |= {"net": "mlp", "hidden": (16,), "seeds": (0,), "together": 1}


@pytest.fixture
def tasks(make_task):
    return [make_task("bars", n=60), make_task("sides", classes=4, seed=1, upright=False)]


def side_by_side(configs, tasks):
    """What all points end with, the first of which lends what is compiled."""
    first, *others = configs
    setup = set_up(first, tasks)
    setups = [setup, *(grouping.set_up_like(setup, config) for config in others)]
    found = {}
    for happened in rounds(setups, [[]] * len(setups)):
        found |= {k: e for k, e in happened.items() if isinstance(e, SeedEnded | Diverged)}
    return found


POINTS = [
    ("lwf", {"strength": (1.0, 30.0), "temperature": (2.0, 1.0)}),
    ("ewc", {"strength": (1.0, 50.0), "fisher": ("exact", "empirical"), "l2": (0.0, 1e-2)}),
    ("online_ewc", {"strength": (50.0, 1.0), "decay": (1.0, 0.0), "fisher_examples": (None, 7)}),
    ("si", {"strength": (1.0, 50.0), "xi": (0.1, 1e-3), "lr": (2e-2, 1e-2)}),
    ("der", {"alpha": (0.1, 2.0)}),
    ("der_pp", {"alpha": (0.1, 2.0), "beta": (0.1, 2.0)}),
    ("er", {"l2": (1e-2, 0.0), "later_l2": (None, 1e-1)}),
]


def test_networks_that_can_be_dealt_out_are_those_that_run_at_once():
    def of(**settings):
        return configured(**SETTINGS | {"method": "ewc", "together": None} | settings)

    points = {strength: of(strength=strength) for strength in (1.0, 2.0, 3.0)}
    assert grouping.at_once(points) == 3
    seeds = {"seeds": (0, 1, 2, 3)}
    assert grouping.at_once({s: of(strength=s, **seeds) for s in points}) == 12
    assert grouping.at_once({m: of(method=m) for m in ("ewc", "si", "lwf", "er")}) == 1
    assert grouping.at_once({"one": of(**seeds, together=2)}) == 2
    assert grouping.at_once({"one": of(**seeds, together=1)}) == 1


@pytest.mark.parametrize(
    ("method", "values"),
    [
        point if point[0] == "ewc" else pytest.param(*point, marks=pytest.mark.slow)
        for point in POINTS
    ],
)
@pytest.mark.slow
def test_points_side_by_side_end_as_they_do_alone(method, values, tasks):
    """Each differs in all numbers of the method at once, so that none can be a constant."""
    points = [{name: pair[i] for name, pair in values.items()} for i in (0, 1)]
    configs = [configured(method=method, **SETTINGS | point) for point in points]
    assert len(grouping.groups(as_one(configs))) == 1
    found = side_by_side(configs, tasks)
    ends = []
    for place, config in enumerate(configs):
        (alone,) = (e for e in run(config, tasks) if isinstance(e, SeedEnded))
        chex.assert_trees_all_close(found[place, 0].params, alone.params, rtol=0, atol=1e-5)
        assert found[place, 0].matrix == alone.matrix
        ends.append(alone.params)
    apart = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), *ends)
    assert max(jax.tree.leaves(apart)) > 5e-5  # so what is close above could have failed


def as_one(configs):
    """The same configurations with room for all of them at once."""
    return {i: dataclasses.replace(c, together=len(configs)) for i, c in enumerate(configs)}


@pytest.mark.slow
def test_points_are_one_program(tasks, monkeypatch):
    sizes = []

    def noting(run, program, tree, shared, states, *rest):
        sizes.append(len(states))
        return together(run, program, tree, shared, states, *rest)

    together = vectorized.run_together
    monkeypatch.setattr(vectorized, "run_together", noting)
    configs = [configured(method="ewc", **SETTINGS | {"strength": s}) for s in (1.0, 10.0, 100.0)]
    found = side_by_side(configs, tasks)
    assert set(sizes) == {3}
    assert list(found) == [(0, 0), (1, 0), (2, 0)]


@pytest.mark.slow
def test_a_point_that_diverges_leaves_the_others_as_they_are(tasks):
    rates = 1e-2, 1e30, 2e-2
    configs = [configured(method="finetune", **SETTINGS | {"lr": lr}) for lr in rates]
    found = side_by_side(configs, tasks)
    assert isinstance(found[1, 0], Diverged)
    assert isinstance(found[1, 0].error, NonFiniteLoss)
    assert "seed 0" in str(found[1, 0].error)
    for place in (0, 2):
        (alone,) = (e for e in run(configs[place], tasks) if isinstance(e, SeedEnded))
        chex.assert_trees_all_close(found[place, 0].params, alone.params, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("small_cnn")
def test_branches_may_differ_between_points(tasks):
    settings = {"net": "cnn", "method": "select", "epochs": 1, "batch_size": 30}
    configs = [configured(**settings, together=1, threshold=t) for t in (0.0, 1.0)]
    found = side_by_side(configs, tasks)
    shared, split = (found[place, 0].growth.routes["sides"] for place in (0, 1))
    assert set(shared.values()) == {"bars"}
    assert set(split.values()) == {"sides"}


@pytest.mark.parametrize(
    ("together", "sizes", "own"),
    [(1, [1, 1, 1, 1], 1), (2, [1, 1, 1, 1], 2), (4, [2, 1, 1], 2), (100, [3, 1], 2)],
)
def test_so_many_networks_are_trained_at_once(together, sizes, own):
    base = configured(method="ewc", scenario="split-digits", seeds=(0, 1), together=together)
    points = {s: base.changed(strength=s) for s in (1.0, 10.0, 100.0)}
    points[0.0] = base.changed(strength=1.0, batch_size=7)  # another program
    found = grouping.groups(points)
    assert [len(group) for group in found] == sizes
    assert {config.together for group in found for config in group.values()} == {own}
    assert [name for group in found for name in group] == [1.0, 10.0, 100.0, 0.0]


def test_on_a_cpu_points_take_turns_unless_told_otherwise():
    base = configured(method="ewc", scenario="split-digits", seeds=(0, 1))
    points = {s: base.changed(strength=s) for s in (1.0, 10.0)}
    found = grouping.groups(points)
    assert [list(group) for group in found] == [[1.0], [10.0]]
    assert found[0][1.0].together is None


def test_runs_at_the_same_moment_are_told_from_others(tasks):
    setup = set_up(configured(method="finetune", **SETTINGS), tasks)
    moments = []
    for happened in rounds([setup], [[]]):
        event = happened[0, 0]
        if isinstance(event, StepsDone):
            moments.append(grouping.moment([event.learner]))
    assert len(set(moments)) == len(moments) >= 4
    assert moments[0] == ((0, 0, 0, 1),)
