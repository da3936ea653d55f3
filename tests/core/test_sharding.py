"""On eight simulated devices; the conftest makes them."""

import re

import chex
import jax
import jax.numpy as jnp
import pytest
from given import configured

from jaxcl.core import sharding
from jaxcl.core.errors import UsageError
from jaxcl.learner.build import set_up
from jaxcl.learner.seed_loop import go_on, run
from jaxcl.learner.snapshot import restore_all, take_all
from jaxcl.training import vectorized
from jaxcl.training.events import SeedEnded, StepsDone
from jaxcl.transforms import TaskData, distill, ewc, mas

SETTINGS = {"epochs": 1, "batch_size": 20, "lr": 2e-2, "optimizer": "sgd", "probe": 40}
SETTINGS |= {"generator_steps": 3, "generator_batch": 8, "generated": 40, "net": "mlp"}
SETTINGS |= {"hidden": (16,), "together": 1}
COLLECTIVES = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-[a-z]+"


@pytest.fixture
def tasks(make_task):
    return [make_task("bars", n=60), make_task("sides", classes=4, seed=1, upright=False)]


def ended(tasks, mesh=None, **settings) -> list[SeedEnded]:
    config = configured(**SETTINGS | settings)
    with sharding.on_mesh(mesh, len(config.seeds)):
        return [event for event in run(config, tasks) if isinstance(event, SeedEnded)]


OTHERS = ("lwf", "online_ewc", "mas", "si", "der", "der_pp", "er", "dgr")


@pytest.mark.parametrize(
    "method", ["ewc", *(pytest.param(method, marks=pytest.mark.slow) for method in OTHERS)]
)
@pytest.mark.slow
def test_sharing_a_batch_changes_nothing(method, tasks):
    """Fisher, path integral, what is recorded, generators: the sums between devices are right."""
    (alone,) = ended(tasks, method=method)
    (shared,) = ended(tasks, "data=8", method=method)
    chex.assert_trees_all_close(alone.params, shared.params, rtol=0, atol=1e-5)
    assert (alone.matrix, alone.growth.routes, alone.bytes) == (
        shared.matrix,
        shared.growth.routes,
        shared.bytes,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("small_cnn")
def test_a_batch_of_images_that_cannot_be_shared_evenly(tasks):
    settings = {"method": "split", "net": "cnn", "batch_size": 10}
    (alone,) = ended(tasks, **settings)
    (shared,) = ended(tasks, "data=4", **settings)
    chex.assert_trees_all_close(alone.params, shared.params, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("mesh", ["seed=4,data=2", "seed=8"])
def test_networks_that_are_dealt_out_end_as_they_do_alone(mesh, tasks):
    """Four seeds on four or, as they cannot be dealt out evenly, on all of eight devices."""
    settings = {"method": "ewc", "seeds": (3, 0, 7, 1)}
    alone = ended(tasks, **settings)
    dealt = ended(tasks, mesh, **settings | {"together": 4})
    for a, b in zip(alone, dealt, strict=True):
        chex.assert_trees_all_close(a.params, b.params, rtol=0, atol=1e-5)
        assert (a.seed, a.matrix) == (b.seed, b.matrix)


def collectives(tasks, monkeypatch, mesh: str) -> set[str]:
    """What devices say to each other in the steps of four networks, and where they lie."""
    found: set[str] = set()
    seen: list[str] = []
    compiled = vectorized.run_stacked

    def spied(*given):
        text = compiled.lower(*given).compile().as_text()
        seen.append(text)
        found.update(re.findall(COLLECTIVES, text))
        made = compiled(*given)
        for leaf in jax.tree.leaves(made):
            assert leaf.sharding.spec[0] == sharding.SEED
        return made

    monkeypatch.setattr(vectorized, "run_stacked", spied)
    ended(tasks[:1], mesh, method="si", seeds=(0, 1, 2, 3), together=4)
    assert seen
    return found


@pytest.mark.slow
def test_networks_that_are_dealt_out_do_not_wait_for_each_other(tasks, monkeypatch):
    assert collectives(tasks, monkeypatch, "seed=4") == set()


@pytest.mark.slow
def test_those_that_share_a_batch_do(tasks, monkeypatch):
    assert "all-reduce" in collectives(tasks, monkeypatch, "seed=4,data=2")


@pytest.mark.slow
def test_large_parameters_are_split_where_the_mesh_says_so(tasks):
    settings = {"method": "ewc", "hidden": (256,)}  # of 3,072 inputs
    places = {}
    with sharding.on_mesh("model=4,data=2", 1):
        for event in run(configured(**SETTINGS | settings), tasks):
            if isinstance(event, StepsDone):
                state = event.learner.phase.train
                places = {k: state.params["fc1"][k].sharding.spec for k in ("w", "b")}
            if isinstance(event, SeedEnded):
                split = event
    assert places["w"] == jax.P(sharding.MODEL)
    assert places["b"] in (jax.P(), jax.P(None))
    (alone,) = ended(tasks, **settings)
    chex.assert_trees_all_close(alone.params, split.params, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("model=4,data=2", "data=4"),
        pytest.param("data=2", None, marks=pytest.mark.slow),
    ],
)
def test_a_run_goes_on_with_another_number_of_devices(before, after, tasks):
    settings = {"method": "ewc", "hidden": (256,)}
    setting = configured(**SETTINGS | settings)
    with sharding.on_mesh(before, 1):
        events = run(setting, tasks)
        cut = next(
            e for e in events if isinstance(e, StepsDone) and (e.task_index, e.step) == (1, 1)
        )
        saved = take_all([cut.learner])
    with sharding.on_mesh(after, 1):
        setup = set_up(setting, tasks)
        (found,) = (e for e in go_on(setup, restore_all(setup, saved)) if isinstance(e, SeedEnded))
    (alone,) = ended(tasks, **settings)
    chex.assert_trees_all_close(alone.params, found.params, rtol=0, atol=1e-5)
    assert alone.matrix == found.matrix


def test_arrays_are_split_on_their_longest_axis_that_can_be():
    with sharding.on_mesh("model=4", 1):
        tree = {"a": jnp.zeros((30, 4, 1024)), "b": jnp.zeros((1025, 64)), "c": jnp.zeros((64, 64))}
        found = jax.tree.map(lambda x: x.sharding.spec, sharding.split_large(tree))
    assert found == {"a": jax.P(None, None, "model"), "b": jax.P(None, "model"), "c": jax.P()}


def test_without_a_mesh_nothing_is_placed():
    x = jnp.arange(8)
    assert sharding.devices() == sharding.size(sharding.SEED) == 1
    for place in (sharding.along_all, sharding.replicated, sharding.split_large):
        assert place(x) is x
    assert sharding.along(sharding.DATA, x) is x


def test_on_a_mesh_with_explicit_axes_arrays_stay_as_they_are():
    """It is JAX's default for a mesh of one's own."""
    task = TaskData({"x": jnp.eye(3), "label": jnp.arange(3)}, lambda w, batch: batch["x"] @ w)
    w, key = jnp.ones((3, 4)), jax.random.key(0)

    def over(transform):
        return transform.end_task(transform.init(w), w, task, key)[0]

    def begun(transform):
        return transform.begin_task(transform.init(w), w, task, key)

    alone = over(ewc(1.0)), over(mas(1.0)), begun(distill())
    with jax.set_mesh(jax.make_mesh((8,), ("data",))):
        x = jnp.arange(8)
        for place in (sharding.along_all, sharding.replicated):
            assert place(x) is x
        assert sharding.along(sharding.DATA, x) is x
        on_mesh = over(ewc(1.0)), over(mas(1.0)), begun(distill())
    chex.assert_trees_all_close(jax.device_get(on_mesh), jax.device_get(alone), rtol=1e-6)


def test_by_default_networks_are_dealt_out_evenly():
    for networks, seeds in ((1, 1), (3, 1), (4, 4), (12, 4), (16, 8)):
        assert sharding.usual_sizes(networks) == {"seed": seeds, "data": 1, "model": 1}


@pytest.mark.parametrize(
    "text",
    ["", "seed", "seed=0", "seed=2,seed=2", "batch=2", "seed=-1", "data=1e3", "seed=2;data=2"],
)
def test_a_mesh_that_cannot_be_read_is_refused(text):
    with pytest.raises(UsageError, match=r"^mesh: .* cannot be read; give sizes, such as"):
        sharding.on_mesh(text, 1)


def test_more_devices_than_there_are_cannot_be_had():
    with pytest.raises(UsageError, match="needs 12 devices, there are 8; give fewer"):
        sharding.on_mesh("seed=4,data=3", 1)
