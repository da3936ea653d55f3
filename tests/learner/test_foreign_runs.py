"""Runs of foreign networks: many methods, to the bit, several at once, on several devices."""

import dataclasses

import chex
import foreign_nets as nets
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.core import sharding
from jaxcl.core.errors import UsageError
from jaxcl.learner import snapshot
from jaxcl.learner.build import check_config, set_up
from jaxcl.learner.seed_loop import go_on, run
from jaxcl.networks import from_functions
from jaxcl.scenarios.task import Task
from jaxcl.training import stream
from jaxcl.training.events import EpochEnded, SeedEnded, StepsDone

pytestmark = pytest.mark.usefixtures("compiled_once")
slow = pytest.mark.slow
BRANCHED = {"split", "select"}
# What a method asks of a network is the same whichever library made it: one or two for each.
METHODS = {
    "linen": ("er", "select", "joint", "dgr", "lwf", "mas"),
    "nnx": ("select", "feature_extraction", "der", "si", "ewc"),
    "equinox": ("lwf", "select", "er"),
    "functions": ("split",),
}


def ended(config, tasks=None, mesh=None, streamed=False):
    with sharding.on_mesh(mesh, len(config.seeds)):
        events = run(config, tasks or nets.tasks(), stream=streamed)
        return [event for event in events if isinstance(event, SeedEnded)]


def leaves_of(event):
    return jax.tree.leaves(event.learned.variables)


@pytest.mark.parametrize(
    ("method", "library"), [(name, library) for library, names in METHODS.items() for name in names]
)
@pytest.mark.slow
def test_methods_learn_with_networks_of_every_library(method, library):
    branches = () if method not in BRANCHED else ("conv1",)
    config = nets.settings(method, library, branches, epochs=15)
    (event,) = ended(config)
    assert all(np.isfinite(leaf).all() for leaf in leaves_of(event))
    first = event.matrix[0][0]
    assert first > 45, "chance is 33 percent"
    if method == "joint":
        assert min(event.matrix[1]) > 45
    if method == "feature_extraction":
        assert event.matrix[1][0] == first
    if branches:
        assert set(event.growth.routes["sides"]) == {"conv1"}
        assert event.growth.weights["added"] in (0, 40, 64 * 4 + 4)


def test_columns_cannot_be_made_of_it():
    with pytest.raises(UsageError, match=r"^network: Linen \(Linen\) has no columns; give net cnn"):
        ended(nets.settings("pnn"))
    # Branches of functions that tell no activations are refused before the first step.
    plain = from_functions(nets.init, nets.apply, branches=("conv1",))
    config = dataclasses.replace(nets.settings("split", "functions", ("conv1",)), network=plain)
    with pytest.raises(UsageError, match=r"^network: it cannot tell what its parts"):
        set_up(check_config(config), nets.tasks())


@pytest.mark.parametrize(
    ("method", "library", "given"),
    [
        ("lwf", "linen", {"augment": ("crop",)}),
        pytest.param("ewc", "nnx", {"replay": "buffer"}, marks=slow),
        pytest.param("der", "equinox", {"augment": ("flip",)}, marks=slow),
        pytest.param("split", "linen", {"warmup_epochs": 1}, marks=slow),
        pytest.param("select", "functions", {}, marks=slow),
    ],
)
def test_going_on_from_any_moment_gives_the_same_bits(method, library, given):
    branches = ("conv1",) if method in BRANCHED else ()
    config = check_config(nets.settings(method, library, branches, seeds=(0, 1), **given))
    setup = set_up(config, nets.tasks())
    taken, whole = [], []
    for event in go_on(setup):
        if isinstance(event, StepsDone | EpochEnded):
            taken.append(snapshot.take(event.learner))
        if isinstance(event, SeedEnded):
            whole.append(event)
    for at in (0, len(taken) // 4, len(taken) // 2 - 1, len(taken) - 2):
        learner = snapshot.restore(setup, taken[at])
        left = whole[taken[at].meta["seed"] :]
        again = [e for e in go_on(setup, [learner]) if isinstance(e, SeedEnded)]
        for one, other in zip(again, left, strict=True):
            chex.assert_trees_all_equal(one.learned.variables, other.learned.variables)
            assert (one.matrix, one.growth) == (other.matrix, other.growth)


def test_a_network_without_statistics_goes_on_while_its_teacher_is_asked():
    """There is nothing to keep of its statistics, and nothing may be missed."""
    config = check_config(
        dataclasses.replace(
            nets.settings("lwf", augment=("crop",)),
            network=nets.configured(method="lwf", net="mlp", hidden=(4,)).network,
        )
    )
    setup = set_up(config, nets.tasks())
    events, taken = [], []
    for event in go_on(setup):
        events.append(event)
        if isinstance(event, StepsDone) and event.task_index == 1:
            taken.append(snapshot.take(event.learner))
    again = list(go_on(setup, [snapshot.restore(setup, taken[0])]))[-1]
    chex.assert_trees_all_equal(again.params, events[-1].params)


@slow
def test_two_seeds_together_are_two_alone():
    config = nets.settings("er", seeds=(0, 1), optimizer="sgd", together=1)
    alone = ended(config)
    both = ended(dataclasses.replace(config, together=2))
    for one, other in zip(alone, both, strict=True):
        chex.assert_trees_all_close(
            one.learned.variables, other.learned.variables, rtol=1e-4, atol=1e-5
        )
        assert one.matrix == other.matrix
    means = [
        event.learned.variables.stats["shared"]["batch_stats"]["norm2"]["mean"] for event in both
    ]
    assert (means[0] != means[1]).all()


@pytest.mark.parametrize(
    "library", [pytest.param(name, marks=slow) for name in ("linen", "nnx", "equinox")]
)
def test_devices_that_share_batches_and_seeds_are_one(library):
    """Means of a batch are taken over all of its parts, and each example drops its own units."""
    config = nets.settings("ewc", library, seeds=(0, 1), optimizer="sgd", together=2, strength=1.0)
    one, several = ended(config), ended(config, mesh="data=2,seed=2")
    for a, b in zip(one, several, strict=True):
        chex.assert_trees_all_close(a.learned.variables, b.learned.variables, rtol=1e-3, atol=1e-4)


def two_kinds():
    """Tasks of which an example is an image and a number."""
    made = []
    for task in nets.tasks():
        parts = [
            {"image": images, "place": np.linspace(0, 1, len(images), dtype=np.float32)[:, None]}
            for images in (task.train_inputs, task.test_inputs)
        ]
        made.append(task._replace(train_inputs=parts[0], test_inputs=parts[1]))
    return made


def init(key, inputs):
    size = inputs["image"][0].size + 1
    return {"w": 0.1 * jax.random.normal(key, (size, 6))}, {"mean": jnp.zeros(6)}


def apply(params, stats, inputs, train, key):
    images = inputs["image"].reshape(len(inputs["image"]), -1)
    x = jnp.concatenate([images, inputs["place"]], -1) @ params["w"]
    mean = 0.9 * stats["mean"] + 0.1 * x.mean(0) if train else stats["mean"]
    return jax.nn.relu(x - mean), {"mean": mean}


@pytest.mark.parametrize(
    "method", ["lwf", *(pytest.param(name, marks=slow) for name in ("er", "ewc", "der"))]
)
def test_streamed_data_are_those_on_the_device(method, monkeypatch):
    """A few steps' worth at a time, of inputs that are a dictionary."""
    monkeypatch.setattr(stream, "WINDOW_BYTES", 2 * 20 * (64 + 4 + 8))
    config = nets.settings(method, optimizer="sgd")
    config = dataclasses.replace(config, network=from_functions(init, apply))
    (whole,), (parts,) = (ended(config, two_kinds(), streamed=s) for s in (False, True))
    chex.assert_trees_all_close(
        whole.learned.variables, parts.learned.variables, rtol=1e-5, atol=1e-6
    )
    assert whole.matrix == parts.matrix


def test_windows_of_nested_inputs(monkeypatch):
    data = {"input": {"a": np.arange(12).reshape(6, 2), "b": np.arange(6)}, "label": np.arange(6)}
    order = jnp.asarray([[3, 1], [0, 5], [4, 2]])
    each = sum(leaf[0].nbytes for leaf in jax.tree.leaves(data))
    monkeypatch.setattr(stream, "WINDOW_BYTES", 2 * 2 * each)
    assert stream.window_steps(data, order) == 2
    window = stream.windows(data, order)
    first, last = window(0), window(2)
    np.testing.assert_array_equal(first["input"]["a"], data["input"]["a"][order[:2]])
    np.testing.assert_array_equal(first["input"]["b"], order[:2])
    np.testing.assert_array_equal(last["input"]["b"][0], order[2])


def test_tasks_of_other_classes_in_the_domain_setting():
    tasks = [nets.tasks()[0], nets.tasks(classes=2)[1]]
    with pytest.raises(
        UsageError, match="as many classes in every task, and these have 2, 3; give"
    ):
        ended(nets.settings("finetune", setting="domain"), tasks)
    assert isinstance(tasks[0], Task)
