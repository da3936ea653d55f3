"""What must hold of whole methods, in the loop that everybody runs."""

import itertools

import chex
import numpy as np
import pytest
from given import configured

from jaxcl.learner.seed_loop import run
from jaxcl.training.events import SeedEnded

SETTINGS = {"epochs": 2, "batch_size": 20, "lr": 2e-3, "l2": 0.0, "net": "mlp", "hidden": (20,)}
PENALTIES = ("ewc", "online_ewc", "si", "mas", "rwalk")
pytestmark = pytest.mark.usefixtures("compiled_once", "little_noise")


@pytest.fixture
def tasks(make_task):
    return [make_task(f"bars{i}", n=60, seed=i, upright=i % 2 == 0) for i in range(3)]


def result(tasks, method, **settings) -> SeedEnded:
    return list(run(configured(method=method, **SETTINGS | settings), tasks))[-1]


ONCE = {
    ("ewc", "class"),
    ("online_ewc", "domain"),
    ("si", "task"),
    ("mas", "class"),
    ("rwalk", "task"),
}


@pytest.mark.parametrize(
    ("method", "setting"),
    [
        pair if pair in ONCE else pytest.param(*pair, marks=pytest.mark.slow)
        for pair in itertools.product(PENALTIES, ("task", "domain", "class"))
    ],
)
def test_a_strength_of_zero_is_fine_tuning_to_the_bit_and_another_is_not(method, setting, tasks):
    naive = result(tasks, "finetune", setting=setting).params
    chex.assert_trees_all_equal(naive, result(tasks, method, setting=setting, strength=0.0).params)
    held = result(tasks, method, setting=setting, strength=100.0).params
    assert np.any(held["fc1"]["w"] != naive["fc1"]["w"])


@pytest.mark.parametrize("method", PENALTIES)
@pytest.mark.slow
def test_a_stronger_penalty_keeps_the_weights_nearer(method, tasks):
    after_one = result(tasks[:1], "finetune").params["fc1"]["w"]
    far = [
        float(np.abs(result(tasks[:2], method, strength=s).params["fc1"]["w"] - after_one).mean())
        for s in (0.0, 1e2, 1e6)
    ]
    assert far[0] > far[1] > far[2]


@pytest.mark.slow
def test_replay_keeps_what_fine_tuning_forgets(tasks):
    naive, kept, exact, noise = (
        result(tasks[:2], method, setting="class", epochs=40, ratio=0.3, lr=5e-3).matrix[-1][0]
        for method in ("finetune", "er", "exact_replay", "noise_replay")
    )
    assert max(naive, noise) + 20 < min(kept, exact), (naive, kept, exact, noise)


@pytest.mark.parametrize("net", ["mlp", pytest.param("cnn", marks=pytest.mark.slow)])
def test_an_older_column_is_not_touched(net, tasks):
    one, two = (result(tasks[:n], "pnn", net=net, limit=20, epochs=1) for n in (1, 2))
    chex.assert_trees_all_equal(one.params["column"]["t00"], two.params["column"]["t00"])
    chex.assert_trees_all_equal(one.params["heads"]["t00"], two.params["heads"]["t00"])
    assert two.matrix[1][0] == two.matrix[0][0] == one.matrix[0][0]
    assert two.growth.weights["added"] + two.growth.weights["heads"] > one.growth.weights["total"]
    assert "side" in two.params["heads"]["t01"]


def test_a_full_head_and_a_growing_one_are_two_things(tasks):
    full, growing = (
        result(tasks, "finetune", setting="class", heads=heads) for heads in ("full", "growing")
    )
    for each in (full, growing):
        assert [head["b"].shape for head in each.params["heads"].values()] == [(9,)]
    assert np.any(full.params["fc1"]["w"] != growing.params["fc1"]["w"])


def test_the_optimiser_can_go_on_from_task_to_task(tasks):
    fresh, kept = (
        result(tasks[:2], "finetune", setting="domain", keep_optimizer=keep).params
        for keep in (False, True)
    )
    assert np.any(fresh["fc1"]["w"] != kept["fc1"]["w"])


def test_so_many_iterations_are_so_many_steps(tasks):
    events = list(
        run(
            configured(method="finetune", **SETTINGS | {"epochs": None, "iterations": 110}),
            tasks[:1],
        )
    )
    assert events[0].steps == [51, 51, 8]  # three a pass; 17 passes are the fewest with 50 steps
    steps = [event for event in events if type(event).__name__ == "StepsDone"]
    assert int(steps[-1].learner.phase.train.step) == 110


def test_the_state_of_a_penalty_does_not_grow_with_the_tasks(tasks):
    sizes = list(result(tasks, "ewc", setting="domain").bytes.values())
    assert sizes[0] == sizes[1] == sizes[2] > 0


def test_accuracy_before_the_first_step(tasks):
    ended = result(
        [*tasks[:1], tasks[0]._replace(name="again")], "finetune", setting="domain", epochs=6
    )
    assert ended.zero_shot_accuracy["again"] == ended.matrix[0][0] >= 95


@pytest.mark.parametrize("settings", [{"method": "der_pp"}, {"method": "er", "buffer": 9}])
def test_a_second_seed_begins_with_a_memory_of_its_own(settings, tasks):
    both = list(run(configured(**SETTINGS | settings, seeds=(0, 1)), tasks[:2]))
    alone = list(run(configured(**SETTINGS | settings, seeds=(1,)), tasks[:2]))
    chex.assert_trees_all_equal(both[-1].params, alone[-1].params)
