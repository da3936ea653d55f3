"""The learner with a generator, in the loop that everybody runs."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import configured

from jaxcl.core.errors import UsageError
from jaxcl.growth.heads import SETTINGS as SETTINGS_OF_HEADS
from jaxcl.learner import scholar, state, task_loop
from jaxcl.learner.build import set_up
from jaxcl.learner.seed_loop import go_on, run
from jaxcl.training.events import EpochEnded, SeedEnded, StepsDone, TaskBegan
from jaxcl.training.generative.generator import sample_images

SETTINGS = {
    "epochs": 2, "batch_size": 20, "lr": 2e-3, "l2": 0.0, "net": "mlp", "hidden": (20,),
    "generator_steps": 3, "generator_batch": 8, "generated": 40,
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("compiled_once", "little_noise")


@pytest.fixture
def tasks(make_task):
    return [make_task(f"bars{i}", n=60, seed=i, upright=i % 2 == 0) for i in range(3)]


def result(tasks, **settings) -> SeedEnded:
    return list(run(configured(**SETTINGS | settings), tasks))[-1]


def test_images_are_judged_by_a_network_of_the_same_labels(monkeypatch):
    monkeypatch.setattr(scholar, "train_judge", lambda key, tasks: {"labels": tasks})
    by_class, by_domain = SETTINGS_OF_HEADS["class"], SETTINGS_OF_HEADS["domain"]
    judges = [
        scholar._judge(scholar._RealImages("checksum", setting, lambda name=name: name))
        for name, setting in (("a", by_class), ("b", by_domain), ("c", by_domain))
    ]
    assert [each["labels"] for each in judges] == ["a", "b", "b"]
    scholar._judge.cache_clear()


@pytest.mark.parametrize("heads", ["growing", "full"])
def test_no_generated_image_is_of_a_class_that_is_still_to_come(heads, tasks, monkeypatch):
    config = configured(**SETTINGS, method="dgr", setting="class", heads=heads)
    setup = set_up(config, tasks)
    learner = task_loop.begin(setup, state.new_learner(setup, 0), setup.tasks.train[0])
    learner = learner.changed(task_index=1, generator={"w": jnp.zeros(1)})
    asked = []

    def classify(view, variables, images, known):
        asked.append(int(known))
        return jnp.zeros(len(images), jnp.int32)

    monkeypatch.setattr(scholar, "classify", classify)
    monkeypatch.setattr(scholar, "sample_images", lambda *given: jnp.zeros((9, 2, 2, 1), "uint8"))
    assert len(scholar.imagine(setup, learner)) == SETTINGS["generated"]
    assert asked == [tasks[0].classes]


@pytest.mark.slow
@pytest.mark.parametrize("setting", [pytest.param("task", marks=pytest.mark.slow), "class"])
def test_the_first_task_is_plain_training_to_the_bit(setting, tasks):
    plain, taught, lwf = (
        result(tasks[:1], method=method, setting=setting).params
        for method in ("finetune", "dgr", "lwf_gr")
    )
    chex.assert_trees_all_equal(plain, taught)
    chex.assert_trees_all_equal(plain, lwf)


@pytest.mark.slow
@pytest.mark.parametrize("setting", [pytest.param("task", marks=pytest.mark.slow), "class"])
def test_at_a_weight_of_one_the_old_scholar_is_not_listened_to(setting, tasks):
    """Whatever it says: the likeliest classes, or its responses; few images, or more."""

    def taught(weight: float, labels: str, generated: int):
        settings = {"labels": labels, "generated": generated, "replay_weight": weight}
        return result(tasks[:2], method="dgr", setting=setting, **settings).params

    chex.assert_trees_all_equal(taught(1.0, "soft", 40), taught(1.0, "hard", 60))
    soft, hard = (taught(0.5, labels, 40)["fc1"]["w"] for labels in ("soft", "hard"))
    assert np.any(soft != hard)


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("buffer", "er"),
        pytest.param("exact", "exact_replay", marks=pytest.mark.slow),
        pytest.param("noise", "noise_replay", marks=pytest.mark.slow),
        pytest.param("generative", "dgr", marks=pytest.mark.slow),
    ],
)
def test_replay_on_top_is_the_method_that_replays(kind, method, tasks):
    own = result(tasks[:2], method=method, setting="class").params
    on_top = result(tasks[:2], method="finetune", replay=kind, setting="class").params
    chex.assert_trees_all_equal(own, on_top)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ewc", "si", "lwf_gr", "der"])
def test_replay_composes_with_other_methods(method, tasks):
    alone, replay = (result(tasks[:2], method=m, setting="class") for m in (method, "dgr"))
    both = result(tasks[:2], method=method, setting="class", replay="generative")
    for one in (alone, replay):  # neither the method's own loss nor that of replay is lost
        assert np.any(one.params["fc1"]["w"] != both.params["fc1"]["w"])


@pytest.mark.parametrize("method", ["er", "dgr", "exact_replay", "noise_replay", "joint"])
def test_replay_on_top_of_replay_is_refused(method, tasks):
    with pytest.raises(UsageError, match=f"replay: {method} has its own"):
        result(tasks, method=method, replay="exact")


@pytest.mark.slow
def test_a_chain_of_scholars_sees_no_second_real_image(tasks):
    """With weight 0 and fresh weights, what comes after the first task does not matter."""
    settings = {"method": "dgr", "setting": "domain", "scratch": True, "replay_weight": 0.0}
    other = tasks[2]._replace(
        train_inputs=255 - tasks[2].train_inputs, train_labels=(tasks[2].train_labels + 1) % 3
    )
    one, two = (result([tasks[0], second], **settings) for second in (tasks[2], other))
    chex.assert_trees_all_equal(one.params, two.params)


@pytest.mark.slow
def test_fresh_weights_are_fresh(tasks):
    settings = {"method": "dgr", "setting": "domain", "lr": 1e-9, "epochs": 1}
    kept, fresh = (result(tasks[:2], scratch=s, **settings).params for s in (False, True))
    first = result(tasks[:1], **settings).params
    np.testing.assert_allclose(kept["fc1"]["w"], first["fc1"]["w"], atol=1e-6)
    assert np.abs(fresh["fc1"]["w"] - first["fc1"]["w"]).max() > 1e-2


@pytest.mark.slow
def test_the_generator_learns_before_the_solver_and_is_looked_at(tasks):
    events = list(run(configured(method="dgr", **SETTINGS), tasks[:2]))
    began = [event for event in events if isinstance(event, TaskBegan)]
    assert [event.steps for event in began] == [[3, 3, 3]] * 2
    epochs = [event for event in events if isinstance(event, EpochEnded)]
    assert [event.phase for event in epochs] == ["generator", "train", "train"] * 2
    for event in epochs:
        assert ("quality.kl" in event.metrics) == (event.phase == "generator")
        assert event.metrics["test_loss"] > 0


def test_one_judge_looks_at_the_images_of_all_seeds_and_tasks(tasks, monkeypatch):
    trained, real = [], scholar.train_judge
    monkeypatch.setattr(scholar, "train_judge", lambda *a: trained.append(a) or real(*a))
    scholar._judge.cache_clear()
    events = list(run(configured(method="dgr", **SETTINGS, seeds=(0, 1)), tasks[:2]))
    assert len(trained) == 1
    assert len(trained[0][1]) == 2  # with the images of the tasks to come
    found = [e.metrics for e in events if isinstance(e, EpochEnded) and e.phase == "generator"]
    assert len(found) == 4
    # Above 0: the images of the floor are others than those that were learned.
    assert all(1e-4 < each["quality.floor"] < each["quality.frechet"] for each in found)


@pytest.mark.slow
@pytest.mark.parametrize("generator", ["mlp", "conv"])
def test_every_generator_learns_and_is_handed_over(generator, tasks):
    """What comes of a run draws other images than before the second task, and as many bytes."""
    settings = SETTINGS | {"generator": generator, "setting": "class"}
    ended = [result(tasks[:n], method="dgr", **settings) for n in (1, 2)]
    one, two = (each.generator for each in ended)
    assert ended[1].growth.weights["generator"] == sum(x.size for x in jax.tree.leaves(two))
    setup = set_up(configured(method="dgr", **settings), tasks[:2])
    key = jax.random.key(0)
    before, after = (np.asarray(sample_images(setup.scholar.gan, g, key, 4)) for g in (one, two))
    assert before.shape == after.shape == (4, *tasks[0].train_inputs.shape[1:])
    assert before.dtype == after.dtype == np.uint8
    assert np.any(before != after)
    assert result(tasks[:1], method="er").generator is None


@pytest.mark.slow
def test_the_test_loss_weighs_old_and_new(tasks):
    """``r`` of the new task and ``1 - r`` of the mean of the old ones; r = 1/k, or as given."""

    def loss(weight: float | None) -> float:
        """After the third task, of a network that has hardly moved."""
        settings = SETTINGS | {"lr": 1e-9, "epochs": 1, "replay_weight": weight}
        events = run(configured(method="er", **settings), tasks)
        return [e for e in events if isinstance(e, EpochEnded)][-1].metrics["test_loss"]

    new, old = loss(1.0), loss(0.0)
    assert new != old
    assert loss(0.25) == pytest.approx(0.25 * new + 0.75 * old, rel=1e-5)
    assert loss(None) == pytest.approx(new / 3 + 2 * old / 3, rel=1e-5)


@pytest.mark.parametrize("scratch", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_generator_and_solver_learn_from_the_same_images(scratch, tasks):
    """Asked for again in the generator's phase, images are those that the solver was given."""
    settings = SETTINGS | {"setting": "class", "scratch": scratch}
    setup = set_up(configured(method="dgr", **settings), tasks[:2])
    before, compared = None, 0
    for event in go_on(setup):
        if isinstance(event, StepsDone) and event.task_index == 1 and event.epoch == 0:
            again = scholar.imagine(setup, event.learner.changed(generator=before))
            given = event.learner.transform_state["replay"].memory["input"]
            np.testing.assert_array_equal(again, given)
            compared += 1
        elif isinstance(event, EpochEnded) and event.task_index == 0:
            before = jax.tree.map(jnp.copy, event.learner.model.generator)
    assert compared


def test_balanced_rows_are_as_frequent_for_every_label(key):
    labels = jnp.repeat(jnp.arange(3, dtype=jnp.int32), jnp.array([900, 90, 10]))
    rows = scholar.balanced(key, labels, 3000)
    counts = np.bincount(np.asarray(labels[rows]))
    assert np.all(np.abs(counts - 1000) < 4 * np.sqrt(3000 * 2 / 9)), counts
