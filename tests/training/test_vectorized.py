import json
from collections.abc import Iterator
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import configured

from jaxcl.learner import snapshot
from jaxcl.learner.build import set_up
from jaxcl.learner.seed_loop import go_on, rounds, run
from jaxcl.training import vectorized
from jaxcl.training.events import EpochEnded, SeedEnded, StepsDone, TaskBegan
from jaxcl.training.loop import Totals
from jaxcl.training.vectorized import StepRequest, run_vectorized

SETTINGS = {"epochs": 1, "batch_size": 20, "lr": 2e-2, "optimizer": "sgd", "probe": 40}
SETTINGS |= {"generator_steps": 3, "generator_batch": 8, "generated": 40, "net": "mlp"}
SETTINGS |= {"hidden": (16,), "seeds": (3, 0, 7)}


@pytest.fixture
def tasks(make_task):
    return [make_task("bars", n=60), make_task("sides", classes=4, seed=1, upright=False)]


def ended(tasks, **settings) -> list[SeedEnded]:
    events = run(configured(**SETTINGS | settings), tasks)
    return [event for event in events if isinstance(event, SeedEnded)]


OTHERS = ("lwf", "si", "er", "der", "der_pp", "dgr")


@pytest.mark.parametrize(
    "method", ["ewc", *(pytest.param(method, marks=pytest.mark.slow) for method in OTHERS)]
)
@pytest.mark.slow
def test_seeds_that_run_together_end_as_they_do_alone(method, tasks):
    alone = ended(tasks, method=method, together=1)
    together = ended(tasks, method=method, together=3)
    assert [e.seed for e in together] == [3, 0, 7]
    for a, b in zip(alone, together, strict=True):
        chex.assert_trees_all_close(a.params, b.params, rtol=0, atol=1e-5)
        assert (a.seed, a.matrix, a.growth.routes, a.bytes) == (
            b.seed,
            b.matrix,
            b.growth.routes,
            b.bytes,
        )
    assert np.any(together[0].params["fc1"]["w"] != together[1].params["fc1"]["w"])


def test_seeds_with_adam_take_the_same_first_steps(tasks):
    """Later ones differ: Adam makes a whole step of a gradient that is only rounding."""
    settings = SETTINGS | {"optimizer": "adam", "lr": 1e-3, "method": "finetune"}
    found = []
    for together in (1, 3):
        events = run(configured(**settings, together=together), tasks)
        steps = (event for event in events if isinstance(event, StepsDone))
        found.append(jax.tree.map(np.array, next(steps).learner.model.params))
    chex.assert_trees_all_close(found[0], found[1], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("small_cnn")
def test_seeds_with_a_network_that_grows_take_the_same_routes(tasks):
    settings = {"net": "cnn", "method": "select", "epochs": 1, "threshold": 0.99}
    alone, together = (ended(tasks, **settings, together=n) for n in (1, 3))
    for a, b in zip(alone, together, strict=True):
        assert a.growth.routes == b.growth.routes
        chex.assert_trees_all_close(a.params, b.params, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_seeds_run_so_many_at_a_time(tasks):
    setup = set_up(configured(**SETTINGS, method="finetune", together=2), tasks)
    groups = [[seed for _, seed in happened] for happened in rounds([setup], [[]])]
    assert [3, 0] in groups
    assert [7] in groups
    assert groups == sorted(groups, key=lambda seeds: [3, 0, 7].index(seeds[0]))
    for happened in (list(each.values()) for each in rounds([setup], [[]])):
        kinds = {type(event) for event in happened}
        assert len(kinds) == 1
        if isinstance(happened[0], StepsDone | EpochEnded):
            at = {(e.task_index, e.epoch, getattr(e, "step", None)) for e in happened}
            assert len(at) == 1


@pytest.mark.slow
def test_going_on_together_from_any_moment_gives_the_same_bits(tasks):
    setup = set_up(configured(**SETTINGS, method="dgr", setting="class", together=2), tasks)
    taken, whole = [], []
    for happened in (list(each.values()) for each in rounds([setup], [[]])):
        whole += happened
        if isinstance(happened[0], StepsDone | EpochEnded):
            taken.append(snapshot.take_all([event.learner for event in happened]))
    whole = [event for event in whole if isinstance(event, SeedEnded)]
    for snap in taken[:: len(taken) // 3]:
        through_json = snap._replace(meta=json.loads(json.dumps(snap.meta)))
        learners = snapshot.restore_all(setup, through_json)
        again = [e for e in go_on(setup, learners) if isinstance(e, SeedEnded)]
        for a, b in zip(again, whole[len(whole) - len(again) :], strict=True):
            assert (a.seed, a.matrix) == (b.seed, b.matrix)
            chex.assert_trees_all_equal(a.params, b.params)


@partial(jax.jit, static_argnums=0)
def add(program, state, totals, data, own, first, last):
    return state + (last - first).astype(jnp.float32) * (data.sum() + own) * program, totals


def asking(seed: int, program: int, data, stretches: int) -> Iterator:
    """A seed that adds numbers: what it is given is its state."""
    state, totals = jnp.float32(0), Totals({}, jnp.int32(-1))
    yield TaskBegan(seed, 0, (), {}, [stretches])
    for i in range(stretches):
        own = jnp.float32(seed)
        done = yield StepRequest(
            add, program, state, totals, (data, own), np.int32(i), np.int32(i + 1)
        )
        assert 0 < done.share <= done.seconds
        state, totals = done.state, done.totals
        yield StepsDone(float(state), seed, 0, 0, i, 0.0, 1.0)


def test_what_is_alike_is_one_program_and_common_data_is_not_copied(monkeypatch):
    calls = []

    def noting(run, program, tree, shared, states, *rest):
        calls.append((program, shared, len(states)))
        return together(run, program, tree, shared, states, *rest)

    together = vectorized.run_together
    monkeypatch.setattr(vectorized, "run_together", noting)
    data = jnp.ones(4)
    seeds = [asking(s, program, data, 2) for s, program in [(1, 1), (2, 5), (3, 1), (4, 1)]]
    happened = [list(each.values()) for each in run_vectorized(dict(enumerate(seeds)))]
    assert calls == [(1, (True, False), 3)] * 2  # program 5 is one seed's alone
    assert [[type(event) for event in each] for each in happened] == [
        [TaskBegan] * 4,
        [StepsDone] * 4,
        [StepsDone] * 4,
    ]
    assert [event.learner for event in happened[-1]] == [10.0, 60.0, 14.0, 16.0]


def test_tasks_of_different_lengths_are_held_once_for_all_seeds(tasks, make_task, monkeypatch):
    """In every epoch; what shuffles them is each seed's own."""
    given, together = [], vectorized.run_together

    def noting(run, program, tree, shared, states, totals, data, first, last):
        given.append((shared, data))
        return together(run, program, tree, shared, states, totals, data, first, last)

    monkeypatch.setattr(vectorized, "run_together", noting)
    tasks = [tasks[0], make_task("fewer", n=50)]
    run_settings = {**SETTINGS, "method": "finetune", "together": 3, "hidden": (2,), "epochs": 2}
    events = list(run(configured(**run_settings), tasks))
    assert {shared for shared, _ in given} == {(True, True, True, False)}
    of_tasks = {id(data[0]): len(data[0]) for _, data in given}
    assert list(of_tasks.values()) == [60, 60]
    assert sum(isinstance(event, EpochEnded) for event in events) == 3 * 2 * 2


def test_seeds_that_are_ahead_wait():
    data = jnp.ones(4)
    happened = list(run_vectorized({"a": asking(0, 1, data, 1), "b": asking(1, 1, data, 3)}))
    assert [list(each) for each in happened] == [["a", "b"], ["a", "b"], ["b"], ["b"]]
    assert happened[-1]["b"].learner == 15.0
