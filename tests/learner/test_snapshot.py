import dataclasses
import json
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from given import configured

from jaxcl.checkpointing.containers import contained, containers, rebuild
from jaxcl.core.errors import UsageError
from jaxcl.learner import snapshot, state
from jaxcl.learner.build import check_config, set_up
from jaxcl.learner.seed_loop import go_on
from jaxcl.learner.snapshot import Snapshot
from jaxcl.methods import METHODS
from jaxcl.networks import from_functions
from jaxcl.scenarios.task import Task
from jaxcl.training.events import EpochEnded, SeedEnded, StepsDone

SETTINGS = {"epochs": 2, "batch_size": 20, "lr": 2e-3, "probe": 40, "warmup_epochs": 1}
SETTINGS |= {"generator_steps": 3, "generator_batch": 8, "generated": 40}
pytestmark = pytest.mark.usefixtures("compiled_once", "little_noise")


@pytest.fixture
def tasks(make_task):
    return [make_task("bars", n=60), make_task("sides", classes=4, seed=1, upright=False)]


def host(snap: Snapshot) -> Snapshot:
    """Through JSON, as it goes to disk."""
    return Snapshot(dict(snap.arrays), json.loads(json.dumps(snap.meta)))


@pytest.mark.parametrize(
    ("method", "net"),
    [
        ("ewc", "mlp"),
        ("finetune", "mlp"),
        pytest.param("pnn", "linear", marks=pytest.mark.slow),  # columns without parameters
        *(
            pytest.param(name, "cnn" if method.branches else "mlp", marks=pytest.mark.slow)
            for name, method in METHODS.items()
            if name not in ("ewc", "finetune")
        ),
        pytest.param("ewc", "cnn", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("small_cnn")
def test_going_on_from_any_moment_gives_the_same_bits(method, net, tasks):
    settings = SETTINGS | {"net": net} | ({"hidden": (16,)} if net == "mlp" else {})
    settings |= {"setting": "class"} if METHODS[method].refuses else {}
    settings |= {"units": 20} if method == "ranpac" else {}  # of 10,000, which take long
    settings |= {"keep_optimizer": method == "finetune"}
    setup = set_up(configured(method=method, seeds=(0, 1), **settings), tasks)
    taken, events = [], []
    for event in go_on(setup):
        if isinstance(event, StepsDone | EpochEnded):
            taken.append((len(events), host(snapshot.take(event.learner))))
        else:
            events.append(event)
    ended = [event for event in events if isinstance(event, SeedEnded)]
    assert len({json.dumps(snap.meta) for _, snap in taken}) == len(taken)
    # In the first epoch of all, which is a run again and so for one method alone; as the second
    # task begins, with its warm-up, and as it ends; in the second seed.
    first = [0] if method == "ewc" else []
    for at in (*first, len(taken) // 4, len(taken) // 2 - 1, len(taken) - 2):
        snap = taken[at][1]
        again = [
            e for e in go_on(setup, [snapshot.restore(setup, snap)]) if isinstance(e, SeedEnded)
        ]
        left = ended[snap.meta["seed"] :]
        assert [e.seed for e in again] == [e.seed for e in left]
        for a, b in zip(again, left, strict=True):
            chex.assert_trees_all_equal(a.params, b.params)
            assert (a.matrix, a.growth.routes, a.growth.similarity) == (
                b.matrix,
                b.growth.routes,
                b.growth.similarity,
            )


@pytest.mark.slow
@pytest.mark.parametrize("keep", [False, True])
def test_going_on_from_any_moment_of_a_generator(keep, tasks, monkeypatch):
    monkeypatch.setattr(state, "PICTURE_EVERY", 4)
    settings = SETTINGS | {"net": "mlp", "hidden": (9,), "generator_steps": 6, "setting": "class"}
    setup = set_up(configured(method="dgr", keep_optimizer=keep, **settings), tasks)
    taken, events = [], []
    for event in go_on(setup):
        events.append(event)
        if isinstance(event, StepsDone | EpochEnded):
            taken.append(host(snapshot.take(event.learner)))
            found = jax.tree.map(np.array, event.learner.phase.gan._replace(key=None))
            again = snapshot.restore(setup, taken[-1])
            chex.assert_trees_all_equal(found, again.phase.gan._replace(key=None))
    for snap in taken[::3]:
        ended = list(go_on(setup, [snapshot.restore(setup, snap)]))[-1]
        chex.assert_trees_all_equal(ended.params, events[-1].params)
        assert ended.matrix == events[-1].matrix


@pytest.mark.usefixtures("small_cnn")
def test_taking_and_restoring_are_inverse(tasks):
    setup = set_up(configured(method="split", **SETTINGS), tasks)
    second = (e for e in go_on(setup) if isinstance(e, StepsDone) and e.task_index == 1)
    present = next(second).learner
    last = snapshot.take(present)
    assert last.arrays["seen/conv2/t00/covariance"].dtype == np.float64
    assert last.arrays["transform_state/distill/responses/t00"].shape == (60, 3)
    restored = snapshot.restore(setup, host(last))
    # Keys are derived again, not stored.
    keys = (jax.random.key_data(x.phase.train.key).tolist() for x in (restored, present))
    assert next(keys) == next(keys)
    assert int(restored.phase.train.step) == int(present.phase.train.step) > 0
    again = snapshot.take(restored)
    assert json.dumps(again.meta) == json.dumps(last.meta)
    chex.assert_trees_all_equal(again.arrays, last.arrays)


def test_a_snapshot_is_a_copy(tasks):
    """The device's memory is given away as the run goes on."""
    setup = set_up(configured(method="lwf", net="mlp", hidden=(16,), **SETTINGS), tasks)
    events = go_on(setup)
    first = next(event for event in events if isinstance(event, StepsDone))
    snap = snapshot.take(first.learner)
    before = {name: x.copy() for name, x in snap.arrays.items()}
    next(event for event in events if isinstance(event, EpochEnded))
    chex.assert_trees_all_equal(snap.arrays, before)


class Known(NamedTuple):
    w: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Registered:
    w: Any
    mean: Any


LATE = {
    "numbers": {0: jnp.ones(2), 10: (jnp.zeros(1), [None, {}])},
    "list": [{"a": jnp.ones(2), "none": None}, jnp.int32(3), ()],
}


def through_paths(began: Any, now: Any) -> Any:
    """What a checkpoint makes of a state, by what it was as it began."""
    leaves = jax.tree_util.tree_leaves_with_path(now)
    flat = {jax.tree_util.keystr(p, simple=True, separator="/"): np.array(x) for p, x in leaves}
    kinds = json.loads(json.dumps(containers(now)))
    return rebuild(jax.eval_shape(lambda: began), contained(snapshot._nested(flat), kinds))


@pytest.mark.parametrize("late", LATE)
def test_containers_are_kept_that_were_not_there_as_a_state_began(late):
    part = {"known": [Known(jnp.ones(3)), Registered(jnp.ones(1), None)], "tuple": (jnp.ones(2),)}
    now = {**part, "late": LATE[late]}
    found = through_paths({**part, "late": {}}, now)
    assert jax.tree.structure(found) == jax.tree.structure(now)
    chex.assert_trees_all_equal(found, now)


def test_an_object_that_could_not_be_made_again_is_refused_as_a_run_is_saved(tasks):
    setup = set_up(configured(method="finetune", net="mlp", hidden=(4,), **SETTINGS), tasks)
    learner = next(e for e in go_on(setup) if isinstance(e, StepsDone)).learner
    snapshot.check_restorable(setup, learner)
    own = setup.transform._replace(init=lambda params: {"own": {}})
    for state_of_own, fits in ((LATE, True), ({"a": Known(jnp.ones(1))}, False)):
        changed = learner.changed(transform_state={"own": state_of_own})
        if fits:
            snapshot.check_restorable(setup._replace(transform=own), changed)
            continue
        with pytest.raises(UsageError, match="method: the state of own holds an object"):
            snapshot.check_restorable(setup._replace(transform=own), changed)


def test_kept_examples_of_several_arrays_go_on_to_the_bit():
    def task(name: str, seed: int) -> Task:
        x, y = (
            np.random.default_rng(seed).normal(size=(40, 3)).astype(np.float32),
            np.arange(40) % 2,
        )
        return Task(name, (x, x[:, :2]), y, (x, x[:, :2]), y)

    def init(key, inputs):
        return {"w": 0.1 * jax.random.normal(key, (5, 4))}, ()

    def apply(params, stats, inputs, train, key):
        return jnp.concatenate(inputs, -1) @ params["w"], stats

    config = configured(method="er", **SETTINGS, buffer=20)
    config = dataclasses.replace(config, network=from_functions(init, apply))
    setup = set_up(check_config(config), [task("a", 0), task("b", 1)])
    events = go_on(setup)
    cut = next(e for e in events if isinstance(e, StepsDone) and e.task_index == 1)
    learner = snapshot.restore(setup, host(snapshot.take(cut.learner)))
    whole, again = list(events)[-1], list(go_on(setup, [learner]))[-1]
    chex.assert_trees_all_equal(again.params, whole.params)


def test_rebuild_finds_every_container_again():
    params = {"w": jnp.ones(3), "frozen": None, "none": {"b": None}}
    with jax.numpy_dtype_promotion("standard"):
        optimizer = optax.chain(optax.clip(1.0), optax.adam(optax.linear_schedule(1.0, 0.1, 10)))
        state = optimizer.init(params)
    leaves = jax.tree_util.tree_leaves_with_path(state)
    flat = {jax.tree_util.keystr(p, simple=True, separator="/"): np.array(x) for p, x in leaves}
    found = rebuild(jax.eval_shape(optimizer.init, params), snapshot._nested(flat))
    chex.assert_trees_all_equal(found, state)
    assert jax.tree.structure(found) == jax.tree.structure(state)


def test_what_a_penalty_knows_is_kept(tasks):
    settings = SETTINGS | {"net": "mlp", "hidden": (4,), "setting": "task", "epochs": 1}
    setup = set_up(configured(method="ewc", **settings), tasks)
    present = next(
        e for e in go_on(setup) if isinstance(e, EpochEnded) and e.task_index == 1
    ).learner
    restored = snapshot.restore(setup, host(snapshot.take(present)))
    assert float(restored.transform_state["ewc"].importance["fc1"]["w"].max()) > 0
    chex.assert_trees_all_equal(restored.transform_state, present.transform_state)
    chex.assert_trees_all_equal(restored.phase.train.transform_state, present.transform_state)
